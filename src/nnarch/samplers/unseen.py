"""Points that are not known yet, out of a stream in which some come again.

A trial costs a training, so no sampler proposes a point twice, nor one that it was told of. A
stream is drawn from until it brings a new one; where a space has but few points, and the stream
hardly finds those that are left, they are listed instead.
"""

from collections.abc import Hashable, Iterator
from itertools import count, islice
from random import Random

from nnarch.seeds import derive
from nnarch.space.space import Point, Space

TRIES = 200  # points in a row that were known, beyond as many as there are
LISTED = 1_000_000  # points of the largest space that is listed


def key(point: Point) -> Hashable:
    """What a point is known by, whatever the order of its variables."""
    return tuple(sorted(point.items()))


def drawn(space: Space, seed: int) -> Iterator[Point]:
    """Independent draws without end, uniform over each domain; the n-th depends on n alone."""
    for number in count():
        chance = Random(derive(seed, "point", number))
        yield space.walk(lambda variable: variable.domain.at(chance.random()))[1]  # noqa: B023


class Unseen:
    """The points of a space that are new, in the order of `stream`."""

    def __init__(self, space: Space, seed: int, stream: Iterator[Point] | None = None):
        self._space, self._seed = space, seed
        self._stream = stream or drawn(space, seed)
        self._known: set[Hashable] = set()
        self._rest: Iterator[Point] | None = None

    def __len__(self) -> int:
        """How many points are known."""
        return len(self._known)

    def holds(self, point: Point) -> bool:
        """Whether `point` is new."""
        return key(point) not in self._known

    def note(self, point: Point) -> bool:
        """Whether `point` is new, as from now on it is not."""
        before = len(self._known)
        self._known.add(key(point))
        return len(self._known) > before

    def draw(self) -> Point | None:
        """The next one; None where there is none left."""
        missed = 0
        while self._rest is None:
            if self.note(point := next(self._stream)):
                return point
            missed += 1
            if missed > TRIES + len(self):
                self._rest = self._listed()
        return next(filter(self.note, self._rest), None)

    def take(self, number: int) -> list[Point]:
        """The next `number`, or as many as are left."""
        return list(islice(iter(self.draw, None), number))

    def _listed(self) -> Iterator[Point]:
        """Every point in a random order, where a list can hold them."""
        if self._space.size > LISTED:
            return iter(())
        points = list(self._space.points(steps=LISTED))
        Random(derive(self._seed, "rest")).shuffle(points)
        return iter(points)
