"""What mattered in a search: which open values decided how good networks became, and which way.

A list of the best trials tells what was good together, not what it was good for. Here each open
value gets two things, measured over all finished points: the share of the differences that it
accounts for (`importance`), and what each of its options is worth, all else being equal, with how
sure that is (`contrasts`). A value that a point has no use for is compared where it is in use.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nnarch.findings import contrasts, encoding, importance
from nnarch.findings.encoding import RARE, Kind, OpenValue
from nnarch.findings.ranking import Row

LEAST = 20  # points, below which nothing is told
A_COLUMN = 3  # points that each column of a regression needs
DECADES = 1.0  # that positive values span, from which on factors are told
FENCE = 3.0  # times the middle half's width, beyond which one value is as bad as another


@dataclass(frozen=True)
class Difference:
    """In units of the objective, or a factor where the scale is `log`; `low` to `high` with 95 %
    confidence."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Level:
    """An option, or a third of the numbers.

    Attributes:
        count: of points.
        difference: from the best level, all else being equal; None where points are too few.
    """

    name: str
    count: int
    difference: Difference | None


@dataclass(frozen=True)
class Influence:
    """Of one open value.

    Attributes:
        name: dotted path.
        kind: `number` is in thirds; `ordered` numbers are few, and each is a level.
        active: points in which it is in use; all that is told is of these.
        importance: share of the variance that it accounts for, alone and with others.
        deviation: of the importance, from shuffling to shuffling.
        levels: in the order of numbers; else the best first.
        best: the name of the best level; None where points are too few.
        trend: from the lowest to the highest level of numbers.
    """

    name: str
    kind: Kind
    active: int
    importance: float
    deviation: float
    levels: tuple[Level, ...]
    best: str | None
    trend: Difference | None


@dataclass(frozen=True)
class SizeClass:
    """Networks of about one size: `low` to `high` parameters."""

    low: int
    high: int
    count: int
    best: float
    median: float


@dataclass(frozen=True)
class Effects:
    """What mattered; plain data by `dataclasses.asdict`.

    Attributes:
        points: that finished.
        scale: `log` where differences are factors.
        fenced: points so bad that they count as less bad ones, lest they decide everything.
        explained: share of the variance that all open values together account for.
        influences: the most important first; none where there are fewer than `LEAST` points.
        sizes: from small networks to large ones.
    """

    objective: str
    higher: bool
    points: int
    scale: Literal["linear", "log"]
    fenced: int
    explained: float
    influences: tuple[Influence, ...]
    sizes: tuple[SizeClass, ...]


def measured(rows: Sequence[Row], objective: str, higher: bool = False, which: int = 0) -> Effects:
    """What mattered to an objective.

    Args:
        rows: what `ranking.rows` or `ranking.best` gave.
        higher: whether the objective is to be large.
        which: the place of the objective in the rows' means.
    """
    told = np.array([row.means[which] for row in rows])
    if len(rows) < LEAST:
        return Effects(objective, higher, len(rows), "linear", 0, 0.0, (), ())
    scale = "log" if _spans_decades(told) else "linear"
    sign = -1.0 if higher else 1.0
    y, fenced = _fenced(sign * (np.log10(told) if scale == "log" else told))
    variables = encoding.read([row.trials[0].shown for row in rows])
    influences, explained = _influences(variables, y, sign, scale)
    sizes = _sizes([row.trials[0].parameters for row in rows], told, higher)
    return Effects(objective, higher, len(rows), scale, fenced, explained, influences, sizes)


def _spans_decades(values: np.ndarray) -> bool:
    if values.min() <= 0:
        return False
    low, high = np.quantile(values, [0.05, 0.95])
    return bool(np.log10(high / low) >= DECADES)


def _fenced(y: np.ndarray) -> tuple[np.ndarray, int]:
    """Values to be small, of which those beyond Tukey's outer fence count as on it."""
    low, high = np.quantile(y, [0.25, 0.75])
    if low == high:
        return y, 0
    fence = high + FENCE * (high - low)
    return np.minimum(y, fence), int((y > fence).sum())


# What they did


def _influences(
    variables: Sequence[OpenValue], y: np.ndarray, sign: float, scale: str
) -> tuple[tuple[Influence, ...], float]:
    if not variables:
        return (), 0.0
    columns, active = [v.columns for v in variables], [v.active for v in variables]
    shares = importance.shares(columns, active, y, encoding.dependents(variables))
    order = sorted(range(len(variables)), key=lambda i: -shares.means[i])
    found = []
    for i in order:
        others = [variables[j] for j in order if j != i]
        found.append(
            _influence(variables[i], shares.means[i], shares.deviations[i], others, y, sign, scale)
        )
    return tuple(found), shares.explained


def _influence(
    variable: OpenValue,
    share: float,
    deviation: float,
    others: Sequence[OpenValue],
    y: np.ndarray,
    sign: float,
    scale: str,
) -> Influence:
    counts = np.bincount(variable.level[variable.active], minlength=len(variable.names))
    common = np.flatnonzero(counts >= RARE)
    groups = _groups(variable, common, others, y) if len(common) > 1 else None
    told: dict[int, Difference] = {}
    trend = best = None
    if groups:
        first = int(groups.means.argmin())
        best = variable.names[common[first]]
        for group, level in enumerate(common):
            told[int(level)] = _told(*groups.difference(group, first), sign, scale)
        if variable.kind != "choice":
            trend = _told(*groups.difference(len(common) - 1, 0), sign, scale)
    levels = [Level(name, int(counts[i]), told.get(i)) for i, name in enumerate(variable.names)]
    if variable.kind == "choice" and groups:
        means = dict(zip(common.tolist(), groups.means, strict=True))
        order = sorted(range(len(levels)), key=lambda i: means.get(i, math.inf))
        levels = [levels[i] for i in order]
    active = int(variable.active.sum())
    return Influence(
        variable.name, variable.kind, active, share, deviation, tuple(levels), best, trend
    )


def _groups(
    variable: OpenValue, common: np.ndarray, others: Sequence[OpenValue], y: np.ndarray
) -> contrasts.Groups | None:
    """Its levels compared, adjusted for as many of the others as the points allow."""
    rows = np.isin(variable.level, common)
    columns = np.zeros((int(rows.sum()), 0))
    for other in others:
        more = np.concatenate([columns, other.covariates[rows]], 1)
        if A_COLUMN * (len(common) + more.shape[1]) <= len(more):
            columns = more
    return contrasts.adjusted(np.searchsorted(common, variable.level[rows]), y[rows], columns)


def _told(value: float, reach: float, sign: float, scale: str) -> Difference:
    """A difference as the objective's own, rather than as one of what is to be small."""
    ends = sorted(sign * end for end in (value - reach, value + reach))
    made = (sign * value, *ends)
    return Difference(*(float(10.0**one) for one in made) if scale == "log" else made)


def _sizes(
    parameters: Sequence[int | None], values: np.ndarray, higher: bool
) -> tuple[SizeClass, ...]:
    """By powers of ten where sizes span two of them, else by thirds."""
    known = np.array([size is not None for size in parameters], bool)
    sizes = np.array([size for size in parameters if size is not None], float)
    if len(np.unique(sizes)) < 3:
        return ()
    wide = sizes.max() / max(1.0, sizes.min()) >= 100
    part = np.floor(np.log10(np.maximum(sizes, 1))) if wide else encoding.thirds(sizes)
    found = []
    for each in np.unique(part):
        own, values_there = sizes[part == each], values[known][part == each]
        best = values_there.max() if higher else values_there.min()
        low, high, median = int(own.min()), int(own.max()), float(np.median(values_there))
        found.append(SizeClass(low, high, len(own), float(best), median))
    return tuple(found)
