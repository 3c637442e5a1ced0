"""The history of a run: a row an epoch, as comma-separated values.

The first row decides the columns. Numbers are written so that they come back to the last digit;
what was not measured in an epoch is nan.
"""

import csv
import io
from collections.abc import Mapping, Sequence

Row = dict[str, float]


def lines(row: Mapping[str, float | int], columns: Sequence[str] | None = None) -> str:
    """A row as text, below a header where it is the first, of which the columns are its own.

    >>> lines({"epoch": 1, "loss": 0.5})
    'epoch,loss\\n1,0.5\\n'
    >>> lines({"epoch": 2, "loss": 0.25}, ["epoch", "loss"])
    '2,0.25\\n'
    """
    writer = csv.DictWriter(text := io.StringIO(), columns or list(row), lineterminator="\n")
    if columns is None:
        writer.writeheader()
    writer.writerow(row)
    return text.getvalue()


def rows(text: str) -> list[Row]:
    """What `lines` gave; a half-written last line is left out.

    Raises: ValueError, TypeError or csv.Error where a number is none.

    >>> rows("epoch,loss\\n1,0.5\\n2,0.")
    [{'epoch': 1.0, 'loss': 0.5}]
    """
    return [
        {key: float(value) for key, value in row.items()}
        for row in csv.DictReader(text.split("\n")[:-1])
    ]
