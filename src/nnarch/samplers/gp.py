"""Bayesian optimisation: a Gaussian process of all results says where to look next.

Optuna has one too. Ours is here beside its other samplers because it needs no further package,
and knows what an inactive variable is, where Optuna's leaves to chance whatever some point is
without. On the grids of `benchmarks/samplers.py` it finds better points sooner than Optuna's TPE.

The process learns the logarithm of how far results are above the best one: so it tells the good
ones apart, while a failure or a loss of 1e8 is merely bad.
"""

from collections.abc import Hashable, Sequence
from functools import cached_property
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Any

from nnarch.lazy import LazyModule
from nnarch.options import Count
from nnarch.registry import samplers
from nnarch.samplers import features, process
from nnarch.samplers.mutation import mutated
from nnarch.samplers.quasirandom import spread
from nnarch.samplers.unseen import Unseen, drawn, key
from nnarch.seeds import derive
from nnarch.space.space import Point, Space

if TYPE_CHECKING:
    import numpy as np
else:
    np = LazyModule("numpy")

LISTED = 1_500  # points of a space of which each is a candidate
DRAWN = 700  # candidates from all of a larger one
PARENTS, CHILDREN = 10, 50  # and near the best points
BENDS = 0.05  # share of the median's distance from the best, within which all is much the same
AIMS = 4  # directions towards the front that one ask has at most


@samplers.register(name="gp")
class GaussianProcess:
    """Bayesian optimisation: a Gaussian process and the most expected improvement.

    Of several objectives it makes one by weights that are drawn anew for every few points, so
    that they aim at all of the front (ParEGO; Knowles, 2006). A point that failed counts as the
    worst. An ask takes about 0.1 s after 100 trials.

    Options:
        startup: Points that come first, evenly spread.
    """

    def __init__(self, space: Space, objectives: int, seed: int, *, startup: Count = 8):
        self._space, self._seed, self._startup = space, seed, startup
        self._aims = AIMS if objectives > 1 else 1
        self._unseen = Unseen(space, seed, spread(space, seed))
        self._pending: dict[Hashable, Point] = {}
        self._told: dict[Hashable, tuple[Point, Sequence[float] | None]] = {}
        self._kernel: Any = None

    def ask(self, count: int) -> list[Point]:
        aims = min(count, self._aims)
        sizes = [count // aims + (aim < count % aims) for aim in range(aims)]
        return [point for size in sizes for point in self._next(size)]

    def tell(self, point: Point, values: Sequence[float] | None) -> None:
        self._unseen.note(point)
        self._pending.pop(key(point), None)
        self._told[key(point)] = point, values

    def _next(self, count: int) -> list[Point]:
        has_some = any(values is not None for _, values in self._told.values())
        points = self._improving(count) if has_some and len(self._told) >= self._startup else []
        points += self._unseen.take(count - len(points))
        self._pending |= {key(point): point for point in points}
        return points

    def _improving(self, count: int) -> list[Point]:
        """Unseen points that promise the most, which from now on are seen."""
        tried = [point for point, _ in self._told.values()]
        values = self._values()
        best = [tried[place] for place in np.argsort(values, kind="stable")[:PARENTS]]
        candidates = self._candidates(best)
        if not candidates:
            return []
        model = process.fitted(features.rows(self._space, tried), values, self._kernel)
        self._kernel = model.kernel_
        pending = len(self._pending)
        offered = [*self._pending.values(), *candidates]
        rows = features.rows(self._space, offered)
        places = process.chosen(model, values.min(), rows, pending, count)
        return [offered[place] for place in places if self._unseen.note(offered[place])]

    def _candidates(self, best: Sequence[Point]) -> list[Point]:
        """Unseen points: all of a small space, else some from all over and some near the best."""
        if self._space.size <= LISTED:
            return [point for point in self._every if self._unseen.holds(point)]
        seed = derive(self._seed, "candidates", len(self._unseen))
        points = list(islice(drawn(self._space, seed), DRAWN))
        chance = Random(seed)
        for parent in best:
            near = (mutated(self._space, parent, chance, 1 + chance.randrange(2))
                    for _ in range(CHILDREN))  # fmt: skip
            points += near
        return [p for p in {key(p): p for p in points}.values() if self._unseen.holds(p)]

    @cached_property
    def _every(self) -> list[Point]:
        return list(self._space.points(LISTED))

    def _values(self) -> "np.ndarray":
        """One number for each point that was told, of mean 0 and deviation 1."""
        results = [values for _, values in self._told.values()]
        failed = np.array([values is None for values in results])
        table = np.array([values for values in results if values is not None])
        one = levelled(self._scalar(table))
        told = np.full(len(results), one.max())
        told[~failed] = one
        return (told - told.mean()) / (told.std() or 1.0)

    def _scalar(self, table: "np.ndarray") -> "np.ndarray":
        """Rows of objectives (n, objectives) as (n,): the largest weighted rank, mostly."""
        if table.shape[1] == 1:
            return table[:, 0]
        chance = np.random.default_rng(derive(self._seed, "weights", len(self._unseen)))
        weights = chance.dirichlet(np.ones(table.shape[1]))
        ranks = table.argsort(axis=0).argsort(axis=0) / len(table) * weights
        return ranks.max(axis=1) + 0.05 * ranks.sum(axis=1)


def levelled(values: "np.ndarray") -> "np.ndarray":
    """The logarithm of the distance from the best, which bends near it; the order is kept."""
    above = values - values.min()
    bend = BENDS * float(np.median(above)) or BENDS * float(above.max()) or 1.0
    return np.log(above + bend)
