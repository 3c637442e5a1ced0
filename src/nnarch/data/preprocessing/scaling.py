"""Numbers brought to one size before a network sees them: the scalings that a config may name.

Each is a module of buffers in float64, fitted on the statistics of training rows; a forward maps
rows (N, F) column by column, and leaves NaN as it is. Their numbers are float64, since the
difference of two large values (years, prices) is where float32 would lose them.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from nnarch.data.preprocessing.statistics import Statistics

MOST_QUANTILES = 1000
MOST_NUMBERS = 10**8  # that a scaling keeps
LARGEST = torch.finfo(torch.float32).max
FARTHEST = 5.199337582605575  # how far out `Quantile` puts what lies at or beyond the extremes


class Standardize(nn.Module):
    """(x - mean) / scale for each column; a column that is constant in training becomes 0."""

    mean: Tensor
    scale: Tensor

    def __init__(self, columns: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(columns, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(columns, dtype=torch.float64))

    def fit(self, statistics: Statistics) -> None:
        """Take mean and deviation of the population, of as many columns as this scales."""
        self.mean, self.scale = statistics.mean.clone(), _deviation(statistics)

    def forward(self, rows: Tensor) -> Tensor:
        return (rows - self.mean) / self.scale

    def inverse(self, rows: Tensor) -> Tensor:
        return rows * self.scale + self.mean


class Robust(nn.Module):
    """(x - median) / interquartile range: outliers move neither.

    Where half of the values are equal, the deviation takes the place of the range.
    """

    median: Tensor
    scale: Tensor

    def __init__(self, columns: int):
        super().__init__()
        self.register_buffer("median", torch.zeros(columns, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(columns, dtype=torch.float64))

    def fit(self, statistics: Statistics) -> None:
        low, median, high = statistics.quantiles(torch.tensor([0.25, 0.5, 0.75]))
        self.median = median.clone()
        self.scale = torch.where(high > low, high - low, _deviation(statistics))

    def forward(self, rows: Tensor) -> Tensor:
        return (rows - self.median) / self.scale


class MinMax(nn.Module):
    """(x - minimum) / range, which is 0..1 for training rows; 0 for a constant column."""

    minimum: Tensor
    range: Tensor

    def __init__(self, columns: int):
        super().__init__()
        self.register_buffer("minimum", torch.zeros(columns, dtype=torch.float64))
        self.register_buffer("range", torch.ones(columns, dtype=torch.float64))

    def fit(self, statistics: Statistics) -> None:
        extent = statistics.maximum - statistics.minimum
        self.minimum, self.range = statistics.minimum.clone(), torch.where(extent > 0, extent, 1.0)

    def forward(self, rows: Tensor) -> Tensor:
        return (rows - self.minimum) / self.range


class Quantile(nn.Module):
    """The share of training rows below x, as the normal deviate that has this share below it.

    A share is read off a line through the quantiles of the training rows. Values that occur often
    make a jump there, and lie in its middle. What lies at or beyond the extremes of training goes
    to ±5.2, a constant column to 0.
    """

    quantiles: Tensor

    def __init__(self, columns: int, count: int = MOST_QUANTILES):
        super().__init__()
        self.count = count
        self.register_buffer("quantiles", torch.zeros(count, columns, dtype=torch.float64))

    def fit(self, statistics: Statistics) -> None:
        """Take as many quantiles as `quantiles_for` says."""
        self.count = quantiles_for(statistics)
        shares = torch.linspace(0, 1, self.count, dtype=torch.float64)
        self.quantiles = statistics.quantiles(shares)

    def forward(self, rows: Tensor) -> Tensor:
        ordered, values = self.quantiles.t().contiguous(), rows.t().contiguous()
        first, last = ordered[:, :1], ordered[:, -1:]
        most = self.count - 1
        low = (torch.searchsorted(ordered, values, right=True) - 1).clamp(0, most)
        high = torch.searchsorted(ordered, values).clamp(0, most)  # below `low` in a run of equals
        below, above = ordered.gather(1, low), ordered.gather(1, high)
        between = above > below
        part = torch.where(between, (values - below) / torch.where(between, above - below, 1), 0.5)
        share = (low + (high - low) * part) / most
        share = torch.where(values <= first, 0.0, share)
        share = torch.where(values >= last, 1.0, share)
        share = torch.where(first == last, 0.5, share)
        deviate = torch.special.ndtri(share).clamp(-FARTHEST, FARTHEST)
        return torch.where(values.isnan(), values, deviate).t()


class AsIs(nn.Module):
    """No scaling."""

    def __init__(self, columns: int):
        super().__init__()

    def fit(self, statistics: Statistics) -> None:
        """Nothing is learnt."""

    def forward(self, rows: Tensor) -> Tensor:
        return rows


Scaling = Standardize | Robust | MinMax | Quantile | AsIs
SCALINGS: dict[str, Any] = {
    "standard": Standardize,
    "robust": Robust,
    "quantile": Quantile,
    "minmax": MinMax,
    "none": AsIs,
}


def build(name: str, columns: int, quantiles: int = MOST_QUANTILES) -> Scaling:
    """The scaling of this name, not fitted yet; `quantiles` is how many `quantile` keeps.

    Raises: ValueError where that is more than any fit would ask for.
    """
    if name == "quantile":
        if columns * quantiles > MOST_NUMBERS:
            raise ValueError(f"{columns} columns of {quantiles} quantiles are too many")
        return Quantile(columns, quantiles)
    return SCALINGS[name](columns)


def quantiles_for(statistics: Statistics) -> int:
    """How many quantiles to keep: one for 30 values of the fullest column, but 10 to 1000."""
    most = int(statistics.filled.max()) if len(statistics.columns) else 0
    return min(max(most // 30, 10), MOST_QUANTILES)


def _deviation(statistics: Statistics) -> Tensor:
    """(F,) of training rows; 1 for a constant, whose deviation is rounding noise or none."""
    noise = 1e-12 * statistics.mean.abs()
    usable = (statistics.deviation > noise) & (statistics.deviation < math.inf)
    return torch.where(usable, statistics.deviation, 1.0)
