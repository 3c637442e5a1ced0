"""What the columns of files are, found by going through all rows.

The first pass over the cells finds what each column is, whatever the files' format; then any rows
can be told as numbers. All files of a table are one in this: a word has the same code in all.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, TypeAlias

from nnarch.data.formats.cells import Decimal, are_labels, number_in
from nnarch.data.formats.datafile import require_memory
from nnarch.data.formats.findings import Findings
from nnarch.data.formats.frame import Frame
from nnarch.data.table import ColumnKind, Table
from nnarch.errors import DataError
from nnarch.lazy import LazyModule

if TYPE_CHECKING:
    import polars as pl
    import torch
else:
    pl = LazyModule("polars")
    torch = LazyModule("torch")

ROOM = 16  # bytes of a cell while it is made a number
OF_NUMBERS = "a number, as other rows of the target hold"
OF_SEVERAL = "a number, as several targets all are"
Target: TypeAlias = "torch.Tensor | list[str] | None"


class RowFile(Protocol):
    """A file of rows. `place` is what a row's place is called: its line, or its row."""

    @property
    def place(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def names(self) -> list[str]: ...
    @property
    def notes(self) -> list[str]: ...
    @property
    def kinds(self) -> dict[str, ColumnKind]:
        """What columns are, as far as the file says."""
        ...

    @property
    def faults(self) -> dict[str, str]:
        """Why columns cannot be used, as far as the file says."""
        ...

    @property
    def memory(self) -> int:
        """About how many bytes of memory a table of its rows takes on its way to a network."""
        ...

    def in_blocks(self) -> "RowFile":
        """The same file, read in small blocks."""
        ...

    def require(self, names: Sequence[str]) -> None:
        """Refuse a file without these columns."""
        ...

    def rows(self, strings: Collection[str] | None) -> Iterator[Frame]:
        """All cells, a block of rows at a time, those of `strings` (or all if None) as text."""
        ...


@dataclass(frozen=True)
class Wanted:
    """What is wanted of the files.

    Attributes:
        target: columns to predict; all others are inputs.
        needs_target: whether a file without them is refused.
        labels: whether the target is words or numbers; the cells say so if None.
        words: columns that are words, even where all are numbers.
        missing: words that mean nothing, in all columns; the usual ones, but not in columns of
            words, if None.
    """

    target: tuple[str, ...] = ()
    needs_target: bool = True
    labels: bool | None = None
    words: frozenset[str] = frozenset()
    decimal: Decimal = "."
    missing: frozenset[str] | None = None


class Survey:
    """What the columns of files are, and tables of their rows.

    Args:
        most: how many distinct words of a column are kept.
    """

    def __init__(self, files: Sequence[RowFile], wanted: Wanted, most: int | None = None):
        self.files, self.wanted, self.most = files, wanted, most
        self.names = files[0].names
        self.file_names = [file.name for file in files]
        self.kinds: dict[str, ColumnKind] = {}
        self.faults: dict[str, str] = {}
        for file in reversed(files):
            self.kinds |= file.kinds
            self.faults |= file.faults
        for file in files[1:]:
            _check_same_columns(files[0], file)
        known = set(wanted.target) <= set(self.names)
        if wanted.needs_target and not known:
            files[0].require(wanted.target)
        self.targets = wanted.target if known else ()
        self.input_names = [name for name in self.names if name not in wanted.target]
        self.strings = self._first_strings()
        self.findings: Mapping[str, Findings] = {}

    def _first_strings(self) -> set[str] | None:
        """The columns to be read as they are written; None for all."""
        marks = self.wanted.missing or ()
        if any(number_in(word, self.wanted.decimal) is not None for word in marks):
            return None
        return {*self.wanted.words, *(self.targets if self.wanted.labels else ())}

    def run(self, keep: bool = False) -> list[tuple[int, Frame]]:
        """Go through the files, again where a column of numbers turned out to hold words.

        Returns the rows, with the files that they are from, where they are to be kept.

        Raises: MachineError where memory does not hold those: a packed file may unfold to any size.
        """
        kept, needed = [], 0
        self.findings = {name: self._nothing_found(name) for name in self.names}
        for index, rows in self.rows():
            for name, found in self.findings.items():
                found.see(rows.cells[name], rows.places, index)
            if keep:
                kept.append((index, rows))
                needed += rows.cells.estimated_size() + ROOM * rows.cells.width * len(rows.places)
                require_memory(self.file_names[index], needed)
        words = {name for name, found in self.findings.items() if found.needs_text}
        if self.strings is None or not words:
            return kept
        self.strings |= words
        kept.clear()
        return self.run(keep)

    def rows(self) -> Iterator[tuple[int, Frame]]:
        """Blocks of rows of all files, with the number of the file."""
        for index, file in enumerate(self.files):
            for rows in file.rows(self.strings):
                yield index, rows

    def _nothing_found(self, name: str) -> Findings:
        return Findings(
            name,
            self.file_names,
            place=self.files[0].place,
            decimal=self.wanted.decimal,
            kind="categorical" if name in self.wanted.words else self.kinds.get(name),
            fault=self.faults.get(name, ""),
            missing=self.wanted.missing,
            most=self.most,
        )

    @cached_property
    def are_labels(self) -> bool:
        """Whether the target is words; which is to be asked only once all cells have been seen.

        Raises: DataError where it is neither that nor numbers.
        """
        found = [self.findings[name] for name in self.targets]
        labels = len(found) == 1 and self._is_of_labels(found[0])
        expected = OF_NUMBERS if len(found) == 1 else OF_SEVERAL
        for only in found:
            fault = only.fault or (only.too_many if labels else only.number_fault(expected))
            if fault and (labels or len(found) == 1 or only.column.kind != "boolean"):
                raise DataError(fault)
        return labels

    def _is_of_labels(self, found: Findings) -> bool:
        if self.wanted.labels is None and found.kind:
            return found.kind == "categorical"
        return are_labels(found.words["word"], self.wanted.decimal, self.wanted.labels)

    def inputs(self, rows: Frame) -> "pl.DataFrame":
        """The numbers of the input columns: (N, F) Float64."""
        cells = {name: self.findings[name].values(rows.cells[name]) for name in self.input_names}
        return pl.DataFrame(cells)

    def target(self, rows: Frame) -> Target:
        """The targets of rows."""
        found = [(self.findings[name], rows.cells[name]) for name in self.targets]
        if not found:
            return None
        if self.are_labels:
            return found[0][0].texts(found[0][1]).fill_null("").to_list()
        return _tensor(pl.DataFrame({only.name: only.numbers(cells) for only, cells in found}))

    def table(
        self,
        inputs: "pl.DataFrame",
        target: Target,
        rows: int,
        parts: "torch.Tensor | None" = None,
    ) -> Table:
        found = [self.findings[name] for name in self.input_names]
        notes = [note for file in self.files for note in file.notes]
        notes += [note for only in found for note in only.notes]
        return Table(
            _tensor(inputs) if found else torch.empty((rows, 0), dtype=torch.float64),
            tuple(only.column for only in found),
            target,
            self.wanted.target,
            parts,
            tuple(dict.fromkeys(notes)),
        )


def _tensor(frame: "pl.DataFrame") -> "torch.Tensor":
    """(rows, columns) float64, NaN where a cell is null."""
    return torch.from_numpy(frame.to_numpy(order="c", writable=True))


def _check_same_columns(first: RowFile, other: RowFile) -> None:
    lacks = [name for name in first.names if name not in other.names]
    extra = [name for name in other.names if name not in first.names]
    if lacks or extra:
        has = f"has column {extra[0]!r}" if extra else f"has no column {lacks[0]!r}"
        than = "has not" if extra else "has"
        raise DataError(f"{other.name}: {has}, which {first.name} {than}; expected the same ones")
    for name, kind in other.kinds.items():
        if (like := first.kinds.get(name, kind)) != kind:
            raise DataError(
                f"{other.name}: column {name!r} is {kind}, but {like} in {first.name}; "
                "expected one kind"
            )
