"""Samples that are stretches of something longer: windows of a series, tokens of a text."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, Field
from torch import Tensor, nn

from nnarch.data.preprocessing import scaling as scalings
from nnarch.data.preprocessing.statistics import describe
from nnarch.data.table import numeric
from nnarch.data.tokens import PADDING

Length = Annotated[int, Field(ge=1, le=10**8)]


class SeriesSpec(BaseModel, extra="forbid"):
    """The spec of `SeriesInputs`, as JSON has it."""

    kind: Literal["series"]
    names: Annotated[list[str], Field(min_length=1)]
    length: Length
    scaling: Literal["standard", "robust", "quantile", "minmax", "none"]
    quantiles: Annotated[int, Field(ge=2, le=scalings.MOST_QUANTILES)]


class TokenSpec(BaseModel, extra="forbid"):
    """The spec of `TokenInputs`, as JSON has it."""

    kind: Literal["tokens"]
    tokens: Annotated[list[str], Field(min_length=1)]
    length: Length
    every: bool = False


class SeriesInputs(nn.Module):
    """Steps (..., C) of a series, each of its channels scaled by all of its training values."""

    kind = "series"
    vocabulary = 0
    cardinalities: tuple[int, ...] = ()

    def __init__(self, spec: Mapping[str, Any]):
        """Raises: ValueError for what is no spec."""
        super().__init__()
        checked = SeriesSpec.model_validate(dict(spec), strict=True)
        self.spec: dict[str, Any] = dict(checked)
        self.names = tuple(checked.names)
        self.output_names = list(self.names)
        self.shape = (checked.length, len(self.names))
        self.scaling = scalings.build(checked.scaling, len(self.names), checked.quantiles)

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> "SeriesInputs":
        return cls(spec)

    @classmethod
    def fit(cls, steps: Tensor, names: Iterable[str], length: int, scaling: str) -> "SeriesInputs":
        """Fit to the training steps (T, C), of which a sample holds `length`."""
        statistics = describe(steps, numeric(names))
        quantiles = scalings.quantiles_for(statistics)
        names = [column.name for column in statistics.columns]
        made = cls(
            {"kind": cls.kind, "names": names, "length": length, "scaling": scaling,
             "quantiles": quantiles}
        )  # fmt: skip
        made.scaling.fit(statistics)
        return made

    def forward(self, steps: Tensor) -> Tensor:
        """(..., C) float64 in the series' own units; finite in float32 too."""
        scaled = self.scaling(steps.reshape(-1, steps.shape[-1])).reshape(steps.shape)
        return scaled.clamp(-scalings.LARGEST, scalings.LARGEST)


class TokenInputs(nn.Module):
    """Tokens (N, L), padded on the left, which a network takes as they are.

    Attributes:
        every: whether the network answers to every token instead. It then takes them as it learnt
            from a document: from the left, one padding first where there is room.
    """

    kind = "tokens"
    names: tuple[str, ...] = ()
    cardinalities: tuple[int, ...] = ()

    def __init__(self, tokens: Iterable[str], length: int, every: bool = False):
        super().__init__()
        self.tokens, self.shape, self.every = tuple(tokens), (length,), every
        self.vocabulary = len(self.tokens)
        self.output_names: list[str] = []

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> "TokenInputs":
        """Raises: ValueError for what is no spec."""
        checked = TokenSpec.model_validate(dict(spec), strict=True)
        return cls(checked.tokens, checked.length, checked.every)

    @property
    def spec(self) -> dict[str, Any]:
        """Plain JSON, from which `from_spec` makes it again."""
        tokens, length = list(self.tokens), self.shape[0]
        return {"kind": self.kind, "tokens": tokens, "length": length, "every": self.every}

    def forward(self, tokens: Tensor) -> Tensor:
        """
        >>> TokenInputs("-ab", 3, every=True)(torch.tensor([[0, 0, 1], [0, 2, 1], [2, 2, 1]]))
        tensor([[0, 1, 0],
                [0, 2, 1],
                [2, 2, 1]])
        """
        if not self.every:
            return tokens
        places = torch.arange(self.shape[0]) + self._too_many(tokens).unsqueeze(1)
        return nn.functional.pad(tokens, (0, self.shape[0])).gather(1, places)

    def last(self, tokens: Tensor) -> Tensor:
        """(N,) where `forward` puts the last of the tokens (N, L), whose answer comes next."""
        return self.shape[0] - 1 - self._too_many(tokens)

    def _too_many(self, tokens: Tensor) -> Tensor:
        """(N,) paddings before the one that a document begins with."""
        begun = (tokens != PADDING).long().cumsum(1) > 0
        return ((~begun).sum(1) - 1).clamp(min=0)
