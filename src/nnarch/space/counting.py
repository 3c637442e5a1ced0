"""In how many ways a space can be filled.

Values that are drawn by themselves multiply, options of a choice add up. What has a name is drawn
once though it stands in several places, so ways are counted apart for each way to draw what is
tied: those that need other values of it are not ways to fill a config together.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from nnarch.space.domains import Domain
from nnarch.space.variable import Variable

WIDE = 16  # a range of so many integers is gone through whole in a grid

Decided = frozenset[tuple[str, Any]]  # tied variables, with what was drawn where that matters
Ways = dict[Decided, int | float]  # in how many ways the others are drawn beside these


class Measure(Protocol):
    """What is counted of a variable: all of its values, or those on a grid."""

    def count(self, variable: Variable) -> int | float: ...
    def values(self, variable: Variable) -> Sequence[Any]: ...


class Whole:
    """Counts every value."""

    def count(self, variable: Variable) -> int | float:
        return variable.domain.size

    def values(self, variable: Variable) -> Sequence[Any]:
        domain = variable.domain
        return domain.grid(int(domain.size))


class Grid:
    """Counts the values on a grid, each of which is made once."""

    def __init__(self, steps: int):
        self.steps = steps
        self._values: dict[str, Sequence[Any]] = {}

    def count(self, variable: Variable) -> int:
        return len(self.values(variable))

    def values(self, variable: Variable) -> Sequence[Any]:
        if variable.key not in self._values:
            self._values[variable.key] = self._cut(variable.domain)
        return self._values[variable.key]

    def _cut(self, domain: Domain) -> Sequence[Any]:
        return domain.grid(int(domain.size) if domain.size <= WIDE else self.steps)


def taking(variable: Variable, value: Any) -> Ways:
    return {frozenset({(variable.key, value)} if variable.tied else ()): 1}


def together(parts: Iterable[Ways]) -> Ways:
    """The ways to fill all the parts, where what is tied is drawn but once."""
    product: Ways = {frozenset(): 1}
    for part in parts:
        merged: Ways = {}
        for one, many in product.items():
            for other, more in part.items():
                if (both := _agreeing(one, other)) is not None:
                    merged[both] = merged.get(both, 0) + _times(many, more)
        product = merged
    return product


def _agreeing(one: Decided, other: Decided) -> Decided | None:
    """Both at once, or None where they differ in a variable; None as its value is any."""
    if not one or not other:
        return one or other
    both = dict(one)
    for key, value in other:
        if both.get(key) is None:
            both[key] = value
        elif value is not None and both[key] != value:
            return None
    return frozenset(both.items())


def either(parts: Iterable[Ways]) -> Ways:
    """The ways to fill one of the parts."""
    total: Ways = {}
    for part in parts:
        for decided, count in part.items():
            total[decided] = total.get(decided, 0) + count
    return total


def total(ways: Ways, measure: Measure, variables: Mapping[str, Variable]) -> int | float:
    """The ways in all, those to draw what is tied and decides nothing counted in."""
    whole: int | float = 0
    for decided, count in ways.items():
        for key, value in decided:
            count = _times(count, measure.count(variables[key]) if value is None else 1)
        whole += count
    return whole


def _times(one: int | float, other: int | float) -> int | float:
    return math.inf if math.inf in (one, other) else one * other
