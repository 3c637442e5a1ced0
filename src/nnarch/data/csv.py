"""Text files with a header and a row a line: the commonest way to hold a table, and a loose one.

A file is read by one of two readers. polars is fast, but fills a short row in silence and cannot
say in which line a fault is. So its answer is taken only where nothing at all is amiss; otherwise
the csv module reads the file again, slowly and exactly. Either it names the line and the column,
or it finds that all is well (spaces after numbers, empty lines at the end) and gives the rows
itself: what it accepts is the definition of what a file may be.
"""

import os
import re
import reprlib
import stat
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from csv import Error, reader
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import Field

from nnarch.data.table import Table
from nnarch.data.task import MOST_CLASSES
from nnarch.errors import ConfigError, DataError
from nnarch.lazy import LazyModule
from nnarch.options import FilePath
from nnarch.registry import sources, suggestion

if TYPE_CHECKING:
    import polars as pl
    import torch
else:
    pl = LazyModule("polars")
    torch = LazyModule("torch")

Separator = Literal[",", ";", "|", "tab", "space"]
Decimal = Literal[".", ","]
Names = Annotated[list[str], Field(min_length=1)]
Target: TypeAlias = "torch.Tensor | list[str] | None"

CHARACTERS = {"tab": "\t", "space": " "}
MISSING = ("na", "n/a", "nan", "-nan", "null", "none", "nil", "?", "-")
LARGEST = 3.4028234663852886e38  # in float32, which networks compute in
DECIMAL_COMMA = str.maketrans(".,", ",.")
# A number but for what stands before its decimals or thousands.
MISSPELT = re.compile(
    r"[-+]?(?=[.,]?\d)(\d*|\d{1,3}([.,]\d{3})+)([.,]\d+)?(e[-+]?\d+)?", re.IGNORECASE
)
LONE_CR = re.compile(rb"\r(?!\n)")
MOST_NAMES = 30  # in a message
REPAIR = "fill missing cells in, or leave their rows out"
OF_NUMBERS = "a number, as other rows of the target hold"
OTHER_FORMATS = {
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"PAR1": "Parquet",
}


@sources.register
def csv(
    *,
    path: FilePath,
    target: str | Names,
    separator: Separator = ",",
    decimal: Decimal = ".",
    columns: Names | None = None,
    ignore: list[str] = [],  # noqa: B006 (read, never changed)
) -> Table:
    """A text file with a header and a row a line: numeric features, and what to predict.

    Options:
        path: The file, in UTF-8.
        target: The column to predict, of numbers or of words, or a list of several of numbers.
        separator: What stands between two cells.
        decimal: What stands before the decimals of a number.
        columns: The features; every column but the target unless given.
        ignore: Columns that are no features.
    """
    targets = [target] if isinstance(target, str) else target
    _check_names(targets, columns or [], ignore)
    file = _open(path, separator, decimal)
    file.require([*targets, *(columns or []), *ignore])
    others = {*targets, *ignore}
    inputs = columns or [name for name in file.header if name not in others]
    if not inputs:
        raise file.fault("no column is left to learn from; expected one beside the target")
    if "" in inputs:
        raise file.fault(
            f"column {file.places[''] + 1} has no name, as row numbers often have none; "
            'name it, or leave it out with data.ignore: [""]'
        )
    return file.table(inputs, targets)


def read(
    path: str | os.PathLike[str],
    *,
    inputs: Sequence[str],
    target: Sequence[str] = (),
    separator: Separator = ",",
    decimal: Decimal = ".",
    labels: bool | None = None,
) -> Table:
    """The columns `inputs` of another file, wherever they stand in it; the others are ignored.

    Where a column of `target` is not there, the table has no target. `labels` says whether the
    target is words (even words like "3") or numbers; None leaves that to the file.
    """
    file = _open(os.fspath(path), separator, decimal)
    file.require(inputs)
    there = set(target) <= set(file.header)
    table = file.table(inputs, target if there else (), labels)
    return Table(table.inputs, table.input_names, table.target, tuple(target))


def _check_names(targets: list[str], columns: list[str], ignore: list[str]) -> None:
    for key, names in (("target", targets), ("columns", columns), ("ignore", ignore)):
        if twice := [name for name in names if names.count(name) > 1]:
            raise ConfigError(f"data.{key}: {twice[0]!r} is named twice; expected it once")
    for key, names in (("columns", columns), ("ignore", ignore)):
        if both := [name for name in names if name in targets]:
            raise ConfigError(f"data.{key}: {both[0]!r} is the target; expected other columns")
    if both := [name for name in ignore if name in columns]:
        raise ConfigError(f"data.ignore: {both[0]!r} is in data.columns too; expected it in one")


def _open(path: str, separator: Separator, decimal: Decimal) -> "_File":
    if separator == decimal:
        raise ConfigError("data.decimal: got ',', the separator; expected another separator then")
    here = os.getcwd()
    path = path.removeprefix(os.path.join(here, ""))  # as its user would write it
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            kind = "a directory" if stat.S_ISDIR(mode) else "a pipe or a device"
            raise DataError(f"{path}: is {kind}; expected a text file with a header and rows")
        plain, quotes = _check_text(path, decimal)
    except FileNotFoundError:
        start = "" if os.path.isabs(path) else f" (the working directory is {here})"
        raise DataError(f"{path}: no such file{start}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # a zero byte in the path
        raise DataError(f"{path!r}: cannot be read: {error}") from None
    file = _File(path, CHARACTERS.get(separator, separator), decimal, plain, quotes)
    file.check_header()
    return file


def _check_text(path: str, decimal: Decimal) -> tuple[bool, int]:
    """Refuse what is not UTF-8; return whether the file is `plain`, and the number of quotes."""
    start, plain, quotes = 0, True, 0
    with open(path, "rb") as file:
        while chunk := file.read(1 << 18) + file.readline():
            if not chunk.isascii():
                _check_utf8(path, chunk, start)
            if start == 0:
                plain = not chunk.startswith((b"x^", b"x\x01"))  # polars would decompress these
            if b"\r" in chunk and LONE_CR.search(chunk):
                plain = False
            if decimal == "," and b"." in chunk:  # polars takes both then
                plain = False
            if b'"' in chunk:
                quotes += chunk.count(b'"')
            start += len(chunk)
    return plain and quotes % 2 == 0, quotes


def _check_utf8(path: str, chunk: bytes, start: int) -> None:
    try:
        chunk.decode()
    except UnicodeDecodeError as error:
        known = [what for magic, what in OTHER_FORMATS.items() if chunk.startswith(magic)]
        looks = f" (it looks like {known[0]})" if start == 0 and known else ""
        offset = start + error.start
        with open(path, "rb") as file:
            line = file.read(offset).count(b"\n") + 1
        raise DataError(
            f"{path}: line {line}: byte {offset} is not UTF-8{looks}; save it as CSV in UTF-8"
        ) from None


@dataclass(frozen=True)
class _File:
    """A file of text.

    Attributes:
        plain: nothing in it, but quotes astray, would be read in another way by polars.
        quotes: how many there are.
    """

    path: str
    separator: str
    decimal: Decimal
    plain: bool
    quotes: int

    def fault(self, what: str) -> DataError:
        return DataError(f"{self.path}: {what}")

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Every row's cells, with the number of the line in which it begins."""
        line, empty = 1, 0
        with open(self.path, encoding="utf-8-sig", newline="") as text:
            rows = reader(text, delimiter=self.separator, strict=True)
            try:
                for row in rows:
                    if len(row) < 2 and not "".join(row).strip():
                        empty = empty or line
                    elif empty:
                        raise self.fault(f"line {empty} is empty; expected the header or a row")
                    else:
                        yield line, row
                    line = rows.line_num + 1
            except Error as error:
                raise self.fault(
                    f"line {line}: broken quotes ({error}); "
                    'expected each quote to be closed, and to be "" within quotes'
                ) from None

    @cached_property
    def raw_header(self) -> list[str]:
        return next((row for _, row in self.records()), [])

    @cached_property
    def header(self) -> list[str]:
        """The columns' names, without breaks of line and needless spaces."""
        return [" ".join(name.split()) for name in self.raw_header]

    @cached_property
    def places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.header)}

    def check_header(self) -> None:
        if not self.header:
            raise self.fault("is empty; expected a header and rows")
        firsts: dict[str, int] = {}
        for place, name in enumerate(self.header, 1):
            first = firsts.setdefault(name, place)
            if first < place:
                raise self.fault(
                    f"line 1: columns {first} and {place} have the same name, {name!r}; "
                    f"expected each to have its own{self.headless()}"
                )

    def require(self, names: Sequence[str]) -> None:
        """Refuse a file without these columns, and say what its first line is then."""
        missing = [name for name in names if name not in self.places]
        if not missing:
            return
        known = self.header
        if len(known) > MOST_NAMES:
            known = get_close_matches(missing[0], known, MOST_NAMES, cutoff=0)
            known.append(f"... ({len(self.header)} columns)")
        advice = suggestion(missing[0], known) + self.headless()
        others = [character for character in ";,\t| " if character in self.raw_header[0]]
        if len(self.header) == 1 and others:
            word = {"\t": "tab", " ": "space"}.get(others[0], others[0])
            advice = f"the only one is {self.raw_header[0]!r}; try data.separator: {word!r}"
        raise self.fault(f"no column {', '.join(map(repr, missing))}; {advice}")

    def headless(self) -> str:
        numbers = sum(_number(name, self.decimal) is not None for name in self.header)
        if 2 * numbers <= len(self.header):
            return ""
        return "; the first line must name the columns, is it missing?"

    def table(
        self, inputs: Sequence[str], targets: Sequence[str], labels: bool | None = None
    ) -> Table:
        """All rows, of the columns that are wanted."""
        return self._read_fast(inputs, targets, labels) or self._read_exactly(
            inputs, targets, labels
        )

    def _read_fast(
        self, inputs: Sequence[str], targets: Sequence[str], labels: bool | None
    ) -> Table | None:
        """The table as polars reads it, or None unless that is beyond doubt."""
        frame = self._frame(inputs) if self.plain else None
        if frame is None:
            return None
        values = _tensor(frame.select(inputs))
        target = _fast_target(frame.select(targets), self.decimal, labels) if targets else None
        if not _usable(values) or (targets and target is None):
            return None
        return Table(values, tuple(inputs), target, tuple(targets))

    def _frame(self, inputs: Sequence[str]) -> "pl.DataFrame | None":
        """Every column, since polars checks a row's length only where it needs all its cells."""
        wanted = set(inputs)
        kinds = [pl.Float64 if name in wanted else pl.String for name in self.header]
        try:
            frame = pl.read_csv(
                os.path.abspath(self.path),
                schema=dict(zip(self.raw_header, kinds, strict=True)),
                separator=self.separator,
                decimal_comma=self.decimal == ",",
                glob=False,
            )
        except (Exception, pl.exceptions.PanicException):  # the exact reader says what is wrong
            return None
        frame.columns = self.header
        short = frame.is_empty() or frame.to_series(-1).null_count()  # what is not there is null
        if short or (self.quotes and len(frame) not in self._possible_rows()):
            return None  # a quote astray can join two rows
        return frame

    def _possible_rows(self) -> tuple[int, int]:
        """How many rows there are if each is a line, with and without a break after the last."""
        with open(self.path, "rb") as file:
            breaks = sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 18), b""))
        return breaks - 1, breaks

    def _read_exactly(
        self, inputs: Sequence[str], targets: Sequence[str], labels: bool | None
    ) -> Table:
        """The table as the csv module reads it, or an error that says what is wrong and where."""
        features = [(name, self.places[name]) for name in inputs]
        places = [self.places[name] for name in targets]
        faults = _Faults(self.decimal, targets)
        numbers, lines, words = array("d"), array("q"), []
        for line, row in islice(self.records(), 1, None):
            if len(row) != len(self.header):
                raise self.fault(
                    f"line {line}: got {len(row)} cell{'s' * (len(row) > 1)}; expected "
                    f"{len(self.header)} as in the header, with quotes around a cell that holds "
                    "the separator"
                )
            numbers.extend([faults.number(line, name, row[place]) for name, place in features])
            words.append([row[place].strip() for place in places])
            lines.append(line)
        if not lines:
            raise self.fault("has a header, but no rows; expected some")
        target = _exact_target(words, lines, faults, labels) if targets else None
        if faults.found:
            raise self.fault(faults.first())
        values = torch.frombuffer(numbers, dtype=torch.float64).view(len(lines), len(inputs))
        return Table(values, tuple(inputs), target, tuple(targets))


def _tensor(frame: "pl.DataFrame") -> "torch.Tensor":
    """(rows, columns) float64, NaN where a cell is null."""
    return torch.from_numpy(frame.to_numpy(order="c", writable=True))


def _usable(values: "torch.Tensor") -> bool:
    least, most = values.aminmax()  # both are NaN if one of the values is
    return bool(least >= -LARGEST and most <= LARGEST)


def _fast_target(frame: "pl.DataFrame", decimal: Decimal, labels: bool | None) -> Target:
    """Clean numbers or clean labels, or None."""
    if not labels:
        numbers = _tensor(frame.cast(pl.Float64, strict=False))
        if _usable(numbers):
            return numbers
    words = frame.to_series().to_list()
    labels_of = {word: (word or "").strip() for word in set(words)}
    distinct = labels_of.values()
    if frame.width > 1 or not all(distinct) or not _are_labels(distinct, decimal, labels):
        return None
    return [labels_of[word] for word in words]


def _exact_target(
    rows: list[list[str]], lines: Sequence[int], faults: "_Faults", labels: bool | None
) -> Target:
    words = [row[0] for row in rows]
    if len(faults.targets) == 1 and _are_labels(words, faults.decimal, labels):
        for line, word in zip(lines, words, strict=True):
            if not word:
                faults.add(line, faults.targets[0], word, f"a label: {REPAIR}")
        return words
    values = [
        [faults.number(line, name, word) for name, word in zip(faults.targets, row, strict=True)]
        for line, row in zip(lines, rows, strict=True)
    ]
    return torch.tensor(values, dtype=torch.float64)


def _are_labels(words: Iterable[str], decimal: Decimal, asked: bool | None) -> bool:
    """Whether a target is labels: words, and beside them numbers that could be classes.

    >>> _are_labels(["1", "2", "3 or more"], ".", None), _are_labels(["1.5", "2", "x"], ".", None)
    (True, False)
    """
    if asked is not None:
        return asked
    distinct = {word for word in set(words) if word and word.lower() not in MISSING}
    numbers = {word: _number(word, decimal) for word in distinct}
    texts = [word for word in distinct if numbers[word] is None and not MISSPELT.fullmatch(word)]
    values = [value for value in numbers.values() if value is not None]
    classes = len(values) <= MOST_CLASSES and all(value.is_integer() for value in values)
    return bool(texts) and (classes or len(texts) > len(values))


def _number(cell: str, decimal: Decimal) -> float | None:
    """What a cell says as a number; None for a word."""
    if decimal == ",":
        cell = cell.translate(DECIMAL_COMMA)
    try:
        return None if "_" in cell or "," in cell else float(cell)
    except ValueError:
        return None


@dataclass(frozen=True)
class _Faults:
    """Cells that are not what they should be: of each column and kind the first, and how many."""

    decimal: Decimal
    targets: Sequence[str]
    found: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def number(self, line: int, column: str, cell: str) -> float:
        """The cell's number; 0 in place of a fault."""
        value = _number(cell, self.decimal)
        if value is not None and abs(value) <= LARGEST:
            return value
        self.add(line, column, cell.strip(), self.expected(column, cell.strip(), value))
        return 0.0

    def add(self, line: int, column: str, cell: str, expected: str) -> None:
        self.found.setdefault((column, expected), (line, cell))
        self.counts[column, expected] += 1

    def expected(self, column: str, word: str, value: float | None) -> str:
        if not word or word.lower() in MISSING:
            return f"a number: {REPAIR}"
        if value is not None and "n" in word.lower():  # inf, infinity
            return "a finite number"
        if value is not None:
            return "a number that float32 holds, at most 3.4e38: rescale the column"
        if MISSPELT.fullmatch(word):
            return (
                f"a number such as 1000{self.decimal}5, without separators of thousands; "
                "data.decimal says what stands before decimals"
            )
        if column in self.targets:
            several = len(self.targets) > 1
            return "a number, as several targets all are" if several else OF_NUMBERS
        return "a number: leave a column of words out with data.ignore"

    def first(self) -> str:
        """The fault that comes first in the file, and where else there are such."""
        (column, expected), (line, cell) = min(self.found.items(), key=lambda fault: fault[1][0])
        others = [repr(name) for name, what in self.found if what == expected and name != column]
        count = self.counts[column, expected]
        more = [f"{count} such cells"] if count > 1 else []
        if others:
            more.append(f"others in {', '.join(others[:MOST_NAMES])}")
        got = (reprlib.repr(cell) if cell else "nothing") + (
            f" ({', '.join(more)})" if more else ""
        )
        return f"line {line}, column {column!r}: got {got}; expected {expected}"
