"""The data source `series`: values over time, to tell the next steps from those before.

A sample is a window: `lookback` steps that the network sees, and the `horizon` steps after them.
Windows overlap, so the series is kept once, and parted by time: a window belongs to the part
that all it predicts lies in, and may look back across the border, as it will when it is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from nnarch.data.table import Column, Table
from nnarch.errors import ConfigError, DataError
from nnarch.lazy import LazyModule
from nnarch.options import Count, FilePath
from nnarch.registry import sources, suggestion

if TYPE_CHECKING:
    import torch

    from nnarch.data import reading
else:
    torch = LazyModule("torch")
    reading = LazyModule("nnarch.data.reading")

Names = Annotated[list[str], Field(min_length=1)]
LONG_STEP = 1.5  # times the usual one: months differ less, a missing step more


@dataclass(frozen=True)
class Series:
    """T steps of a multivariate series.

    Attributes:
        inputs: (T, C) float64, gaps filled with the value before.
        input_names: C channels.
        goals: (T, G) float64, what is predicted, NaN where it is not known.
        channels: G names.
        starts: (N,) the first steps of the windows; none crosses a break in time.
        lookback: steps that are seen.
        horizon: steps that are predicted.
        notes: what reading inferred or left out, for the user to know.
    """

    inputs: "torch.Tensor"
    input_names: tuple[str, ...]
    goals: "torch.Tensor"
    channels: tuple[str, ...]
    starts: "torch.Tensor"
    lookback: int
    horizon: int
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def target_names(self) -> tuple[str, ...]:
        """Each channel at each step ahead, step after step."""
        steps = range(1, self.horizon + 1)
        return tuple(f"{name}+{step}" for step in steps for name in self.channels)


@sources.register
def series(
    *,
    path: FilePath,
    target: str | Names | None = None,
    time: str | None = None,
    features: Names | None = None,
    lookback: Count = 96,
    horizon: Count = 1,
    stride: Count = 1,
    rows: Count | None = None,
) -> Series:
    """Values over time in a CSV or Parquet file, a step a row: the next steps from those before.

    Options:
        path: The file.
        target: The column or columns to predict; every column of numbers unless given.
        time: A column of dates or numbers to order the rows by; their order in the file is taken
            unless given.
        features: The columns to predict from; those of the target unless given.
        lookback: How many steps are seen.
        horizon: How many steps are predicted.
        stride: Steps from the beginning of a window to that of the next.
        rows: How many of the first rows are used; all unless given.
    """
    table = reading.read(path)
    wanted = [target] if isinstance(target, str) else target
    return windows(table, wanted, time, features, lookback, horizon, stride, rows)


def windows(
    table: Table,
    target: Sequence[str] | None,
    time: str | None,
    features: Sequence[str] | None,
    lookback: int,
    horizon: int,
    stride: int = 1,
    rows: int | None = None,
) -> Series:
    """The windows of a table whose rows are steps.

    Raises: DataError where a column is no series, or too short for one window.
    """
    places = {column.name: place for place, column in enumerate(table.columns)}
    for key, names in (("target", target), ("features", features), ("time", time and [time])):
        for name in names or ():
            if name not in places:
                raise ConfigError(f"data.{key}: no column {name!r}; {suggestion(name, [*places])}")
        if twice := [name for name in names or () if list(names or ()).count(name) > 1]:
            raise ConfigError(f"data.{key}: {twice[0]!r} is named twice; expected it once")
    notes = list(table.notes)
    numbers = [c.name for c in table.columns if c.kind in ("numeric", "boolean") and c.name != time]
    goals = list(target or numbers)
    if not goals:
        raise DataError("data: no column but that of time holds numbers; a series expects some")
    seen = list(features or goals)
    if left := [name for name in places if name not in {*goals, *seen, time}]:
        notes.append(f"not used: {', '.join(left)}")
    for name in (*goals, *seen):
        _check_channel(table.columns[places[name]], numbers)
    values, breaks = _ordered(table, places[time] if time else None, notes)
    values, breaks = values[:rows], breaks[:rows]
    goal_values = values[:, [places[name] for name in goals]]
    inputs = _filled(values[:, [places[name] for name in seen]])
    starts = _starts(inputs, goal_values, breaks, (lookback, horizon, stride), notes)
    sizes = (lookback, horizon)
    names = (tuple(seen), goal_values, tuple(goals))
    return Series(inputs.nan_to_num(0.0), *names, starts, *sizes, tuple(notes))


def _check_channel(column: Column, numbers: Sequence[str]) -> None:
    if column.fault:
        raise DataError(column.fault)
    if column.name not in numbers:
        raise DataError(
            f"data: column {column.name!r} holds {column.kind} values; a series expects numbers"
        )


def _ordered(
    table: Table, time: int | None, notes: list[str]
) -> "tuple[torch.Tensor, torch.Tensor]":
    """The rows in order of time, and (T,) whether a step is missing before each."""
    if time is None:
        return table.inputs, torch.zeros(len(table), dtype=torch.bool)
    column, times = table.columns[time], table.inputs[:, time]
    if column.fault or column.kind not in ("datetime", "numeric"):
        fault = f"data.time: column {column.name!r} holds {column.kind} values; expected dates"
        raise DataError(column.fault or fault)
    if gaps := int(times.isnan().sum()):
        raise DataError(f"data.time: {gaps} rows have no {column.name!r}; expected one in each")
    times, order = times.sort(stable=True)
    steps = times.diff()
    if len(steps) and not bool((steps > 0).all()):
        same = int((steps == 0).sum())
        raise DataError(
            f"data.time: {same} rows have the same {column.name!r} as another; a series expects a "
            "row for each time"
        )
    long = steps > LONG_STEP * steps.median() if len(steps) else steps > 0
    if bool(long.any()):
        notes.append(f"{int(long.sum())} breaks in {column.name}; no window crosses one")
    return table.inputs[order], torch.cat([torch.zeros(1, dtype=torch.bool), long])


def _filled(values: "torch.Tensor") -> "torch.Tensor":
    """Every gap with the last value before it; a gap at the beginning stays one."""
    steps = torch.arange(len(values)).unsqueeze(1)
    last = torch.where(values.isnan(), 0, steps).cummax(0).values
    return values.gather(0, last)


def _starts(
    inputs: "torch.Tensor",
    goals: "torch.Tensor",
    breaks: "torch.Tensor",
    sizes: tuple[int, int, int],
    notes: list[str],
) -> "torch.Tensor":
    """The windows that no break crosses, and of which all that is seen and predicted is known.

    Args:
        sizes: lookback, horizon and stride.
    """
    lookback, horizon, stride = sizes
    length = lookback + horizon
    if len(goals) < length:
        raise DataError(
            f"data: {len(goals):,} rows are too few for one window; expected at least lookback + "
            f"horizon = {lookback} + {horizon}"
        )
    starts = torch.arange(0, len(goals) - length + 1, stride)
    broken = torch.cat([torch.zeros(1), breaks.double()]).cumsum(0)
    unknown = torch.cat([torch.zeros(1), goals.isnan().any(1).double()]).cumsum(0)
    whole = broken[starts + length] == broken[starts + 1]
    begun = int(inputs.isnan().any(1).sum())  # gaps are left at the beginning alone
    known = (unknown[starts + length] == unknown[starts + lookback]) & (starts >= begun)
    if left := int((whole & ~known).sum()):
        notes.append(f"{left:,} windows left out: what they see or predict is not in the file")
    starts = starts[whole & known]
    if not len(starts):
        raise DataError("data: no window of the series is whole; expected fewer gaps")
    return starts
