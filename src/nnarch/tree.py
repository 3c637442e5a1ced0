"""What was written, merged: plain values, and where each of them stands.

Files and overrides are laid one over the other, key by key. Two rules go beyond a plain merge:
a bare name grows into a mapping when an option is laid into it (`optimizer: sgd` and then
`optimizer.lr=0.1`), and naming another component drops the options of the one before, which
would mean something else to it or nothing at all; those that every component of the kind takes
(`data.split`) stay. A list of layers is entered by place (`model.layers[2]`), or by the name that
an item of it, or within it, has by `as` (`model.layers.block`).
"""

import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nnarch.errors import ConfigError
from nnarch.sections import DataOptions, OptimizerOptions, ScheduleOptions
from nnarch.space.forms import is_open
from nnarch.validate import Path, dotted, shortened

_SHARED: dict[Path, Mapping[str, Any]] = {
    ("data",): DataOptions.model_fields,
    ("optimizer",): OptimizerOptions.model_fields,
    ("schedule",): ScheduleOptions.model_fields,
}


class Tree:
    """A nested mapping that remembers the place (`mlp.yaml:7`) of each of its values.

    >>> tree = Tree()
    >>> tree.merge({"optimizer": {"name": "sgd", "momentum": 0.9}}, lambda path: "a.yaml:1")
    >>> tree.set(("optimizer", "name"), "adam", lambda path: "command line")
    >>> tree.value, tree.place(("optimizer", "name"))
    ({'optimizer': {'name': 'adam'}}, 'command line')
    """

    def __init__(self) -> None:
        self.value: dict[str, Any] = {}
        self._places: dict[Path, Callable[[Path], str]] = {}

    def place(self, path: Path) -> str:
        """Where the value at `path` stands, or else what holds it."""
        known = path
        while known not in self._places:
            if not known:
                return "config"
            known = known[:-1]
        return self._places[known](path)

    def note(self, path: Path, place: str) -> None:
        """Remember a place for a value that could not be laid."""
        self._places[path] = lambda _: place

    def merge(self, value: Mapping[str, Any], where: Callable[[Path], str], at: Path = ()) -> None:
        """Lay `value` over what is there, key by key; a list replaces what it meets."""
        self._places.setdefault(at, where)
        for key, new in sorted(value.items(), key=lambda item: item[0] != _naming(at)):
            path = (*at, key)
            old = self._get(path)
            merges = isinstance(new, Mapping) and isinstance(old, Mapping | str)
            if merges and not is_open(new) and not is_open(old):
                self.merge(new, where, path)
            else:
                self.set(path, new, where)

    def set(self, path: Path, value: Any, where: Callable[[Path], str]) -> None:
        """Put `value` at `path`, making the mappings on the way.

        Raises: KeyError, IndexError or TypeError where something on the way holds no such keys.
        """
        path = _by_place(self.value, path)
        holder: Any = self.value
        for depth, key in enumerate(path[:-1], start=1):
            inner = _inside(holder, key)
            if not isinstance(inner, list) and isinstance(path[depth], int):
                raise IndexError(path[depth])
            if inner is None:
                self._places.setdefault(path[:depth], where)
                inner = {}
            elif isinstance(inner, str):
                inner = {_naming(path[:depth]): inner}
            holder[key] = holder = inner
        key = path[-1]
        old = _inside(holder, key)
        if len(path) > 1 and key == _naming(path[:-1]) and old not in (None, value):
            for other in holder.keys() - _SHARED.get(path[:-1], {}).keys():
                del holder[other]
                self._forget((*path[:-1], other))
        holder[key] = value
        self._forget(path)
        self._places[path] = where

    def _get(self, path: Path) -> Any:
        value: Any = self.value
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def _forget(self, path: Path) -> None:
        for known in [known for known in self._places if known[: len(path)] == path]:
            del self._places[known]


def _naming(path: Path) -> str:
    """The key that names the component at `path`."""
    return "source" if path == ("data",) else "name"


def _by_place(value: Any, path: Path) -> Path:
    """`path` with the names of items of lists as the places that they have in `value`.

    >>> layers = [{"repeat": 2, "do": [{"Linear": 8, "as": "block"}]}]
    >>> _by_place({"layers": layers}, ("layers", "block", "Linear"))
    ('layers', 0, 'do', 0, 'Linear')
    """
    placed: Path = ()
    for key in path:
        way = _way_to(value, key) if isinstance(value, list) and isinstance(key, str) else (key,)
        for step in way or (key,):
            value = _get(value, step)
            placed = (*placed, step)
    return placed


def _get(value: Any, key: str | int) -> Any:
    if isinstance(value, list):
        return value[key] if isinstance(key, int) and key < len(value) else None
    return value.get(key) if isinstance(value, Mapping) else None


def _way_to(value: Any, name: str) -> Path | None:
    """The way to the first item called `name`, nearest first where one is within another."""
    inside = value.items() if isinstance(value, Mapping) else enumerate(value)
    for key, inner in inside:
        if isinstance(inner, Mapping) and inner.get("as") == name:
            return (key,)
        if isinstance(inner, Mapping | list) and (way := _way_to(inner, name)):
            return (key, *way)
    return None


def _inside(holder: Any, key: str | int) -> Any:
    """What `holder` has at `key`, None where a mapping has nothing there."""
    if isinstance(holder, dict) and isinstance(key, str):
        return holder.get(key)
    return holder[key]


def plain(value: Any, path: Path = ()) -> Any:
    """What a program gives, as a file would say it: a copy, of plain data alone.

    >>> plain({"widths": (8, 8)})
    {'widths': [8, 8]}

    Raises: ConfigError where that cannot be.
    """
    if hasattr(value, "tolist"):  # an array, or a number out of one
        value = value.tolist()
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: plain(inner, (*path, key)) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner, (*path, i)) for i, inner in enumerate(value)]
    if value is None or isinstance(value, int) or _is_finite(value) or _is_text(value):
        return value
    raise ConfigError(
        f"{dotted(path) or 'config'}: got {shortened(value)}; expected text, a finite number, "
        "true, false, null, a list, or a mapping with text as keys"
    )


def _is_finite(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not re.search("[\ud800-\udfff]", value)


def differences(one: Any, other: Any, at: Path = ()) -> Iterator[Path]:
    """Where two plain values differ; a value that only one has is a difference of its own.

    >>> list(differences({"a": 1, "b": [1, 2]}, {"a": 1, "b": [1, 3], "c": 0}))
    [('b', 1), ('c',)]
    """
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in [*one, *(key for key in other if key not in one)]:
            if key not in one or key not in other:
                yield (*at, key)
            else:
                yield from differences(one[key], other[key], (*at, key))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for place, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(*pair, (*at, place))
    elif type(one) is not type(other) or one != other:
        yield at
