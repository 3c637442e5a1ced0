"""The data source `csv`: text files with a row a line, of columns of any kind."""

import os
from collections.abc import Collection, Iterator, Sequence

from nnarch.data.formats import gather, paths
from nnarch.data.formats.cells import MISSING, Decimal
from nnarch.data.formats.dialect import Separator
from nnarch.data.formats.gather import Names, Stream
from nnarch.data.formats.survey import Wanted
from nnarch.data.formats.textfile import Auto, Header, TextFile, open_text
from nnarch.data.table import Table
from nnarch.options import FilePath, Paths
from nnarch.registry import sources

Path = str | os.PathLike[str] | Sequence[str]


@sources.register
def csv(
    *,
    path: FilePath | Paths,
    target: str | Names | None = None,
    separator: Separator = "auto",
    decimal: Decimal | Auto = "auto",
    header: Header = "auto",
    na_values: list[str] | None = None,
    val: FilePath | Paths | None = None,
    test: FilePath | Paths | None = None,
    stream: Stream = "auto",
) -> Table:
    """Text files with a row a line: columns of numbers, words or dates, and what to predict.

    Options:
        path: The file, in UTF-8, perhaps compressed by gzip; a pattern or a list for several.
        target: The column to predict, of numbers or of words, or a list of several of numbers.
        separator: What stands between two cells; `space` is one space or more.
        decimal: What stands before the decimals of a number.
        header: Whether the first line holds the names of the columns.
        na_values: Words that mean that a cell holds nothing, in place of the usual ones.
        val: Files of their own for validation; the others are not parted then.
        test: Files of their own for testing.
        stream: Whether rows stay on disk; they do where they would take a quarter of the memory.
    """
    files = [
        [] if one is None else open_all(one, separator, decimal, header, na_values)
        for one in (path, val, test)
    ]
    sign = _sign([file for group in files for file in group])
    wanted = Wanted(decimal=sign, missing=gather.words(na_values))
    return gather.parted(files, target, wanted, stream)


def read(
    path: Path,
    *,
    target: Sequence[str] = (),
    needs_target: bool = True,
    labels: bool | None = None,
    words: Collection[str] = (),
    separator: Separator = "auto",
    decimal: Decimal | Auto = "auto",
    header: Header = "auto",
    missing: Sequence[str] | None = None,
) -> Table:
    """All rows of text files, with every column but the target as an input.

    Args:
        path: a file, a pattern such as `data/*.csv`, or a list of either; their columns are
            matched by name. Symbolic links are followed.
        target: the columns to predict.
        needs_target: whether a file without them is refused, or is a table without a target.
        labels: whether the target is words (even words like "3") or numbers; the file says so
            if None.
        words: columns that are words, even where all are numbers.
        missing: words that mean nothing, in columns of words too.

    Raises: DataError where a file is damaged or its target cannot be used. A column that cannot
        be used is given a fault instead, and NaN.

    A separator, header or decimal that is `auto` is found as `dialect` says, and noted.
    """
    files = open_all(path, separator, decimal, header, missing)
    return gather.read(files, _wanted(files, target, needs_target, labels, words, missing))


def chunks(
    path: Path,
    *,
    target: Sequence[str] = (),
    needs_target: bool = True,
    labels: bool | None = None,
    words: Collection[str] = (),
    separator: Separator = "auto",
    decimal: Decimal | Auto = "auto",
    header: Header = "auto",
    missing: Sequence[str] | None = None,
    rows_or_bytes: int = 1 << 26,
) -> Iterator[Table]:
    """The same rows in the same order, about `rows_or_bytes` bytes of a file at once.

    The files are read twice: the first time to find the kind and the words of each column, so
    that a code means the same in all tables. A column of words, of which more than 100,000 are
    distinct, cannot be used then.
    """
    files = open_all(path, separator, decimal, header, missing, rows_or_bytes)
    return gather.chunks(files, _wanted(files, target, needs_target, labels, words, missing))


def is_large(path: Path) -> bool:
    """Whether the rows of the files would take too much of the memory."""
    return gather.streams(open_all(path, "auto", "auto", "auto", None), "auto")


def _wanted(
    files: Sequence[TextFile],
    target: Sequence[str],
    needs_target: bool,
    labels: bool | None,
    words: Collection[str],
    missing: Sequence[str] | None,
) -> Wanted:
    marks = gather.words(missing)
    return Wanted(tuple(target), needs_target, labels, frozenset(words), _sign(files), marks)


def _sign(files: Sequence[TextFile]) -> Decimal:
    """What stands before decimals in files of one kind, some of which may have none."""
    return "," if any(file.decimal == "," for file in files) else "."


def open_all(
    path: Path,
    separator: Separator,
    decimal: Decimal | Auto,
    header: Header,
    missing: Sequence[str] | None,
    size: int | None = None,
) -> list[TextFile]:
    marks = MISSING if missing is None else [word.lower() for word in missing]
    return [open_text(file, separator, decimal, header, marks, size) for file in paths.files(path)]
