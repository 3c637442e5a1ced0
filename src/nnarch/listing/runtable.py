"""The runs below a directory as a table: chosen, sorted, cut to columns.

There is no index that would have to be kept in step: the directories are all there is, and ten
thousand of them are read in half a second. A run that is damaged hides no other.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from nnarch.errors import RunError, UsageError
from nnarch.listing import runlist
from nnarch.listing.runfilter import Condition, is_number, told
from nnarch.listing.runrow import METRIC, Row

FIRST = ("name", "kind", "status", "trials", "model", "parameters", "epochs", "val_loss")
LAST = ("test_loss", METRIC, "seconds", "started")
OF_SOME = ("kind", "trials")  # which a plain run has not
ALWAYS = (*FIRST, *LAST)  # keys that may be asked for although no run has them yet


@dataclass(frozen=True)
class Table:
    """Rows of values, None where one is missing, and what was wrong with runs left out."""

    columns: list[str]
    rows: list[list[Any]]
    damaged: list[str] = field(default_factory=list)


def table(
    root: Path,
    conditions: Sequence[Condition] = (),
    sort: str | None = None,
    columns: Sequence[str] = (),
    limit: int | None = None,
) -> Table:
    """The runs below `root` that all `conditions` hold for.

    Args:
        sort: a key, with `-` before it for falling values; the newest first where there is none.
        columns: keys; the usual ones where there are none.
        limit: the most rows.

    Raises: UsageError where a key is in no run.
    """
    listing = _Listing(root)
    key = (sort or "").removeprefix("-")
    asked = [*(condition.key for condition in conditions), *[key] * bool(key)]
    rows = list(listing.with_keys(listing.rows, asked))
    listing.check(asked)
    rows = [row for row in rows if all(each.holds(row.value(each.key)) for each in conditions)]
    if key:
        rows = _sorted(rows, key, falling=key != sort)
    shown = ("status", *columns) if columns else (*FIRST, *LAST)  # a status every run has
    rows = list(islice(listing.with_keys(rows, shown), limit))
    listing.check(columns, rows)
    keys = list(columns) or _usual(rows)
    cells = [[row.value(key) for key in keys] for row in listing.with_keys(rows, keys)]
    return Table(keys, cells, list(listing.damaged.values()))


class _Listing:
    """The runs of a directory, newest first, and what is wrong with those that are damaged."""

    def __init__(self, root: Path):
        self.rows = [Row(run) for run in reversed(runlist.runs(root))]
        self.damaged: dict[Row, str] = {}

    def with_keys(self, rows: Iterable[Row], keys: Sequence[str]) -> Iterator[Row]:
        """Those that tell of `keys`, which are read."""
        for row in rows:
            if row not in self.damaged:
                try:
                    row.take(keys)
                    yield row
                except RunError as error:
                    self.damaged[row] = error.lines[0]

    def check(self, keys: Iterable[str], likely: Sequence[Row] = ()) -> None:
        """See that each key is in some run, looking into the `likely` ones first.

        Raises: UsageError.
        """
        for key in keys:
            rows = self.with_keys(chain(likely, self.rows), [key])
            if self.rows and key not in ALWAYS and not any(row.has(key) for row in rows):
                raise UsageError(f"no run has {key!r}; {self._suggestion(key)}")

    def _suggestion(self, key: str) -> str:
        from nnarch.registry import suggestion

        known: dict[str, None] = dict.fromkeys(ALWAYS)
        for row in self.rows:
            try:
                known |= dict.fromkeys(row.keys())
            except RunError:
                continue
        return suggestion(key, list(known))


def _usual(rows: Sequence[Row]) -> list[str]:
    """The columns for whom it may concern; of what some runs have only where one has it."""
    first = [key for key in FIRST if key not in OF_SOME or any(row.has(key) for row in rows)]
    metrics = dict.fromkeys(row.value(METRIC) for row in rows if row.has(METRIC))
    return [*first, *(name for key in LAST for name in (metrics if key == METRIC else [key]))]


def _sorted(rows: Sequence[Row], key: str, falling: bool) -> list[Row]:
    """By a value: numbers before text, and what is missing last, whichever way."""
    there = [row for row in rows if row.value(key) is not None]
    missing = [row for row in rows if row.value(key) is None]
    return [*sorted(there, key=lambda row: _rank(row.value(key)), reverse=falling), *missing]


def _rank(value: Any) -> tuple[bool, float, str]:
    if is_number(value):
        return False, _float(value), ""
    return True, 0.0, told(value)


def _float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)
