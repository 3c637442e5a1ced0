"""The command line: its commands, in the order of their use, and how every one of them ends.

Only what a command needs is imported, inside it, so that help is instant. Standard output
carries data alone; how a fault is told, and what the process ends with, stands in `ending`.
"""

import sys
from typing import Annotated

import typer

from nnarch import ending, garbage
from nnarch.commands import check, compare, components, inference, init, search, train
from nnarch.commands.output import prepare_streams, put

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train and explore neural-network architectures in PyTorch from one YAML file.",
)
COMMANDS = {
    "init": init.init,
    "check": check.check,
    "train": train.train,
    "resume": train.resume,
    "eval": inference.evaluate,
    "predict": inference.predict,
    "search": search.search,
    "runs": compare.runs,
    "compare": compare.compare,
    "components": components.components,
    "schema": components.schema,
}
for name, command in COMMANDS.items():
    app.command(name)(command)


@app.callback(invoke_without_command=True)
def nnarch(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        from nnarch import __version__

        put(f"nnarch {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; every ending is an exit code, and no fault of a user a traceback."""
    from nnarch import interrupts

    garbage.seldom()
    interrupts.end_by_exception()
    prepare_streams()
    code = ending.code_of(lambda: app(standalone_mode=False))
    interrupts.end_at_once()
    garbage.never()
    sys.exit(code)
