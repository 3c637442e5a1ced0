"""The words that commands share: what they are called, what help says of them, how they are read.

Here so that an option means the same and is explained the same wherever it is taken.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from nnarch.errors import UsageError

ConfigWords = Annotated[
    list[str],
    typer.Argument(
        metavar="CONFIG... [KEY=VALUE]...",
        help="YAML files, merged left to right (- is standard input), then what to change.",
    ),
]
RunWord = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="A path, a name's unique beginning, @last or @best:val_loss."
    ),
]
RunsDir = Annotated[Path, typer.Option(help="Where run directories are.")]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Plugins = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE", help="A Python file with components of your own."),
]


def files_and_overrides(words: list[str]) -> tuple[list[str], list[str]]:
    """Config files and overrides, told apart by the equals sign unless such a file exists."""
    files = [word for word in words if "=" not in word or os.path.isfile(word)]
    overrides = [word for word in words if word not in files]
    if not files:
        raise UsageError("missing a CONFIG file before the overrides")
    return files, overrides


def listed(names: str) -> list[str]:
    """Names that stand between commas."""
    return [name.strip() for name in names.split(",") if name.strip()]


def check_new(path: Path, force: bool) -> None:
    """See that a file can be written: none is there unless by `force`, and its directory is."""
    if path.exists() and not force:
        raise UsageError(f"{path}: is there already; --force replaces it")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: no such directory")


def import_plugins(paths: list[Path] | None) -> None:
    """Run the user's own files, so that a config may name what they register."""
    if paths:
        from nnarch import plugins

        plugins.load(paths)
