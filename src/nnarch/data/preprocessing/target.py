"""What is to be predicted, in the units that a network learns it in, and back again."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field
from torch import Tensor, nn

from nnarch.data.preprocessing.scaling import Standardize
from nnarch.data.preprocessing.statistics import describe
from nnarch.errors import DataError


class TargetSpec(BaseModel, extra="forbid"):
    """The spec of a `Target`, as JSON has it."""

    targets: Annotated[int, Field(ge=1, le=10**6)]
    transform: Literal["none", "log1p"]


class Target(nn.Module):
    """Targets (N, T), perhaps as ln(1 + y), standardised; `mean` and `scale` are (T,)."""

    def __init__(self, targets: int, transform: str = "none"):
        super().__init__()
        self.targets, self.transform = targets, transform
        self.scaling = Standardize(targets)

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> "Target":
        """One with the buffers still to be loaded. Raises: ValueError for what is no spec."""
        return cls(**dict(TargetSpec.model_validate(dict(spec), strict=True)))

    @property
    def spec(self) -> dict[str, Any]:
        """Plain JSON, from which `from_spec` makes it again."""
        return {"targets": self.targets, "transform": self.transform}

    @property
    def mean(self) -> Tensor:
        return self.scaling.mean

    @property
    def scale(self) -> Tensor:
        """Of the transformed target."""
        return self.scaling.scale

    def fit(self, target: Tensor, scaling: str = "standard", transform: str = "none") -> None:
        """Take transform and scaling from training targets (N, T); NaN counts for nothing.

        Args:
            scaling: `standard` or `none`.
            transform: `none` or `log1p`.

        Raises: DataError where `log1p` is not defined.
        """
        self.transform = transform
        told = self._transformed(target.double())
        if scaling == "standard":
            self.scaling.fit(describe(told))

    def forward(self, target: Tensor) -> Tensor:
        return self.scaling(self._transformed(target))

    def inverse(self, target: Tensor) -> Tensor:
        told = self.scaling.inverse(target)
        return told.expm1() if self.transform == "log1p" else told

    def first(self, targets: int) -> "Target":
        """The same for the first of the targets."""
        return self._of(self.mean[:targets], self.scale[:targets])

    def repeated(self, times: int) -> "Target":
        """The same for targets that come so many times, one set after another."""
        return self._of(self.mean.repeat(times), self.scale.repeat(times))

    def _of(self, mean: Tensor, scale: Tensor) -> "Target":
        made = Target(len(mean), self.transform)
        made.scaling.mean, made.scaling.scale = mean.clone(), scale.clone()
        return made

    def _transformed(self, target: Tensor) -> Tensor:
        if self.transform == "none":
            return target
        if len(wrong := target[target <= -1]):
            raise DataError(
                f"data.target_transform: log1p takes targets above -1; got {float(wrong.min()):g}"
            )
        return target.log1p()
