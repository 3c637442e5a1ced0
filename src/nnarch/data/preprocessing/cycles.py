"""Where a moment stands in the day, the week and the year, as a network can use it.

A time is seconds since 1970 in UTC. Midnight is as near to 23:59 as to 0:01 once an hour is an
angle, of which the sine and the cosine are learnt from.
"""

import math

from torch import Tensor

DAY = 86400.0
CYCLES = {"time of day": DAY, "day of week": 7 * DAY, "day of year": 365.2425 * DAY}
SEEN = 0.05  # how far the sine or cosine of a cycle has to move to tell anything: 11 min, 3 days


def waves(times: Tensor, cycle: str) -> tuple[Tensor, Tensor]:
    """Sine and cosine of how far in a cycle `times` (N,) are; week and year move on at midnight."""
    if cycle != "time of day":
        times = (times / DAY).floor() * DAY
    angle = (times / CYCLES[cycle]).frac() * (2 * math.pi)
    return angle.sin(), angle.cos()


def moving(times: Tensor) -> tuple[str, ...]:
    """The cycles that `times` (N,) are at different places of; NaN counts for nothing."""
    times = times[~times.isnan()]
    return tuple(cycle for cycle in CYCLES if len(times) and _extent(times, cycle) > SEEN)


def _extent(times: Tensor, cycle: str) -> float:
    return max(float(wave.max() - wave.min()) for wave in waves(times, cycle))
