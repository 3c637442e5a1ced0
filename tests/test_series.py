"""Series: which windows there are, how gaps are filled, and what is no series at all."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nnarch.data.sources.series import Series, windows
from nnarch.data.table import Column, Table, numeric
from nnarch.errors import ConfigError, DataError
from nnarch.registry import sources
from nnarch.validate import fill_component

NAN = float("nan")


def table(columns: dict[str, list[float]], **kinds: Any) -> Table:
    inputs = torch.tensor(list(columns.values()), dtype=torch.float64).t().contiguous()
    return Table(inputs, tuple(Column(n, kinds.get(n, "numeric")) for n in columns), None, ())


def made(
    columns: dict[str, list[float]],
    lookback: int = 2,
    horizon: int = 1,
    target: list[str] | None = None,
    time: str | None = None,
    features: list[str] | None = None,
    stride: int = 1,
    rows: int | None = None,
    **kinds: Any,
) -> Series:
    given = table(columns, **kinds)
    return windows(given, target, time, features, lookback, horizon, stride, rows)


FIVE = {"a": [1.0, 2, 3, 4, 5], "b": [10.0, 20, 30, 40, 50]}


def test_every_column_is_seen_and_predicted_unless_told():
    found = made(FIVE)
    assert (found.input_names, found.channels) == (("a", "b"), ("a", "b"))
    assert found.inputs.tolist() == found.goals.tolist() == [[i, i * 10] for i in range(1, 6)]
    assert found.starts.tolist() == [0, 1, 2]
    assert len(found) == 3
    assert made(FIVE, horizon=2).target_names == ("a+1", "b+1", "a+2", "b+2")


def test_what_is_predicted_and_seen_can_be_chosen():
    found = made(FIVE, target=["b"], features=["b", "a"])
    assert found.inputs.tolist() == [[i * 10, i] for i in range(1, 6)]
    assert found.goals.tolist() == [[i * 10] for i in range(1, 6)]
    alone = made(FIVE, target=["b"])
    assert (alone.input_names, alone.notes) == (("b",), ("not used: a",))


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 4), st.integers(0, 30))
def test_windows_are_all_that_fit(lookback: int, horizon: int, stride: int, more: int):
    steps = lookback + horizon + more
    found = made({"a": [float(i) for i in range(steps)]}, lookback, horizon, stride=stride)
    assert found.starts.tolist() == list(range(0, more + 1, stride))


@given(
    st.lists(st.sampled_from([1, 1, 1, 1, 2, 7]), min_size=12, max_size=60),
    st.integers(1, 4),
    st.integers(1, 3),
)
def test_no_window_crosses_a_break(steps: list[int], lookback: int, horizon: int):
    times = np.cumsum([0, *steps]).astype(float)
    usual = np.sort(steps)[(len(steps) - 1) // 2]
    length = lookback + horizon
    expected = [
        start
        for start in range(len(times) - length + 1)
        if all(np.diff(times[start : start + length]) <= 1.5 * usual)
    ]
    columns = {"t": times.tolist(), "a": [float(i) for i in range(len(times))]}
    if not expected:
        with pytest.raises(DataError, match="no window of the series is whole"):
            made(columns, lookback, horizon, time="t")
        return
    found = made(columns, lookback, horizon, time="t")
    assert found.starts.tolist() == expected
    breaks = sum(step > 1.5 * usual for step in steps)
    assert (f"{breaks} breaks in t; no window crosses one" in found.notes) == (breaks > 0)


def test_rows_are_ordered_by_time_and_time_is_no_channel():
    found = made({"t": [3.0, 1, 2, 4], "a": [30.0, 10, 20, 40]}, time="t", t="datetime")
    assert found.inputs.flatten().tolist() == [10, 20, 30, 40]
    assert found.channels == ("a",)


def test_the_first_rows_are_the_first_in_time():
    found = made({"t": [4.0, 3, 2, 1], "a": [40.0, 30, 20, 10]}, time="t", rows=3)
    assert found.inputs.flatten().tolist() == [10, 20, 30]


def test_months_are_no_breaks():
    days = np.cumsum([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30]) * 86_400.0
    found = made({"t": days.tolist(), "a": [1.0] * 12}, time="t", t="datetime")
    assert len(found) == 10


CELLS = st.lists(st.none() | st.integers(0, 9).map(float), min_size=4, max_size=30)


@given(CELLS.filter(lambda cells: any(cell is not None for cell in cells)))
def test_a_gap_holds_the_value_before_it(cells: list[float | None]):
    """Before the first value nothing is known, and what comes later is not: no window is there."""
    filled = pl.Series(cells, dtype=pl.Float64).fill_null(strategy="forward").to_list()
    begun = filled.count(None)
    columns = {"a": [NAN if cell is None else cell for cell in cells], "b": [0.0] * len(cells)}
    if begun + 3 > len(cells):
        with pytest.raises(DataError, match="no window of the series is whole"):
            made(columns, target=["b"], features=["a"])
        return
    found = made(columns, target=["b"], features=["a"])
    assert found.inputs[begun:].flatten().tolist() == filled[begun:]
    assert found.starts.tolist() == list(range(begun, len(cells) - 2))


def test_a_window_that_predicts_a_gap_is_left_out():
    """What is seen may be filled in; what a network is measured by may not."""
    found = made({"a": [1.0, 2, 3, NAN, 5, 6, 7, 8]}, lookback=2, horizon=2)
    assert found.starts.tolist() == [2, 3, 4]
    assert found.inputs.flatten().tolist() == [1, 2, 3, 3, 5, 6, 7, 8]
    assert found.goals[3].isnan().all()
    assert found.notes == ("2 windows left out: what they see or predict is not in the file",)


WORDS = Column("w", "categorical", ("x", "y"))
REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no such target": ({"target": ["c"]}, ConfigError, "data.target: no column 'c'; known: a, b"),
    "no such feature": ({"features": ["c"]}, ConfigError, "data.features: no column 'c'"),
    "no such time": ({"time": "c"}, ConfigError, "data.time: no column 'c'"),
    "words": (
        {"target": ["a"], "a": "categorical"},
        DataError,
        "data: column 'a' holds categorical values; a series expects numbers",
    ),
    "the time": ({"target": ["a"], "time": "a"}, DataError, "column 'a' holds numeric values"),
    "too long": (
        {"lookback": 4, "horizon": 2},
        DataError,
        "data: 5 rows are too few for one window; expected at least lookback + horizon = 4 + 2",
    ),
    "times that are words": (
        {"time": "b", "b": "categorical"},
        DataError,
        "data.time: column 'b' holds categorical values; expected dates",
    ),
}


@pytest.mark.parametrize(("given", "kind", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_series(given: dict[str, Any], kind: type[Exception], said: str):
    with pytest.raises(kind) as refused:
        made(FIVE, **given)
    assert said in str(refused.value)


TIMES = {
    "gaps": ([1.0, NAN, 3, NAN], "data.time: 2 rows have no 't'; expected one in each"),
    "repeats": (
        [1.0, 2, 2, 3],
        "data.time: 1 rows have the same 't' as another; a series expects a row for each time",
    ),
}


@pytest.mark.parametrize(("times", "said"), TIMES.values(), ids=TIMES)
def test_times_that_give_no_order(times: list[float], said: str):
    with pytest.raises(DataError, match=said):
        made({"t": times, "a": [1.0] * 4}, time="t")


def test_a_column_that_cannot_be_used_is_refused_where_it_is_used():
    fault = "f.csv: line 3, column 'b': got 'x'; expected a number"
    given = Table(torch.zeros(5, 2), (*numeric("a"), Column("b", fault=fault)), None, ())
    with pytest.raises(DataError, match=fault):
        windows(given, ["b"], None, None, 2, 1)
    assert windows(given, ["a"], None, None, 2, 1).channels == ("a",)


def test_a_file_of_steps(tmp_path: Path):
    path = tmp_path / "s.csv"
    dates = [f"2024-01-{day:02d}" for day in range(1, 9)]
    frame = pl.DataFrame({"day": dates, "load": range(8), "heat": range(10, 18), "who": ["x"] * 8})
    frame.sample(fraction=1, shuffle=True, seed=0).write_csv(path)
    spec, faults = fill_component(
        "data",
        {"source": "series", "path": str(path), "time": "day", "lookback": 3, "horizon": 2},
        (),
    )
    assert not faults
    found = sources.build(spec)
    assert isinstance(found, Series)
    assert found.channels == ("load", "heat")
    assert found.inputs.tolist() == [[i, 10 + i] for i in range(8)]
    assert found.starts.tolist() == [0, 1, 2, 3]
    assert "not used: who" in found.notes
