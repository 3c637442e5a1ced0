"""What the columns of a text file are found to be, by all of their cells."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nnarch.data.sources.csv import read
from nnarch.data.table import Column, Table

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Puts cells, in quotes, into the column `a` of `houses.csv`."""
    monkeypatch.chdir(tmp_path)

    def put(*cells: str) -> str:
        lines = ['"{}"'.format(cell.replace('"', '""')) for cell in ("a", *cells)]
        Path("houses.csv").write_text("".join(f"{line},1\n" for line in lines))
        return "houses.csv"

    return put


def column(path: str, **options: Any) -> tuple[Column, list[float | None]]:
    """The first column, its cells with None for nothing."""
    table = read(path, header=True, **options)
    cells = table.inputs[:, 0].tolist()
    return table.columns[0], [None if cell != cell else cell for cell in cells]


def date(*numbers: int) -> float:
    return datetime(*numbers, tzinfo=UTC).timestamp()  # type: ignore[misc]


WORDS = {
    "cities": ["Rome", "Oslo", " Rome "],
    "codes": ["01234", "98765", "00000"],
    "codes and nothing": ["?1", "02"],
    "levels": ["1", "2", "3+"],
    "versions": ["1.0.2", "1.0.10"],
    "addresses": ["192.168.100.200", "10.0.0.1"],
    "one truth": ["yes", "Yes"],
    "three truths": ["yes", "no", "maybe"],
    "truths of two kinds": ["yes", "false"],
    "no such date": ["2020-02-30", "2020-01-01"],
    "dates of two kinds": ["2020-01-01", "31/12/2020"],
    "undecided dates": ["01/02/2020", "03/04/2020"],
    "impossible dates": ["13/13/2020", "01/02/2020"],
    "years of dates of two digits": ["31/12/20", "30/12/20"],
    "a few numbers": ["1", "2", "3", "4", "5", "6", "7", "8", "x"],
    "mostly words": [*"1234567890", "x", "y"],
    "infinite words": ["inf", "x"],
}


@pytest.mark.parametrize("cells", WORDS.values(), ids=WORDS)
def test_words(write: Write, cells: list[str]):
    found, codes = column(write(*cells))
    words = list(dict.fromkeys(cell.strip() for cell in cells))
    assert found == Column("a", "categorical", tuple(words))
    assert codes == [words.index(cell.strip()) for cell in cells]


NUMBERS: dict[str, tuple[list[str], list[float | None]]] = {
    "plain": (["1", "-2.5", "+3e2", ".5", "4."], [1, -2.5, 300, 0.5, 4]),
    "nothing in many ways": (["1", "", "NA", "n/a", "-", "NaN", "7"], [1, *[None] * 5, 7]),
    "0 and 1": (["0", "1", "1"], [0, 1, 1]),
    "years": (["1990", "2020"], [1990, 2020]),
    "zeros before numbers of many lengths": (["01", "2", "003"], [1, 2, 3]),
    "single digits": (["0", "7"], [0, 7]),
    "decimals of one length": (["0.5", "1.5"], [0.5, 1.5]),
    "spaces": ([" 1", "2 "], [1, 2]),
    "nothing but signs of it": (["?", "-"], [None, None]),
}


@pytest.mark.parametrize(("cells", "expected"), NUMBERS.values(), ids=NUMBERS)
def test_numbers(write: Write, cells: list[str], expected: list[float | None]):
    assert column(write(*cells)) == (Column("a"), expected)


@pytest.mark.parametrize(
    ("yes", "no"), [("true", "false"), ("Yes", "NO"), ("y", "n"), ("T", "F"), ("TRUE", "False")]
)
def test_true_and_false(write: Write, yes: str, no: str):
    found, cells = column(write(yes, no, "", "NA", yes.lower(), no.upper()))
    assert found == Column("a", "boolean")
    assert cells == [1, 0, None, None, 1, 0]


DATES: dict[str, tuple[list[str], list[float | None]]] = {
    "days": (["2016-07-01", "1969-12-31"], [date(2016, 7, 1), -86400]),
    "nothing": (["2016-07-01", "", "NA", "-"], [date(2016, 7, 1), None, None, None]),
    "slashes": (["2016/07/01", "2016/7/2"], [date(2016, 7, 1), date(2016, 7, 2)]),
    "months": (["1949-01", "1949-12"], [date(1949, 1, 1), date(1949, 12, 1)]),
    "times": (["2016-07-01 00:30:00", "2016-07-01 01:00"], [1467333000, 1467334800]),
    "T": (["2016-07-01T00:30:00.25", "2016-07-01T00:30"], [1467333000.25, 1467333000]),
    "zones": (
        ["2016-07-01T00:30:00Z", "2016-07-01 02:30+02:00", "2016-06-30 23:30:00.5 -0100"],
        [1467333000, 1467333000, 1467333000.5],
    ),
    "day first": (["31/12/2020", "01/02/2020"], [date(2020, 12, 31), date(2020, 2, 1)]),
    "month first": (["12/31/2020", "01/02/2020"], [date(2020, 12, 31), date(2020, 1, 2)]),
    "dots": (["31.12.2020 10:00", "1.2.2020"], [date(2020, 12, 31, 10), date(2020, 2, 1)]),
}


@pytest.mark.parametrize(("cells", "expected"), DATES.values(), ids=DATES)
def test_dates(write: Write, cells: list[str], expected: list[float | None]):
    assert column(write(*cells)) == (Column("a", "datetime"), expected)


@settings(max_examples=40)
@example([datetime(1969, 12, 31, 23, 59, 58, 499999), datetime(1969, 12, 31, 23, 59, 59, 999999)])
@given(st.lists(st.datetimes(datetime(1, 1, 1), datetime(9999, 1, 1)), min_size=1))
def test_any_time_as_python_writes_it(
    tmp_path_factory: pytest.TempPathFactory, times: list[datetime]
):
    path = tmp_path_factory.getbasetemp() / "times.csv"
    path.write_text("a,b\n" + "".join(f"{time.isoformat()},1\n" for time in times))
    found, cells = column(str(path))
    assert found.kind == "datetime"
    epoch = datetime(1970, 1, 1)
    assert cells == [(time - epoch) / timedelta(seconds=1) for time in times]


def test_dates_that_may_begin_with_either_are_words_with_a_note(write: Write):
    table = read(write("01/02/2020", "03/04/2020"), header=True)
    assert table.columns[0].kind == "categorical"
    assert table.notes == ("column 'a': its dates may begin with the day or with the month",)


def test_one_cell_anywhere_decides(write: Write):
    cells = [f"{day:02}/02/2020" for day in range(1, 13)] * 300
    assert column(write(*cells))[0].kind == "categorical"
    assert column(write(*cells, "13/02/2020"))[0].kind == "datetime"
    assert column(write(*cells, "13/02/2020", "02/13/2020"))[0].kind == "categorical"
    numbers = [str(number) for number in range(1000, 5000)]
    assert column(write(*numbers))[0].kind == "numeric"
    assert column(write(*numbers, "0000"))[0].kind == "categorical"
    assert column(write(*numbers, "0000", "1"))[0].kind == "numeric"


def test_some_words_among_numbers_are_a_fault_and_many_are_not(write: Write):
    found, cells = column(write(*map(str, range(90)), *"abcdefghij"))
    assert found.kind == "numeric"
    assert found.fault == (
        "houses.csv: line 92, column 'a': got 'a' (10 such cells); expected a number; "
        "data.types: {a: categorical} takes it as words"
    )
    assert cells == [None] * 100
    found, _ = column(write(*map(str, range(90)), *"abcdefghijk"))
    assert (found.kind, found.fault) == ("categorical", "")


def test_columns_that_are_words_by_order(write: Write):
    found, cells = column(write("1", "02", "x", "1"), words=["a"])
    assert (found.words, cells) == (("1", "02", "x"), [0, 1, 2, 0])
    found, cells = column(write("2", "1", "", "2"), words=["a"])
    assert (found, cells) == (Column("a", "categorical", ("2", "1")), [0, 1, None, 0])
    found, cells = column(write("", ""), words=["a"])
    assert (found, cells) == (Column("a", "categorical"), [None, None])


CELL = st.sampled_from(
    ["1", "02", "3.5", "1e5", "x", "NA", "", " 4 ", "yes", "no", "2020-01-01", "1,5", "inf", "12"]
)


@given(st.lists(CELL, min_size=1, max_size=40), st.integers(0, 3000))
def test_what_a_column_is_does_not_depend_on_what_comes_first(
    tmp_path_factory: pytest.TempPathFactory, cells: list[str], numbers: int
):
    """A long run of numbers before the cells, or after them, leads to the same."""
    path = tmp_path_factory.getbasetemp() / "either.csv"

    def table(column: list[str]) -> Table:
        path.write_text("a;b\n" + "".join(f'"{cell}";1\n' for cell in column))
        return read(str(path), separator=";")

    run = [str(number) for number in range(10, 10 + numbers)]
    first, last = table([*cells, *run]), table([*run, *cells])
    assert first.columns[0].kind == last.columns[0].kind
    assert set(first.columns[0].words) == set(last.columns[0].words)
    assert bool(first.columns[0].fault) == bool(last.columns[0].fault)
    if not first.columns[0].words:
        expected = first.inputs[:, 0].roll(-len(cells)).nan_to_num(-7)
        assert expected.tolist() == last.inputs[:, 0].nan_to_num(-7).tolist()[: len(run)] + (
            last.inputs[len(run) :, 0].nan_to_num(-7).tolist()
        )
