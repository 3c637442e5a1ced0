"""How a text file is written: what separates its cells, and whether its first line names them.

Both are looked for in the first rows. A separator is one that every row holds as often as every
other, outside quotes. A first line is a row, not a header, where a number stands in it above
numbers, and no word does.

Names may be numbers too, such as years or pixels. Where the first line holds a number above
numbers, and only there, it is ambiguous; it is taken as names if its numbers are whole, rise from
left to right, are all years (1000 to 2999) or each one more than the last, and no row is like
that. Then a note says so.
"""

import re
from collections import Counter
from collections.abc import Sequence
from csv import Error, reader
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Literal

from nnarch.data.formats.cells import MISSING, Decimal, is_misspelt, number_in

Separator = Literal["auto", ",", ";", "|", "tab", "space"]

CHARACTERS = {"tab": "\t", "space": " "}
NAMES = {character: name for name, character in CHARACTERS.items()}
CANDIDATES = ("\t", ";", "|", ",", " ")  # what is rare in a cell comes first
COMMA = re.compile(r"[-+]?\d+,(\d+)(e[-+]?\d+)?", re.IGNORECASE)
POINT = re.compile(r"[-+]?\d*\.\d+(e[-+]?\d+)?", re.IGNORECASE)
ROWS = 100  # that are looked at to find the separator and the header


@dataclass(frozen=True)
class Dialect:
    """The character between cells, whether there is a header, and what the user should know."""

    separator: str
    header: bool
    notes: tuple[str, ...] = ()


def records(lines: Sequence[str], separator: str, most: int = ROWS) -> list[list[str]]:
    """The first rows of a text that are not empty, whatever is wrong with them."""
    rows = reader(lines, delimiter=separator, skipinitialspace=separator == " ")
    try:
        return [row for row in islice(rows, most) if any(map(str.strip, row))]
    except Error:
        return []


def find(
    lines: Sequence[str], separator: Separator, decimal: Decimal, header: Literal["auto"] | bool
) -> Dialect:
    """The dialect of a file that begins with these lines."""
    character = CHARACTERS.get(separator, separator)
    if separator == "auto":
        character = _separator(lines, decimal)
    rows = records([line.strip() for line in lines] if character == " " else lines, character)
    notes = []
    if separator == "auto" and character != "," and rows and len(rows[0]) > 1:
        notes.append(f"separator {NAMES.get(character, character)!r}")
    if header == "auto":
        header = _has_header(rows, decimal)
        if header and rows and (numerals := _numerals(rows[0], decimal)):
            notes.append(
                f"the first line is taken as names, though {numerals[0]} is a number; "
                "data.header: false reads it as a row"
            )
    return Dialect(character, header, tuple(notes))


def decimal_of(lines: Sequence[str], separator: Separator) -> Decimal:
    """What stands before decimals in a file that begins with these lines.

    It is a comma where numbers have one, none has a point, and not all of them have three digits
    behind it, as thousands would.

    >>> decimal_of(["a;b", "1,5;2"], "auto"), decimal_of(["a;b", "1,500;2"], "auto")
    (',', '.')
    """
    character = CHARACTERS.get(separator, separator)
    if separator == "auto":
        character = _separator(lines, ".")
    cells = [cell.strip() for row in records(lines, character, len(lines)) for cell in row]
    behind = [match[1] for match in map(COMMA.fullmatch, cells) if match]
    points = any(map(POINT.fullmatch, cells))
    likely = character != "," and behind and not points
    return "," if likely and any(len(digits) != 3 for digits in behind) else "."


def _separator(lines: Sequence[str], decimal: Decimal) -> str:
    """The one of which there are equally many in all rows, or else in most."""
    best, most = ";" if decimal == "," else ",", 0.0
    for character in CANDIDATES:
        if character == decimal:
            continue
        trimmed = [line.strip() for line in lines] if character == " " else lines
        widths = Counter(map(len, records(trimmed, character)))
        if not widths:
            continue
        ((width, count),) = widths.most_common(1)
        share = count / widths.total()
        if width > 1 and share > most and (share == 1 or character != " "):
            best, most = character, share
    return best


def _has_header(rows: list[list[str]], decimal: Decimal) -> bool:
    if len(rows) < 2:
        return not rows or not _numerals(rows[0], decimal)
    if _names_above_numbers(rows, decimal):
        return True
    if not _numbers_above_numbers(rows, decimal):
        return True
    likely = _are_like_years(_numbers(rows[0], decimal))
    return likely and not any(_are_like_years(_numbers(row, decimal)) for row in rows[1:])


def _numeric_places(rows: list[list[str]], decimal: Decimal) -> list[int]:
    """Places below whose first cell all are numbers, but for cells that hold nothing."""
    found = []
    for place in range(len(rows[0])):
        below = [row[place].strip() for row in rows[1:] if place < len(row)]
        cells = [cell for cell in below if cell and cell.lower() not in MISSING]
        if cells and all(_is_number(cell, decimal) for cell in cells):
            found.append(place)
    return found


def _names_above_numbers(rows: list[list[str]], decimal: Decimal) -> bool:
    first = [rows[0][place].strip() for place in _numeric_places(rows, decimal)]
    return any(
        cell and cell.lower() not in MISSING and not _is_number(cell, decimal) for cell in first
    )


def _numbers_above_numbers(rows: list[list[str]], decimal: Decimal) -> bool:
    return any(_is_number(rows[0][place], decimal) for place in _numeric_places(rows, decimal))


def _is_number(cell: str, decimal: Decimal) -> bool:
    return number_in(cell, decimal) is not None or is_misspelt(cell.strip())


def _numerals(row: list[str], decimal: Decimal) -> list[str]:
    return [cell.strip() for cell in row if _is_number(cell, decimal)]


def _numbers(row: list[str], decimal: Decimal) -> list[float | None]:
    return [number_in(cell, decimal) for cell in _numerals(row, decimal)]


def _are_like_years(numbers: list[float | None]) -> bool:
    """Whether these could be names that are numbers.

    >>> _are_like_years([1990.0, 1995.0]), _are_like_years([0.0, 1.0, 2.0]), _are_like_years([3.0])
    (True, True, False)
    """
    whole = [number for number in numbers if number is not None and number.is_integer()]
    if len(whole) < max(2, len(numbers)):
        return False
    steps = [right - left for left, right in pairwise(whole)]
    years = all(1000 <= number < 3000 for number in whole)
    return min(steps) > 0 and (years or (len(whole) > 2 and max(steps) == 1))
