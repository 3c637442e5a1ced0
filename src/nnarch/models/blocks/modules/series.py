"""Modules that take a series apart along its last dimension; none has weights."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnarch.errors import ConfigError


def odd(block: str, width: int) -> int:
    """The width of a window that has a step in its middle.

    Raises: ConfigError for an even one.
    """
    if width % 2 == 0:
        raise ConfigError(
            f"{block}: got a width of {width}; expected an odd number, so that as many steps lie "
            "before as behind"
        )
    return width


def moving_average(series: Tensor, width: int) -> Tensor:
    """(..., T) to (..., T): the mean of the `width` steps around each, ends repeated.

    >>> moving_average(torch.tensor([[0.0, 3.0, 6.0]]), 3)
    tensor([[1., 3., 5.]])
    """
    beyond = [-1] * (series.dim() - 1) + [width // 2]
    first, final = series[..., :1].expand(beyond), series[..., -1:].expand(beyond)
    longer = torch.cat([first, series, final], dim=-1).flatten(0, -2)
    return functional.avg_pool1d(longer, width, stride=1).view_as(series)


class MovingAverage(nn.Module):
    """(B, ..., T) to the same: the mean around each step."""

    def __init__(self, width: int = 25):
        super().__init__()
        self.width = odd("moving_average", width)

    def forward(self, series: Tensor) -> Tensor:
        return moving_average(series, self.width)

    def extra_repr(self) -> str:
        return f"{self.width}"


class Detrended(nn.Module):
    """(B, ..., T) to the same: what is left without the moving average."""

    def __init__(self, width: int = 25):
        super().__init__()
        self.width = odd("detrended", width)

    def forward(self, series: Tensor) -> Tensor:
        return series - moving_average(series, self.width)

    def extra_repr(self) -> str:
        return f"{self.width}"


class Last(nn.Module):
    """(..., T) to (..., 1)."""

    def forward(self, series: Tensor) -> Tensor:
        return series[..., -1:]


class LessLast(nn.Module):
    """(..., T) to (..., T), the last of which is zero."""

    def forward(self, series: Tensor) -> Tensor:
        return series - series[..., -1:]
