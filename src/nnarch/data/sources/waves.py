"""Made-up series: sums of waves with noise, to try networks for series on without a file.

Every channel sums the same waves, of other sizes and beginnings, so that what lies ahead follows
from what is seen but for the noise: a network that has found the waves is wrong by no more.
"""

import math
from typing import TYPE_CHECKING

from nnarch.data.formats.datafile import require_memory
from nnarch.data.sources.series import Series, windows
from nnarch.data.table import Table, numeric
from nnarch.lazy import LazyModule
from nnarch.options import Count, Natural, NonNegative, Times
from nnarch.registry import sources
from nnarch.seeds import derive

if TYPE_CHECKING:
    import torch
else:
    torch = LazyModule("torch")

SHORTEST, LONGEST = 8, 96  # steps of a wave


@sources.register
def waves(
    *,
    steps: Count = 1000,
    channels: Count = 1,
    waves: Times = 3,
    noise: NonNegative = 0.1,
    lookback: Count = 48,
    horizon: Count = 1,
    stride: Count = 1,
    seed: Natural = 0,
) -> Series:
    """Made-up series, each a sum of waves of 8 to 96 steps: the next steps from those before.

    Options:
        steps: Length of the series.
        channels: How many series there are side by side; all are seen and predicted.
        waves: How many waves each is a sum of; its standard deviation is 1 whatever their number.
        noise: Standard deviation of what is added to each value.
        lookback: How many steps are seen.
        horizon: How many steps are predicted.
        stride: Steps from the beginning of a window to that of the next.
        seed: Seed of the series.
    """
    _check_memory(steps, channels)
    chance = torch.Generator().manual_seed(derive(seed, "waves"))

    def uniform(low: float, high: float, *shape: int) -> "torch.Tensor":
        drawn = torch.rand(*shape, generator=chance, dtype=torch.float64)
        return drawn * (high - low) + low

    periods = uniform(math.log(SHORTEST), math.log(LONGEST), waves).exp()
    sizes = uniform(0.5, 1.5, channels, waves)
    sizes *= (2 / sizes.square().sum(1, keepdim=True)).sqrt()  # a wave of size s varies by s² / 2
    begins = uniform(0, 2 * math.pi, channels, waves)
    values = torch.randn(steps, channels, generator=chance, dtype=torch.float64) * noise
    time = torch.arange(steps, dtype=torch.float64).unsqueeze(1)
    for period, size, begin in zip(periods, sizes.T, begins.T, strict=True):
        values += size * (2 * math.pi * time / period + begin).sin()
    table = Table(values, numeric(f"x{place}" for place in range(1, channels + 1)), None, ())
    return windows(table, None, None, None, lookback, horizon, stride)


def _check_memory(steps: int, channels: int) -> None:
    """Refuse a series that the machine cannot hold, with what is on the way, and its names."""
    require_memory(
        f"data: {steps:,} steps of {channels:,} channels", 32 * steps * channels + 16_000 * channels
    )
