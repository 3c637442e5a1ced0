"""What was written, merged: plain values, and where each of them stands.

Files and overrides are laid one over the other, key by key. Two rules go beyond a plain merge:
a bare name grows into a mapping when an option is laid into it (`optimizer: sgd` and then
`optimizer.lr=0.1`), and naming another component drops the options of the one before, which
would mean something else to it or nothing at all.
"""

from collections.abc import Callable, Mapping
from typing import Any

from nnarch.sections import DataOptions, ScheduleOptions

Path = tuple[str | int, ...]
_SHARED = DataOptions.model_fields.keys() | ScheduleOptions.model_fields.keys()


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
        """Lay `value` over what is there; a list or another component replaces what it meets."""
        self._places.setdefault(at, where)
        for key, new in value.items():
            path = (*at, key)
            old = self._get(path)
            merges = isinstance(new, Mapping) and isinstance(old, Mapping)
            if merges and not _renames(old, new):
                self.merge(new, where, path)
            else:
                self.set(path, new, where)

    def set(self, path: Path, value: Any, where: Callable[[Path], str]) -> None:
        """Put `value` at `path`, making the mappings on the way.

        Raises: KeyError, IndexError or TypeError where something on the way holds no keys.
        """
        holder: Any = self.value
        for depth, key in enumerate(path[:-1], start=1):
            inner = holder.get(key) if isinstance(holder, dict) else holder[key]
            if isinstance(inner, str):
                inner = {"source" if path[:depth] == ("data",) else "name": inner}
            holder[key] = holder = {} if inner is None else inner
        key = path[-1]
        if isinstance(holder, dict) and len(path) > 1 and _renames(holder, {key: value}):
            for other in holder.keys() - _SHARED:
                del holder[other]
        holder[key] = value
        for known in [known for known in self._places if known[: len(path)] == path]:
            del self._places[known]
        self._places[path] = where

    def _get(self, path: Path) -> Any:
        value: Any = self.value
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value


def _renames(old: Mapping[Any, Any], new: Mapping[Any, Any]) -> bool:
    return any(key in new and key in old and new[key] != old[key] for key in ("name", "source"))
