"""The rows of one training step, and what may be said of their targets.

Most augmentations change inputs alone. One that mixes rows also says which other target a row has
now, and what share its own keeps; the loss is then mixed in the same shares, which holds for
classes and numbers alike.

A row of running text may hold many answers, one for each of its tokens, and an ensemble answers
several times to a row; `answered` and `of_each_member` lay them side by side, so that a loss and a
metric see one answer a row and need not know of either.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import torch

NOTHING = -1  # the target where a token has none, as behind the end of a text


@dataclass(frozen=True)
class Batch:
    """B training rows: the loss is `share * loss(out, target) + (1 - share) * loss(out, other)`.

    Attributes:
        inputs: (B, *shape).
        target: (B,) int64 class indices, or (B, T) numbers; or (B, T) int64, a class for each of
            T tokens and `NOTHING` where there is none.
        other: like `target`, of the row that each row was mixed with; None where none was.
        share: (B,) floats from 0 to 1, the share of a row's own target; None with `other`.
    """

    inputs: "torch.Tensor"
    target: "torch.Tensor"
    other: "torch.Tensor | None" = None
    share: "torch.Tensor | None" = None

    @property
    def tensors(self) -> "list[torch.Tensor]":
        """What it is made of."""
        if self.other is None or self.share is None:
            return [self.inputs, self.target]
        return [self.inputs, self.target, self.other, self.share]

    @property
    def kind(self) -> Hashable:
        """What batches have in common whose tensors are of the same shapes."""
        return self.inputs.shape, self.target.shape, self.other is None


Augmentation: TypeAlias = Callable[[Batch], Batch]


def answered(
    outputs: "torch.Tensor", target: "torch.Tensor"
) -> "tuple[torch.Tensor, torch.Tensor]":
    """Outputs and targets one answer a row: (N, V) and (N,) of texts' (B, T, V) and (B, T).

    Positions whose target is `NOTHING` are left out. What is one answer a row already stays.
    """
    if outputs.dim() < 3 or target.dim() < 2 or target.is_floating_point():
        return outputs, target
    there = target != NOTHING
    return outputs[there], target[there]


def of_each_member(
    outputs: "torch.Tensor", target: "torch.Tensor"
) -> "tuple[torch.Tensor, torch.Tensor]":
    """Outputs and targets one member a row: (B * k, O) and (B * k, ...) of an ensemble's (B, k, O).

    Every member has the same target. What is not of an ensemble stays.
    """
    if outputs.dim() < 3:
        return outputs, target
    return outputs.flatten(0, 1), target.repeat_interleave(outputs.shape[1], 0)
