"""The data source `parquet`: files of columns that say themselves what they are."""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from nnarch.data.formats import gather, paths
from nnarch.data.formats.cells import MOST_COLUMNS
from nnarch.data.formats.dates import since_1970
from nnarch.data.formats.frame import Frame
from nnarch.data.formats.gather import Names, Stream
from nnarch.data.formats.panics import unheard
from nnarch.data.formats.survey import Wanted
from nnarch.data.table import ColumnKind, Table
from nnarch.errors import DataError, cause
from nnarch.lazy import LazyModule
from nnarch.options import FilePath, Paths
from nnarch.registry import sources, suggestion

if TYPE_CHECKING:
    import polars as pl
else:
    pl = LazyModule("polars")

Path = str | os.PathLike[str] | Sequence[str]
Result = TypeVar("Result")

CELLS = 1 << 23  # that are read at once


@sources.register
def parquet(
    *,
    path: FilePath | Paths,
    target: str | Names | None = None,
    val: FilePath | Paths | None = None,
    test: FilePath | Paths | None = None,
    stream: Stream = "auto",
) -> Table:
    """Parquet files: columns of numbers, words or dates, and what to predict.

    Options:
        path: The file, or a folder of them; a pattern or a list for several.
        target: The column to predict, of numbers or of words, or a list of several of numbers.
        val: Files of their own for validation; the others are not parted then.
        test: Files of their own for testing.
        stream: Whether rows stay on disk; they do where they would take a quarter of the memory.
    """
    only = target if isinstance(target, str) else None
    files = [[] if one is None else _opened(one, only) for one in (path, val, test)]
    return gather.parted(files, target, Wanted(), stream)


def read(
    path: Path,
    *,
    target: Sequence[str] = (),
    needs_target: bool = True,
    labels: bool | None = None,
    words: Collection[str] = (),
) -> Table:
    """All rows of Parquet files, with every column but the target as an input.

    Args:
        path: a file, a folder of files called `*.parquet`, a pattern, or a list of these; their
            columns are matched by name. Symbolic links are followed.
        target: the columns to predict.
        needs_target: whether a file without them is refused, or is a table without a target.
        labels: whether the target is words (even of numbers) or numbers; the file says so if
            None, and true and false are words.
        words: columns that are words, even where all are numbers.

    Raises: DataError where a file is damaged or its target cannot be used. A column that cannot
        be used is given a fault instead, and NaN.
    """
    wanted = Wanted(tuple(target), needs_target, labels, frozenset(words))
    return gather.read(_opened(path, _only(target)), wanted)


def chunks(
    path: Path,
    *,
    target: Sequence[str] = (),
    needs_target: bool = True,
    labels: bool | None = None,
    words: Collection[str] = (),
    rows_or_bytes: int = 8 * CELLS,
) -> Iterator[Table]:
    """The same rows in the same order, about `rows_or_bytes` bytes of numbers at once.

    The files are read twice: the first time to find the words of each column, so that a code
    means the same in all tables. A column of words, of which more than 100,000 are distinct,
    cannot be used then.
    """
    wanted = Wanted(tuple(target), needs_target, labels, frozenset(words))
    return gather.chunks(_opened(path, _only(target), max(1, rows_or_bytes // 8)), wanted)


def is_large(path: Path) -> bool:
    """Whether the rows of the files would take too much of the memory."""
    return gather.streams(_opened(path, None), "auto")


def _only(target: Sequence[str]) -> str | None:
    return target[0] if len(target) == 1 else None


def _opened(path: Path, target: str | None, cells: int = CELLS) -> list["ParquetFile"]:
    found = paths.files(path, ".parquet")
    for file in found:
        paths.check(file, "a Parquet file")
    return [ParquetFile(file, target, cells) for file in found]


@dataclass(frozen=True)
class ParquetFile:
    """A file of columns; the only target among them is of words unless it is of numbers."""

    path: str
    target: str | None
    cells: int

    @property
    def place(self) -> str:
        """What the place of a row is called."""
        return "row"

    @property
    def name(self) -> str:
        return paths.shown(self.path)

    @property
    def memory(self) -> int:
        """About how many bytes a table of its rows takes: thrice its cells of eight bytes."""
        rows = self._tried(lambda frame: frame.select(pl.len()).collect().item())
        return 24 * rows * len(self.schema)

    def in_blocks(self) -> "ParquetFile":
        """It is read in blocks in any case."""
        return self

    @property
    def notes(self) -> list[str]:
        """Nothing has to be inferred of how the file is written."""
        return []

    @cached_property
    def schema(self) -> dict[str, "pl.DataType"]:
        """The type of each column.

        Raises: DataError where the file is no Parquet file, or has no columns.
        """
        schema = dict(self._tried(lambda frame: frame.collect_schema()))
        if not schema:
            raise DataError(f"{self.name}: has no columns; expected some")
        if len(schema) > MOST_COLUMNS:
            raise DataError(
                f"{self.name}: has {len(schema):,} columns; expected at most {MOST_COLUMNS:,}"
            )
        return schema

    @property
    def names(self) -> list[str]:
        return list(self.schema)

    @property
    def kinds(self) -> dict[str, ColumnKind]:
        """What the columns are that are not all empty."""
        return {
            name: self._kind(name) or "numeric"
            for name, kind in self.schema.items()
            if kind != pl.Null
        }

    @property
    def faults(self) -> dict[str, str]:
        """Why columns cannot be used: those of lists, for example."""
        return {
            name: f"{self.name}: column {name!r}: got cells of type {kind}; expected numbers, "
            "words, true and false, or dates"
            for name, kind in self.schema.items()
            if not self._kind(name)
        }

    def _kind(self, name: str) -> ColumnKind | None:
        kind = self.schema[name]
        if kind in (pl.String, pl.Categorical, pl.Enum):
            return "categorical"
        if kind == pl.Boolean:
            return "categorical" if name == self.target else "boolean"
        if kind in (pl.Date, pl.Datetime):
            return "categorical" if name == self.target else "datetime"
        return "numeric" if kind.is_numeric() or kind == pl.Null else None

    def require(self, names: Sequence[str]) -> None:
        """Refuse a file without these columns."""
        if missing := [name for name in names if name not in self.schema]:
            known = suggestion(missing[0], self.names)
            raise DataError(f"{self.name}: no column {', '.join(map(repr, missing))}; {known}")

    def rows(self, strings: Collection[str] | None = None) -> Iterator[Frame]:
        """All cells, some rows at a time; words and those of `strings` as text, others numbers."""
        total = self._tried(lambda frame: frame.select(pl.len()).collect().item())
        if not total:
            raise DataError(f"{self.name}: has no rows; expected some")
        cells = [self._cells(name, strings or ()) for name in self.schema]
        at_once = max(1, self.cells // len(cells))
        for start in range(0, total, at_once):
            few = self._tried(lambda frame, start=start: _some(frame, start, at_once, cells))
            yield Frame(few, pl.int_range(start + 1, start + 1 + len(few), eager=True))

    def _cells(self, name: str, strings: Collection[str]) -> "pl.Expr":
        cell = pl.col(name)
        kind = self._kind(name)
        if name in self.faults:
            return pl.lit(None, pl.Float64).alias(name)
        if name in strings or kind == "categorical":
            return cell.cast(pl.String)
        if kind == "datetime":
            return since_1970(cell.cast(pl.Datetime("us")))
        return cell.cast(pl.Float64)

    def _tried(self, work: "Callable[[pl.LazyFrame], Result]") -> Result:
        """What comes of reading the file."""
        try:
            with unheard():
                return work(
                    pl.scan_parquet(os.path.abspath(self.path), glob=False, hive_partitioning=False)
                )
        except (Exception, pl.exceptions.PanicException) as error:
            raise DataError(
                f"{self.name}: cannot be read as Parquet, it is damaged or of another format: "
                f"{cause(error)[:200]}"
            ) from None


def _some(
    frame: "pl.LazyFrame", start: int, count: int, cells: Sequence["pl.Expr"]
) -> "pl.DataFrame":
    return frame.slice(start, count).select(cells).collect()
