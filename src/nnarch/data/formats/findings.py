"""What the cells of a column are: numbers, words, true or false, dates.

All cells are looked at, a block of rows at a time, and what they are depends on their distinct
words alone; so it is the same however the rows are cut into blocks. Of a file larger than memory
not all distinct words can be kept: `most` says how many, and those that are clean numbers go
first, since only the others decide whether a column of numbers can be used.
"""

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from nnarch.data.formats import dates
from nnarch.data.formats.cells import (
    CODE,
    FALSE,
    LARGEST,
    MISSING,
    MISSPELT,
    TRUE,
    Decimal,
    numbers_in,
)
from nnarch.data.formats.dates import ORDERS, Order
from nnarch.data.table import Column, ColumnKind
from nnarch.lazy import LazyModule

if TYPE_CHECKING:
    import polars as pl
else:
    pl = LazyModule("polars")

MOST_WORDS = 100_000  # distinct ones of a column, where not all rows are read at once
FEW = 0.1  # as a share of distinct cells, words are rather mistakes among numbers
LEAST = 10  # distinct cells, to tell


@dataclass
class Findings:
    """A column's cells as seen so far.

    Attributes:
        files: what the files are called, and `place` what a row's place in them is.
        kind: what the column is, where that is known; and `fault`, why it cannot be used.
        missing: words that mean nothing, in lower case; `MISSING`, but not for words, if None.
        most: how many distinct words are kept; all if None.
        words: distinct cells that are not empty: word, value as a number, count, file, place.
        has_numbers: some cells came as numbers, and no words are known of them.
        has_lost: not all distinct cells are among `words`.
    """

    name: str
    files: Sequence[str]
    place: str = "line"
    decimal: Decimal = "."
    kind: ColumnKind | None = None
    fault: str = ""
    missing: frozenset[str] | None = None
    most: int | None = None
    words: "pl.DataFrame" = field(default_factory=lambda: _no_words())
    has_numbers: bool = False
    has_lost: bool = False
    orders: list[Order] = field(default_factory=lambda: list(ORDERS))
    lengths: set[int] = field(default_factory=set)  # of codes such as 01234; 0 of other cells
    has_zeros: bool = False  # at the beginning of a code

    def see(self, cells: "pl.Series", places: "pl.Series", file: int) -> None:
        """Take in the cells of some rows, of String or Float64."""
        if cells.dtype != pl.String:
            self.has_numbers = True
            self.orders, self.lengths = [], {0}
            if not self.kind:
                return
            cells = pl.select(pl.when(~(cells.abs() <= LARGEST)).then(cells)).to_series()
            cells = cells.fill_nan(None).cast(pl.String)
        seen = self._distinct(cells, places, file)
        self._note_forms(seen)
        whole = pl.concat([self.words, seen]).group_by("word", maintain_order=True)
        first = pl.col("value", "file", "place").first()
        self.words = whole.agg(first, pl.col("count").sum()).select(self.words.columns)
        if self.most is not None and len(self.words) > self.most:
            self.has_lost = True
            self.words = self.words.filter(~_is_clean()).head(self.most)

    def _distinct(self, cells: "pl.Series", places: "pl.Series", file: int) -> "pl.DataFrame":
        word = pl.col("word")
        seen = pl.DataFrame({"word": cells, "place": places}).with_columns(word.str.strip_chars())
        is_there = word != ""
        if self.missing is not None:
            is_there &= ~word.str.to_lowercase().is_in(list(self.missing))
        return (
            seen.group_by("word", maintain_order=True)
            .agg(pl.len().cast(pl.Int64).alias("count"), pl.col("place").first())
            .filter(is_there)
            .with_columns(numbers_in(word, self.decimal).alias("value"))
            .with_columns(pl.lit(file, pl.Int64).alias("file"))
            .select(self.words.columns)
        )

    def _note_forms(self, seen: "pl.DataFrame") -> None:
        """Strike out the forms that not all new words have."""
        words = _but_missing(seen)["word"]
        if not len(words):
            return
        self.orders = [order for order in self.orders if dates.are_dates(words, order)]
        if 0 not in self.lengths:
            is_code, length = words.str.contains(CODE), words.str.len_bytes()
            self.lengths |= set(length.zip_with(is_code, length * 0).unique())
            self.has_zeros |= words.str.starts_with("0").any()

    # What they are

    @cached_property
    def column(self) -> Column:
        """What the column is, once all cells have been seen."""
        if self.fault:
            return Column(self.name, fault=self.fault)
        kind = self.kind or self._inferred
        if kind == "categorical":
            words = () if self.too_many else tuple(self.words["word"])
            return Column(self.name, kind, words, self.too_many)
        remedy = f"; data.types: {{{self.name}: categorical}} takes it as words"
        fault = self.number_fault(f"a number{remedy}") if kind == "numeric" else ""
        return Column(self.name, kind, (), fault)

    @property
    def too_many(self) -> str:
        """Why the column cannot be used as words, or ""."""
        if not self.has_lost:
            return ""
        return (
            f"{self.files[0]}: column {self.name!r}: more than {self.most:,} distinct words; "
            "expected fewer where a file is read in parts"
        )

    @cached_property
    def _inferred(self) -> ColumnKind:
        if self.has_codes:
            return "categorical"
        if self.has_dates:
            return "categorical" if len(self.orders) > 1 else "datetime"
        if self.has_booleans:
            return "boolean"
        words = len(self._no_numbers)
        distinct = MOST_WORDS if self.has_lost else len(_but_missing(self.words))
        few = distinct >= LEAST and words <= FEW * min(distinct, MOST_WORDS)
        return "categorical" if words and not few else "numeric"

    @property
    def has_codes(self) -> bool:
        """Whether all cells are whole numbers of one length, and one of them begins with 0."""
        return len(self.lengths) == 1 and 0 not in self.lengths and self.has_zeros

    @cached_property
    def has_dates(self) -> bool:
        return bool(self.orders) and len(_but_missing(self.words)) > 0

    @cached_property
    def has_booleans(self) -> bool:
        """Whether there are two words, one the opposite of the other."""
        words = _but_missing(self.words)["word"].head(10)  # in small letters and large ones
        found = {word.lower() for word in words} if len(words) < 10 else set()
        return found in [{true, false} for true, false in zip(TRUE, FALSE, strict=True)]

    @property
    def notes(self) -> list[str]:
        """What the user should know of how the column was understood."""
        if self.kind or self.has_codes or not self.has_dates or len(self.orders) == 1:
            return []
        return [f"column {self.name!r}: its dates may begin with the day or with the month"]

    @cached_property
    def needs_text(self) -> bool:
        """Whether there are words beside cells that came as numbers, and so without theirs."""
        return not self.kind and self.has_numbers and len(self._no_numbers) > 0

    @cached_property
    def _no_numbers(self) -> "pl.DataFrame":
        is_number = pl.col("value").is_not_null() | pl.col("word").str.contains(MISSPELT)
        return _but_missing(self.words).filter(~is_number)

    def number_fault(self, expected: str) -> str:
        """The first cell that is no clean number, and how many there are of its kind; or "".

        Args:
            expected: what should stand where a word does.
        """
        value, word = pl.col("value"), pl.col("word")
        signs = (
            f"a number such as 1000{self.decimal}5, without separators of thousands; "
            "data.decimal says what stands before decimals"
        )
        float32 = "a number that float32 holds, at most 3.4e38: rescale the column"
        finite = "a finite number"
        why = (
            pl.when(word.str.contains("(?i)n") & value.is_not_null())
            .then(pl.lit(finite))
            .when(value.is_not_null())
            .then(pl.lit(float32))
            .when(word.str.contains(MISSPELT))
            .then(pl.lit(signs))
            .otherwise(pl.lit(expected))
        )
        faults = _but_missing(self.words).filter(~_is_clean()).with_columns(why=why)
        if faults.is_empty():
            return ""
        first = faults.sort("file", "place").row(0, named=True)
        count = faults.filter(pl.col("why") == first["why"])["count"].sum()
        return (
            f"{self.files[first['file']]}: {self.place} {first['place']}, column {self.name!r}: "
            f"got {reprlib.repr(first['word'])}{f' ({count} such cells)' if count > 1 else ''}; "
            f"expected {first['why']}"
        )

    # What they say

    def values(self, cells: "pl.Series") -> "pl.Series":
        """The cells as what `column` is: Float64, with null or NaN for nothing."""
        if self.column.fault:
            return pl.Series([None], dtype=pl.Float64).new_from_index(0, len(cells))
        if cells.dtype != pl.String or self.column.kind == "numeric":
            return self.numbers(cells)
        words = self.texts(cells)
        if self.column.kind == "datetime":
            return dates.seconds(words, self.orders[0])
        if self.column.kind == "boolean":
            return self._truth(words)
        kind = pl.Enum(self.column.words)
        return words.cast(kind, strict=False).to_physical().cast(pl.Float64)

    def numbers(self, cells: "pl.Series") -> "pl.Series":
        """The cells as numbers, 1 and 0 if they are true and false."""
        if cells.dtype != pl.String:
            return cells
        words = self.texts(cells)
        if self.column.kind == "boolean":
            return self._truth(words)
        return pl.select(numbers_in(pl.lit(words), self.decimal)).to_series()

    @staticmethod
    def _truth(words: "pl.Series") -> "pl.Series":
        truth = {**dict.fromkeys(TRUE, 1.0), **dict.fromkeys(FALSE, 0.0)}
        small = words.str.to_lowercase()
        return small.replace_strict(truth, default=None, return_dtype=pl.Float64)

    def texts(self, cells: "pl.Series") -> "pl.Series":
        """Cells as they are written, without the spaces around them; null for nothing."""
        word = pl.col("word")
        nothing = word == ""
        if self.missing is not None:
            nothing |= word.str.to_lowercase().is_in(list(self.missing))
        frame = pl.DataFrame({"word": cells.str.strip_chars()})
        return frame.select(pl.when(~nothing).then(word)).to_series()


def _no_words() -> "pl.DataFrame":
    kinds = {"word": pl.String, "value": pl.Float64, "count": pl.Int64}
    return pl.DataFrame(schema={**kinds, "file": pl.Int64, "place": pl.Int64})


def _but_missing(words: "pl.DataFrame") -> "pl.DataFrame":
    is_missing = pl.col("word").str.to_lowercase().is_in(MISSING) | pl.col("value").is_nan()
    return words.filter(~is_missing.fill_null(False))


def _is_clean() -> "pl.Expr":
    return pl.col("value").is_between(-LARGEST, LARGEST).fill_null(False)
