"""Blocks that turn, pick from and pool samples: what stands between layers of different kinds.

Series and texts are (steps, features), images (channels, height, width), rows of a table plain
numbers; torch's layers expect one or the other. Dimensions are counted without the batch, which no
block moves.
"""

from typing import TYPE_CHECKING

from nnarch.lazy import LazyModule
from nnarch.registry import layers

if TYPE_CHECKING:
    from torch import nn

    from nnarch.models.blocks.modules import reshaping as modules
else:
    modules = LazyModule("nnarch.models.blocks.modules.reshaping")


@layers.register(gives="features")
def transpose(*, first: int = 0, second: int = 1) -> "nn.Module":
    """Swaps two dimensions of a sample: (steps, features) to (features, steps), and back.

    Options:
        first: One of the two.
        second: The other.
    """
    return modules.Transpose(first, second)


@layers.register(axis="features")
def pick(*, step: int = -1) -> "nn.Module":
    """One step of a series, as the last output of a recurrent layer: (T, ...) to (...).

    Options:
        step: Which; negative ones are counted from the end.
    """
    return modules.Pick(step)


@layers.register
def mean(*, dimension: int = 0, keep: bool = False) -> "nn.Module":
    """The mean along a dimension, by default over the steps of a series: (T, F) to (F).

    Options:
        dimension: The one that is averaged over.
        keep: Whether it stays, with length 1.
    """
    return modules.Pool("mean", dimension, keep)


@layers.register
def maximum(*, dimension: int = 0, keep: bool = False) -> "nn.Module":
    """The largest along a dimension, by default over the steps of a series: (T, F) to (F).

    Options:
        dimension: The one that is searched.
        keep: Whether it stays, with length 1.
    """
    return modules.Pool("maximum", dimension, keep)


@layers.register(gives="channels")
def channel() -> "nn.Module":
    """Adds a first dimension of 1: a row of numbers as a series of one channel."""
    return modules.Channel()


@layers.register(axis="features", ranks=(2,))
def ends() -> "nn.Module":
    """Where both directions of a bidirectional recurrent layer end: (T, 2H) to (2H).

    That is the last step of the forward half and the first step of the backward half (Schuster &
    Paliwal, 1997): each has then seen the whole series.
    """
    return modules.Ends()
