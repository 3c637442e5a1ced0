"""The sets of values that a value may be left open to: choices, integers, floats.

A domain maps shares of the unit interval to its values and back, so that a sampler needs to know
no more of it than a number between 0 and 1: uniform shares are uniform values, or log-uniform ones
where the domain is on a log scale. What is drawn from a choice is the place of an option.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

FARTHEST = 10**12  # of an integer's bounds, so that every one has a share of its own


def is_number(value: Any) -> bool:
    """Whether `value` is a number, which `true` is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True)
class Choice:
    """One of several options, drawn as its place among them.

    Attributes:
        options: as they were written; numbers alone stand in order, smallest first.
        ordered: whether they are numbers alone.
    """

    options: tuple[Any, ...]
    ordered: bool = False

    @classmethod
    def among(cls, options: Sequence[Any]) -> "Choice":
        """The choice that a list means.

        >>> Choice.among([64, 8]), Choice.among(["relu", "gelu"]).options
        (Choice(options=(8, 64), ordered=True), ('relu', 'gelu'))
        """
        ordered = all(map(is_number, options))
        return cls(tuple(sorted(options) if ordered else options), ordered)

    @property
    def size(self) -> int:
        return len(self.options)

    def at(self, share: float) -> int:
        return min(int(share * self.size), self.size - 1)

    def share(self, value: float) -> float:
        return (value + 0.5) / self.size

    def grid(self, count: int) -> list[int]:
        """All of them, however few were asked for: none lies between two others."""
        return list(range(self.size))

    def contains(self, value: Any) -> bool:
        return type(value) is int and 0 <= value < self.size


@dataclass(frozen=True)
class Int:
    """An integer from `low` to `high`, in steps; on a log scale small ones come more often."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    @property
    def size(self) -> int:
        return (self.high - self.low) // self.step + 1

    def at(self, share: float) -> int:
        """The value whose part of the unit interval holds `share`.

        Each has an equal part, or on a log scale one as wide as log((value + step) / value).
        """
        if self.log:
            place = (self.low * (self._end / self.low) ** share - self.low) / self.step
        else:
            place = share * self.size
        return self.low + self.step * min(int(place), self.size - 1)

    def share(self, value: float) -> float:
        """The middle of the value's part."""
        if self.log:
            middle = math.sqrt(value) * math.sqrt(value + self.step)
            return math.log(middle / self.low) / math.log(self._end / self.low)
        return ((value - self.low) // self.step + 0.5) / self.size

    @property
    def _end(self) -> int:
        return self.low + self.step * self.size

    def grid(self, count: int) -> list[int]:
        """At most `count` of them, evenly spread, both ends included."""
        if count >= self.size:
            return list(range(self.low, self.high + 1, self.step))
        last = self.low + self.step * (self.size - 1)
        spread = _spread(self.low, last, count, self.log)
        return sorted({self.low + self.step * round((x - self.low) / self.step) for x in spread})

    def contains(self, value: Any) -> bool:
        whole = type(value) is int and self.low <= value <= self.high
        return whole and (value - self.low) % self.step == 0


@dataclass(frozen=True)
class Float:
    """A number from `low` to `high`, on a log scale or not, or in steps."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def size(self) -> int | float:
        if self.step is not None:
            return self._steps + 1
        return math.inf if self.low < self.high else 1

    @property
    def _steps(self) -> int:
        assert self.step is not None
        return int((self.high - self.low) / self.step * (1 + 1e-12) + 1e-9)

    def at(self, share: float) -> float:
        if self.step is not None:
            return self._stepped(min(int(share * self.size), self._steps))
        if share in (0, 1):
            return self.high if share else self.low  # to the bit
        if self.log:
            ends = math.log(self.low), math.log(self.high)
            value = math.exp(ends[0] + share * (ends[1] - ends[0]))
        else:
            value = self.low * (1 - share) + self.high * share
        return min(max(value, self.low), self.high)

    def share(self, value: float) -> float:
        """From 0 at the low end to 1 at the high end."""
        if self.step is not None:
            return (round((value - self.low) / self.step) + 0.5) / self.size
        if self.low == self.high:
            return 0.5
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value / 2 - self.low / 2) / (self.high / 2 - self.low / 2)

    def _stepped(self, count: int) -> float:
        """`low` and so many steps, written as short as that can be: 0.3, never 0.30000000000004."""
        assert self.step is not None
        value = float(f"{self.low + count * self.step:.12g}")
        return min(max(value, self.low), self.high)

    def grid(self, count: int) -> list[float]:
        """At most `count` of them, evenly spread, both ends included."""
        if self.step is not None:
            places = Int(0, self._steps).grid(count)
            return [self._stepped(place) for place in places]
        if self.low == self.high:
            return [self.low]
        return _spread(self.low, self.high, count, self.log)

    def contains(self, value: Any) -> bool:
        if not is_number(value) or not self.low <= value <= self.high:
            return False
        return self.step is None or value == self._stepped(round((value - self.low) / self.step))


Domain = Choice | Int | Float


def _spread(low: float, high: float, count: int, log: bool) -> list[float]:
    """So many numbers from `low` to `high`, evenly spaced; a single one stands in the middle."""
    whole = Float(low, high, log)
    if count == 1:
        return [whole.at(0.5)]
    return [low, *(whole.at(place / (count - 1)) for place in range(1, count - 1)), high]
