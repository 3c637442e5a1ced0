"""The whole grid, one point after another."""

from collections.abc import Sequence
from itertools import islice

from nnarch.options import Count
from nnarch.registry import samplers
from nnarch.space.space import Point, Space


@samplers.register(name="grid")
class Grid:
    """All combinations in order, the last variable changing fastest; choices have all options.

    Options:
        steps: Values of each float, and at most so many of each integer, both ends included.
    """

    def __init__(self, space: Space, objectives: int, seed: int, *, steps: Count = 5):
        self._points = space.points(steps)

    def ask(self, count: int) -> list[Point]:
        return list(islice(self._points, count))

    def tell(self, point: Point, values: Sequence[float] | None) -> None:
        """It goes through the grid whatever comes of it."""
