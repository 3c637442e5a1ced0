"""A text file with a row a line: how it is written, and what its columns are called.

What is no such file is refused here, with what it is instead; its rows are read by `textrows`.
"""

import gzip
import io
import os
import zlib
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from csv import Error, reader
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from typing import IO, Literal

from nnarch.data.formats import dialect, paths, textrows
from nnarch.data.formats.cells import MISSING, MOST_COLUMNS, MOST_NAMES, Decimal, number_in
from nnarch.data.formats.datafile import Lines, decompressed
from nnarch.data.formats.dialect import NAMES, Dialect, Separator
from nnarch.data.formats.frame import Frame
from nnarch.data.table import ColumnKind
from nnarch.errors import ConfigError, DataError
from nnarch.registry import suggestion

Auto = Literal["auto"]
Header = Auto | bool

BLOCK = 1 << 24  # bytes that are read at once
BUFFER = 1 << 16
SAMPLE = 1 << 18  # bytes that are looked at to see how a file is written
GZIP = b"\x1f\x8b"
OTHER_FORMATS = {
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"PAR1": "Parquet",
}
UNKNOWN = Dialect(",", True)


def open_text(
    path: str,
    separator: Separator = "auto",
    decimal: Decimal | Auto = "auto",
    header: Header = "auto",
    missing: Collection[str] = MISSING,
    size: int | None = None,
) -> "TextFile":
    """The file, with how it is written found where that is `auto`.

    Args:
        missing: words that mean nothing among numbers, in lower case.
        size: about how many bytes are read at once; as many as is quickest if None.

    Raises: DataError where it is not there, not text, or has no columns with names of their own.
    """
    if separator == decimal == ",":
        raise ConfigError("data.decimal: got ',', the separator; expected another separator then")
    paths.check(path, "a text file with a header and rows")
    file = TextFile(path, ".", missing, size or BLOCK, size is None, header)
    with file.open() as stream:
        start = stream.read(SAMPLE) + stream.readline()
    file.check_utf8(start)
    lines = tuple(io.StringIO(start.decode("utf-8-sig"), newline=""))
    sign = dialect.decimal_of(lines, separator) if decimal == "auto" else decimal
    found = dialect.find(lines, separator, sign, header)
    if decimal != sign == ",":
        found = replace(found, notes=(*found.notes, "decimals stand behind a comma"))
    file = replace(file, decimal=sign, lines=lines, dialect=found)
    file.check_names()
    return file


@dataclass(frozen=True)
class TextFile:
    """A file of text, perhaps compressed, and how it is written; `lines` are the first ones.

    Attributes:
        size: how many bytes are read at once, unless all are, where that `is_quicker`.
    """

    path: str
    decimal: Decimal
    missing: Collection[str]
    size: int
    is_quicker: bool
    asked: Header
    lines: Sequence[str] = ()
    dialect: Dialect = UNKNOWN

    @property
    def place(self) -> str:
        """What the place of a row is called."""
        return "line"

    @property
    def kinds(self) -> dict[str, ColumnKind]:
        """What columns are known to be; of text, nothing."""
        return {}

    @property
    def faults(self) -> dict[str, str]:
        """Why columns cannot be used; of text, only their cells can tell."""
        return {}

    @property
    def name(self) -> str:
        return paths.shown(self.path)

    @property
    def memory(self) -> int:
        """About how many bytes a table of its rows takes: four times its text, packed or not."""
        return os.path.getsize(self.path) * (16 if self.is_packed else 4)

    def in_blocks(self) -> "TextFile":
        """The same file, read in blocks whatever is quicker."""
        return replace(self, is_quicker=False)

    def fault(self, what: str) -> DataError:
        return DataError(f"{self.name}: {what}")

    @cached_property
    def is_packed(self) -> bool:
        with open(self.path, "rb") as file:
            return file.read(2) == GZIP

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Its bytes, decompressed; no line of them is longer than any should be."""
        try:
            with open(self.path, "rb") as file:
                yield io.BufferedReader(Lines(self.name, decompressed(file)), BUFFER)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise self.fault(f"cannot be decompressed, it is damaged: {error}") from None
        except OSError as error:
            raise self.fault(f"cannot be read: {error.strerror}") from None

    # Its columns

    @cached_property
    def _first(self) -> tuple[list[str], int]:
        """The cells of the first row, and the line in which it ends."""
        with self.open() as stream, closing(self.records(stream)) as records:
            return next(((row, end) for _, row, end in records), ([], 0))

    @property
    def header_lines(self) -> int:
        """How many lines the header takes."""
        return self._first[1] if self.dialect.header else 0

    @property
    def names(self) -> list[str]:
        """The columns' names, without breaks of line and needless spaces."""
        return self._names

    @cached_property
    def _names(self) -> list[str]:
        cells = self._first[0] if self.dialect.header else [""] * len(self._first[0])
        names = [" ".join(cell.split()) for cell in cells]
        return [name or f"column_{place}" for place, name in enumerate(names, 1)]

    @property
    def notes(self) -> list[str]:
        """What was inferred of how the file is written."""
        if not self.dialect.header:
            last = f" to column_{len(self.names)}" if len(self.names) > 1 else ""
            return [*self.dialect.notes, f"no header: columns are column_1{last}"]
        return [*self.dialect.notes] + [
            f"column {place} has no name: it is called column_{place}"
            for place, cell in enumerate(self._first[0], 1)
            if not cell.split()
        ]

    def check_names(self) -> None:
        """Refuse what has no columns, or two of one name."""
        if not self.names:
            raise self.fault("is empty; expected a header and rows")
        if len(self.names) > MOST_COLUMNS:
            raise self.fault(
                f"line 1: has {len(self.names):,} cells; expected at most {MOST_COLUMNS:,} columns"
            )
        firsts: dict[str, int] = {}
        for place, name in enumerate(self.names, 1):
            first = firsts.setdefault(name, place)
            if first < place:
                raise self.fault(
                    f"line 1: columns {first} and {place} have the same name, {name!r}; "
                    f"expected each to have its own{self._headless()}"
                )

    def require(self, names: Sequence[str]) -> None:
        """Refuse a file without these columns, and say what its first line is then."""
        missing = [name for name in names if name not in self.names]
        if not missing:
            return
        known = self.names
        if len(known) > MOST_NAMES:
            known = get_close_matches(missing[0], known, MOST_NAMES, cutoff=0)
            known.append(f"... ({len(self.names)} columns)")
        advice = suggestion(missing[0], known) + self._headless()
        first = self._first[0][0]
        others = [character for character in ";,\t| " if character in first]
        if len(self.names) == 1 and others:
            word = NAMES.get(others[0], others[0])
            advice = f"the only one is {first!r}; try data.separator: {word!r}"
        raise self.fault(f"no column {', '.join(map(repr, missing))}; {advice}")

    def _headless(self) -> str:
        if self.asked is False:
            return ""
        if not self.dialect.header:
            return "; no header was found, data.header: true takes the first line as one"
        numbers = sum(number_in(name, self.decimal) is not None for name in self.names)
        if 2 * numbers <= len(self.names):
            return ""
        return "; the first line must name the columns, is it missing? then data.header: false"

    # Its rows

    def rows(self, strings: Collection[str] | None = None) -> Iterator[Frame]:
        """All cells, as `textrows.rows` reads them."""
        return textrows.rows(self, strings)

    def records(
        self, stream: IO[bytes], offset: int = 0, line: int = 1
    ) -> Generator[tuple[int, list[str], int], None, None]:
        """Each row's first line, cells and last line, as the csv module reads them.

        Raises: DataError where quotes are broken or a line is empty.
        """
        stream.seek(offset)
        text = io.TextIOWrapper(stream, "utf-8" if offset else "utf-8-sig", newline="")
        spaces = self.dialect.separator == " "
        rows = reader(
            (one.strip(" \r\n") + "\n" for one in text) if spaces else text,
            delimiter=self.dialect.separator,
            skipinitialspace=spaces,
            strict=True,
        )
        before, empty = line - 1, 0
        try:
            for row in rows:
                if len(row) < 2 and not "".join(row).strip():
                    empty = empty or line
                elif empty:
                    raise self.fault(f"line {empty} is empty; expected the header or a row")
                else:
                    yield line, row, before + rows.line_num
                line = before + rows.line_num + 1
        except Error as error:
            raise self.fault(
                f"line {line}: broken quotes ({error}); "
                'expected each quote to be closed, and to be "" within quotes'
            ) from None
        except UnicodeDecodeError:
            raise self._not_utf8() from None
        finally:
            text.detach()

    # UTF-8

    def check_utf8(self, data: bytes) -> None:
        """Refuse bytes that are not UTF-8, with their place in the file."""
        if not data.isascii():
            try:
                data.decode()
            except UnicodeDecodeError:
                raise self._not_utf8() from None

    def _not_utf8(self) -> DataError:
        offset, line = 0, 1
        with self.open() as stream:
            while chunk := stream.read(SAMPLE) + stream.readline():
                try:
                    chunk.decode()
                except UnicodeDecodeError as error:
                    line += chunk.count(b"\n", 0, error.start)
                    return self.fault(
                        f"line {line}: byte {offset + error.start} is not UTF-8"
                        f"{'' if offset else _looks(chunk)}; save it as CSV in UTF-8"
                    )
                offset, line = offset + len(chunk), line + chunk.count(b"\n")
        raise AssertionError("bytes that were not UTF-8 are")


def _looks(start: bytes) -> str:
    known = [what for magic, what in OTHER_FORMATS.items() if start.startswith(magic)]
    return f" (it looks like {known[0]})" if known else ""
