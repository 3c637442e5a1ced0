"""Rows as a data source gives them: columns to learn from, and what to predict from them.

Nothing is scaled, split, filled in or encoded here. A column of words holds codes, and knows the
word that each stands for; so a table is one matrix, and only the words are not numbers.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

ColumnKind = Literal["numeric", "boolean", "categorical", "datetime", "text"]


@dataclass(frozen=True)
class Column:
    """What the numbers of a column stand for.

    Attributes:
        kind: `numeric` numbers, `boolean` 0 or 1, `datetime` seconds since 1970 in UTC,
            `categorical` and `text` indices of `words`.
        words: what each code stands for, in the user's own words, each once.
        fault: why the column cannot be used, if it cannot; said where it is used.
    """

    name: str
    kind: ColumnKind = "numeric"
    words: tuple[str, ...] = field(default=(), repr=False)
    fault: str = ""


def numeric(names: Iterable[str]) -> tuple[Column, ...]:
    """Columns of plain numbers.

    >>> numeric(["x"])
    (Column(name='x', kind='numeric', fault=''),)
    """
    return tuple(Column(name) for name in names)


@dataclass(frozen=True)
class Table:
    """N rows.

    Attributes:
        inputs: (N, F) float64, never infinite; NaN where a cell holds nothing.
        columns: of the inputs, F of them.
        target: (N, T) float64 with NaN for nothing; or N class labels with "" for nothing; or
            None where rows are to be predicted.
        target_names: T names.
        parts: (N,) int64, the part that each row was given for (an index into `split.PARTS`), or
            None where rows are still to be parted.
        notes: what reading inferred or left out, for the user to know.
    """

    inputs: "torch.Tensor"
    columns: tuple[Column, ...]
    target: "torch.Tensor | list[str] | None"
    target_names: tuple[str, ...]
    parts: "torch.Tensor | None" = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """A name alone, as whoever writes a source may give it, is a column of numbers."""
        columns = tuple(Column(one) if isinstance(one, str) else one for one in self.columns)
        object.__setattr__(self, "columns", columns)

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)
