"""The data source `csv`: a text file with a header and a row a line."""

import os
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from nnarch.data.cells import Decimal
from nnarch.data.table import Table
from nnarch.data.textfile import Separator, open_text
from nnarch.errors import ConfigError
from nnarch.options import FilePath
from nnarch.registry import sources

Names = Annotated[list[str], Field(min_length=1)]


@sources.register
def csv(
    *,
    path: FilePath,
    target: str | Names,
    separator: Separator = ",",
    decimal: Decimal = ".",
    columns: Names | None = None,
    ignore: list[str] = [],  # noqa: B006 (read, never changed)
) -> Table:
    """A text file with a header and a row a line: numeric features, and what to predict.

    Options:
        path: The file, in UTF-8.
        target: The column to predict, of numbers or of words, or a list of several of numbers.
        separator: What stands between two cells.
        decimal: What stands before the decimals of a number.
        columns: The features; every column but the target unless given.
        ignore: Columns that are no features.
    """
    targets = [target] if isinstance(target, str) else target
    _check_names(targets, columns or [], ignore)
    file = open_text(path, separator, decimal)
    file.require([*targets, *(columns or []), *ignore])
    others = {*targets, *ignore}
    inputs = columns or [name for name in file.header if name not in others]
    if not inputs:
        raise file.fault("no column is left to learn from; expected one beside the target")
    if "" in inputs:
        raise file.fault(
            f"column {file.places[''] + 1} has no name, as row numbers often have none; "
            'name it, or leave it out with data.ignore: [""]'
        )
    return file.table(inputs, targets)


def read(
    path: str | os.PathLike[str],
    *,
    inputs: Sequence[str],
    target: Sequence[str] = (),
    separator: Separator = ",",
    decimal: Decimal = ".",
    labels: bool | None = None,
) -> Table:
    """The columns `inputs` of another file, wherever they stand in it; the others are ignored.

    Where a column of `target` is not there, the table has no target. `labels` says whether the
    target is words (even words like "3") or numbers; None leaves that to the file.
    """
    file = open_text(os.fspath(path), separator, decimal)
    file.require(inputs)
    there = set(target) <= set(file.header)
    table = file.table(inputs, target if there else (), labels)
    return Table(table.inputs, table.input_names, table.target, tuple(target))


def _check_names(targets: list[str], columns: list[str], ignore: list[str]) -> None:
    for key, names in (("target", targets), ("columns", columns), ("ignore", ignore)):
        if twice := [name for name in names if names.count(name) > 1]:
            raise ConfigError(f"data.{key}: {twice[0]!r} is named twice; expected it once")
    for key, names in (("columns", columns), ("ignore", ignore)):
        if both := [name for name in names if name in targets]:
            raise ConfigError(f"data.{key}: {both[0]!r} is the target; expected other columns")
    if both := [name for name in ignore if name in columns]:
        raise ConfigError(f"data.ignore: {both[0]!r} is in data.columns too; expected it in one")
