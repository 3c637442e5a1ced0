"""`nnarch runs` and `nnarch compare`: which runs there are, and what sets them apart."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nnarch import console
from nnarch.commands.arguments import Debug, RunsDir, listed
from nnarch.commands.output import put

if TYPE_CHECKING:
    from nnarch.listing.comparison import Comparison, Line
    from nnarch.tables import Cell

Format = Annotated[
    Literal["table", "csv", "json", "md"],
    typer.Option("--format", help="For reading, for a program, or for a report."),
]


def runs(
    search: Annotated[
        str | None,
        typer.Argument(
            metavar="SEARCH",
            help="Those that a search keeps, instead: its path, name's unique beginning, or @last.",
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            help="Such as 'val_loss < 0.1' or 'model.name = mlp', by = != < <= > >= or ~, "
            "which is contains; repeat it: all must hold.",
        ),
    ] = None,
    sort: Annotated[
        str | None, typer.Option(metavar="KEY", help="Smallest first; largest first for -KEY.")
    ] = None,
    columns: Annotated[
        str, typer.Option(metavar="KEYS", help="What to show, such as name,val_loss,optimizer.lr.")
    ] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="The most runs to show.")] = None,
    format: Format = "table",
    runs_dir: RunsDir = Path("runs"),
    debug: Debug = False,
) -> None:
    """List runs and searches, or a search's runs, newest first: chosen, sorted, shown by any key.

    A key is one of the config (optimizer.lr), of run.json (results.best.val_loss), or short:
    val_loss, test_loss, val_rmse, test_rmse, parameters, epochs, ...
    """
    from nnarch.listing import runfilter, runlist, runtable
    from nnarch.tables import cell

    conditions = [runfilter.parse(text) for text in where or []]
    root = runlist.runs_of(search, runs_dir) if search is not None else runs_dir
    table = runtable.table(root, conditions, sort, listed(columns), limit)
    if table.damaged:
        console.say(_of_damaged(table.damaged))
    if format == "json":
        _put_json([dict(zip(table.columns, row, strict=True)) for row in table.rows])
    elif format == "csv":
        _put_csv(table.columns, table.rows)
    elif table.rows or format == "md":
        cells = [
            [cell(key, value) for key, value in zip(table.columns, row, strict=True)]
            for row in table.rows
        ]
        _put_page(format, table.columns, cells)
    else:
        console.say(f"no such runs in {root}/" if where else f"no runs in {root}/")


def _of_damaged(damaged: Sequence[str]) -> str:
    if len(damaged) == 1:
        return f"warning: a run is damaged, and left out: {damaged[0]}"
    return f"warning: {len(damaged):,} runs are damaged, and left out; the first: {damaged[0]}"


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Paths, names' unique beginnings, @last or @best:val_loss; a search is its runs.",
        ),
    ],
    everything: Annotated[
        bool, typer.Option("--all", help="All of the configs, not only where they differ.")
    ] = False,
    format: Format = "table",
    runs_dir: RunsDir = Path("runs"),
    debug: Debug = False,
) -> None:
    """Set runs side by side: where their configs differ, their figures, and the best of each."""
    from nnarch.listing import comparison

    compared = comparison.compare(comparison.find(runs, runs_dir), everything)
    if format == "json":
        _put_json([_record(compared, place) for place in range(len(compared.runs))])
        return
    names = compared.names(short=format == "table")
    pair = len(names) == 2
    if format == "csv":
        rows = [
            [part, line.key, *line.values, *[line.difference] * pair]
            for part, lines in compared.parts.items()
            for line in lines
        ]
        _put_csv(["part", "key", *names, *["difference"] * pair], rows)
        return
    cells: list[list[Cell]] = []
    for lines in filter(None, compared.parts.values()):
        cells += [[]] * (bool(cells) and format == "table")
        cells += [_cells(line, pair) for line in lines]
    _put_page(format, ["", *names, *["difference"] * pair], cells)


def _record(compared: "Comparison", place: int) -> dict[str, Any]:
    """One of the runs, with all that is told of it."""
    told = {
        part: {line.key: line.values[place] for line in lines}
        for part, lines in compared.parts.items()
    }
    return {"run": str(compared.runs[place]), **told}


def _cells(line: "Line", pair: bool) -> "list[Cell]":
    from nnarch.tables import MISSING, Cell, cell

    cells = [Cell(cell("", line.key).text)]
    for place, (value, there) in enumerate(zip(line.values, line.there, strict=True)):
        if value is None:
            cells.append(Cell("null" if there else MISSING))
        else:
            cells.append(cell(line.key, value, place in line.best))
    if pair:
        change = line.difference
        text = "" if change is None else f"{'+' * (change > 0)}{console.number(change)}"
        cells.append(Cell(text, is_figure=True))
    return cells


def _put_json(records: list[dict[str, Any]]) -> None:
    from nnarch import files as disk

    put(disk.to_json(records, indent=1))


def _put_csv(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    from nnarch import tables

    put(tables.as_csv(columns, rows))


def _put_page(format: str, columns: Sequence[str], cells: "list[list[Cell]]") -> None:
    """A table for reading, in a terminal's width; elsewhere none of it is left out."""
    from nnarch import tables

    if format == "md":
        put(tables.as_markdown(columns, cells))
        return
    width = shutil.get_terminal_size((0, 0)).columns
    page = tables.as_text(columns, cells, width, tables.is_styled())
    put(page.text, masked=True)
    if page.left_out:
        console.say(f"no room for {', '.join(page.left_out)} in {width} columns")
