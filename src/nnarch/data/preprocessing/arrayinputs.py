"""Samples of one shape, such as images, in the units that a network learns from.

They are kept as they were read, a byte a pixel, and scaled where the network is: a batch at a
time, on any device, in the number type that the network computes in. Mean and scale are in the
samples' own units, so that pixels of 0..255 are one case with numbers of any size.
"""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, Field
from torch import Tensor, nn

from nnarch.data.preprocessing import scaling as scalings
from nnarch.data.preprocessing.statistics import gather
from nnarch.data.table import numeric

Size = Annotated[int, Field(ge=1, le=10**6)]


class ArraySpec(BaseModel, extra="forbid"):
    """The spec of `ArrayInputs`, as JSON has it."""

    kind: Literal["array"]
    shape: Annotated[list[Size], Field(max_length=8)]


class ArrayInputs(nn.Module):
    """(x - offset) / scale, with a number for each channel of images, or one number for all."""

    kind = "array"
    vocabulary = 0
    names: tuple[str, ...] = ()
    cardinalities: tuple[int, ...] = ()
    offset: Tensor
    scale: Tensor

    def __init__(self, shape: Iterable[int]):
        super().__init__()
        self.shape = tuple(shape)
        self.output_names: list[str] = []
        channels = _channels(self.shape)
        self.register_buffer("offset", torch.zeros(channels, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(channels, dtype=torch.float64))

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> "ArrayInputs":
        """One with the buffers still to be loaded. Raises: ValueError for what is no spec."""
        return cls(ArraySpec.model_validate(dict(spec), strict=True).shape)

    @property
    def spec(self) -> dict[str, Any]:
        """Plain JSON, from which `from_spec` makes it again."""
        return {"kind": self.kind, "shape": list(self.shape)}

    @classmethod
    def fit(cls, samples: Tensor | Iterable[Tensor], scaling: str) -> "ArrayInputs":
        """Fit to training samples (N, *shape), or blocks of them.

        Args:
            scaling: `standard`; `minmax`, to 0..1; or `none`, which only makes pixels 0..1.
        """
        blocks = iter([samples] if isinstance(samples, Tensor) else samples)
        first = next(blocks)
        made = cls(first.shape[1:])
        if scaling == "none":
            made.scale += 254.0 * (first.dtype == torch.uint8)
            return made
        places = numeric(str(i) for i in range(first[0].numel()))
        rows = (block.reshape(-1, len(places)) for block in chain([first], blocks))
        statistics = gather(rows, places, torch.arange(0))
        fitted = scalings.build(scaling, len(made.scale))
        fitted.fit(statistics.pooled(len(made.scale)))
        made.offset, made.scale = fitted.buffers()  # both scalings are a difference and a ratio
        return made

    def forward(self, samples: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Samples (N, *shape) of any number type, scaled where they are.

        Args:
            dtype: what to compute in; the samples' own, or float32 for whole numbers, unless given.
        """
        whole = not samples.is_floating_point()
        samples = samples.to(dtype or (torch.float32 if whole else samples.dtype))
        broadcast = (-1, *[1] * (samples.dim() - 2)) if len(self.shape) == 3 else (1,)
        offset, scale = (
            buffer.to(samples.device, samples.dtype).view(broadcast)
            for buffer in (self.offset, self.scale)
        )
        scaled = (samples - offset) / scale
        largest = torch.finfo(scaled.dtype).max
        return scaled if whole else scaled.clamp(-largest, largest)


def _channels(shape: tuple[int, ...]) -> int:
    """How many numbers scale such samples: images have three dimensions, channels first."""
    return shape[0] if len(shape) == 3 else 1
