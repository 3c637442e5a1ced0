"""Modules that take a series apart along its last dimension; none has weights."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnarch.errors import ConfigError


class MovingAverage(nn.Module):
    """(..., T) to (..., T): the mean of the `width` steps around each.

    Raises: ConfigError for an even width, which has no step in the middle.
    """

    def __init__(self, width: int = 25):
        super().__init__()
        if width % 2 == 0:
            raise ConfigError(
                f"{self.called}: got a width of {width}; expected an odd number, so that as many "
                "steps lie before as behind"
            )
        self.width = width

    called = "moving_average"

    def forward(self, series: Tensor) -> Tensor:
        beyond = [-1] * (series.dim() - 1) + [self.width // 2]
        first, final = series[..., :1].expand(beyond), series[..., -1:].expand(beyond)
        longer = torch.cat([first, series, final], dim=-1).flatten(0, -2)
        return functional.avg_pool1d(longer, self.width, stride=1).view_as(series)

    def extra_repr(self) -> str:
        return f"{self.width}"


class Detrended(MovingAverage):
    """(..., T) less its moving average."""

    called = "detrended"

    def forward(self, series: Tensor) -> Tensor:
        return series - super().forward(series)


class Last(nn.Module):
    """(..., T) to (..., 1)."""

    def forward(self, series: Tensor) -> Tensor:
        return series[..., -1:]


class LessLast(nn.Module):
    """(..., T) to (..., T), the last of which is zero."""

    def forward(self, series: Tensor) -> Tensor:
        return series - series[..., -1:]
