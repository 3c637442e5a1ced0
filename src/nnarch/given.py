"""What was given: files merged left to right, and `key=value` overrides laid over them.

All are read by the same strict loader, and nothing is checked yet but that it can be read.
"""

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any

from nnarch import yamlfile
from nnarch.errors import ConfigError, Fault, Path, UsageError, undotted
from nnarch.tree import Tree, plain
from nnarch.validate import dotted, shortened


@dataclass(frozen=True)
class Given:
    """What files and overrides say, laid one over the other, and nothing checked yet.

    Attributes:
        value: the config, without its `search`.
        search: how what it leaves open is explored, where that is said.
        tree: where each value stands.
        text: the files.
        faults: of overrides that have no place.
        homes: directories that a path may be meant from.
    """

    value: dict[str, Any]
    search: Any
    tree: Tree
    text: str
    faults: list[Fault]
    homes: list[File]


def merged(
    files: Sequence[str | File] | str | File | Mapping[str, Any],
    overrides: Sequence[str] = (),
    changes: Mapping[str, Any] | None = None,
) -> Given:
    """Files and overrides (see `load`) laid one over the other."""
    layers, text = _read(files)
    tree = Tree()
    for value, place in layers:
        tree.merge(value, place)
    tree.value.setdefault("name", _named_after(files))
    given = [(*_parse(override), "command line") for override in overrides]
    given += [
        (key, plain(value, undotted(key)), "argument") for key, value in (changes or {}).items()
    ]
    faults = [fault for change in given for fault in _change(tree, *change)]
    homes = [File.cwd(), *(File(file).parent for file in _listed(files) if file != "-")]
    value = {key: inner for key, inner in tree.value.items() if key != "search"}
    return Given(value, tree.value.get("search"), tree, text, faults, homes)


def _read(
    files: Sequence[str | File] | str | File | Mapping[str, Any],
) -> tuple[list[tuple[Mapping[str, Any], Callable[[Path], str]]], str]:
    if isinstance(files, Mapping):
        value = plain(files)
        return [(value, lambda path: "config")], yamlfile.dump(value)
    texts, layers = [], []
    for file in _listed(files):
        if os.path.isdir(file):
            raise UsageError(
                f"{file}: is a directory; expected a config file"
                + (f" such as {file}/resolved.yaml" if (File(file) / "run.json").exists() else "")
            )
        text = sys.stdin.buffer.read(yamlfile.MAX_BYTES + 1) if file == "-" else None
        source = "<stdin>" if file == "-" else str(file)
        document = yamlfile.read(File(file)) if text is None else yamlfile.parse(text, source)
        layers.append((document.value, document.where))
        texts.append(document.text)
    return layers, "---\n".join(texts)


def _named_after(files: Any) -> str:
    """The name of a run whose config gives none: its files', of which any have one."""
    stems = [File(file).stem for file in _listed(files) if file != "-"]
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(stems)).strip("-")
    return name[:80] or "run"


def _listed(files: Any) -> list[str | File]:
    if isinstance(files, Mapping):
        return []
    return [files] if isinstance(files, str | File) else list(files)


_KEY = re.compile(r"[^][.]+(\.[^][.]+|\[[0-9]{1,9}\])*")


def _parse(override: str) -> tuple[str, Any]:
    """The key and the value of a `key=value`."""
    key, equals, text = override.partition("=")
    if not equals or not _KEY.fullmatch(key):
        raise UsageError(
            f"got {shortened(override)}; expected key=value, such as optimizer.lr=1e-3 or "
            "model.widths[0]=8"
        )
    source = f"command line: {key}"
    try:
        return key, yamlfile.parse_value(text, source)
    except ConfigError as error:  # its one line needs no number
        shown = [fault.replace(f"{source}:1: ", f"{source}: ", 1) for fault in error.faults]
        raise ConfigError(shown) from error


def _change(tree: Tree, key: str, value: Any, place: str) -> list[Fault]:
    """Lay a value over the tree at a dotted key."""
    path = undotted(key)
    try:
        tree.set(path, value, lambda _: place)
    except (KeyError, IndexError, TypeError):
        tree.note(path, place)
        holder, last = dotted(path[:-1]), dotted(path[-1:])
        return [Fault(path, f"no such place; {holder}, as given, has no {last}")]
    return []
