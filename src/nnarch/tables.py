"""Rows of values as text: for a terminal, a spreadsheet, a report.

A table for reading drops columns from the right rather than wrap a line, and shows figures at the
length that a person compares; CSV has every value to its last digit. Names in a run directory may
be a stranger's, so whatever could do a terminal harm is an escape in all of them.
"""

import csv
import io
import os
import sys
import unicodedata
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from nnarch import console
from nnarch.listing.runfilter import is_number, told
from nnarch.printable import printable

LONGEST = 40  # characters of a cell
GAP = "  "
MISSING = "-"


class Cell(NamedTuple):
    """What is shown of a value."""

    text: str
    is_figure: bool = False
    is_best: bool = False


class Page(NamedTuple):
    """A table as text, and which columns found no room in it."""

    text: str
    left_out: list[str]


def cell(key: str, value: Any, is_best: bool = False) -> Cell:
    """A value of `key` as a person reads it.

    >>> cell("val_loss", 0.123456).text, cell("started", "2026-01-02T03:04:05.678+00:00").text
    ('0.1235', '2026-01-02 03:04')
    """
    if value is None:
        return Cell(MISSING, is_figure=True)
    if is_number(value):
        text = console.duration(value) if key == "seconds" else console.number(value)
        return Cell(text, is_figure=True, is_best=is_best)
    if key in ("started", "ended") and isinstance(value, str):
        return Cell(_masked(value[:16].replace("T", " ")))
    return Cell(_masked(told(value)))


def as_text(
    columns: Sequence[str], rows: Sequence[Sequence[Cell]], width: int, styled: bool = False
) -> Page:
    """Aligned columns in `width` characters, however many where it is 0; empty rows are gaps.

    The best is bold where the page is `styled`, else it has a star.
    """
    shown = [[_short(_starred(cell, not styled)) for cell in row] for row in rows]
    table = [[_short(_masked(name)) for name in columns], *filter(None, shown)]
    widths = [max(map(cells_wide, column)) for column in zip(*table, strict=True)]
    count = _fitting(widths, width)
    right = [_is_of_figures([row[place] for row in rows if row]) for place in range(count)]
    widths[0] = min(widths[0], width) if width else widths[0]
    lines = []
    for texts, row in zip([table[0], *shown], [(), *rows], strict=True):
        made = []
        for place, text in enumerate(texts[:count]):
            text = _short(text, widths[place])
            padding = " " * (widths[place] - cells_wide(text))
            if styled and (not row or row[place].is_best):
                text = f"\x1b[{1 if row else 2}m{text}\x1b[0m"
            made.append(padding + text if right[place] else text + padding)
        lines.append(GAP.join(made).rstrip())
    return Page("\n".join(lines), list(columns[count:]))


def as_markdown(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """A pipe table, in which a star marks the best."""
    right = [_is_of_figures([row[place] for row in rows]) for place in range(len(columns))]
    lines = [[_masked(name) for name in columns], ["---:" if each else "---" for each in right]]
    lines += [[_starred(cell, True).replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_csv(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Comma-separated values; what is missing is empty."""
    writer = csv.writer(text := io.StringIO(), lineterminator="\n")
    writer.writerow(map(printable, columns))
    writer.writerows([_plain(value) for value in row] for row in rows)
    return text.getvalue().removesuffix("\n")


def is_styled() -> bool:
    """Whether standard output is a terminal that shows bold letters."""
    dumb = os.environ.get("TERM") == "dumb" or bool(os.environ.get("NO_COLOR"))
    return sys.stdout.isatty() and not dumb


def cells_wide(text: str) -> int:
    """How many columns of a terminal a text takes.

    >>> cells_wide("run"), cells_wide("実行")
    (3, 4)
    """
    if text.isascii():
        return len(text)
    marks = sum(unicodedata.combining(c) > 0 for c in text)
    return len(text) - marks + sum(unicodedata.east_asian_width(c) in "WF" for c in text)


def _plain(value: Any) -> Any:
    if value is None or is_number(value):
        return "" if value is None else repr(value)
    return printable(told(value))


def _masked(text: str) -> str:
    return printable(text).replace("\n", " ")


def _starred(cell: Cell, stars: bool) -> str:
    return f"{cell.text}*" if cell.is_best and stars else cell.text


def _short(text: str, most: int = LONGEST) -> str:
    """
    >>> _short("a long name", 5)
    'a lo…'
    """
    if cells_wide(text) <= most:
        return text
    while text and cells_wide(text) >= most:
        text = text[:-1]
    return f"{text}…"


def _fitting(widths: Sequence[int], width: int) -> int:
    """How many of the columns stand side by side in `width`; the first always does."""
    taken = widths[0]
    for count, each in enumerate(widths[1:], 1):
        taken += len(GAP) + each
        if width and taken > width:
            return count
    return len(widths)


def _is_of_figures(cells: Collection[Cell]) -> bool:
    return all(cell.is_figure for cell in cells)
