"""The open values of a search as arrays: what trees and regressions take of them.

Only what the points show is known here, not the space that they were drawn from. Numbers count by
their order alone, so that it is all the same whether they were drawn by logarithms.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from nnarch.trial import text_of

FEW = 5  # distinct numbers, up to which each is told of; more are in thirds
RARE = 3  # points of an option, below which nothing is told of it

Kind = Literal["choice", "ordered", "number"]


@dataclass(frozen=True)
class OpenValue:
    """What each point has at one path, if it has any."""

    name: str
    kind: Kind
    active: np.ndarray  # (points,) of truth values
    level: np.ndarray  # (points,), the number of its level; -1 where it is not active
    names: list[str]  # of the levels
    rank: np.ndarray | None  # (points,) of numbers, from -1 to 1; 0 where it is not active

    @property
    def columns(self) -> np.ndarray:
        """For trees. Where it is not active it has a usual value, so that what decides whether it
        is active is told by the value that decides it."""
        if self.rank is not None:
            return self.rank[:, None]
        usual = np.bincount(self.level[self.active]).argmax()
        return np.eye(len(self.names))[np.where(self.active, self.level, usual)]

    @property
    def covariates(self) -> np.ndarray:
        """For a regression: a curve of numbers, else a column an option; 0 at its average."""
        if self.kind == "number" and self.rank is not None:
            made = np.polynomial.legendre.legvander(self.rank, 3)[:, 1:]
        else:
            made = np.eye(len(self.names))[self.level][:, 1:]
            made = made[:, made[self.active].sum(0) >= RARE]
        made = made - made[self.active].mean(0)
        made[~self.active] = 0
        return made


def read(shown: Sequence[Mapping[str, Any]]) -> list[OpenValue]:
    """Those that have more than one value, from what each point shows, in order."""
    names = dict.fromkeys(name for point in shown for name in point)
    found = (_variable(name, shown) for name in names)
    return [variable for variable in found if len(variable.names) > 1]


def _variable(name: str, shown: Sequence[Mapping[str, Any]]) -> OpenValue:
    active = np.array([name in point for point in shown])
    values = [point[name] for point in shown if name in point]
    level = np.full(len(shown), -1)
    if not all(type(value) in (int, float) for value in values):
        texts = [text_of(value) for value in values]
        names = sorted(set(texts))
        level[active] = [names.index(text) for text in texts]
        return OpenValue(name, "choice", active, level, names, None)
    numbers, place = np.unique(np.array(values, float), return_inverse=True)
    rank = np.zeros(len(shown))
    rank[active] = 2 * place / max(1, len(numbers) - 1) - 1
    kind: Kind = "ordered" if len(numbers) <= FEW else "number"
    parts = place if kind == "ordered" else thirds(place)
    level[active] = parts
    bounds = [numbers[place[parts == part]] for part in range(parts.max() + 1)]
    names = [_span(part.min(), part.max()) for part in bounds]
    return OpenValue(name, kind, active, level, names, rank)


def thirds(place: np.ndarray) -> np.ndarray:
    """Which third each is in; equal numbers are in the same, so there may be but two.

    >>> thirds(np.array([5, 1, 3, 3, 2, 9])).tolist(), thirds(np.array([1, 4, 4, 4])).tolist()
    ([2, 0, 1, 1, 0, 2], [0, 1, 1, 1])
    """
    edges = np.quantile(place, [1 / 3, 2 / 3], method="inverted_cdf")
    if edges[0] == place.max():  # which all are up to
        return (place == edges[0]).astype(int)
    return np.unique(np.searchsorted(edges, place), return_inverse=True)[1]


def _span(low: float, high: float) -> str:
    """
    >>> _span(2.0, 2.0), _span(0.001, 0.0123456)
    ('2', '0.001 to 0.01235')
    """
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"


def dependents(variables: Sequence[OpenValue]) -> dict[int, list[int]]:
    """Of each, by number, those that are active with some of its levels and not with others."""
    found: dict[int, list[int]] = {}
    for i, one in enumerate(variables):
        for j, other in enumerate(variables):
            active, level = other.active[one.active], one.level[one.active]
            shares = np.bincount(level, active) / np.maximum(np.bincount(level), 1)
            if set(shares) == {0.0, 1.0}:
                found.setdefault(i, []).append(j)
    return found
