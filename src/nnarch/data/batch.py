"""The rows of one training step, and what an augmentation may say of their targets.

Most augmentations change inputs alone. One that mixes rows also says which other target a row has
now, and what share its own keeps; the loss is then mixed in the same shares, which holds for
classes and numbers alike.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Batch:
    """B training rows: the loss is `share * loss(out, target) + (1 - share) * loss(out, other)`.

    Attributes:
        inputs: (B, *shape).
        target: (B,) int64 class indices, or (B, T) numbers.
        other: like `target`, of the row that each row was mixed with; None where none was.
        share: (B,) floats from 0 to 1, the share of a row's own target; None with `other`.
    """

    inputs: "torch.Tensor"
    target: "torch.Tensor"
    other: "torch.Tensor | None" = None
    share: "torch.Tensor | None" = None


Augmentation: TypeAlias = Callable[[Batch], Batch]
