"""`nnarch init`: from a file of data to a config that trains."""

from pathlib import Path
from typing import Annotated

import typer

from nnarch import console
from nnarch.commands.arguments import Debug, Force, Quiet, check_new
from nnarch.commands.output import put


def init(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A file or a folder of data.")],
    target: Annotated[
        list[str] | None,
        typer.Option("--target", "-t", help="The column to predict, by name or number; repeat it."),
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="A column of dates that the rows are steps of.")
    ] = None,
    horizon: Annotated[
        int | None, typer.Option(min=1, help="How many steps of a series to predict.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write; standard output if not.")
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write a starter config for a file of data, and say what was inferred."""
    from nnarch import files as disk
    from nnarch import provenance

    if output:
        check_new(output, force)

    from nnarch import starter

    columns = [name for given in target or [] for name in given.split(",")]
    made = starter.start(Path(data), columns, time, horizon)
    if not quiet:
        console.opening(made.said)
    text = made.text(provenance.command_line())
    if output:
        disk.write(output, text)
        if not quiet:
            console.say(f"train it: nnarch train {output}")
    else:
        put(text.removesuffix("\n"))
