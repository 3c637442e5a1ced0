"""Runs side by side: where their configs differ, what came of each, and what else was not the same.

What was measured is told last of all by what it was measured with: a commit, a version or the data
may have changed between two runs whose configs are the same.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnarch import searchdir
from nnarch.errors import RunError, UsageError
from nnarch.listing import runlist
from nnarch.listing.runfilter import is_number
from nnarch.listing.runrow import Row, leaves
from nnarch.rundir import RunDir
from nnarch.searchdir import SearchDir

COSTS = ("parameters", "flops", "seconds")
ORIGINS = ("device", "git", "versions", "machine", "data.fingerprint")


@dataclass(frozen=True)
class Line:
    """One key of every run.

    Attributes:
        values: one a run, None where it is null.
        there: whether the run says anything of the key.
        best: places of the runs that have the best value; of metrics alone.
        difference: of the second of two runs from the first, where both are numbers.
    """

    key: str
    values: tuple[Any, ...]
    there: tuple[bool, ...]
    best: tuple[int, ...] = ()

    @property
    def difference(self) -> float | int | None:
        if len(self.values) != 2 or not all(map(is_number, self.values)):
            return None
        try:
            return self.values[1] - self.values[0]
        except OverflowError:  # of a whole number that no float is near to
            return None

    @property
    def differs(self) -> bool:
        told = [repr(pair) for pair in zip(self.there, self.values, strict=True)]
        return len(set(told)) > 1


@dataclass(frozen=True)
class Comparison:
    """Runs, and lines of three kinds: of their configs, their figures, and where they come from."""

    runs: list[RunDir]
    config: list[Line]
    figures: list[Line]
    origins: list[Line]

    @property
    def parts(self) -> dict[str, list[Line]]:
        return {"config": self.config, "figures": self.figures, "origins": self.origins}

    def names(self, short: bool = False) -> list[str]:
        """What the runs are called, each otherwise; without their time where `short`."""
        names = [run.path.name for run in self.runs]
        for told in ([name.split("-", 2)[-1] for name in names] if short else names, names):
            if len(set(told)) == len(told):
                return told
        return [str(run) for run in self.runs]


def find(selectors: Sequence[str], root: Path) -> list[RunDir]:
    """The runs that are meant, each once; a search means those that it keeps.

    Raises: UsageError where they are fewer than two, RunError where one is missing or damaged.
    """
    found: dict[Path, RunDir] = {}
    for selector in selectors:
        run = runlist.find(selector, root, kind=None)
        kept = SearchDir(run.path).kept() if searchdir.is_search(run) else [run]
        if not kept:
            raise RunError(f"{run}: keeps no runs yet")
        found |= {one.path.resolve(): one for one in kept}
    if len(found) < 2:
        raise UsageError(
            f"got {', '.join(selectors)}; expected two runs or more, or a search that keeps so many"
        )
    return list(found.values())


def compare(runs: Sequence[RunDir], everything: bool = False) -> Comparison:
    """Runs side by side; keys that are the same in all only where `everything` is wanted.

    Raises: RunError where one is damaged.
    """
    rows = [Row(run) for run in runs]
    configs, abouts = [row.config() for row in rows], [run.about for run in runs]
    origins = [_origins(about) for about in abouts]
    measured = dict.fromkeys(key for row in rows for key in row.measured())
    figures = [
        _line(key, [{key: row.value(key)} if row.has(key) else {} for row in rows])
        for key in ("best_epoch", *measured, *COSTS)
    ]
    higher = {name for row in rows for name in row.higher()}
    return Comparison(
        list(runs),
        [line for line in _lines(configs) if everything or line.differs],
        [_marked(line, higher) for line in figures if any(line.there)],
        [line for line in _lines(origins) if everything or line.differs],
    )


def _origins(about: dict[str, Any]) -> dict[str, Any]:
    told = leaves(about)
    return {
        key: told[key] for key in told if any(key == o or key.startswith(f"{o}.") for o in ORIGINS)
    }


def _lines(tellings: Sequence[dict[str, Any]]) -> list[Line]:
    return [_line(key, tellings) for key in _in_order(tellings)]


def _in_order(tellings: Iterable[dict[str, Any]]) -> list[str]:
    """All keys; one that only later tellings have stands behind the one that it follows there."""
    order: list[str] = []
    for telling in tellings:
        place = 0
        for key in telling:
            if key in order:
                place = order.index(key) + 1
            else:
                order.insert(place, key)
                place += 1
    return order


def _line(key: str, tellings: Sequence[dict[str, Any]]) -> Line:
    return Line(
        key,
        tuple(telling.get(key) for telling in tellings),
        tuple(key in telling for telling in tellings),
    )


def _marked(line: Line, higher: set[str]) -> Line:
    """With the best of a metric, unless all that have it are the same."""
    part, _, name = line.key.partition("_")
    values = [value for value in line.values if is_number(value)]
    if part not in ("train", "val", "test") or len(set(values)) < 2:
        return line
    best = max(values) if f"val_{name}" in higher else min(values)
    places = tuple(place for place, value in enumerate(line.values) if value == best)
    return Line(line.key, line.values, line.there, places)
