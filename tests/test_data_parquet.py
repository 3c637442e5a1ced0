"""Parquet files: columns are what they say they are, and values come back as they were written."""

import inspect
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnarch.data.sources.parquet import chunks, parquet, read
from nnarch.data.table import Column, Table
from nnarch.errors import ConfigError, DataError, NnarchError
from nnarch.registry import sources


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str = "houses.parquet", **columns: Any) -> str:
    pl.DataFrame(columns).write_parquet(name)
    return name


def cells(table: Table) -> list[list[float | None]]:
    return [[None if cell != cell else cell for cell in row] for row in table.inputs.tolist()]


def fault(call: Callable[[], Any], kind: type[NnarchError] = DataError) -> str:
    with pytest.raises(kind) as caught:
        call()
    (line,) = caught.value.lines
    return line


COLUMNS: dict[str, tuple[pl.Series, Column, list[float | None]]] = {
    "whole": (pl.Series([1, None, -3], dtype=pl.Int16), Column("a"), [1, None, -3]),
    "float32": (pl.Series([0.5, float("nan")], dtype=pl.Float32), Column("a"), [0.5, None]),
    "decimal": (pl.Series([Decimal("1.25"), None]), Column("a"), [1.25, None]),
    "boolean": (pl.Series([True, None, False]), Column("a", "boolean"), [1, None, 0]),
    "words": (
        pl.Series(["Rome", "NA", None, "", "Rome", " 1"]),
        Column("a", "categorical", ("Rome", "NA", "1")),
        [0, 1, None, None, 0, 2],
    ),
    "words of numbers": (
        pl.Series(["2", "01"]),
        Column("a", "categorical", ("2", "01")),
        [0, 1],
    ),
    "categories": (
        pl.Series(["x", None, "y"], dtype=pl.Categorical),
        Column("a", "categorical", ("x", "y")),
        [0, None, 1],
    ),
    "enum": (
        pl.Series(["x", "z"], dtype=pl.Enum(["z", "y", "x"])),
        Column("a", "categorical", ("x", "z")),
        [0, 1],
    ),
    "dates": (
        pl.Series([date(2016, 7, 1), None]),
        Column("a", "datetime"),
        [1467331200, None],
    ),
    "times": (
        pl.Series([datetime(2016, 7, 1, 0, 0, 0, 500000)], dtype=pl.Datetime("ns")),
        Column("a", "datetime"),
        [1467331200.5],
    ),
    "times of a zone": (
        pl.Series([datetime(2016, 7, 1, tzinfo=UTC)]).dt.convert_time_zone("Asia/Tokyo"),
        Column("a", "datetime"),
        [1467331200],
    ),
    "nothing": (pl.Series([None, None]), Column("a"), [None, None]),
}


@pytest.mark.parametrize(("column", "expected", "values"), COLUMNS.values(), ids=COLUMNS)
def test_columns(column: pl.Series, expected: Column, values: list[float | None]):
    table = read(write(a=column))
    assert table.columns == (expected,)
    assert cells(table) == [[value] for value in values]
    assert (table.target, table.target_names, table.parts, table.notes) == (None, (), None, ())


def test_targets():
    path = write(a=[1, 2], n=[1.5, None], w=["x", None], b=[True, False], d=[date(2020, 1, 2)] * 2)
    table = read(path, target=["n"])
    assert isinstance(table.target, torch.Tensor)
    assert table.target[0].tolist() == [1.5]
    assert table.target.isnan().tolist() == [[False], [True]]
    assert table.input_names == ("a", "w", "b", "d")
    assert read(path, target=["w"]).target == ["x", ""]
    assert read(path, target=["b"]).target == ["true", "false"]
    assert read(path, target=["d"]).target == ["2020-01-02", "2020-01-02"]
    several = read(path, target=["b", "a"]).target
    assert isinstance(several, torch.Tensor)
    assert several.tolist() == [[1, 1], [0, 2]]
    assert read(path, target=["a"], labels=True).target == ["1", "2"]
    assert read(path, target=["z"], needs_target=False).target is None
    assert fault(lambda: read(path, target=["z"])) == (
        "houses.parquet: no column 'z'; known: a, n, w, b, d"
    )
    assert fault(lambda: read(path, target=["a", "w"])) == (
        "houses.parquet: row 1, column 'w': got 'x'; expected a number, as several targets all are"
    )


def test_words_by_order():
    table = read(write(a=[3, 1, 3]), words=["a"])
    assert table.columns == (Column("a", "categorical", ("3", "1")),)
    assert cells(table) == [[0], [1], [0]]


@pytest.mark.parametrize(
    ("values", "got", "expected"),
    [
        ([1.0, float("inf"), float("inf")], "'inf' (2 such cells)", "a finite number"),
        ([1.0, 1e39], "'1e+39'", "a number that float32 holds, at most 3.4e38: rescale the column"),
    ],
)
def test_numbers_that_cannot_be_used(values: list[float], got: str, expected: str):
    path = write(a=values, b=values)
    message = f"houses.parquet: row 2, column 'a': got {got}; expected {expected}"
    table = read(path, target=["b"][:0])
    assert table.columns[0].fault == message
    assert table.inputs.isnan().all()
    assert fault(lambda: read(path, target=["a"])) == message


@pytest.mark.parametrize(
    ("value", "kind"), [([[1, 2]], "List(Int64)"), ([{"x": 1}], "Struct"), ([b"1"], "Binary")]
)
def test_columns_of_other_types(value: Any, kind: str):
    path = write(a=value, b=[1])
    table = read(path)
    assert table.columns[0].fault.startswith(
        f"houses.parquet: column 'a': got cells of type {kind}"
    )
    assert cells(table) == [[None, 1]]
    assert fault(lambda: read(path, target=["a"])) == table.columns[0].fault


def test_a_folder_and_a_pattern_and_a_list():
    Path("parts").mkdir()
    write("parts/b.parquet", a=[1], w=["x"])
    write("parts/a.parquet", w=["y", "x"], a=[2, 3])
    Path("parts/notes.txt").write_text("")
    for path in ("parts", "parts/*.parquet", ["parts/a.parquet", "parts/b.parquet"]):
        table = read(path)
        assert table.input_names == ("w", "a")
        assert table.columns[0].words == ("y", "x")
        assert cells(table) == [[0, 2], [1, 3], [1, 1]]
    write("parts/c.parquet", a=[1])
    assert fault(lambda: read("parts")) == (
        "parts/c.parquet: has no column 'w', which parts/a.parquet has; expected the same ones"
    )


def test_columns_of_two_kinds_are_refused_but_not_of_none():
    write("a.parquet", a=["x", "y"])
    write("b.parquet", a=[1, 2])
    write("c.parquet", a=[None])
    assert fault(lambda: read(["a.parquet", "b.parquet"])) == (
        "b.parquet: column 'a' is numeric, but categorical in a.parquet; expected one kind"
    )
    assert cells(read(["a.parquet", "c.parquet"])) == [[0], [1], [None]]
    assert cells(read(["c.parquet", "b.parquet"])) == [[None], [1], [2]]
    assert read(["c.parquet", "a.parquet"]).columns[0].words == ("x", "y")


def test_the_source_and_its_parts():
    write("train.parquet", a=[1, 2], y=["p", "q"])
    write("val.parquet", a=[3], y=["r"])
    table = parquet(path="train.parquet", val="val.parquet", target="y")
    assert table.target == ["p", "q", "r"]
    assert table.parts is not None
    assert table.parts.tolist() == [0, 0, 1]
    assert fault(lambda: parquet(path="val.parquet"), ConfigError) == (
        "data.target: missing; expected the column to predict, one of a, y"
    )


def test_every_option_is_explained():
    schema = sources.get("parquet").schema
    options = inspect.signature(parquet).parameters
    assert all(schema.model_fields[name].description for name in options)


def test_files_that_are_none():
    whole = Path(write(a=list(range(1000)))).read_bytes()
    damaged = "cannot be read as Parquet, it is damaged or of another format: "
    for content in (whole[:-100], whole[: len(whole) // 2], b"a,b\n1,2\n", b""):
        Path("broken.parquet").write_bytes(content)
        assert fault(lambda: read("broken.parquet")).startswith(f"broken.parquet: {damaged}")
    assert fault(lambda: read("none.parquet")).startswith("none.parquet: no such file")
    Path("empty").mkdir()
    assert fault(lambda: read("empty")).startswith("empty: holds no *.parquet; ")
    assert fault(lambda: read(write(a=[]))) == "houses.parquet: has no rows; expected some"
    for path in ("s3://bucket/a.parquet", "https://host/a.parquet"):
        assert fault(lambda path=path: read(path)).startswith(f"{path}: is no file of this machine")


def test_a_folder_named_like_a_value_adds_no_column():
    Path("year=2020").mkdir()
    write("year=2020/a[1].parquet", a=[1])
    assert read("year=2020/a[1].parquet").input_names == ("a",)


NUMBERS = st.none() | st.floats(-3e38, 3e38)
TEXT = st.none() | st.text(st.sampled_from("abé 1,\n"), max_size=3)


@settings(max_examples=50)
@given(
    st.lists(st.tuples(NUMBERS, TEXT, st.none() | st.booleans(), NUMBERS), min_size=1),
    st.integers(8, 200),
)
def test_any_table_in_chunks(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, ...]], size: int
):
    path = str(tmp_path_factory.getbasetemp() / "any.parquet")
    kinds = {"a": pl.Float64, "b": pl.String, "c": pl.Boolean, "y": pl.Float64}
    pl.DataFrame(rows, kinds, orient="row").write_parquet(path)
    table = read(path, target=["y"])
    words = table.columns[1].words
    found = [
        [row[0], None if row[1] is None else words[int(row[1])], row[2]] for row in cells(table)
    ]
    expected = [[a, (b or "").strip() or None, c] for a, b, c, _ in rows]
    assert found == expected
    parts = list(chunks(path, target=["y"], rows_or_bytes=size))
    assert all(part.columns == table.columns for part in parts)
    assert all(len(part) <= max(1, size // 32) for part in parts)
    assert [row for part in parts for row in cells(part)] == cells(table)
    assert isinstance(table.target, torch.Tensor)
    targets = torch.cat([part.target for part in parts if isinstance(part.target, torch.Tensor)])
    assert torch.equal(targets.nan_to_num(0), table.target.nan_to_num(0))
