"""Samples of one shape, such as images: all in one tensor, without columns of their own."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Array:
    """N samples.

    Attributes:
        inputs: (N, *shape): uint8 pixels (N, channels, height, width), or float32 or float64,
            finite.
        target: as a table's: (N, T) float64, or N class labels, or None.
        target_names: T names.
        parts: as a table's: (N,) int64, the part that each sample was given for, or None.
        notes: what reading inferred or left out, for the user to know.
    """

    inputs: "torch.Tensor"
    target: "torch.Tensor | list[str] | None"
    target_names: tuple[str, ...]
    parts: "torch.Tensor | None" = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.inputs)
