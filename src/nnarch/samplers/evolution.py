"""Regularised evolution: the best of a few gets a child, and the oldest of all dies.

That the oldest dies rather than the worst is the regularisation: what was lucky once does not stay
for ever. It learns from an order of the results alone, knows nothing of the space but what a small
change is, and so works where networks grow and shrink.
"""

from collections import deque
from collections.abc import Sequence
from itertools import islice
from random import Random
from typing import TYPE_CHECKING

from nnarch.findings import pareto
from nnarch.lazy import LazyModule
from nnarch.options import Count
from nnarch.registry import samplers
from nnarch.samplers.mutation import mutated
from nnarch.samplers.unseen import Unseen
from nnarch.seeds import derive
from nnarch.space.space import Point, Space

if TYPE_CHECKING:
    import numpy as np
else:
    np = LazyModule("numpy")

TRIES = 20  # children that are known already; each has one change more than the last


@samplers.register(name="evolution")
class Evolution:
    """Regularised evolution of the points that did best (Real et al., 2019).

    Of several objectives the fronts decide, then how far from others a member stands. Points that
    failed have no children.

    Options:
        population: How many live at a time, of which the first are drawn at random.
        sample: Members that are drawn to compete for a child.
    """

    def __init__(
        self, space: Space, objectives: int, seed: int, *, population: Count = 20, sample: Count = 8
    ):
        self._space, self._seed = space, seed
        self._unseen = Unseen(space, seed)
        self._beginning = population
        self._living: deque[tuple[Point, Sequence[float]]] = deque(maxlen=population)
        self._sample = sample

    def ask(self, count: int) -> list[Point]:
        return list(islice(iter(self._next, None), count))

    def tell(self, point: Point, values: Sequence[float] | None) -> None:
        self._unseen.note(point)
        if values is not None:
            self._living.append((point, values))

    def _next(self) -> Point | None:
        if len(self._unseen) < self._beginning or not self._living:
            return self._unseen.draw()
        chance = Random(derive(self._seed, "child", len(self._unseen)))
        for changes in range(1, TRIES + 1):
            child = mutated(self._space, self._parent(chance), chance, changes)
            if self._unseen.note(child):
                return child
        return self._unseen.draw()

    def _parent(self, chance: Random) -> Point:
        """The best of a few."""
        few = chance.sample(self._living, min(self._sample, len(self._living)))
        best = pareto.ranked(np.array([values for _, values in few]))[0]
        return few[best][0]
