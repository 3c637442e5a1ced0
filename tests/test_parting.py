"""Which sample goes to which part: as its data says, in any of the ways it can."""

from dataclasses import replace
from itertools import chain
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from nnarch.data import task as tasks
from nnarch.data.array import Array
from nnarch.data.parting import complete, divide
from nnarch.data.sources.series import Series, windows
from nnarch.data.split import PARTS
from nnarch.data.spool import spooled
from nnarch.data.table import Column, Table, numeric
from nnarch.data.task import Task
from nnarch.data.tokens import Tokens
from nnarch.errors import ConfigError, DataError
from nnarch.validate import fill_component

NUMBERS = Task("regression", ("y",))


def options(**split: Any) -> dict[str, Any]:
    spec, faults = fill_component("data", {"source": "synthetic", "split": split}, ())
    assert not faults
    return spec


def table(cells: list[float], column: Column | str = "x", target: Any = None) -> Table:
    """A table of one column."""
    columns = numeric([column]) if isinstance(column, str) else (column,)
    inputs = torch.tensor(cells, dtype=torch.float64).unsqueeze(1)
    return Table(inputs, columns, torch.zeros(len(cells), 1) if target is None else target, ("y",))


def divided(data: Any, task: Task = NUMBERS, **split: Any) -> dict[str, list[int]]:
    parts = divide(data, options(**split), task)
    assert list(parts) == list(PARTS)
    return {part: rows.tolist() for part, rows in parts.items()}


COLUMN = Column("set", "categorical", ("Train", "valid", "TEST", "dev"))


def test_a_column_names_the_part_of_each_row():
    found = divided(table([0, 1, 2, 0, 3, 0], COLUMN), column="set")
    assert found == {"train": [0, 3, 5], "val": [1, 4], "test": [2]}


def test_a_part_that_no_row_is_named_for_is_drawn_from_training_rows():
    found = divided(table([0, 2] * 50, COLUMN), column="set")
    assert found["test"] == list(range(1, 100, 2))
    assert len(found["val"]) == round(50 / 9)
    assert sorted(found["train"] + found["val"]) == list(range(0, 100, 2))


def test_equal_values_of_a_group_stay_together():
    values = [float(i % 37) - 0.5 for i in range(200)]
    found = divided(table(values), group="x")
    members = [{values[row] for row in found[part]} for part in PARTS]
    assert sum(map(len, members)) == 37
    assert sorted(chain(*found.values())) == list(range(200))


@pytest.mark.parametrize("kind", ["numeric", "datetime"])
def test_rows_are_parted_by_time(kind: Any):
    found = divided(table([*range(100, 0, -1)], Column("when", kind)), time="when")
    assert found == {
        "train": list(range(20, 100)),
        "val": list(range(10, 20)),
        "test": list(range(10)),
    }


def test_what_is_on_disk_is_parted_as_in_memory():
    whole = table([float(i % 37) for i in range(200)])
    halves = [table([float(i % 37) for i in range(*ends)]) for ends in ((0, 90), (90, 200))]
    ways: list[dict[str, Any]] = [{"group": "x"}, {"time": "x"}, {"folds": 4, "fold": 2}, {}]
    for way in ways:
        assert divided(spooled(halves), **way) == divided(whole, **way)


def test_the_classes_keep_their_shares_unless_they_need_not():
    given = table([0.0] * 100, target=["rare"] * 10 + ["common"] * 90)
    task = tasks.infer(given, "auto", None)
    found = divided(given, task)
    assert [sum(row < 10 for row in found[part]) for part in PARTS] == [8, 1, 1]
    assert divided(given, task, stratify=False) == divided(given, NUMBERS)


GAPS = [1.0, float("nan"), 2.0]
WORDS = Column("w", "categorical", ("train", "other"))
REFUSED: dict[str, tuple[Any, dict[str, Any], type[Exception], str]] = {
    "no such column": (
        table([1.0]),
        {"column": "z"},
        ConfigError,
        "data.split.column: no column 'z'; known: x",
    ),
    "the target": (
        table([1.0]),
        {"column": "y"},
        ConfigError,
        "data.split.column: 'y' is the target; expected another column",
    ),
    "no such group": (table([1.0]), {"group": "xx"}, ConfigError, "data.split.group: no column"),
    "no such time": (table([1.0]), {"time": "t"}, ConfigError, "data.split.time: no column 't'"),
    "a column of numbers": (
        table([1.0]),
        {"column": "x"},
        DataError,
        "data.split.column: 'x' holds numeric values; expected train, val or test in each row",
    ),
    "another word": (
        table([0.0, 1.0], WORDS),
        {"column": "w"},
        DataError,
        "data.split.column: 'w' holds 'other'; expected train, val or test in each row",
    ),
    "no word": (
        table(GAPS, COLUMN),
        {"column": "set"},
        DataError,
        "data.split.column: 1 rows have no 'set'; expected train, val or test in each row",
    ),
    "no group": (table(GAPS), {"group": "x"}, DataError, "data.split.group: 1 rows have no 'x'"),
    "no time": (table(GAPS), {"time": "x"}, DataError, "data.split.time: 1 rows have no 'x'"),
    "times that are words": (
        table([0.0], WORDS),
        {"time": "w"},
        DataError,
        "data.split.time: 'w' holds categorical values; expected dates or numbers",
    ),
    "a column that cannot be used": (
        table([0.0], Column("x", fault="f.csv: line 2, column 'x': got 'a'; expected a number")),
        {"group": "x"},
        DataError,
        "f.csv: line 2, column 'x': got 'a'; expected a number",
    ),
    "files and folds": (
        replace(table([0.0, 1.0]), parts=torch.tensor([0, 1])),
        {"folds": 2, "fold": 1},
        ConfigError,
        "data.split.folds: the parts have files of their own; expected one of both",
    ),
    "files of images and folds": (
        Array(torch.zeros(2, 1, 2, 2), ["a", "b"], ("y",), torch.tensor([0, 1])),
        {"folds": 2, "fold": 1},
        ConfigError,
        "data.split.folds: the parts have files of their own; expected one of both",
    ),
    "a group of images": (
        Array(torch.zeros(2, 1, 2, 2), ["a", "b"], ("y",)),
        {"group": "x"},
        ConfigError,
        "data.split.group: samples without columns cannot be parted so",
    ),
    "folds of a text": (
        Tokens(torch.arange(4), torch.tensor([0, 4]), ("a", "b", "c", "d"), 2),
        {"folds": 2, "fold": 1},
        ConfigError,
        "data.split.folds: running text cannot be parted so",
    ),
}


@pytest.mark.parametrize(("data", "split", "kind", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_parted_so(data: Any, split: Any, kind: type[Exception], said: str):
    with pytest.raises(kind) as refused:
        divide(data, options(**split), NUMBERS)
    assert said in str(refused.value)


NAN = float("nan")
LACKING: dict[str, tuple[Any, list[int]]] = {
    "a number": (torch.tensor([[1.0], [NAN], [3.0], [NAN]]), [0, 2]),
    "one of two numbers": (torch.tensor([[1.0, 2], [NAN, 2], [3.0, 4], [5, NAN]]), [0, 2]),
    "a word": (["a", "", "b", ""], [0, 2]),
}


@pytest.mark.parametrize(("target", "there"), LACKING.values(), ids=LACKING)
@pytest.mark.parametrize("kind", [Table, Array])
def test_samples_without_a_target_are_refused_or_left_out(
    kind: type, target: Any, there: list[int]
):
    names = ("y", "z")[: 1 if isinstance(target, list) else target.shape[1]]
    given: Any = replace(
        table([0, 1, 2, 3], target=target), target_names=names, parts=torch.arange(4)
    )
    if kind is Array:
        given = Array(given.inputs, target, names, given.parts)
    with pytest.raises(DataError) as refused:
        complete(given, "error")
    said = f"data: 2 of 4 rows lack {', '.join(names)} (the first is row 2); expected a target"
    assert said in str(refused.value)
    assert "data.missing_target: drop" in str(refused.value)
    left = complete(given, "drop")
    assert left.inputs[:, 0].tolist() == left.parts.tolist() == there
    expected = [target[row] for row in there]
    if isinstance(target, Tensor):
        assert torch.equal(left.target, torch.stack(expected))
    else:
        assert left.target == expected
    assert left.notes == ("2 rows without a target left out",)


def test_complete_data_is_left_alone():
    given = table([1.0, 2.0])
    assert complete(given, "error") is complete(given, "drop") is given


def test_no_target_at_all_is_refused():
    with pytest.raises(DataError, match="no row has a y; expected some"):
        complete(table([1.0, 2.0], target=["", ""]), "drop")
    with pytest.raises(DataError, match="lacks the target y; expected it in every row"):
        complete(Table(torch.zeros(2, 1), numeric("x"), None, ("y",)), "drop")


def test_rows_on_disk_have_to_have_a_target():
    given = spooled([table([1.0, 2.0], target=["a", ""])])
    with pytest.raises(DataError, match="1 rows have no target; a table that is larger than"):
        complete(given, "drop")


def series(steps: int, lookback: int, horizon: int, stride: int = 1) -> Series:
    values = torch.arange(steps, dtype=torch.float64).unsqueeze(1)
    return windows(
        Table(values, numeric("a"), None, ()), None, None, None, lookback, horizon, stride
    )


def test_windows_are_parted_as_in_the_published_protocol():
    """ETTh of 14,400 hours: 8,640 train, and later parts may look back across their border."""
    given = series(14_400, 336, 96)
    found = divide(given, options(train=0.6, val=0.2, test=0.2), NUMBERS)
    assert [len(found[part]) for part in PARTS] == [8640 - 336 - 96 + 1] + [2880 - 96 + 1] * 2
    firsts = {part: given.starts[rows][[0, -1]].tolist() for part, rows in found.items()}
    assert firsts == {
        "train": [0, 8640 - 432],
        "val": [8640 - 336, 11_520 - 432],
        "test": [11_520 - 336, 14_400 - 432],
    }


@given(st.integers(20, 200), st.integers(1, 8), st.integers(1, 8), st.integers(1, 3), st.data())
def test_what_a_window_predicts_lies_in_its_part_alone(
    steps: int, lookback: int, horizon: int, stride: int, data: st.DataObject
):
    train, val = data.draw(st.integers(3, 8)), data.draw(st.integers(3, 8))
    total = train + val + 5
    how = options(train=train / total, val=val / total, test=5 / total)
    given = series(steps, lookback, horizon, stride)
    sizes = round(steps * how["split"]["val"]), round(steps * how["split"]["test"])
    ends = [0, steps - sum(sizes), steps - sizes[1], steps]
    expected = {
        part: [
            place
            for place, start in enumerate(range(0, steps - lookback - horizon + 1, stride))
            if first <= start + lookback and start + lookback + horizon <= last
        ]
        for part, first, last in zip(PARTS, ends[:-1], ends[1:], strict=True)
    }
    assume(all(expected.values()))
    found = divide(given, how, NUMBERS)
    assert {part: rows.tolist() for part, rows in found.items()} == expected


def test_a_part_of_a_series_without_a_window_is_named():
    with pytest.raises(DataError) as refused:
        divide(series(50, 6, 10), options(), NUMBERS)
    assert str(refused.value) == (
        "data.split: the 5 steps of val hold no window of horizon 10 after a lookback of 6; "
        "expected more"
    )


@pytest.mark.parametrize(
    "way", [{"column": "a"}, {"group": "a"}, {"time": "a"}, {"folds": 2, "fold": 1}], ids=str
)
def test_a_series_is_parted_by_time_alone(way: dict[str, Any]):
    said = rf"data.split.{next(iter(way))}: a series, which is parted by time, cannot be parted so"
    with pytest.raises(ConfigError, match=said):
        divide(series(50, 2, 1), options(**way), NUMBERS)


@given(st.lists(st.integers(1, 9), min_size=10, max_size=60), st.integers(0, 3))
def test_documents_are_parted_whole(lengths: list[int], seed: int):
    ends = torch.tensor([0, *lengths]).cumsum(0)
    given = Tokens(torch.arange(int(ends[-1])), ends, ("-",), 3)
    found = divide(given, options(seed=seed), NUMBERS)
    assert torch.cat(list(found.values())).sort().values.tolist() == given.ids.tolist()
    of_token = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    members = [set(of_token[found[part]].tolist()) for part in PARTS]
    assert sum(map(len, members)) == len(lengths)
    assert len(members[1]) == len(members[2]) == round(len(lengths) * 0.1)


def test_a_single_document_is_parted_from_its_beginning_to_its_end():
    given = Tokens(torch.zeros(50, dtype=torch.int64), torch.tensor([0, 50]), ("-",), 3)
    assert divided(given) == {
        "train": list(range(40)),
        "val": list(range(40, 45)),
        "test": list(range(45, 50)),
    }


def test_documents_may_have_parts_of_their_own():
    ends, parts = torch.tensor([0, 2, 5, 6, 9]), torch.tensor([1, 0, 2, 0])
    given = Tokens(torch.arange(9), ends, ("-",), 3, parts=parts)
    assert divided(given) == {"train": [2, 3, 4, 6, 7, 8], "val": [0, 1], "test": [5]}
