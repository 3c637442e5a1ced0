"""Points as rows of numbers, for models that learn from them.

A value with an order is its share of its domain, so that a log scale stays one; an option is told
one-hot. An inactive variable says nothing: its share is the middle one, and no option is its.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from nnarch.lazy import LazyModule
from nnarch.space.domains import Choice
from nnarch.space.space import Point, Space
from nnarch.space.template import Variable

if TYPE_CHECKING:
    import numpy as np
else:
    np = LazyModule("numpy")

APART = 0.5**0.5  # so that any two options are as far apart as the ends of a domain


def rows(space: Space, points: Sequence[Point]) -> "np.ndarray":
    """The features of points, (points, columns)."""
    varied = [variable for variable in space.variables if variable.domain.size > 1]
    numbers = [[each for one in varied for each in _columns(one, point)] for point in points]
    return np.array(numbers, np.float64).reshape(len(points), -1)


def _columns(variable: Variable, point: Point) -> Iterator[float]:
    domain, value = variable.domain, point.get(variable.key)
    if isinstance(domain, Choice) and not domain.ordered:
        yield from (APART * (place == value) for place in range(domain.size))
    else:
        yield 0.5 if value is None else domain.share(value)
