"""One column of words out of a CSV file, and beside it what is to be predicted.

For files whose rows are texts, or the names of other files. Where nobody says which column is
meant, its words do.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from nnarch.data.formats.cells import MOST_NAMES
from nnarch.data.formats.paths import shown
from nnarch.data.sources import csv
from nnarch.data.table import Column, Table
from nnarch.errors import DataError
from nnarch.registry import suggestion


def read(
    path: str,
    name: str | None,
    target: str | None,
    score: Callable[[Sequence[str]], float],
    option: str,
) -> Table:
    """A table of one column, the one called `name`, and the target if there is one.

    Args:
        name: the column; None for the one whose words have the highest score.
        score: of the words of a column, above 0 if it could be meant.
        option: what may name the column, for messages.

    Raises: DataError where there is no such column.
    """
    table = csv.read(path, target=[target] if target else [], words=[name] if name else [])
    known = list(table.input_names)
    name = name or _highest(table.columns, score)
    if not name:
        there = ", ".join(known[:MOST_NAMES]) or "none"
        raise DataError(
            f"{shown(path)}: no column looks like the one to learn from; name it in {option}; "
            f"there are: {there}"
        )
    if name not in known:
        raise DataError(f"{shown(path)}: no column {name!r}; {suggestion(name, known)}")
    place = table.input_names.index(name)
    column = table.columns[place]
    if column.fault:
        raise DataError(f"{shown(path)}: column {name!r} {column.fault}")
    return replace(table, inputs=table.inputs[:, [place]], columns=(column,))


def _highest(columns: Sequence[Column], score: Callable[[Sequence[str]], float]) -> str:
    """The name of the column of the highest score, the first if there are several."""
    scores = {column.name: score(column.words) for column in columns if column.words}
    best = max(scores, key=scores.__getitem__, default="")
    return best if scores.get(best) else ""
