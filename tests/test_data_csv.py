"""Text files: cells come back as they were written, and every fault names its line and column."""

import csv as csv_module
import gzip
import inspect
import io
import os
import random
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnarch.data.formats import findings
from nnarch.data.formats.cells import Decimal, number_in
from nnarch.data.formats.dialect import Separator
from nnarch.data.sources.csv import chunks, csv, read
from nnarch.data.table import Column, Table
from nnarch.errors import ConfigError, DataError, NnarchError
from nnarch.registry import sources

Write = Callable[[str | bytes], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Puts a text into `houses.csv`, in the working directory."""
    monkeypatch.chdir(tmp_path)

    def put(text: str | bytes) -> str:
        Path("houses.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
        return "houses.csv"

    return put


def rows(table: Table) -> list[list[float]]:
    return table.inputs.tolist()


def cells(table: Table) -> list[list[float | None]]:
    """The inputs, with None in place of NaN, which equals nothing."""
    return [[None if cell != cell else cell for cell in row] for row in rows(table)]


def target(table: Table) -> Any:
    return table.target.tolist() if isinstance(table.target, torch.Tensor) else table.target


def fault(call: Callable[[], Any], kind: type[NnarchError] = DataError) -> str:
    with pytest.raises(kind) as caught:
        call()
    (line,) = caught.value.lines
    return line


# What is read


def test_numbers_and_names(write: Write):
    table = csv(path=write("rooms,size,price\n3,70.5,1e5\n4,-2,0\n"), target="price")
    assert rows(table) == [[3, 70.5], [4, -2]]
    assert table.input_names == ("rooms", "size")
    assert target(table) == [[1e5], [0]]
    assert table.target_names == ("price",)
    assert table.inputs.dtype == torch.float64
    assert table.inputs.is_contiguous()


@pytest.mark.parametrize(
    "text",
    [
        "a,b,y\n1,2,3\n4,5,6\n",
        "a,b,y\n1,2,3\n4,5,6",
        "a,b,y\r\n1,2,3\r\n4,5,6\r\n",
        "a,b,y\r1,2,3\r4,5,6\r",
        "\ufeffa,b,y\n1,2,3\n4,5,6\n",
        "a,b,y\n1,2,3\n4,5,6\n\n\n",
        "a,b,y\n1,2,3\n4,5,6\n  \n",
        " a , b,y\n1, 2,3 \n 4,5 ,6\n",
        '"a","b","y"\n"1","2","3"\n4,5,"6"\n',
        '"a\n",b,y\n1,2,3\n4,5,6\n',
        "a,b,y\n+1,2.,3e0\n4.0,.5e1,6\n",
    ],
)
def test_the_same_table_however_it_is_written(write: Write, text: str):
    table = csv(path=write(text), target="y")
    assert rows(table) == [[1, 2], [4, 5]]
    assert table.input_names == ("a", "b")
    assert target(table) == [[3], [6]]


def test_columns_of_any_kind(write: Write):
    table = csv(
        path=write("size,city,new,since,y\n1.5,Rome,yes,2016-07-01,1\n,Oslo,no,,2\n,,,,3\n"),
        target="y",
    )
    assert [column.kind for column in table.columns] == [
        "numeric",
        "categorical",
        "boolean",
        "datetime",
    ]
    assert table.columns[1] == Column("city", "categorical", ("Rome", "Oslo"))
    assert cells(table) == [[1.5, 0, 1, 1467331200], [None, 1, 0, None], [None] * 4]


@pytest.mark.parametrize(
    ("separator", "character"), [(";", ";"), ("|", "|"), ("tab", "\t"), ("space", " ")]
)
def test_separators(write: Write, separator: Separator, character: str):
    path = write("a,y\n1.5,2\n".replace(",", character))
    table = csv(path=path, target="y", separator=separator)
    assert (rows(table), target(table), table.notes) == ([[1.5]], [[2]], ())
    table = csv(path=path, target="y")
    assert (rows(table), target(table)) == ([[1.5]], [[2]])
    assert table.notes == (f"separator {separator!r}",)


@pytest.mark.parametrize(
    ("rows", "values"),
    [
        ("1,5;2\n2,25;3\n", [1.5, 2.25]),
        ("1,5e2;2\n-,;3\n-0,25;3\n", None),  # a broken cell is no reason to guess
        ("1,500;2\n-0,25;3\n", [1.5, -0.25]),
        ("1.5;2\n2.25;3\n", [1.5, 2.25]),
    ],
)
def test_the_sign_of_decimals_is_found(write: Write, rows: str, values: list[float] | None):
    table = csv(path=write(f"x;y\n{rows}"), target="y")
    if values is not None:
        assert table.inputs[:, 0].tolist() == values
        assert ("decimals stand behind a comma" in table.notes) == ("," in rows)


@pytest.mark.parametrize("rows", ["1,500;2\n2,250;3\n", "1,5;2\n2.25;3\n"])
def test_what_may_be_thousands_is_not_taken_for_decimals(write: Write, rows: str):
    table = csv(path=write(f"x;y\n{rows}"), target="y")
    assert "expected a number such as 1000.5" in table.columns[0].fault


def test_one_sign_of_decimals_holds_for_all_files(tmp_path: Path):
    (tmp_path / "a.csv").write_text("x;y\n1;2\n")
    (tmp_path / "b.csv").write_text("x;y\n1,5;2\n")
    table = csv(path=[str(tmp_path / "a.csv"), str(tmp_path / "b.csv")], target="y")
    assert table.inputs[:, 0].tolist() == [1.0, 1.5]


def test_decimal_commas(write: Write):
    table = csv(path=write("a;y\n1,5;2\n-3e1;,25\n"), target="y", separator=";", decimal=",")
    assert (rows(table), target(table)) == ([[1.5], [-30]], [[2], [0.25]])


def test_several_targets(write: Write):
    table = csv(path=write("a,y,b,z\n1,2,3,4\n"), target=["z", "y"])
    assert (table.target_names, target(table)) == (("z", "y"), [[4, 2]])
    assert rows(table) == [[1, 3]]


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        ("cat dog cat", ["cat", "dog", "cat"]),
        ("true false True", ["true", "false", "True"]),
        ("NA DE NA", ["NA", "DE", "NA"]),
        ("1 2 3+", ["1", "2", "3+"]),
        ('"a,b" "c""d" é', ["a,b", 'c"d', "é"]),
        ("Ja nein nan", ["Ja", "nein", "nan"]),
        ("e4 d5 3", ["e4", "d5", "3"]),
        ("1.0.2 1.0.3 1.0.2", ["1.0.2", "1.0.3", "1.0.2"]),
    ],
)
def test_a_target_of_words_keeps_them(write: Write, cells: str, labels: list[str]):
    text = "a,y\n" + "".join(f"{place},{cell}\n" for place, cell in enumerate(cells.split()))
    assert csv(path=write(text), target="y").target == labels
    assert csv(path=write(text + "\n"), target="y").target == labels


def test_a_label_may_hold_a_line_break(write: Write):
    table = csv(path=write('a,y\n1,"x\ny"\n2,z\n'), target="y")
    assert target(table) == ["x\ny", "z"]


def test_a_column_called_x_squared(write: Write):  # "x^" also opens a compressed stream
    assert rows(csv(path=write("x^2,y\n4,1\n"), target="y")) == [[4]]


# Files without a target, and several files


def test_another_file_may_lack_the_target(write: Write):
    path = write("b,a\n2,1\n")
    table = read(Path(path), target=["y"], needs_target=False)
    assert (rows(table), table.target, table.target_names) == ([[2, 1]], None, ("y",))
    assert fault(lambda: read(path, target=["y"])).startswith("houses.csv: no column 'y'; ")


def test_a_target_that_is_there_is_read_though_it_need_not_be(write: Write):
    table = read(write("b,y\n2,1\n"), target=["y"], needs_target=False)
    assert (rows(table), target(table)) == ([[2]], [[1]])


def test_a_part_of_the_target_is_no_target_and_no_input(write: Write):
    table = read(write("b,y\n2,1\n"), target=["y", "z"], needs_target=False)
    assert (rows(table), table.target) == ([[2]], None)


def test_another_file_may_have_one_column(write: Write):
    assert rows(read(write("a\n1\n2\n"))) == [[1], [2]]


def test_labels_that_look_like_numbers_stay_words_where_asked(write: Write):
    path = write("a,y\n1,1\n2,02\n")
    assert target(read(path, target=["y"])) == [[1], [2]]
    assert target(read(path, target=["y"], labels=True)) == ["1", "02"]


def test_a_target_of_numbers_stays_so_where_asked(write: Write):
    path = write("a,y\n1,cat\n")
    message = fault(lambda: read(path, target=["y"], labels=False))
    assert message.startswith("houses.csv: line 2, column 'y': got 'cat'; expected a number")


def test_files_are_matched_by_the_names_of_their_columns(write: Write):
    write("")
    Path("b.csv").write_text("y,city,a\n3,Oslo,1\n")
    Path("a.csv").write_text("a,city,y\n4,Rome,6\n5,Oslo,7\n")
    table = read("[ab].csv", target=["y"])
    assert rows(table) == [[4, 0], [5, 1], [1, 1]]
    assert table.columns[1].words == ("Rome", "Oslo")
    assert target(table) == [[6], [7], [3]]
    assert rows(read(["b.csv", "a.csv"], target=["y"])) == [[0, 1], [1, 4], [0, 5]]


def test_files_of_other_columns_are_refused(write: Write):
    write("")
    Path("a.csv").write_text("a,y\n1,2\n")
    Path("b.csv").write_text("a,z\n1,2\n")
    Path("c.csv").write_text("a\n1\n")
    assert fault(lambda: read(["a.csv", "b.csv"])) == (
        "b.csv: has column 'z', which a.csv has not; expected the same ones"
    )
    assert fault(lambda: read(["a.csv", "c.csv"])) == (
        "c.csv: has no column 'y', which a.csv has; expected the same ones"
    )


def test_a_column_is_of_one_kind_in_all_files(write: Write):
    write("")
    Path("a.csv").write_text("a,code\n1,12\n2,34\n")
    Path("b.csv").write_text("a,code\nx,01\ny,34\n")
    table = read(["a.csv", "b.csv"])
    assert [column.words for column in table.columns] == [
        ("1", "2", "x", "y"),
        ("12", "34", "01"),
    ]
    assert rows(table) == [[0, 0], [1, 1], [2, 2], [3, 1]]


def test_files_of_their_own_for_validation_and_test(write: Write):
    write("a,y\n1,cat\n2,dog\n")
    Path("val.csv").write_text("y,a\ncow,3\n")
    Path("test.csv").write_text("a,y\n4,dog\n5,cat\n")
    table = csv(path="houses.csv", val="val.csv", test=["test.csv"], target="y")
    assert rows(table) == [[1], [2], [3], [4], [5]]
    assert table.target == ["cat", "dog", "cow", "dog", "cat"]
    assert table.parts is not None
    assert table.parts.tolist() == [0, 0, 1, 2, 2]
    table = csv(path="houses.csv", test="test.csv", target="y")
    assert table.parts is not None
    assert table.parts.tolist() == [0, 0, 2, 2]
    assert csv(path="houses.csv", target="y").parts is None


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no*.csv", "no*.csv: matches no file; expected one at least"),
        ("https://host/a.csv", "https://host/a.csv: is no file of this machine; expected a path"),
        (["houses.csv", "houses.csv"], "houses.csv: is named twice; expected each file once"),
    ],
)
def test_paths_that_are_no_files(write: Write, path: str | list[str], message: str):
    write("a,y\n1,2\n")
    assert fault(lambda: read(path)).startswith(message)


def test_a_file_with_the_signs_of_a_pattern_in_its_name(write: Write):
    os.rename(write("a,y\n1,2\n"), "houses[1].csv")
    assert rows(read("houses[1].csv")) == [[1, 2]]


def test_compressed_files(write: Write):
    path = write(gzip.compress(b"a,y\n1,2\n"))
    assert rows(read(path)) == [[1, 2]]
    os.rename(path, "houses.csv.gz")
    assert rows(read("houses.csv.gz")) == [[1, 2]]


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(random.Random(0).randbytes(99).hex().encode(), mtime=0)[:-20],
        gzip.compress(b"a,y\n1,2\n", mtime=0)[:-8] + bytes(8),
        b"\x1f\x8bnonsense",
    ],
)
def test_damaged_compressed_files(write: Write, content: bytes):
    path = write(content)
    assert fault(lambda: read(path)).startswith("houses.csv: cannot be decompressed, it is dam")


# Cells that hold nothing

LIKE_NOTHING = ["", " ", "NA", "n/a", "NaN", "null", "None", "nil", "?", "-"]


@pytest.mark.parametrize("cell", LIKE_NOTHING)
def test_nothing_among_numbers(write: Write, cell: str):
    path = write(f"a,y\n1,2.5\n{cell},3.5\n2,{cell}\n")
    table = csv(path=path, target="y")
    assert cells(table) == [[1], [None], [2]]
    assert target(table)[:2] == [[2.5], [3.5]]
    assert target(table)[2] != target(table)[2]


def test_nothing_among_words_is_the_empty_cell_alone(write: Write):
    table = csv(path=write("a,y\nNA,NA\n ,DE\nDE,\n-,?\n"), target="y")
    assert table.columns[0].words == ("NA", "DE", "-")
    assert cells(table) == [[0], [None], [1], [2]]
    assert table.target == ["NA", "DE", "", "?"]


@pytest.mark.parametrize("missing", [["-999"], ["x", "-999"], ["unknown", " -999 "]])
def test_words_of_one_s_own_that_mean_nothing(write: Write, missing: list[str]):
    word = missing[0].strip()
    path = write(f"a,b,y\n1,NA,p\n{word},{word.upper()},q\n2,DE,{word}\n")
    table = csv(path=path, target="y", na_values=missing)
    assert cells(table) == [[1, 0], [None, None], [2, 1]]
    assert table.columns[1].words == ("NA", "DE")
    assert table.target == ["p", "q", ""]


def test_a_column_of_nothing(write: Write):
    table = csv(path=write("a,b,y\n,?,1\n,NA,2\n"), target="y")
    assert [column.kind for column in table.columns] == ["numeric", "numeric"]
    assert cells(table) == [[None, None]] * 2


# What is refused

FINITE = "a finite number"
FLOAT32 = "a number that float32 holds, at most 3.4e38: rescale the column"
LIKE_OTHERS = "a number, as other rows of the target hold"
AS_WORDS = "a number; data.types: {a: categorical} takes it as words"
SIGNS = (
    "a number such as 1000.5, without separators of thousands; "
    "data.decimal says what stands before decimals"
)
TEN = "".join(f"{number},{number}.5\n" for number in range(10))
CELLS = {
    "infinite": ("a,y\n-inf,2\n", "line 2, column 'a'", "'-inf'", FINITE),
    "beyond float32": ("a,y\n1,2\n1e39,2\n", "line 3, column 'a'", "'1e39'", FLOAT32),
    "beyond float64": ("a,y\n1,2\n-1e400,3\n", "line 3, column 'a'", "'-1e400'", FLOAT32),
    "beyond in the target": ("a,y\n1,-1e400\n", "line 2, column 'y'", "'-1e400'", FLOAT32),
    "thousands": ('a,y\n"1,000",2\n', "line 2, column 'a'", "'1,000'", SIGNS),
    "thousands target": ('a,y\n1,"1,000"\n1,3\n', "line 2, column 'y'", "'1,000'", SIGNS),
    "word among numbers": (
        f"a,y\n{TEN}Rome,1\nRome,2\n",
        "line 12, column 'a'",
        "'Rome' (2 such cells)",
        AS_WORDS,
    ),
    "underscore": (f"a,y\n{TEN}1_000,2\n", "line 12, column 'a'", "'1_000'", AS_WORDS),
    "other digits": (f"a,y\n{TEN}\u0661,2\n", "line 12, column 'a'", "'\u0661'", AS_WORDS),
    "word in the target": ("a,y\n1,2.5\n2,x\n", "line 3, column 'y'", "'x'", LIKE_OTHERS),
    "several kinds": (
        f"a,y\n{TEN}Rome,2\ninf,1\n-inf,1\ninf,1\n",
        "line 12, column 'a'",
        "'Rome'",
        AS_WORDS,
    ),
}


@pytest.mark.parametrize(("text", "place", "got", "expected"), CELLS.values(), ids=CELLS)
def test_a_cell_that_cannot_be_used_is_shown_with_its_place(
    write: Write, text: str, place: str, got: str, expected: str
):
    """A target that cannot be used is refused; an input says why once it is used."""
    path = write(text)
    if "'y'" in place:
        message = fault(lambda: csv(path=path, target="y"))
    else:
        table = csv(path=path, target="y")
        message = table.columns[0].fault
        assert table.inputs.isnan().all()
    assert message == f"houses.csv: {place}: got {got}; expected {expected}"


def test_a_column_that_cannot_be_used_leaves_the_others_be(write: Write):
    table = csv(path=write("a,b,c,y\n1,1e39,x,2\n3,4,z,5\n"), target="y")
    assert [bool(column.fault) for column in table.columns] == [False, True, False]
    assert cells(table) == [[1, None, 0], [3, None, 1]]


@pytest.mark.parametrize(("cell", "decimal"), [("1,5", "."), ("1.5", ","), ("1.000,5", ".")])
def test_the_other_sign_of_decimals_is_not_guessed(write: Write, cell: str, decimal: Decimal):
    path = write(f"a;y\n{cell};2\n")
    table = csv(path=path, target="y", separator=";", decimal=decimal)
    assert f"got '{cell}'; expected a number such as 1000{decimal}5" in table.columns[0].fault


TWO = "got 2 cells; expected 3"
ROWS = {
    "short": ("a,b,y\n1,2,3\n4,5\n", f"line 3: {TWO}"),
    "short of a column that is not used": ("a,y,b\n1,2,3\n4,5\n", f"line 3: {TWO}"),
    "long": ("a,b,y\n1,2,3,4\n", "line 2: got 4 cells; expected 3"),
    "every row long": ("a,b,y\n1,2,3,4\n1,2,3,4\n", "line 2: got 4 cells; expected 3"),
    "empty line": ("a,b,y\n1,2,3\n\n4,5,6\n", "line 3 is empty; expected the header or a row"),
    "after a quoted line break": ('b,a,y\n1,2,"p\nq"\n1,2\n', f"line 4: {TWO}"),
    "open quote": ('a,b,y\n1,2,3\n1,2,"3\n1,2,3\n', "line 3: broken quotes"),
    "open quote at the end": ('b,a,y\n1,2,3\n1,2,"3\n', "line 3: broken quotes"),
    "text after a quote": ('a,b,y\n1,"2"x,3\n', "line 2: broken quotes"),
}


@pytest.mark.parametrize(("text", "message"), ROWS.values(), ids=ROWS)
def test_a_row_that_does_not_fit_the_header_is_never_shifted(write: Write, text: str, message: str):
    path = write(text)
    given = fault(lambda: csv(path=path, target="y", separator=","))
    assert given.startswith(f"houses.csv: {message}")


SAVE = "save it as CSV in UTF-8"
FILES = {
    "no bytes": ("", "is empty; expected a header and rows"),
    "empty lines": ("\n\n", "is empty; expected a header and rows"),
    "only a header": ("a,y\n", "has a header, but no rows; expected some"),
    "line before the header": ("\na,y\n1,2\n", "line 1 is empty; expected the header or a row"),
    "same name twice": (
        "a,b,a,y\n1,2,3,4\n",
        "line 1: columns 1 and 3 have the same name, 'a'; expected each to have its own",
    ),
    "no such target": ("a,yy\n1,2\n", "no column 'y'; did you mean 'yy'? known: a, yy"),
    "no header": (
        "1,2.5\n3,4\n",
        "no column 'y'; known: column_1, column_2; no header was found, data.header: true takes "
        "the first line as one",
    ),
    "only the target": (
        "y\n1\n",
        "no column is left to learn from; expected one beside the target",
    ),
    "Latin-1": (b"a,y\n1,2\n3,caf\xe9\n", f"line 3: byte 13 is not UTF-8; {SAVE}"),
    "UTF-16": (
        "a,y\n1,2\n".encode("utf-16"),
        f"line 1: byte 0 is not UTF-8 (it looks like UTF-16 text); {SAVE}",
    ),
}


@pytest.mark.parametrize(("text", "message"), FILES.values(), ids=FILES)
def test_a_file_that_is_no_table_is_refused(write: Write, text: str | bytes, message: str):
    path = write(text)
    assert fault(lambda: csv(path=path, target="y")) == f"houses.csv: {message}"


@pytest.mark.parametrize(("character", "word"), [(";", ";"), ("\t", "tab"), (" ", "space")])
def test_another_separator_is_proposed(write: Write, character: str, word: str):
    path = write(f"a{character}y\n1{character}2\n")
    message = fault(lambda: csv(path=path, target="y", separator=","))
    assert message == (
        f"houses.csv: no column 'y'; the only one is {f'a{character}y'!r}; "
        f"try data.separator: {word!r}"
    )


def test_a_column_without_a_name_gets_one(write: Write):
    table = csv(path=write(",a,y\n5,1,2\n"), target="y")
    assert (table.input_names, rows(table)) == (("column_1", "a"), [[5, 1]])
    assert table.notes == ("column 1 has no name: it is called column_1",)


@pytest.mark.parametrize("header", ["auto", True])
def test_a_header_of_numbers_may_be_a_row(write: Write, header: Any):
    path = write("1,1,2\n1,1,3\n")
    table = read(path, header=False)
    assert (table.input_names, len(table)) == (("column_1", "column_2", "column_3"), 2)
    assert table.notes == ("no header: columns are column_1 to column_3",)
    if header is True:
        assert fault(lambda: read(path, header=True)) == (
            "houses.csv: line 1: columns 1 and 2 have the same name, '1'; expected each to have "
            "its own; the first line must name the columns, is it missing? then data.header: false"
        )


def test_a_wide_file_s_columns_are_not_all_listed(write: Write):
    path = write(",".join(f"pixel{place}" for place in range(785)) + "\n")
    message = fault(lambda: csv(path=path, target="Pixel12"))
    assert "did you mean 'pixel12'?" in message
    assert message.endswith(", ... (785 columns)")
    assert len(message) < 500


def test_a_long_cell_is_shortened(write: Write):
    path = write(f"a,y\n1,{'w' * 5000}\n2,1.5\n3,2.5\n")
    assert len(fault(lambda: csv(path=path, target="y"))) < 200


def test_a_missing_file(write: Write):
    message = f"flats.csv: no such file (the working directory is {os.getcwd()})"
    assert fault(lambda: csv(path="flats.csv", target="y")) == message
    assert fault(lambda: csv(path=os.path.abspath("flats.csv"), target="y")) == message
    assert fault(lambda: csv(path="/no/flats.csv", target="y")) == "/no/flats.csv: no such file"


def test_a_directory_and_a_pipe_are_refused(write: Write):
    os.mkdir("dir.csv")
    os.mkfifo("pipe.csv")
    assert fault(lambda: csv(path="dir.csv", target="y")).startswith("dir.csv: is a directory; ")
    assert fault(lambda: csv(path="pipe.csv", target="y")).startswith("pipe.csv: is a pipe or ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(write: Write):
    path = write("a,y\n1,2\n")
    os.chmod(path, stat.S_IWUSR)
    message = fault(lambda: csv(path=path, target="y"))
    assert message == "houses.csv: cannot be read: Permission denied"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": ["y", "y"]}, "data.target: 'y' is named twice; expected it once"),
        (
            {"target": None},
            "data.target: missing; expected the column to predict, one of a, y",
        ),
        (
            {"decimal": ",", "separator": ","},
            "data.decimal: got ',', the separator; expected another separator then",
        ),
    ],
)
def test_a_config_that_cannot_be(write: Write, options: dict[str, Any], message: str):
    path = write("a,y\n1,2\n")
    assert fault(lambda: csv(**{"path": path, "target": "y", **options}), ConfigError) == message


def test_several_targets_of_words_are_refused(write: Write):
    path = write("a,y,z\n1,2,cat\n")
    message = fault(lambda: csv(path=path, target=["y", "z"]))
    assert message == (
        "houses.csv: line 2, column 'z': got 'cat'; expected a number, as several targets all are"
    )


def test_several_targets_of_true_and_false_are_numbers(write: Write):
    table = csv(path=write("a,y,z\n1,true,5\n2,False,6\n3,,7\n"), target=["y", "z"])
    assert target(table)[:2] == [[1, 5], [0, 6]]
    assert target(table)[2][0] != target(table)[2][0]


def test_every_option_is_explained():
    schema = sources.get("csv").schema
    options = inspect.signature(csv).parameters
    assert all(schema.model_fields[name].description for name in options)


# Any table, any bytes

USABLE = st.floats(-3.4e38, 3.4e38)
WORD = st.text(st.sampled_from("abé ,;|\t'\"-_\n\u3042"), max_size=6)
NAME = st.from_regex(r"\A[A-Za-z][\w ,;|'\"-]*[A-Za-z]\Z").map(lambda name: " ".join(name.split()))
SEPARATORS: dict[Separator, str] = {",": ",", ";": ";", "|": "|", "tab": "\t", "space": " "}


@pytest.fixture(scope="module")
def anywhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables") / "any.csv"


def written(rows: list[list[Any]], separator: str, quoting: Any, end: str) -> str:
    text = io.StringIO()
    writer = csv_module.writer(text, delimiter=separator, quoting=quoting, lineterminator=end)
    writer.writerows(rows)
    return text.getvalue()


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[Any]]]:
    """Names, and rows of numbers, words and None; a column of words holds one at least."""
    width, height = draw(st.integers(2, 5)), draw(st.integers(1, 8))
    names = draw(st.lists(NAME, min_size=width, max_size=width, unique=True))
    columns = []
    for _ in names:
        if draw(st.booleans()):
            kind = st.lists(st.none() | USABLE, min_size=height, max_size=height)
            columns.append(draw(kind.filter(lambda column: column[0] is not None)))
        else:
            word = WORD.map(lambda word: "w" + word)
            kind = st.lists(st.none() | word, min_size=height, max_size=height)
            columns.append(draw(kind.filter(lambda column: column[0] is not None)))
    return names, [list(row) for row in zip(*columns, strict=True)]


def meant(table: Table) -> list[list[Any]]:
    """The cells as they were meant: words, numbers, None."""
    return [
        [
            column.words[int(cell)] if column.words and cell is not None else cell
            for column, cell in zip(table.columns, row, strict=True)
        ]
        for row in cells(table)
    ]


@settings(max_examples=60)
@given(
    tables(),
    st.sampled_from(list(SEPARATORS)),
    st.sampled_from([csv_module.QUOTE_ALL, csv_module.QUOTE_MINIMAL]),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(20, 200),
)
def test_any_table_reads_back(
    anywhere: Path,
    table: tuple[list[str], list[list[Any]]],
    separator: Separator,
    quoting: Any,
    end: str,
    size: int,
):
    names, cells_ = table
    if separator == "space":  # of which several are as one, so that nothing cannot be told
        quoting = csv_module.QUOTE_ALL
    text = written([names, *cells_], SEPARATORS[separator], quoting, end)
    anywhere.write_text(text, encoding="utf-8", newline="")
    expected = [[cell.strip() if isinstance(cell, str) else cell for cell in row] for row in cells_]
    options: dict[str, Any] = {"separator": separator, "header": True}
    options["words"] = [
        name
        for name, column in zip(names, zip(*cells_, strict=True), strict=True)
        if isinstance(column[0], str)
    ]
    if separator == "space":
        expected = [[tidy(cell) for cell in row] for row in expected]
    found = read(str(anywhere), **options)
    assert found.input_names == tuple(names)
    assert meant(found) == expected
    parts = list(chunks(str(anywhere), **options, rows_or_bytes=size))
    assert [row for part in parts for row in cells(part)] == cells(found)
    assert all(part.columns == found.columns for part in parts)


def tidy(cell: Any) -> Any:
    """What is left of a cell whose lines are trimmed."""
    if not isinstance(cell, str):
        return cell
    return "\n".join(line.strip(" ") for line in cell.split("\n")).strip()


LINE = st.text(st.sampled_from('12.,"\n\rz -é'), max_size=30)
BYTES = st.one_of(
    st.binary(),
    st.text(st.sampled_from('ay1.5,;"\n\r\t e-Nx^\x01')).map(str.encode),
    LINE.map(lambda text: b"a,y\n" + text.encode()),
    LINE.map(lambda text: b'a,y\n1,"2"\n' + text.encode() + b"\n"),
)


@settings(max_examples=60)
@given(BYTES, st.integers(5, 30))
def test_any_bytes_give_a_table_or_a_fault_and_the_same_in_chunks(
    anywhere: Path, content: bytes, size: int
):
    anywhere.write_bytes(content)
    try:
        table = read(str(anywhere), separator=",", header=True)
    except DataError:
        with pytest.raises(DataError):
            list(chunks(str(anywhere), separator=",", header=True, rows_or_bytes=size))
        return
    assert len(table) > 0
    assert not table.inputs.isinf().any()
    parts = list(chunks(str(anywhere), separator=",", header=True, rows_or_bytes=size))
    assert torch.equal(
        torch.cat([part.inputs for part in parts]).nan_to_num(7), table.inputs.nan_to_num(7)
    )
    assert all(part.columns == table.columns for part in parts)


@pytest.mark.parametrize("text", ["a,b\n1\n,2,", "a,b\n\n1,2,", "a,b\n1\n,,"])
def test_a_cell_too_few_and_one_too_many_are_told_though_they_add_up(text: str, tmp_path: Path):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match="line 2"):
        read(str(tmp_path / "t.csv"), separator=",", header=True)


BORDER = re.compile(r"\A[^\S\x1c-\x1f]+|[^\S\x1c-\x1f]+\Z")  # white space as Unicode has it


@given(BYTES, st.sampled_from([",", "."]))
def test_a_file_means_what_the_csv_module_makes_of_it(
    anywhere: Path, content: bytes, decimal: Decimal
):
    """However the rows are read: the fast way, in blocks, or one by one."""
    anywhere.write_bytes(content)
    options: dict[str, Any] = {"separator": ";" if decimal == "," else ",", "decimal": decimal}
    try:
        table = read(str(anywhere), header=False, **options)
    except DataError:
        return
    with open(anywhere, encoding="utf-8-sig", newline="") as file:
        expected = list(csv_module.reader(file, delimiter=options["separator"]))
    expected = [row for row in expected if len(row) > 1 or "".join(row).strip()]
    words = read(str(anywhere), header=False, words=table.input_names, **options)
    assert meant(words) == [[BORDER.sub("", cell) or None for cell in row] for row in expected]
    for place, column in enumerate(table.columns):
        if column.kind == "numeric" and not column.fault:
            numbers = [number_in(row[place], decimal) for row in expected]
            assert [row[place] for row in cells(table)] == [
                None if number is None or number != number else number for number in numbers
            ]


@pytest.mark.parametrize("kinds", [['"a, b"', "plain"], ['"two\nlines"', '"a, b"', "plain"]])
@pytest.mark.parametrize("size", [None, 100_000])
def test_the_rows_of_a_large_file_stay_in_step(write: Write, kinds: list[str], size: int | None):
    """Large enough for the fast reader to share it out among threads."""
    chance = random.Random(0)
    expected = [chance.choice(kinds) for _ in range(100_000)]
    path = write("a,b,y\n" + "".join(f"{i},{i / 4},{kind}\n" for i, kind in enumerate(expected)))
    parts = chunks(path, target=["y"], rows_or_bytes=size) if size else [read(path, target=["y"])]
    parts = list(parts)
    inputs = torch.cat([part.inputs for part in parts])
    assert torch.equal(inputs[:, 0], torch.arange(100_000, dtype=torch.float64))
    assert torch.equal(inputs[:, 1], inputs[:, 0] / 4)
    labels = [label for part in parts for label in part.target or ()]
    assert labels == [kind.strip('"') for kind in expected]


def test_quotes_within_a_word_join_no_rows(write: Write):
    table = csv(path=write('"a",y\n1,p"q\n2,p"q\n3,r\n'), target="y")
    assert (rows(table), table.target) == ([[1], [2], [3]], ['p"q', 'p"q', "r"])


# In chunks


def test_chunks_are_of_about_the_size_that_is_asked_for(write: Write):
    path = write("a,b\n" + "12345,word\n" * 1000)
    sizes = [len(part) for part in chunks(path, rows_or_bytes=1100)]
    assert sum(sizes) == 1000
    assert max(sizes) <= 101
    os.rename(path, "plain.csv")
    write(gzip.compress(Path("plain.csv").read_bytes()))
    assert [len(part) for part in chunks("houses.csv", rows_or_bytes=1100)] == sizes


@pytest.mark.parametrize("last", ["word", "2020-01-01", "1e39", "inf", "1,5", "NA", "", " 7 "])
def test_what_stands_in_the_last_row_alone_counts_for_all(write: Write, last: str):
    path = write("a,y\n" + "".join(f"{i},{i}\n" for i in range(3000)) + f'"{last}",7\n')
    table = read(path)
    parts = list(chunks(path, rows_or_bytes=1000))
    assert all(part.columns == table.columns for part in parts)
    assert [row for part in parts for row in cells(part)] == cells(table)
    is_fault = last not in ("NA", "", " 7 ")
    assert table.columns[0].fault.startswith("houses.csv: line 3002, column 'a': got ") == is_fault


def test_too_many_words_for_chunks(write: Write, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(findings, "MOST_WORDS", 100)
    text = "".join(f"word{i},{i},{i}.5,{1900 + i}-01-01,k{i % 9}\n" for i in range(200))
    path = write("word,id,number,day,kind\n" + text)
    part = next(chunks(path))
    assert part.columns[0].fault == (
        "houses.csv: column 'word': more than 100 distinct words; "
        "expected fewer where a file is read in parts"
    )
    assert [column.kind for column in part.columns[1:]] == [
        "numeric",
        "numeric",
        "datetime",
        "categorical",
    ]
    assert not any(column.fault for column in part.columns[1:])
    assert torch.equal(part.inputs[:, 1:], read(path).inputs[:, 1:])
    assert fault(lambda: list(chunks(path, target=["word"]))).startswith(
        "houses.csv: column 'word': more than 100 distinct words"
    )


def test_a_fault_in_a_later_chunk_names_its_line(write: Write):
    path = write("a,y\n" + "1,2\n" * 1000 + "1,2,3\n")
    assert fault(lambda: list(chunks(path, rows_or_bytes=100))).startswith("houses.csv: line 1002:")
    path = write('a,y\n1,"x\nz"\n' + "1,2\n" * 1000 + "1e39,3\n")
    for part in chunks(path, rows_or_bytes=100):
        assert part.columns[0].fault.startswith("houses.csv: line 1004, column 'a': got '1e39'")
