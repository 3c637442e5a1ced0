"""Which points of a search are the best, over the seeds that each was trained with.

One training is a draw: another seed gives another figure. Trials of one point are therefore one
row here, judged by their mean, and two rows are told apart by a test alone. A point that a seed
came to nothing of stands behind all others, however good the rest of it looks.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from nnarch.findings import pareto
from nnarch.lazy import LazyModule
from nnarch.trial import Trial

if TYPE_CHECKING:
    from scipy import special
else:
    special = LazyModule("scipy.special")


@dataclass(frozen=True)
class Row:
    """A point of a search, over its seeds.

    Attributes:
        number: of the search's proposal.
        trials: those that finished with every objective, by seed.
        means: of each objective.
        deviations: from them, of a sample; None where there is one trial.
        missing: how many other trials of the point came to nothing.
    """

    number: int
    trials: tuple[Trial, ...]
    means: tuple[float, ...]
    deviations: tuple[float | None, ...]
    missing: int = 0

    @property
    def count(self) -> int:
        return len(self.trials)

    def values(self, objective: str) -> dict[int, float]:
        """By seed; what two rows are compared by."""
        found = {trial.seed: trial.objective(objective) for trial in self.trials}
        return {seed: value for seed, value in found.items() if value is not None}


def rows(trials: Iterable[Trial], objectives: Sequence[str]) -> list[Row]:
    """The points of which a trial finished with every objective, by number."""
    ordered = sorted(trials, key=lambda trial: (trial.number, trial.seed))
    points = groupby(ordered, key=lambda trial: trial.number)
    found = (_row(number, list(point), objectives) for number, point in points)
    return [row for row in found if row.trials]


def _row(number: int, trials: Sequence[Trial], objectives: Sequence[str]) -> Row:
    measured = [[trial.objective(name) for name in objectives] for trial in trials]
    good = [
        trial.status == "finished" and None not in values
        for trial, values in zip(trials, measured, strict=True)
    ]
    finished = tuple(trial for trial, is_good in zip(trials, good, strict=True) if is_good)
    columns = np.array([v for v, is_good in zip(measured, good, strict=True) if is_good], float).T
    return Row(
        number,
        finished,
        tuple(float(column.mean()) for column in columns),
        tuple(float(c.std(ddof=1)) if len(c) > 1 else None for c in columns),
        len(trials) - len(finished),
    )


def best(
    trials: Iterable[Trial], objectives: Sequence[str], higher: Collection[str] = ()
) -> list[Row]:
    """Rows from the best to the worst; equally good ones by number.

    Several objectives rank as `pareto.ranked` says.

    Args:
        higher: objectives that are to be large.
    """
    found = rows(trials, objectives)
    parts = [row for row in found if not row.missing], [row for row in found if row.missing]
    return [part[i] for part in parts for i in _order(part, objectives, higher)]


def leaders(
    trials: Iterable[Trial], count: int, objectives: Sequence[str], higher: Collection[str] = ()
) -> list[Trial]:
    """The trials of the best points, of so many."""
    rows = best(trials, objectives, higher)
    return [trial for row in rows[:count] for trial in row.trials]


def _order(
    found: Sequence[Row], objectives: Sequence[str], higher: Collection[str]
) -> Sequence[int]:
    return pareto.ranked(to_be_small(found, objectives, higher)).tolist() if found else []


def front(
    found: Sequence[Row], objectives: Sequence[str], higher: Collection[str] = ()
) -> list[Row]:
    """The rows that no other is as good as in every objective and better than in one.

    The best in the first objective comes first.
    """
    if not found:
        return []
    values = to_be_small(found, objectives, higher)
    return [found[i] for i in sorted(pareto.front(values), key=lambda i: values[i, 0])]


def to_be_small(
    found: Sequence[Row], objectives: Sequence[str], higher: Collection[str]
) -> np.ndarray:
    """The means (rows, objectives), all of them to be made small."""
    signs = np.array([-1.0 if name in higher else 1.0 for name in objectives])
    return np.array([row.means for row in found]) * signs


@dataclass(frozen=True)
class Comparison:
    """Whether two differ by more than their seeds do.

    Attributes:
        difference: of the means, the first less the second.
        low, high: what it lies between, with 95 % confidence.
        p: how likely a difference of this size or more is where there is none.
        paired: whether they share all their seeds, which were compared one by one.
    """

    difference: float
    low: float
    high: float
    p: float
    paired: bool


def compared(a: Mapping[int, float], b: Mapping[int, float]) -> Comparison | None:
    """Two sets of values by seed, by Student's paired t-test where they share all their seeds,
    by Welch's where not (B. L. Welch, 1947, https://doi.org/10.1093/biomet/34.1-2.28).

    None where one of them has a single value, which tells nothing of chance.

    >>> compared({0: 1.0, 1: 2.0, 2: 3.0}, {0: 0.5, 1: 1.4, 2: 2.6}).paired
    True
    """
    if min(len(a), len(b)) < 2:
        return None
    paired = a.keys() == b.keys()
    if paired:
        samples = [np.array([a[seed] - b[seed] for seed in a])]
    else:
        samples = [np.array([*a.values()]), np.array([*b.values()])]
    difference = float(np.mean([*a.values()]) - np.mean([*b.values()]))
    squares = np.array([sample.var(ddof=1) / len(sample) for sample in samples])
    error = math.sqrt(squares.sum())
    if not error:
        p = 1.0 if difference == 0 else 0.0
        return Comparison(difference, difference, difference, p, paired)
    shares = squares / squares.sum()  # whose squares do not underflow
    freedom = 1 / sum(shares**2 / [len(sample) - 1 for sample in samples])
    reach = error * float(special.stdtrit(freedom, 0.975))
    p = 2 * float(special.stdtr(freedom, -abs(difference) / error))
    return Comparison(difference, difference - reach, difference + reach, p, paired)
