"""A text file of rows, read into a table, or refused with the line that is at fault.

A file is read by one of two readers. polars is fast, but fills a short row in silence and cannot
say in which line a fault is. So its answer is taken only where nothing at all is amiss; otherwise
the csv module reads the file again, slowly and exactly. Either it names the line and the column,
or it finds that all is well (spaces after numbers, empty lines at the end) and gives the rows
itself: what it accepts is the definition of what a file may be.
"""

import os
import re
import stat
from array import array
from collections.abc import Iterator, Sequence
from csv import Error, reader
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Literal, TypeAlias

from nnarch.data.cells import (
    LARGEST,
    MOST_NAMES,
    REPAIR,
    Decimal,
    Faults,
    are_labels,
    number_in,
)
from nnarch.data.table import Table
from nnarch.errors import ConfigError, DataError
from nnarch.lazy import LazyModule
from nnarch.registry import suggestion

if TYPE_CHECKING:
    import polars as pl
    import torch
else:
    pl = LazyModule("polars")
    torch = LazyModule("torch")

Separator = Literal[",", ";", "|", "tab", "space"]
Target: TypeAlias = "torch.Tensor | list[str] | None"

CHARACTERS = {"tab": "\t", "space": " "}
LONE_CR = re.compile(rb"\r(?!\n)")
OTHER_FORMATS = {
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"PAR1": "Parquet",
}


def open_text(path: str, separator: Separator, decimal: Decimal) -> "TextFile":
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
    file = TextFile(path, CHARACTERS.get(separator, separator), decimal, plain, quotes)
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
class TextFile:
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
        numbers = sum(number_in(name, self.decimal) is not None for name in self.header)
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
        faults = Faults(self.decimal, targets)
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
    if frame.width > 1 or not all(distinct) or not are_labels(distinct, decimal, labels):
        return None
    return [labels_of[word] for word in words]


def _exact_target(
    rows: list[list[str]], lines: Sequence[int], faults: Faults, labels: bool | None
) -> Target:
    words = [row[0] for row in rows]
    if len(faults.targets) == 1 and are_labels(words, faults.decimal, labels):
        for line, word in zip(lines, words, strict=True):
            if not word:
                faults.add(line, faults.targets[0], word, f"a label: {REPAIR}")
        return words
    values = [
        [faults.number(line, name, word) for name, word in zip(faults.targets, row, strict=True)]
        for line, row in zip(lines, rows, strict=True)
    ]
    return torch.tensor(values, dtype=torch.float64)
