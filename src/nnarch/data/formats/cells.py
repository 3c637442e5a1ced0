"""What stands in a cell of a text file: a number, a word, or nothing.

polars reads a column of cells at once, and decides what a number is; `number_in` says the same of
a single cell. What is no number but was surely meant as one (1,000 or 1,5) is told apart from
words, since to take it as a word would be a silent mistake.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from nnarch.data.task import MOST_CLASSES
from nnarch.lazy import LazyModule

if TYPE_CHECKING:
    import polars as pl
else:
    pl = LazyModule("polars")

Decimal = Literal[".", ","]

MISSING = ("na", "n/a", "nan", "-nan", "null", "none", "nil", "?", "-")
LARGEST = 3.4028234663852886e38  # in float32, which networks compute in
DECIMAL_COMMA = str.maketrans(".,", ",.")
# A number but for what stands before its decimals or thousands.
MISSPELT = (
    r"^[-+]?([0-9]+([.,][0-9]+)?|[0-9]{1,3}([.,][0-9]{3})+([.,][0-9]+)?|[.,][0-9]+)"
    r"([eE][-+]?[0-9]+)?$"
)
CODE = r"^[0-9]{2,}$"  # as of places, if one begins with a zero and all are equally long
TRUE = ("true", "yes", "y", "t")
FALSE = ("false", "no", "n", "f")  # each the opposite of the word above
MOST_NAMES = 30  # in a message
MOST_COLUMNS = 100_000  # of a table; each takes time and memory of its own, however few its rows


def number_in(cell: str, decimal: Decimal) -> float | None:
    """What a cell says as a number; None for a word.

    >>> number_in(" 1,5", ","), number_in("1,5", "."), number_in("1_000", ".")
    (1.5, None, None)
    """
    if decimal == ",":
        cell = cell.translate(DECIMAL_COMMA)
    try:
        return None if "_" in cell or "," in cell or not cell.isascii() else float(cell)
    except ValueError:
        return None


def numbers_in(cells: "pl.Expr", decimal: Decimal) -> "pl.Expr":
    """What cells without spaces around them say as numbers, Float64; null for words."""
    if decimal == ",":
        commas = cells.str.replace(",", ".", literal=True)
        cells = pl.when(cells.str.contains(".", literal=True)).then(None).otherwise(commas)
    return cells.cast(pl.Float64, strict=False)


def is_misspelt(cell: str) -> bool:
    """Whether a cell is no number only for its thousands, or for its sign of decimals.

    >>> is_misspelt("1,000.5"), is_misspelt("1.0.2")
    (True, False)
    """
    return bool(re.match(MISSPELT, cell))


def are_labels(words: Iterable[str], decimal: Decimal, asked: bool | None) -> bool:
    """Whether a target is labels: words, and beside them numbers that could be classes.

    >>> are_labels(["1", "2", "3 or more"], ".", None), are_labels(["1.5", "2", "x"], ".", None)
    (True, False)
    """
    if asked is not None:
        return asked
    distinct = {word for word in set(words) if word and word.lower() not in MISSING}
    numbers = {word: number_in(word, decimal) for word in distinct}
    texts = [word for word in distinct if numbers[word] is None and not is_misspelt(word)]
    values = [value for value in numbers.values() if value is not None]
    classes = len(values) <= MOST_CLASSES and all(value.is_integer() for value in values)
    return bool(texts) and (classes or len(texts) > len(values))
