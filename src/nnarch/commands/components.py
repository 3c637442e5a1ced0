"""`nnarch components` and `nnarch schema`: what a config may say."""

import shutil
from typing import Annotated

import typer

from nnarch.commands.arguments import AsJson, Debug, Plugins, import_plugins
from nnarch.commands.output import put


def components(
    kind: Annotated[str | None, typer.Argument(help="Such as model or optimizer.")] = None,
    name: Annotated[str | None, typer.Argument(help="Such as mlp or adamw.")] = None,
    plugin: Plugins = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List what a config may name: kinds, their members, or one member's options."""
    from nnarch import describe
    from nnarch import files as disk

    import_plugins(plugin)
    if as_json:
        put(disk.to_json(describe.components(kind, name), indent=1))
    else:
        put(describe.as_text(kind, name, shutil.get_terminal_size().columns))


def schema(plugin: Plugins = None, debug: Debug = False) -> None:
    """Print the JSON Schema of a config, for editors to complete and check it with."""
    from nnarch import describe
    from nnarch import files as disk

    import_plugins(plugin)
    put(disk.to_json(describe.schema(), indent=1))
