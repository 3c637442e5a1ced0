"""How much of what is measured each variable accounts for, found by a forest of trees.

A forest makes no assumption of how variables act and act together, and takes choices as well as
numbers. It is asked about rows that a tree has not seen, so that what it learnt by heart counts
for nothing: a variable that does nothing has a share of zero but for chance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from nnarch.lazy import LazyModule

if TYPE_CHECKING:
    from sklearn import ensemble
else:
    ensemble = LazyModule("sklearn.ensemble")

TREES, REPEATS = 64, 6
SMALLEST_LEAF = 2  # rows


@dataclass(frozen=True)
class Shares:
    """What variables account for.

    Attributes:
        means: of each variable's share of the variance, over several shufflings.
        deviations: from them.
        explained: of the variance, the share that all of them together account for.
    """

    means: list[float]
    deviations: list[float]
    explained: float


def shares(
    variables: Sequence[np.ndarray],
    active: Sequence[np.ndarray],
    y: np.ndarray,
    dependents: Mapping[int, Sequence[int]],
    seed: int = 0,
) -> Shares:
    """Each variable's share of the variance of `y`, alone and together with others.

    A variable's values are shuffled among the rows in which it is active: by half of what the
    squared error of a random forest grows (L. Breiman, 2001,
    https://doi.org/10.1023/A:1010933404324) `y` varies with it (B. Gregorutti, B. Michel and
    P. Saint-Pierre, 2017, https://doi.org/10.1007/s11222-016-9646-1). Where variables act together
    the share is of both, so that shares add up to more than one.

    Args:
        variables: columns (rows, any number) of each.
        active: rows in which it is, (rows,) of truth values.
        y: (rows,)
        dependents: of a variable, by number, those that it decides to be active; where a shuffling
            changes that, their values come along.
    """
    x = np.concatenate(variables, 1).astype(np.float32)
    forest = _OutOfBag(x, y, seed)
    errors = (y - forest.predict(x)) ** 2
    draw = np.random.default_rng(seed)
    ends = np.cumsum([0, *(columns.shape[1] for columns in variables)])
    own = [slice(start, end) for start, end in pairwise(ends)]
    found = []
    for number, rows in enumerate(map(np.flatnonzero, active)):
        variance = y[rows].var() or 1.0
        grown = np.empty(REPEATS)
        for repeat in range(REPEATS):
            shuffled, source = x.copy(), draw.permutation(rows)
            shuffled[rows, own[number]] = x[source, own[number]]
            for other in dependents.get(number, ()):
                changes = active[other][rows] != active[other][source]
                shuffled[rows[changes], own[other]] = x[source[changes], own[other]]
            more = (y - forest.predict(shuffled)) ** 2 - errors
            grown[repeat] = more[rows].mean() / (2 * variance)
        found.append(grown)
    return Shares(
        [max(0.0, float(grown.mean())) for grown in found],
        [float(grown.std(ddof=1)) for grown in found],
        max(0.0, 1 - float(errors.mean() / (y.var() or 1.0))),
    )


class _OutOfBag:
    """A forest that answers for each row by the trees that have not seen it."""

    def __init__(self, x: np.ndarray, y: np.ndarray, seed: int):
        forest = ensemble.RandomForestRegressor(
            TREES, min_samples_leaf=SMALLEST_LEAF, random_state=seed, n_jobs=1
        ).fit(x, y)
        everything = np.arange(len(y))
        self._trees = [
            (tree.tree_, np.setdiff1d(everything, seen))
            for tree, seen in zip(forest.estimators_, forest.estimators_samples_, strict=True)
        ]
        self._mean = y.mean()

    def predict(self, x: np.ndarray) -> np.ndarray:
        """(rows,); the mean of all for one that every tree has seen."""
        total, count = np.zeros(len(x)), np.zeros(len(x))
        for tree, rows in self._trees:
            total[rows] += tree.predict(x[rows])[:, 0]
            count[rows] += 1
        return np.where(count > 0, total / np.maximum(count, 1), self._mean)
