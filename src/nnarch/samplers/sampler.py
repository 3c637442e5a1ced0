"""What a sampler is: it proposes points of a space, and hears what became of them.

It knows nothing of configs, networks and files. Points are asked for many at a time, since many
networks train for the price of a few; what is told comes later, in any order, and a sampler that
learns nothing from it is free not to listen.
"""

from collections.abc import Sequence
from typing import Protocol

from nnarch.space.space import Point


class Sampler(Protocol):
    """A strategy of exploration."""

    def ask(self, count: int) -> list[Point]:
        """The next points, at most `count`; fewer only where the space has no more of them."""
        ...

    def tell(self, point: Point, values: Sequence[float] | None) -> None:
        """What came of a point, asked for or not: its objectives, all to be made small.

        None where it failed. An earlier search, or the part of one that was killed, is told so too.
        """
        ...
