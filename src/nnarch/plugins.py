"""Components of the user's own, in Python files that the command line names.

Only `--plugin FILE` (or an import in the user's own program) runs such a file; a name in a
config, a checkpoint or a run directory never does. What a run was made with is recorded in its
directory, source and all, and has to be named again to open it.
"""

import hashlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnarch.component import Component
from nnarch.errors import ConfigError, RunError
from nnarch.registry import REGISTRIES


@dataclass(frozen=True)
class Plugin:
    """A file of components, as it was when it was used."""

    path: Path
    source: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.source).hexdigest()


def load(paths: Sequence[Path]) -> None:
    """Import each file, which registers what it decorates.

    Raises: ConfigError with the file and the cause in one line.
    """
    for path in paths:
        name = f"nnarch_plugin_{hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:12]}"
        if name in sys.modules:
            continue
        if not os.path.isfile(path):
            raise ConfigError(f"{path}: no such plugin file")
        found = importlib.util.spec_from_file_location(name, path)
        if found is None or found.loader is None:
            raise ConfigError(f"{path}: expected a plugin to be a Python file, named *.py")
        module = importlib.util.module_from_spec(found)
        sys.modules[name] = module
        try:
            found.loader.exec_module(module)
            for component in _components():
                _ = component.schema
        except (Exception, SystemExit) as error:
            del sys.modules[name]
            cause = f"{type(error).__name__}: {error}".splitlines()[0]
            raise ConfigError(f"{path}: the plugin does not import: {cause}") from error


def loaded() -> list[Plugin]:
    """The files that components which are not nnarch's own come from."""
    files = {inspect.getsourcefile(component.builder) for component in _components()}
    paths = sorted(Path(file) for file in files if file and Path(file).is_file())
    return [Plugin(path, path.read_bytes()) for path in paths]


def sources(used: Sequence[Plugin]) -> dict[str, bytes]:
    """The source of each by its name, to be kept; of two files of one name, the second gets more.

    >>> two = [Plugin(Path("a/mine.py"), b"1"), Plugin(Path("b/mine.py"), b"2")]
    >>> list(sources(two))
    ['mine.py', 'd4735e-mine.py']
    """
    named: dict[str, bytes] = {}
    for plugin in used:
        name = plugin.path.name
        named[f"{plugin.sha256[:6]}-{name}" if name in named else name] = plugin.source
    return named


def need(run: Path, made_with: Sequence[Mapping[str, Any]]) -> None:
    """A run made with plugins opens only with the same ones, named again by the user.

    Raises: RunError with the first that is missing.
    """
    here = {plugin.sha256 for plugin in loaded()}
    for plugin in made_with:
        if plugin["sha256"] not in here:
            name = Path(plugin["path"]).name
            raise RunError(
                f"{run}: was made with the plugin {name}; expected --plugin with the same file "
                f"(a copy lies in {run}/plugins, to be read before it is trusted)"
            )


def _components() -> list[Component]:
    return [
        component
        for registry in REGISTRIES.values()
        for component in registry.registered()
        if not component.is_ours
    ]
