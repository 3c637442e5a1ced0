"""CSV files: values come back as they were written, and every fault names its line and column."""

import csv as csv_module
import gzip
import inspect
import io
import os
import random
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnarch.data import csv as module
from nnarch.data.csv import csv, read
from nnarch.data.table import Table
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


@pytest.mark.parametrize(
    ("separator", "character"), [(";", ";"), ("|", "|"), ("tab", "\t"), ("space", " ")]
)
def test_separators(write: Write, separator: module.Separator, character: str):
    path = write("a,y\n1.5,2\n".replace(",", character))
    table = csv(path=path, target="y", separator=separator)
    assert (rows(table), target(table)) == ([[1.5]], [[2]])


def test_decimal_commas(write: Write):
    table = csv(path=write("a;y\n1,5;2\n-3e1;,25\n"), target="y", separator=";", decimal=",")
    assert (rows(table), target(table)) == ([[1.5], [-30]], [[2], [0.25]])


def test_features_in_the_order_asked_for(write: Write):
    path = write("a,city,b,y\n1,Rome,2,3\n")
    table = csv(path=path, target="y", columns=["b", "a"])
    assert (table.input_names, rows(table)) == (("b", "a"), [[2, 1]])
    table = csv(path=path, target="y", ignore=["city"])
    assert (table.input_names, rows(table)) == (("a", "b"), [[1, 2]])


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


# Another file with the same columns


def test_columns_of_another_file_are_matched_by_name(write: Write):
    path = write("note,y,b,a\nold,3,2,1\nnew,6,5,4\n")
    table = read(path, inputs=["a", "b"], target=["y"])
    assert (rows(table), target(table)) == ([[1, 2], [4, 5]], [[3], [6]])
    assert (table.input_names, table.target_names) == (("a", "b"), ("y",))


def test_another_file_may_lack_the_target(write: Write):
    table = read(Path(write("b,a\n2,1\n")), inputs=["a", "b"], target=["y"])
    assert (rows(table), table.target, table.target_names) == ([[1, 2]], None, ("y",))


def test_another_file_may_have_one_column(write: Write):
    assert rows(read(write("a\n1\n2\n"), inputs=["a"])) == [[1], [2]]


def test_columns_that_another_file_lacks_are_all_named(write: Write):
    path = write("a,y\n1,2\n")
    message = fault(lambda: read(path, inputs=["a", "b", "c"]))
    assert message == "houses.csv: no column 'b', 'c'; known: a, y"


def test_labels_that_look_like_numbers_stay_words_where_asked(write: Write):
    path = write("a,y\n1,1\n2,02\n")
    assert target(read(path, inputs=["a"], target=["y"])) == [[1], [2]]
    assert target(read(path, inputs=["a"], target=["y"], labels=True)) == ["1", "02"]


def test_a_target_of_numbers_stays_so_where_asked(write: Write):
    path = write("a,y\n1,cat\n")
    message = fault(lambda: read(path, inputs=["a"], target=["y"], labels=False))
    assert message.startswith("houses.csv: line 2, column 'y': got 'cat'; expected a number")


# What is refused

MISSING = "a number: fill missing cells in, or leave their rows out"
LABEL = "a label: fill missing cells in, or leave their rows out"
FINITE = "a finite number"
FLOAT32 = "a number that float32 holds, at most 3.4e38: rescale the column"
WORDS = "a number: leave a column of words out with data.ignore"
LIKE_OTHERS = "a number, as other rows of the target hold"
SIGNS = (
    "a number such as 1000.5, without separators of thousands; "
    "data.decimal says what stands before decimals"
)
CELLS = {
    "empty": ("a,y\n1,2\n,3\n4,5\n,6\n", "line 3, column 'a'", "nothing (2 such cells)", MISSING),
    "empty target": ("a,y\n1,2\n1,\n", "line 3, column 'y'", "nothing", MISSING),
    "empty label": ("a,y\n1,\n2,cat\n", "line 2, column 'y'", "nothing", LABEL),
    "NaN": ("a,y\n1,2\nnan,3\nNaN,3\n", "line 3, column 'a'", "'nan' (2 such cells)", MISSING),
    "NaN target": ("a,y\n1,2\n1,nan\n", "line 3, column 'y'", "'nan'", MISSING),
    "NA": ("a,y\n1,2\nNA,3\n", "line 3, column 'a'", "'NA'", MISSING),
    "NA target": ("a,y\n1,2\n1,NA\n", "line 3, column 'y'", "'NA'", MISSING),
    "infinite": ("a,y\n-inf,2\n", "line 2, column 'a'", "'-inf'", FINITE),
    "beyond float32": ("a,y\n1,2\n1e39,2\n", "line 3, column 'a'", "'1e39'", FLOAT32),
    "beyond float64": ("a,y\n1,-1e400\n", "line 2, column 'y'", "'-1e400'", FLOAT32),
    "thousands": ('a,y\n"1,000",2\n', "line 2, column 'a'", "'1,000'", SIGNS),
    "thousands target": ('a,y\n1,"1,000"\n1,3\n', "line 2, column 'y'", "'1,000'", SIGNS),
    "words": ("a,y\n1,2\nRome,3\nOslo,4\n", "line 3, column 'a'", "'Rome' (2 such cells)", WORDS),
    "underscore": ("a,y\n1_000,2\n", "line 2, column 'a'", "'1_000'", WORDS),
    "word among numbers": ("a,y\n1,2.5\n2,x\n", "line 3, column 'y'", "'x'", LIKE_OTHERS),
    "first in the file": ("a,b,y\n1,2,3\n1,inf,3\nz,2,3\n", "line 3, column 'b'", "'inf'", FINITE),
    "several columns": (
        "a,b,c,y\n1,p,3,4\n1,q,r,3\n",
        "line 2, column 'b'",
        "'p' (2 such cells, others in 'c')",
        WORDS,
    ),
}


@pytest.mark.parametrize(("text", "place", "got", "expected"), CELLS.values(), ids=CELLS)
def test_a_cell_that_cannot_be_used_is_shown_with_its_place(
    write: Write, text: str, place: str, got: str, expected: str
):
    path = write(text)
    message = fault(lambda: csv(path=path, target="y"))
    assert message == f"houses.csv: {place}: got {got}; expected {expected}"


@pytest.mark.parametrize(("cell", "decimal"), [("1,5", "."), ("1.5", ","), ("1.000,5", ".")])
def test_the_other_sign_of_decimals_is_not_guessed(
    write: Write, cell: str, decimal: module.Decimal
):
    path = write(f"a;y\n{cell};2\n")
    message = fault(lambda: csv(path=path, target="y", separator=";", decimal=decimal))
    assert f"got '{cell}'; expected a number such as 1000{decimal}5" in message


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
    given = fault(lambda: csv(path=path, target="y", columns=["a"]))
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
    "semicolons": ("a;y\n1;2\n", "no column 'y'; the only one is 'a;y'; try data.separator: ';'"),
    "tabs": ("a\ty\n1\t2\n", "no column 'y'; the only one is 'a\\ty'; try data.separator: 'tab'"),
    "no header": (
        "1,2.5\n3,4\n",
        "no column 'y'; known: 1, 2.5; the first line must name the columns, is it missing?",
    ),
    "no header, and a word": (
        "1.5,2,R\n3,4,M\n",
        "no column 'y'; known: 1.5, 2, R; the first line must name the columns, is it missing?",
    ),
    "only the target": (
        "y\n1\n",
        "no column is left to learn from; expected one beside the target",
    ),
    "row numbers": (
        ",a,y\n0,1,2\n",
        "column 1 has no name, as row numbers often have none; name it, or leave it out with "
        'data.ignore: [""]',
    ),
    "Latin-1": (b"a,y\n1,2\n3,caf\xe9\n", f"line 3: byte 13 is not UTF-8; {SAVE}"),
    "UTF-16": (
        "a,y\n1,2\n".encode("utf-16"),
        f"line 1: byte 0 is not UTF-8 (it looks like UTF-16 text); {SAVE}",
    ),
    "compressed": (
        gzip.compress(b"a,y\n1,2\n"),
        f"line 1: byte 1 is not UTF-8 (it looks like gzip); {SAVE}",
    ),
}


@pytest.mark.parametrize(("text", "message"), FILES.values(), ids=FILES)
def test_a_file_that_is_no_table_is_refused(write: Write, text: str | bytes, message: str):
    path = write(text)
    assert fault(lambda: csv(path=path, target="y")) == f"houses.csv: {message}"


def test_row_numbers_without_a_name_can_be_left_out(write: Write):
    assert rows(csv(path=write(",a,y\n0,1,2\n"), target="y", ignore=[""])) == [[1]]


def test_a_wide_file_s_columns_are_not_all_listed(write: Write):
    path = write(",".join(f"pixel{place}" for place in range(785)) + "\n")
    message = fault(lambda: csv(path=path, target="Pixel12"))
    assert "did you mean 'pixel12'?" in message
    assert message.endswith(", ... (785 columns)")
    assert len(message) < 500


def test_a_long_cell_is_shortened(write: Write):
    path = write(f"a,y\n{'w' * 5000},1\n")
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
        ({"columns": ["a", "y"]}, "data.columns: 'y' is the target; expected other columns"),
        ({"ignore": ["y"]}, "data.ignore: 'y' is the target; expected other columns"),
        ({"columns": ["a", "a"]}, "data.columns: 'a' is named twice; expected it once"),
        ({"target": ["y", "y"]}, "data.target: 'y' is named twice; expected it once"),
        (
            {"columns": ["a"], "ignore": ["a"]},
            "data.ignore: 'a' is in data.columns too; expected it in one",
        ),
        (
            {"decimal": ","},
            "data.decimal: got ',', the separator; expected another separator then",
        ),
    ],
)
def test_a_config_that_contradicts_itself(write: Write, options: dict[str, Any], message: str):
    path = write("a,y\n1,2\n")
    assert fault(lambda: csv(**{"path": path, "target": "y", **options}), ConfigError) == message


def test_columns_that_are_named_must_be_there(write: Write):
    path = write("a,b,y\n1,2,3\n")
    known = "did you mean 'a'? known: a, b, y"
    assert fault(lambda: csv(path=path, target="y", columns=["aa"])).endswith(known)
    assert fault(lambda: csv(path=path, target="y", ignore=["aa"])).endswith(known)


def test_several_targets_of_words_are_refused(write: Write):
    path = write("a,y,z\n1,2,cat\n")
    message = fault(lambda: csv(path=path, target=["y", "z"]))
    assert message == (
        "houses.csv: line 2, column 'z': got 'cat'; expected a number, as several targets all are"
    )


def test_every_option_is_explained():
    schema = sources.get("csv").schema
    options = inspect.signature(csv).parameters
    assert all(schema.model_fields[name].description for name in options)


# Any table, any bytes

USABLE = st.floats(-3.4e38, 3.4e38)
NAME = st.from_regex(r"\A\w[\w ,;'\"-]*\w\Z").map(lambda name: " ".join(name.split()))


@pytest.fixture(scope="module")
def anywhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables") / "any.csv"


@settings(deadline=None)
@given(st.data())
def test_any_table_reads_back_in_any_order_of_columns(anywhere: Path, data: st.DataObject):
    width = data.draw(st.integers(2, 5))
    cells = data.draw(st.lists(st.lists(USABLE, min_size=width, max_size=width), min_size=1))
    names = data.draw(st.lists(NAME, min_size=width, max_size=width, unique=True))
    order = data.draw(st.permutations(range(width)))
    text = io.StringIO()
    quoting = csv_module.QUOTE_ALL if data.draw(st.booleans()) else csv_module.QUOTE_MINIMAL
    writer = csv_module.writer(text, quoting=quoting)
    writer.writerows([[row[i] for i in order] for row in [names, *cells]])
    anywhere.write_text(text.getvalue(), encoding="utf-8", newline="")
    table = read(anywhere, inputs=names[1:], target=names[:1])
    assert rows(table) == [row[1:] for row in cells]
    assert target(table) == [row[:1] for row in cells]


@settings(deadline=None)
@given(
    st.one_of(
        st.binary(),
        st.text(st.sampled_from('ay1.5,;"\n\r\t e-Nx^\x01')).map(str.encode),
        st.text(st.sampled_from('12.,"\n\rz ')).map(lambda text: b"a,y\n" + text.encode()),
    )
)
def test_any_bytes_give_a_table_or_a_fault(anywhere: Path, content: bytes):
    anywhere.write_bytes(content)
    try:
        table = csv(path=str(anywhere), target="y")
    except DataError:
        return
    assert len(table) > 0
    assert table.inputs.isfinite().all()


@pytest.mark.parametrize("kinds", [['"a, b"', "plain"], ['"two\nlines"', '"a, b"', "plain"]])
def test_the_rows_of_a_large_file_stay_in_step(write: Write, kinds: list[str]):
    """Large enough for the fast reader to share it out among threads."""
    chance = random.Random(0)
    expected = [chance.choice(kinds) for _ in range(100_000)]
    path = write("a,b,y\n" + "".join(f"{i},{i / 4},{kind}\n" for i, kind in enumerate(expected)))
    table = csv(path=path, target="y")
    assert torch.equal(table.inputs[:, 0], torch.arange(100_000, dtype=torch.float64))
    assert torch.equal(table.inputs[:, 1], table.inputs[:, 0] / 4)
    assert table.target == [kind.strip('"') for kind in expected]


def test_quotes_within_a_word_join_no_rows(write: Write):
    table = csv(path=write('"a",y\n1,p"q\n2,p"q\n3,r\n'), target="y")
    assert (rows(table), table.target) == ([[1], [2], [3]], ['p"q', 'p"q', "r"])
