"""What stands in a cell of a text file: a number, a word, or nothing.

A cell that is not what it should be becomes a fault with its line and column. Faults are
gathered, so that a message can say how many such cells there are and where else.
"""

import re
import reprlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from nnarch.data.task import MOST_CLASSES

Decimal = Literal[".", ","]

MISSING = ("na", "n/a", "nan", "-nan", "null", "none", "nil", "?", "-")
LARGEST = 3.4028234663852886e38  # in float32, which networks compute in
DECIMAL_COMMA = str.maketrans(".,", ",.")
# A number but for what stands before its decimals or thousands.
MISSPELT = re.compile(
    r"[-+]?(?=[.,]?\d)(\d*|\d{1,3}([.,]\d{3})+)([.,]\d+)?(e[-+]?\d+)?", re.IGNORECASE
)
MOST_NAMES = 30  # in a message
REPAIR = "fill missing cells in, or leave their rows out"
OF_NUMBERS = "a number, as other rows of the target hold"


def are_labels(words: Iterable[str], decimal: Decimal, asked: bool | None) -> bool:
    """Whether a target is labels: words, and beside them numbers that could be classes.

    >>> are_labels(["1", "2", "3 or more"], ".", None), are_labels(["1.5", "2", "x"], ".", None)
    (True, False)
    """
    if asked is not None:
        return asked
    distinct = {word for word in set(words) if word and word.lower() not in MISSING}
    numbers = {word: number_in(word, decimal) for word in distinct}
    texts = [word for word in distinct if numbers[word] is None and not MISSPELT.fullmatch(word)]
    values = [value for value in numbers.values() if value is not None]
    classes = len(values) <= MOST_CLASSES and all(value.is_integer() for value in values)
    return bool(texts) and (classes or len(texts) > len(values))


def number_in(cell: str, decimal: Decimal) -> float | None:
    """What a cell says as a number; None for a word."""
    if decimal == ",":
        cell = cell.translate(DECIMAL_COMMA)
    try:
        return None if "_" in cell or "," in cell else float(cell)
    except ValueError:
        return None


@dataclass(frozen=True)
class Faults:
    """Cells that are not what they should be: of each column and kind the first, and how many."""

    decimal: Decimal
    targets: Sequence[str]
    found: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def number(self, line: int, column: str, cell: str) -> float:
        """The cell's number; 0 in place of a fault."""
        value = number_in(cell, self.decimal)
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
