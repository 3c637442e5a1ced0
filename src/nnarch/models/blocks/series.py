"""Blocks that take a series apart: its trend, what is left of it, its last value.

They work along the last dimension of (channels, steps), where `transpose` brings the steps of a
series; so a linear layer behind them is a forecast (Zeng et al., 2023).
"""

from typing import TYPE_CHECKING

from nnarch.lazy import LazyModule
from nnarch.options import Count
from nnarch.registry import layers

if TYPE_CHECKING:
    from torch import nn

    from nnarch.models.blocks.modules import series as modules
else:
    modules = LazyModule("nnarch.models.blocks.modules.series")


@layers.register
def moving_average(*, width: Count = 25) -> "nn.Module":
    """The mean around each step: the trend that DLinear forecasts by itself (Zeng et al., 2023).

    The first and last value are repeated beyond the ends, so that the length stays.

    Options:
        width: Steps that are averaged over, an odd number.
    """
    return modules.MovingAverage(width)


@layers.register
def detrended(*, width: Count = 25) -> "nn.Module":
    """What is left of a series without its moving average (Zeng et al., 2023).

    Options:
        width: Steps that are averaged over, an odd number.
    """
    return modules.Detrended(width)


@layers.register
def last() -> "nn.Module":
    """The last value along the last dimension, (..., T) to (..., 1): the naive forecast."""
    return modules.Last()


@layers.register
def less_last() -> "nn.Module":
    """A series measured from its last value, as NLinear does (Zeng et al., 2023)."""
    return modules.LessLast()
