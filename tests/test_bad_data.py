"""What is wrong with data is a line that names the file, the row and the column; nothing is left.

The cases go through the real command line and are numbered as C in the project's catalogue of bad
inputs. A fault ends with exit code 4 unless an item says otherwise, prints nothing, writes nothing
and leaves what it was given as it was. What only looks odd trains, and is told where a user
should know of it.
"""

import csv
import gzip
import io
import json
import os
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

import nnarch as library
from conftest import Command, error_lines

NETWORK = "model: {widths: [4]}\nepochs: 2\nbatch_size: 8\nthreads: 1\n"
CSV = "source: csv, path: t.csv, target: y"
COLUMNS = ("x", "c", "y")
LINES = range(2, 26)  # of a table that nobody made longer

Refused = Callable[..., str]
Write = Callable[[Path], object]


def table(
    changes: Mapping[tuple[int, str], str] | None = None,
    header: str = "x,c,y",
    rows: int = 24,
    target: Callable[[int], object] = lambda row: row / 2,
) -> str:
    """Rows of a number, a word and a target; `changes` are cells by line and column."""
    cells = [
        [f"{row * 7 % 11}.{row % 10}", "rgb"[row % 3], str(target(row))] for row in range(rows)
    ]
    for (line, column), cell in (changes or {}).items():
        cells[line - 2][COLUMNS.index(column)] = cell
    return "\n".join([header, *map(",".join, cells)]) + "\n"


def two(row: int) -> str:
    return "ab"[row % 2]


def in_parts(target: Callable[[int], object]) -> str:
    """Rows with a column that says which part each belongs to: two train, one each is held out."""
    parts = ["train", "train", "val", "test"]
    lines = [f"{row}.5,{parts[row % 4]},{target(row)}" for row in range(24)]
    return "\n".join(["x,part,y", *lines]) + "\n"


def ids(cases: Mapping[str, object]) -> list[str]:
    return [name.replace(" ", "-") for name in cases]


def contents(folder: Path) -> dict[Path, tuple[int, ...]]:
    """What lies in a folder, and how it would show that it was written to."""
    found = {}
    for path in folder.rglob("*"):
        about = path.lstat()
        written = () if path.is_dir() else (about.st_size, about.st_mtime_ns)
        found[path] = (about.st_mode, *written)
    return found


@pytest.fixture(autouse=True)
def _everything_is_written_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def refused(nnarch_here: Command, tmp_path: Path) -> Refused:
    """Runs `nnarch`, which refuses with nothing changed; the one line that it says."""

    def run(*words: str | Path, code: int = 4) -> str:
        before = contents(tmp_path)
        done = nnarch_here(*words)
        assert done.returncode == code, done.stderr
        (line,) = error_lines(done)
        assert len(line) < 600
        assert contents(tmp_path) == before, "something was written"
        return line

    return run


def put(folder: Path, text: str | bytes | None, options: str = "") -> None:
    """A config of `t.csv`, and the file itself unless there is to be none."""
    data = f"{CSV}, {options}" if options else CSV
    (folder / "bad.yaml").write_text(f"data: {{{data}}}\n{NETWORK}")
    if text is not None:
        (folder / "t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())


FAULTS: dict[str, tuple[str | bytes | None, str]] = {
    "51 no file": (None, "t.csv: no such file"),
    "53 zero bytes": ("", "t.csv: is empty; expected a header and rows"),
    "53 header only": ("x,c,y\n", "t.csv: has a header, but no rows; expected some"),
    "53 an empty line": (
        table().replace("\n", "\n\n", 1),
        "t.csv: line 2 is empty; expected the header or a row",
    ),
    "54 infinite": (
        table({(7, "x"): "inf", (9, "x"): "-inf"}),
        "t.csv: line 7, column 'x': got 'inf' (2 such cells); expected a finite number",
    ),
    "54 infinite target": (
        table({(7, "y"): "inf"}),
        "t.csv: line 7, column 'y': got 'inf'; expected a finite number",
    ),
    "55 a word among numbers": (
        table({(7, "x"): "oops"}),
        "t.csv: line 7, column 'x': got 'oops'; expected a number; data.types: {x: categorical} "
        "takes it as words",
    ),
    "55 a word in the target": (
        table({(7, "y"): "oops"}),
        "t.csv: line 7, column 'y': got 'oops'; expected a number, as other rows of the target",
    ),
    "55 a very long word": (
        table({(7, "x"): "w" * 9999}),
        "t.csv: line 7, column 'x': got 'wwwwwwwwwwww...wwwwwwwwwwwww'; expected a number",
    ),
    "56 a repeated column": (
        table(header="x,x,y"),
        "t.csv: line 1: columns 1 and 2 have the same name, 'x'; expected each to have its own",
    ),
    "57 a short row": (
        table() + "1,2\n",
        "t.csv: line 26: got 2 cells; expected 3 as in the header",
    ),
    "57 a long row": (
        table() + "1,r,2,3\n",
        "t.csv: line 26: got 4 cells; expected 3 as in the header",
    ),
    "57 an open quote": (
        table() + '"1,r,2\n',
        "t.csv: line 26: broken quotes (unexpected end of data)",
    ),
    "58 one more cell in every row": (
        table(header="x,y"),
        "t.csv: line 2: got 3 cells; expected 2 as in the header",
    ),
    "61 thousands": (
        table({(4, "x"): '"1,000"'}),
        "t.csv: line 4, column 'x': got '1,000'; expected a number such as 1000.5, without "
        "separators of thousands",
    ),
    "61 thousands in the target": (
        table({(4, "y"): '"1,000"'}),
        "t.csv: line 4, column 'y': got '1,000'; expected a number such as 1000.5",
    ),
    "63 one class": (
        table(target=lambda row: "a"),
        "data: the target 'y' has one class (a) only",
    ),
    "65 a class of one row": (
        table({(4, "y"): "rare"}, target=two),
        "data: class 'rare' has 1 row; expected at least 3 to keep every class in every part, or "
        "data.split.stratify=false",
    ),
    "68 two rows": (
        table(rows=2),
        "data.split: 2 rows leave none for val and test; expected more rows",
    ),
    "68 more classes than rows of a part": (
        table(rows=6, target=two),
        "data.split: val would have 1 row for 2 classes; expected a larger share",
    ),
    "70 beyond float32": (
        table({(4, "x"): "1e39"}),
        "t.csv: line 4, column 'x': got '1e39'; expected a number that float32 holds, at most "
        "3.4e38: rescale the column",
    ),
    "70 a target beyond float32": (
        table({(4, "y"): "-1e39"}),
        "t.csv: line 4, column 'y': got '-1e39'; expected a number that float32 holds",
    ),
    "70 beyond float64": (
        table({(4, "x"): "9" * 400}),
        "t.csv: line 4, column 'x': got '999999999999...9999999999999'; expected a number that",
    ),
    "not UTF-8": (
        table({(4, "c"): "é"}).encode("latin-1"),
        "t.csv: line 4: byte 30 is not UTF-8; save it as CSV in UTF-8",
    ),
    "UTF-16": (
        table().encode("utf-16"),
        "t.csv: line 1: byte 0 is not UTF-8 (it looks like UTF-16 text)",
    ),
    "damaged gzip": (
        gzip.compress(table().encode())[:-8] + bytes(8),
        "t.csv: cannot be decompressed, it is damaged: CRC check failed",
    ),
    "cut gzip": (gzip.compress(table().encode())[:60], "t.csv: cannot be decompressed, it is"),
}
TRAINING: dict[str, tuple[str, str, str]] = {  # options, text, what is said
    "51 no file of a pattern": (
        "path: 'none*.csv'",
        table(),
        "none*.csv: matches no file; expected one at least",
    ),
    "54 a target that is missing": (
        "",
        table({(7, "y"): "nan", (9, "y"): ""}),
        "2 of 24 rows lack y (the first is row 6); expected a target in each, or "
        "data.missing_target: drop",
    ),
    "54 a class that is missing": (
        "",
        table({(7, "y"): ""}, target=two),
        "1 of 24 rows lack y (the first is row 6); expected a target in each",
    ),
    "54 no target at all": (
        "missing_target: drop",
        table({(line, "y"): "" for line in LINES}),
        "data: no row has a y; expected some",
    ),
    "54 gaps that are not wanted": (
        "missing: error",
        table({(line, "x"): "" for line in LINES if line % 2}),
        "column 'x' in 9; expected none, or data.missing: median, mean or zero",
    ),
    "54 on disk": (
        "stream: always",
        table({(7, "x"): "inf"}),
        "t.csv: line 7, column 'x': got 'inf'; expected a finite number",
    ),
    "57 on disk": (
        "stream: always",
        table() + "1,2\n",
        "t.csv: line 26: got 2 cells; expected 3 as in the header",
    ),
    "54 a missing target on disk": (
        "stream: always, missing_target: drop",
        table({(7, "y"): ""}),
        "1 rows have no target; a table that is larger than memory expects one in each",
    ),
    "55 words told as numbers": (
        "types: {c: numeric}",
        table(),
        "column 'c' holds 'r'; expected a number",
    ),
    "55 words told as dates": (
        "types: {c: datetime}",
        table(),
        "column 'c' holds 'r'; expected a date such as 2024-05-31",
    ),
    "59 another separator": (
        "separator: ','",
        table().replace(",", ";"),
        "t.csv: no column 'y'; the only one is 'x;c;y'; try data.separator: ';'",
    ),
    "62 no target": ("target: z", table(), "t.csv: no column 'z'; known: x, c, y"),
    "62 another case": ("target: Y", table(), "t.csv: no column 'Y'; known: x, c, y"),
    "62 one of two targets": (
        "target: [y, z]",
        table(),
        "t.csv: no column 'z'; known: x, c, y",
    ),
    "62 nothing but the target": (
        "",
        "y\n1\n2\n3\n",
        "t.csv: no column is left to learn from; expected one beside the target",
    ),
    "63 three classes for two": (
        "task: binary",
        table(target=lambda row: row % 3),
        "data: the target 'y' has 3 classes (0, 1, 2); a binary task expects 2",
    ),
    "63 words for a regression": (
        "task: regression",
        table(target=two),
        "data: the target 'y' holds words (a, b); a regression expects numbers",
    ),
    "64 a class for validation alone": (
        "split: {column: part}",
        in_parts(lambda row: "c" if row == 2 else "ab"[row // 4 % 2]),
        "data: no training row is of class 'c'; expected some of every class",
    ),
    "68 a part without rows": (
        "split: {column: part}",
        in_parts(lambda row: row / 2).replace("train", "val"),
        "data.split: no row is for training; expected some",
    ),
    "68 no such part": (
        "split: {column: part}",
        in_parts(lambda row: row / 2).replace("test", "tset"),
        "data.split.column: 'part' holds 'tset'; expected train, val or test in each row",
    ),
    "68 rows of no part": (
        "split: {column: part}",
        in_parts(lambda row: row / 2).replace("test", ""),
        "data.split.column: 6 rows have no 'part'; expected train, val or test in each row",
    ),
    "68 fewer groups than parts": (
        "split: {group: c}",
        table({(line, "c"): "rg"[line % 2] for line in LINES}),
        "data.split.group: 2 groups cannot be parted into train and val and test",
    ),
    "68 one time for all": (
        "split: {time: x}",
        table({(line, "x"): "3" for line in LINES}),
        "data.split.time: 24 rows at 1 different times leave a part empty; expected more times",
    ),
    "69 nothing but constants": (
        "ignore: [c]",
        table({(line, "x"): "3" for line in LINES}),
        "data: no column is left to learn from (ignored: x (constant)); expected one that is of",
    ),
    "70 a logarithm of less than nothing": (
        "target_transform: log1p",
        table(target=lambda row: -row),
        "data.target_transform: log1p takes targets above -1; got -2",
    ),
}


@pytest.mark.parametrize(("text", "expected"), FAULTS.values(), ids=ids(FAULTS))
def test_a_fault_of_a_table_is_told_alike_by_train_check_and_init(
    refused: Refused, tmp_path: Path, text: str | bytes | None, expected: str
) -> None:
    put(tmp_path, text)
    assert refused("train", "bad.yaml").startswith(expected)
    assert refused("check", "bad.yaml").startswith(expected)
    assert refused("check", "bad.yaml", "--json").startswith(expected)
    assert refused("init", "t.csv", "--target", "y", "-o", "made.yaml").startswith(expected)


@pytest.mark.parametrize(("options", "text", "expected"), TRAINING.values(), ids=ids(TRAINING))
def test_a_fault_of_a_table_as_the_config_takes_it(
    refused: Refused, tmp_path: Path, options: str, text: str, expected: str
) -> None:
    put(tmp_path, text)
    (tmp_path / "more.yaml").write_text(f"data: {{{options}}}\n")
    assert expected in refused("train", "bad.yaml", "more.yaml")
    assert expected in refused("check", "bad.yaml", "more.yaml")


PATHS: dict[str, tuple[Write, str]] = {
    "52 a directory": (Path.mkdir, "t.csv: is a directory; expected a text file with a header"),
    "52 a pipe": (os.mkfifo, "t.csv: is a pipe or a device; expected a text file with a header"),
    "52 a link to itself": (
        lambda path: path.symlink_to(path),
        "t.csv: cannot be read: Too many levels of symbolic links",
    ),
    "51 a link to nothing": (lambda path: path.symlink_to("nowhere"), "t.csv: no such file"),
}


@pytest.mark.parametrize(("make", "expected"), PATHS.values(), ids=ids(PATHS))
def test_what_is_no_file_is_not_read(
    refused: Refused, tmp_path: Path, make: Write, expected: str
) -> None:
    put(tmp_path, None)
    make(tmp_path / "t.csv")
    assert refused("train", "bad.yaml").startswith(expected)
    assert refused("check", "bad.yaml").startswith(expected)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(refused: Refused, tmp_path: Path) -> None:
    """Item 52."""
    put(tmp_path, table())
    (tmp_path / "t.csv").chmod(0)
    assert refused("train", "bad.yaml").startswith("t.csv: cannot be read: Permission denied")


PART_FILES = {
    "51 no file": (None, "v.csv: no such file"),
    "53 header only": ("x,c,y\n", "v.csv: has a header, but no rows; expected some"),
    "54 infinite": (
        "x,c,y\n1,r,2\ninf,r,2\n",
        "v.csv: line 3, column 'x': got 'inf'; expected a finite number",
    ),
    "55 a word": (
        "x,c,y\n1,r,2\noops,r,2\n",
        "v.csv: line 3, column 'x': got 'oops'; expected a number",
    ),
    "57 a short row": ("x,c,y\n1,r\n", "v.csv: line 2: got 2 cells; expected 3"),
    "62 a column less": (
        "x,y\n1,2\n",
        "v.csv: has no column 'c', which t.csv has; expected the same ones",
    ),
    "62 a column more": (
        "x,c,y,z\n1,r,2,3\n",
        "v.csv: has column 'z', which t.csv has not; expected the same ones",
    ),
}


@pytest.mark.parametrize("part", ["val", "test"])
@pytest.mark.parametrize(("text", "expected"), PART_FILES.values(), ids=ids(PART_FILES))
def test_a_fault_of_the_file_of_another_part(
    refused: Refused, tmp_path: Path, part: str, text: str | None, expected: str
) -> None:
    put(tmp_path, table(), f"{part}: v.csv")
    if text is not None:
        (tmp_path / "v.csv").write_text(text)
    assert refused("train", "bad.yaml").startswith(expected)


@pytest.mark.parametrize("parts", ["val: v.csv", "test: v.csv", "val: v.csv, test: w.csv"])
def test_a_class_that_only_another_file_has(refused: Refused, tmp_path: Path, parts: str) -> None:
    """Item 64."""
    put(tmp_path, table(target=two), parts)
    (tmp_path / "v.csv").write_text("x,c,y\n1.5,r,a\n2.5,g,new\n")
    (tmp_path / "w.csv").write_text("x,c,y\n1.5,r,a\n2.5,g,b\n")
    assert refused("train", "bad.yaml").startswith(
        "data: no training row is of class 'new'; expected some of every class"
    )


LOSSES = ("train_loss", "val_loss")
TOLD: dict[str, tuple[str, str, str]] = {  # options, text, what is said
    "54 gaps among numbers": ("", table({(7, "x"): "nan", (9, "x"): ""}), "which make 5 numbers"),
    "54 an empty column": (
        "",
        table({(line, "x"): "" for line in LINES}),
        "ignored: x (empty)",
    ),
    "54 rows without a target": (
        "missing_target: drop",
        table({(7, "y"): "nan", (9, "y"): ""}),
        "2 rows without a target left out",
    ),
    "59 another separator": ("", table().replace(",", ";"), "separator ';'"),
    "63 a target that is always the same number": (
        "task: regression",
        table(target=lambda row: 1),
        "regression of y",
    ),
    "65 a class of one row": (
        "split: {stratify: false}",
        table({(4, "y"): "rare"}, target=two),
        "multiclass classification of y into 3: a, b, rare",
    ),
    "66 unequal classes": (
        "",
        table(rows=600, target=lambda row: "b" if row % 150 == 0 else "a"),
        "warning: classes are very unequal: always the commonest is right 99.4%",
    ),
    "67 labels below zero": (
        "split: {train: 0.6, val: 0.2, test: 0.2}",
        table(target=lambda row: row % 3 - 1),
        "multiclass classification of y into 3: -1, 0, 1",
    ),
    "67 labels above their number": (
        "split: {train: 0.6, val: 0.2, test: 0.2}",
        table(target=lambda row: (7, 1000, 5)[row % 3]),
        "multiclass classification of y into 3: 5, 7, 1000",
    ),
    "68 a part that the column does not name": (
        "split: {column: part}",
        in_parts(lambda row: row / 2).replace("val", "train"),
        "24 rows (16 train, 2 val, 6 test)",
    ),
    "69 a constant": (
        "",
        table({(line, "x"): "0.1" for line in LINES}),
        "ignored: x (constant)",
    ),
    "69 a constant that is wanted": (
        "columns: [x, c]",
        table({(line, "x"): "0.1" for line in LINES}),
        "2 inputs, which make 4 numbers",
    ),
    "71 rows of both": (
        "",
        "x,c,y\n" + "1.5,r,2.25\n2.5,g,3.75\n" * 12,
        "warning: 2 of 2 test rows are training rows as well",
    ),
}


@pytest.mark.parametrize(("options", "text", "expected"), TOLD.values(), ids=ids(TOLD))
def test_what_only_looks_odd_trains_and_is_told(
    nnarch_here: Command, tmp_path: Path, options: str, text: str, expected: str
) -> None:
    put(tmp_path, text, options)
    done = nnarch_here("train", "bad.yaml")
    assert done.returncode == 0, done.stderr
    assert expected in done.stderr
    with (tmp_path / done.stdout.strip() / "history.csv").open(newline="") as file:
        losses = [float(row[part]) for row in csv.DictReader(file) for part in LOSSES]
    assert np.isfinite(losses).all()
    assert len(losses) == 4


def test_a_word_that_often_means_nothing_is_a_word_among_words(
    nnarch_here: Command, tmp_path: Path
) -> None:
    """Item 60: Namibia is a country."""
    put(tmp_path, table({(4, "c"): "NA", (5, "c"): "null", (6, "x"): "NA"}))
    done = nnarch_here("check", "bad.yaml", "--json")
    assert done.returncode == 0, done.stderr
    number, word = json.loads(done.stdout)["columns"]
    assert (number["name"], number["missing"]) == ("x", 1 / 20)
    assert (word["name"], word["missing"], word["distinct"]) == ("c", 0, 5)


def test_how_unequal_classes_and_shared_rows_are_is_in_the_report(
    nnarch_here: Command, tmp_path: Path
) -> None:
    """Items 66 and 71."""
    put(tmp_path, table(rows=600, target=lambda row: "b" if row % 150 == 0 else "a"))
    done = nnarch_here("check", "bad.yaml", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["rows"]["shared"]["test"]["count"] > 0
    assert any("b has 3 training rows; always a would be right" in one for one in told["warnings"])
    assert any("test rows" in one and "training rows as well" in one for one in told["warnings"])


# Other formats


X, Y = np.arange(48.0).reshape(24, 2) % 7, np.arange(24.0) / 2


def header(shape: tuple[int, ...]) -> bytes:
    """That of an .npy file which declares an array of float64."""
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (63 - (10 + len(text)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def saved(**arrays: Any) -> Write:
    return lambda path: np.savez(path, **arrays)


def archive(inputs: bytes) -> Write:
    """An archive whose array X is made of these bytes."""

    def write(path: Path) -> None:
        target = io.BytesIO()
        np.save(target, Y)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("X.npy", inputs)
            file.writestr("y.npy", target.getvalue())

    return write


def frame(**columns: Any) -> Write:
    return lambda path: pl.DataFrame(columns).write_parquet(path)


def cut(write: Write, size: int) -> Write:
    def both(path: Path) -> None:
        write(path)
        os.truncate(path, size)

    return both


def text(words: str | bytes) -> Write:
    return lambda path: path.write_bytes(words if isinstance(words, bytes) else words.encode())


STEPS = "t,v\n" + "".join(f"2024-01-{day:02d},{day % 5}.5\n" for day in range(1, 29))
SERIES = "source: series, path: s.csv, lookback: 3"
PARQUET = "source: parquet, path: d.parquet, target: y"
ARRAYS = "source: npz, path: d.npz"
MATRIX = "source: npz, path: d.npy"
OTHERS: dict[str, tuple[str, Write, str]] = {
    "51 no archive": (ARRAYS, lambda path: None, "d.npz: no such file"),
    "53 zero bytes": (ARRAYS, text(""), "d.npz: is neither .npz nor .npy; expected"),
    "53 no samples": (ARRAYS, saved(X=X[:0], y=Y[:0]), "d.npz: 'X' has the shape (0, 2), which"),
    "54 infinite": (
        ARRAYS,
        saved(X=np.where(X == 3, np.inf, X), y=Y),
        "d.npz: 'X' has 7 values that are infinite, the first at X[1, 1]",
    ),
    "54 a missing target": (
        ARRAYS,
        saved(X=X, y=np.where(Y == 3, np.nan, Y)),
        "1 of 24 rows lack y (the first is row 7); expected a target in each",
    ),
    "54 a missing pixel": (
        ARRAYS,
        saved(X=np.where(np.arange(16) == 5, np.nan, np.ones((24, 1, 4, 16))), y=Y),
        "d.npz: 'X' has 96 values that are missing (NaN), the first at X[0, 0, 0, 5]",
    ),
    "70 beyond float32": (
        ARRAYS,
        saved(X=np.where(X == 3, 1e39, X), y=Y),
        "d.npz: 'X' has 7 values that are beyond float32, which ends at 3.4e38, the first at X[1",
    ),
    "72 objects": (
        ARRAYS,
        saved(X=np.array([[{}]] * 24, dtype=object), y=Y),
        "d.npz: 'X' holds pickled objects, which are refused; save plain numbers",
    ),
    "72 objects as a target": (
        ARRAYS,
        saved(X=X, y=np.array(["a", None] * 12, dtype=object)),
        "d.npz: 'y' holds pickled objects, which are refused",
    ),
    "72 a matrix of objects": (
        MATRIX,
        lambda path: np.save(path, np.array([[{}]] * 3, dtype=object)),
        "d.npy: 'the matrix' holds pickled objects, which are refused",
    ),
    "72 a pickle": (ARRAYS, text(b"\x80\x04K\x01."), "d.npz: is neither .npz nor .npy; expected"),
    "73 eighty terabytes declared": (
        ARRAYS,
        archive(header((10**9, 10**4))),
        "d.npz: 'X': declares 80,000,000,000,000 bytes of values, but there are 0",
    ),
    "73 a matrix of terabytes declared": (
        MATRIX,
        text(header((10**12, 3))),
        "d.npy: declares 24,000,000,000,000 bytes of values, but there are 0",
    ),
    "73 a size below zero": (
        ARRAYS,
        archive(header((-1, 2))),
        "d.npz: 'X': declares the shape (-1, 2); expected sizes from 0 on",
    ),
    "73 cut off": (ARRAYS, cut(saved(X=X, y=Y), 300), "d.npz: is truncated or damaged ("),
    "74 lengths": (
        ARRAYS,
        saved(X=X, y=Y[:20]),
        "d.npz: 'y' holds 20 samples, 'X' 24; expected as many of both",
    ),
    "74 one dimension": (
        ARRAYS,
        saved(X=X[:, 0], y=Y),
        "d.npz: 'X' has the shape (24,); expected samples along the first of two or more",
    ),
    "74 a target of three dimensions": (
        ARRAYS,
        saved(X=X, y=Y.reshape(24, 1, 1)),
        "d.npz: 'y' has the shape (24, 1, 1); expected (N,) or (N, targets)",
    ),
    "74 complex": (ARRAYS, saved(X=X + 1j, y=Y), "d.npz: 'X' holds complex128; expected numbers"),
    "74 words": (ARRAYS, saved(X=X.astype(str), y=Y), "d.npz: 'X' holds <U32; expected numbers"),
    "74 dates": (
        ARRAYS,
        saved(X=X, y=Y.astype("datetime64[s]")),
        "d.npz: 'y' holds datetime64[s]; expected numbers or words",
    ),
    "74 parts of unlike width": (
        ARRAYS,
        saved(x_train=X, y_train=Y, x_test=X[:, :1], y_test=Y),
        "d.npz: 'x_test' has samples of shape (1,); expected (2,), as 'x_train' has",
    ),
    "62 arrays of other names": (
        ARRAYS,
        saved(a=X, b=Y),
        "d.npz: the file holds 'a' 24 x 2 of float64, 'b' 24 of float64; name data.inputs and",
    ),
    "62 no such array": (
        f"{ARRAYS}, inputs: Z, target: y",
        saved(X=X, y=Y),
        "d.npz: the file holds 'X' 24 x 2 of float64, 'y' 24 of float64; expected 'Z', as",
    ),
    "62 no such column of a matrix": (
        f"{MATRIX}, target: 5",
        lambda path: np.save(path, X),
        "d.npy: has 2 columns, counted from 0; expected column 5 to predict",
    ),
    "51 no parquet": (PARQUET, lambda path: None, "d.parquet: no such file"),
    "53 no rows of parquet": (PARQUET, frame(x=[], y=[]), "d.parquet: has no rows; expected some"),
    "54 infinite in parquet": (
        PARQUET,
        frame(x=[1.0, -np.inf] * 12, y=Y),
        "d.parquet: row 2, column 'x': got '-inf' (12 such cells); expected a finite number",
    ),
    "54 a missing target in parquet": (
        PARQUET,
        frame(x=X[:, 0], y=[None, *Y[1:]]),
        "1 of 24 rows lack y (the first is row 1); expected a target in each",
    ),
    "62 no target in parquet": (
        PARQUET,
        frame(x=X[:, 0], z=Y),
        "d.parquet: no column 'y'; known: x, z",
    ),
    "70 beyond float32 in parquet": (
        PARQUET,
        frame(x=[1e39, *X[1:, 0]], y=Y),
        "d.parquet: row 1, column 'x': got '1e+39'; expected a number that float32 holds",
    ),
    "74 lists in parquet": (
        PARQUET,
        frame(x=[[1.0]] * 24, y=Y),
        "d.parquet: column 'x': got cells of type List(Float64); expected numbers, words",
    ),
    "cut parquet": (
        PARQUET,
        cut(frame(x=X[:, 0], y=Y), 200),
        "d.parquet: cannot be read as Parquet, it is damaged or of another format",
    ),
    "parquet called CSV": (
        "source: csv, path: d.csv, target: y",
        frame(x=X[:, 0], y=Y),
        "it looks like Parquet); save it as CSV in UTF-8",
    ),
    "54 an infinite step": (
        f"{SERIES}, time: t",
        text(STEPS.replace("4.5", "inf", 1)),
        "s.csv: line 5, column 'v': got 'inf'; expected a finite number",
    ),
    "55 words in a series": (
        f"{SERIES}, time: t, target: v",
        text(STEPS.replace(".5", "a")),
        "data: column 'v' holds categorical values; a series expects numbers",
    ),
    "55 nothing but words in a series": (
        f"{SERIES}, time: t",
        text(STEPS.replace(".5", "a")),
        "data: no column but that of time holds numbers; a series expects some",
    ),
    "56 a time twice": (
        f"{SERIES}, time: t",
        text(STEPS.replace("01-07", "01-08")),
        "data.time: 1 rows have the same 't' as another; a series expects a row for each time",
    ),
    "62 a step without a time": (
        f"{SERIES}, time: t",
        text(STEPS.replace("2024-01-07", "")),
        "data.time: 1 rows have no 't'; expected one in each",
    ),
    "68 a series too short": (
        f"{SERIES}0, time: t",
        text(STEPS),
        "data: 28 rows are too few for one window; expected at least lookback + horizon = 30 + 1",
    ),
    "68 a part too short": (
        f"{SERIES}, time: t, horizon: 10",
        text(STEPS),
        "data.split: the 3 steps of val hold no window of horizon 10 after a lookback of 3",
    ),
    "53 no text": ("source: text, path: t.txt", text(" \n\n"), "t.txt: is empty; expected a text"),
    "not UTF-8": (
        "source: text, path: t.txt",
        text(b"a\ncaf\xe9\n"),
        "t.txt: line 2: byte 5 is not UTF-8; save it in UTF-8, or take data.tokens: bytes",
    ),
    "cut gzip": (
        "source: text, path: t.txt",
        text(gzip.compress(b"hello world " * 50)[:30]),
        "t.txt: is truncated or damaged (",
    ),
}  # fmt: skip


def path_in(data: str) -> str:
    return data.partition("path: ")[2].partition(",")[0]


@pytest.mark.parametrize(("data", "write", "expected"), OTHERS.values(), ids=ids(OTHERS))
def test_a_fault_of_arrays_columns_series_and_texts(
    refused: Refused, tmp_path: Path, data: str, write: Write, expected: str
) -> None:
    (tmp_path / "bad.yaml").write_text(f"data: {{{data}}}\n{NETWORK}")
    write(tmp_path / path_in(data))
    assert expected in refused("train", "bad.yaml")
    assert expected in refused("check", "bad.yaml")


def test_an_array_larger_than_memory_is_refused_by_its_size(
    refused: Refused, tmp_path: Path
) -> None:
    """Item 73: as large as it declares, though it takes no room on the disk."""
    (tmp_path / "bad.yaml").write_text(f"data: {{{MATRIX}}}\n{NETWORK}")
    with (tmp_path / "d.npy").open("wb") as file:
        file.write(header((2**36, 2)))
        file.truncate(file.tell() + 2**40)
    line = refused("train", "bad.yaml", code=7)
    assert line.startswith("d.npy: takes 2,048.0 GiB of memory; this machine has ")


# Images


def make_images(folder: Path) -> None:
    """Ten images of each of two classes, and one beside them."""
    for label in "ab":
        (folder / "d" / label).mkdir(parents=True)
        for i in range(10):
            picture(folder / "d" / label / f"{i}.png", i * 9 + 100 * (label == "b"))
    picture(folder / "beside.png", 3)


def picture(path: Path, grey: int, side: int = 4) -> None:
    Image.fromarray(np.full((side, side), grey, np.uint8)).save(path)


def bomb(path: Path) -> None:
    """A picture of a few bytes that declares 3.6 gigapixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    size = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)


FOLDER = "source: images, path: d"
LISTED = "source: images, path: l.csv, target: y"
LIST = "f,y\n" + "d/a/1.png,p\nd/b/2.png,q\n" * 5
IMAGES: dict[str, tuple[str, Write, str]] = {
    "51 no folder": (FOLDER, lambda here: shutil.rmtree(here / "d"), "d: no such file"),
    "53 no classes": (
        FOLDER,
        lambda here: (shutil.rmtree(here / "d"), (here / "d").mkdir()),
        "d: has no folders; expected a folder of images for each of two classes or more",
    ),
    "53 a class without images": (
        FOLDER,
        lambda here: (here / "d" / "c").mkdir(),
        "d/c: holds no images; expected those of the class 'c'",
    ),
    "63 one class": (
        FOLDER,
        lambda here: shutil.rmtree(here / "d" / "b"),
        "d: has one folder only, 'a'; expected a folder of images for each of two classes",
    ),
    "74 two sizes": (
        FOLDER,
        lambda here: picture(here / "d" / "a" / "3.png", 1, side=5),
        "data: the images have 2 sizes: 4 x 4 (d/a/0.png), 5 x 5 (d/a/3.png); expected one, or",
    ),
    "75 no image": (
        FOLDER,
        lambda here: (here / "d" / "a" / "3.png").write_bytes(b"nope"),
        "d/a/3.png: is damaged, or no image (pillow cannot identify it)",
    ),
    "75 zero bytes": (
        FOLDER,
        lambda here: os.truncate(here / "d" / "a" / "3.png", 0),
        "d/a/3.png: is damaged, or no image",
    ),
    "75 cut off": (
        FOLDER,
        lambda here: os.truncate(here / "d" / "a" / "3.png", 50),
        "d/a/3.png: is damaged, or no image",
    ),
    "75 gigapixels declared": (
        FOLDER,
        lambda here: bomb(here / "d" / "a" / "3.png"),
        "d/a/3.png: is damaged, or no image (DecompressionBomb",
    ),
    "75 a program that draws": (
        FOLDER,
        lambda here: (here / "d" / "a" / "3.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n"),
        "d/a/3.png: is damaged, or no image",
    ),
    "76 a link out of the folder": (
        FOLDER,
        lambda here: (here / "d" / "a" / "z.png").symlink_to("../../beside.png"),
        "d/a/z.png: is a link that leads out of d",
    ),
    "76 a link to a folder": (
        FOLDER,
        lambda here: (here / "d" / "c").symlink_to("b"),
        "d/c: is a link to a folder; expected the folder itself",
    ),
    "76 a link to nothing": (
        FOLDER,
        lambda here: (here / "d" / "a" / "z.png").symlink_to("nowhere.png"),
        "d/a/z.png: no such file",
    ),
    "51 a listed image that is not there": (
        LISTED,
        lambda here: (here / "l.csv").write_text(LIST + "d/a/none.png,p\n"),
        "d/a/none.png: no such file",
    ),
    "54 a row without an image": (
        LISTED,
        lambda here: (here / "l.csv").write_text(LIST + ",p\n"),
        "l.csv: column 'f': row 11 is empty (one of 1); expected the name of an image",
    ),
    "62 a list without images": (
        LISTED,
        lambda here: (here / "l.csv").write_text("f,y\n1,p\n2,q\n"),
        "l.csv: no column looks like the one to learn from; name it in data.image",
    ),
}


@pytest.mark.parametrize(("data", "spoil", "expected"), IMAGES.values(), ids=ids(IMAGES))
def test_a_fault_of_images(
    refused: Refused, tmp_path: Path, data: str, spoil: Write, expected: str
) -> None:
    make_images(tmp_path)
    spoil(tmp_path)
    (tmp_path / "bad.yaml").write_text(f"data: {{{data}}}\n{NETWORK}")
    assert refused("train", "bad.yaml").startswith(expected)


def test_a_link_within_a_folder_of_images_is_an_image(nnarch_here: Command, tmp_path: Path) -> None:
    """Item 76."""
    make_images(tmp_path)
    (tmp_path / "d" / "a" / "z.png").symlink_to("../b/1.png")
    (tmp_path / "images.yaml").write_text(f"data: {{{FOLDER}}}\n{NETWORK}")
    done = nnarch_here("train", "images.yaml")
    assert done.returncode == 0, done.stderr
    assert "21 samples" in done.stderr


# init


STARTS: dict[str, tuple[list[str], int, str]] = {
    "51 no data": (["none.csv", "-t", "y"], 4, "none.csv: no such file or directory"),
    "51 a name that no file has": (["x" * 300, "-t", "y"], 4, "no such file or directory"),
    "52 a folder of nothing": (["empty"], 4, "empty: holds no data that is known here; expected"),
    "52 a pipe": (["pipe", "-t", "y"], 4, "pipe: is a pipe or a device; expected a text file"),
    "62 no target": (["t.csv", "-t", "z"], 2, "--target: no column 'z'; known: x, c, y"),
    "62 no column of this number": (["t.csv", "-t", "4"], 2, "--target: no column '4'; known:"),
    "62 a target without a name": (["t.csv", "-t", ""], 2, "--target: no column ''; known: x, c"),
    "62 no target given": (
        ["t.csv"],
        2,
        "missing --target, the column to predict; the last ones are x, c, y",
    ),
    "62 a time that is none": (
        ["t.csv", "-t", "y", "--time", "c"],
        4,
        "data.split.time: 'c' holds categorical values; expected dates or numbers",
    ),
    "72 objects": (["d.npz"], 4, "d.npz: 'X' holds pickled objects, which are refused"),
    "no such folder to write to": (
        ["t.csv", "-t", "y", "-o", "none/made.yaml"],
        2,
        "none: no such directory",
    ),
    "a file that is there": (
        ["t.csv", "-t", "y", "-o", "t.csv"],
        2,
        "t.csv: is there already; --force replaces it",
    ),
}


@pytest.mark.parametrize(("words", "code", "expected"), STARTS.values(), ids=ids(STARTS))
def test_a_config_for_bad_data_is_not_begun(
    refused: Refused, tmp_path: Path, words: list[str], code: int, expected: str
) -> None:
    put(tmp_path, table())
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    saved(X=np.array([[{}]] * 24, dtype=object), y=Y)(tmp_path / "d.npz")
    assert expected in refused("init", *words, code=code)


# eval and predict


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on rows of a number, a word, a truth and a date."""
    root = tmp_path_factory.mktemp("trained")
    lines = [f"{i * 7 % 11}.{i % 10},{'rgb'[i % 3]},{'ny'[i % 2]},2024-01-{i % 28 + 1:02d},{i / 2}"
             for i in range(40)]  # fmt: skip
    (root / "t.csv").write_text("x,c,f,d,y\n" + "\n".join(lines) + "\n")
    (root / "run.yaml").write_text(f"data: {{{CSV}}}\n{NETWORK}".replace("t.csv", f"{root}/t.csv"))
    return library.train(root / "run.yaml", runs_dir=root / "runs").path


NEW = "x,c,f,d\n1.5,r,y,2024-01-03\n2.5,g,n,2024-01-04\n0.5,b,y,2024-01-05\n"
ASKED: dict[str, tuple[str | bytes | None, str]] = {
    "51 no file": (None, "new.csv: no such file"),
    "53 zero bytes": ("", "new.csv: is empty; expected a header and rows"),
    "53 header only": ("x,c,f,d\n", "new.csv: has a header, but no rows; expected some"),
    "54 infinite": (
        NEW.replace("2.5", "inf"),
        "new.csv: line 3, column 'x': got 'inf'; expected a finite number",
    ),
    "55 a word": (NEW.replace("2.5", "w"), "column 'x'"),
    "55 neither true nor false": (
        NEW.replace(",n,", ",perhaps,"),
        "column 'f' holds 'perhaps'; expected true or false, yes or no, 1 or 0",
    ),
    "55 no date": (
        NEW.replace("2024-01-04", "soon"),
        "column 'd' holds 'soon'; expected a date such as 2024-05-31",
    ),
    "56 a repeated column": (
        NEW.replace("f,", "c,", 1),
        "new.csv: line 1: columns 2 and 3 have the same name, 'c'; expected each to have its own",
    ),
    "57 a short row": (NEW + "1,2\n", "new.csv: line 5: got 2 cells; expected 4 as in the header"),
    "70 beyond float32": (
        NEW.replace("2.5", "1e39"),
        "new.csv: line 3, column 'x': got '1e39'; expected a number that float32 holds",
    ),
    "79 a column less": (
        "x,c,d\n1.5,r,2024-01-03\n",
        "no column 'f'; known: x, c, d",
    ),
    "79 two columns less": ("x,d\n1.5,2024-01-03\n", "no column 'f', 'c'; known: x, d"),
    "79 a column of another name": (NEW.replace("c,", "C,", 1), "no column 'c'; known: x, C"),
    "not UTF-8": (
        NEW.replace(",g,", ",é,").encode("latin-1"),
        "new.csv: line 3: byte 31 is not UTF-8; save it as CSV in UTF-8",
    ),
}


@pytest.mark.parametrize(("text", "expected"), ASKED.values(), ids=ids(ASKED))
def test_nothing_is_predicted_of_bad_data(
    refused: Refused, tmp_path: Path, trained: Path, text: str | bytes | None, expected: str
) -> None:
    before = contents(trained)
    if text is not None:
        (tmp_path / "new.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert expected in refused("predict", trained, "new.csv")
    assert expected in refused("predict", trained, "new.csv", "-o", "answers.csv")
    assert contents(trained) == before


def answers(nnarch: Command, run: Path, path: Path, text: str, *words: str) -> list[str]:
    (path / "new.csv").write_text(text)
    done = nnarch("predict", run, "new.csv", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_columns_to_predict_from_are_known_by_their_names(
    nnarch_here: Command, tmp_path: Path, trained: Path
) -> None:
    """Items 78 and 79: in any order, and with others beside them."""
    columns = pl.read_csv(io.StringIO(NEW), infer_schema=False)
    expected = answers(nnarch_here, trained, tmp_path, NEW)
    assert len(set(expected)) == 4
    turned = columns.select("d", "f", "c", "x").write_csv()
    assert answers(nnarch_here, trained, tmp_path, turned) == expected
    more = columns.select(pl.lit("z").alias("a"), pl.all(), pl.lit("q").alias("y2")).write_csv()
    assert answers(nnarch_here, trained, tmp_path, more) == expected


def test_a_category_that_was_never_seen_shifts_no_other(
    nnarch_here: Command, tmp_path: Path, trained: Path
) -> None:
    """Item 80: it is none of the known ones, whatever words stand beside it."""
    known = answers(nnarch_here, trained, tmp_path, NEW)
    strange = answers(nnarch_here, trained, tmp_path, NEW.replace(",g,", ",a new one,"))
    assert [strange[1], strange[3]] == [known[1], known[3]]
    assert strange[2] != known[2]
    other = answers(nnarch_here, trained, tmp_path, NEW.replace(",g,", ",another,"))
    assert other == strange
    alone = NEW.splitlines()[0] + "\n2.5,zebra,n,2024-01-04\n"
    assert answers(nnarch_here, trained, tmp_path, alone)[1] == strange[2]


def test_gaps_are_filled_where_rows_are_predicted(
    nnarch_here: Command, tmp_path: Path, trained: Path
) -> None:
    _, answer = answers(nnarch_here, trained, tmp_path, "x,c,f,d\n,,,\n")
    assert np.isfinite(float(answer))


def test_data_that_changed_since_training_are_not_measured(
    nnarch_here: Command, refused: Refused, tmp_path: Path
) -> None:
    """Item 77."""
    put(tmp_path, table())
    done = nnarch_here("train", "bad.yaml", "--quiet")
    assert done.returncode == 0, done.stderr
    (tmp_path / "t.csv").write_text(table({(7, "x"): "5.25"}))
    run = done.stdout.strip()
    assert refused("eval", run).startswith(
        f"{run}: the data has changed since the run was trained on it; expected the same rows"
    )
    (tmp_path / "t.csv").write_text(table())
    assert nnarch_here("eval", run, "--quiet").returncode == 0
    (tmp_path / "t.csv").unlink()
    assert refused("eval", run).startswith("t.csv: no such file")


MEASURED = {
    "51 no file": (None, "new.csv: no such file"),
    "54 a missing target": ("x,c,f,d,y\n1.5,r,y,2024-01-03,\n", "1 of 1 rows lack y (the first is"),
    "55 a word in the target": ("x,c,f,d,y\n1.5,r,y,2024-01-03,much\n", "'much'"),
    "62 no target": (NEW, "new.csv: no column 'y'; known: x, c, f, d"),
    "79 a column less": ("x,c,y\n1.5,r,3\n", "no column 'f', 'd'; known: x, c"),
}


@pytest.mark.parametrize(("text", "expected"), MEASURED.values(), ids=ids(MEASURED))
def test_nothing_is_measured_on_bad_data(
    refused: Refused, tmp_path: Path, trained: Path, text: str | None, expected: str
) -> None:
    if text is not None:
        (tmp_path / "new.csv").write_text(text)
    assert expected in refused("eval", trained, "--data", "new.csv")


@pytest.mark.parametrize("name", ["51 no file", "54 infinite", "57 a short row"])
def test_a_process_of_its_own_ends_the_same(
    nnarch_forked: Command, tmp_path: Path, name: str
) -> None:
    text, expected = FAULTS[name]
    put(tmp_path, text)
    before = contents(tmp_path)
    done = nnarch_forked("train", "bad.yaml")
    assert done.returncode == 4
    (line,) = error_lines(done)
    assert line.startswith(expected)
    assert contents(tmp_path) == before
