"""Where the values of a config were written, for what is said of them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from nnarch.errors import Fault, Path
from nnarch.validate import dotted


class Places(Protocol):
    """What knows where each value of a config stands."""

    def place(self, path: Path) -> str: ...


@dataclass(frozen=True)
class Moved:
    """Places of a config whose open values were filled: `origins` lead to where these stand."""

    tree: Places
    origins: Mapping[Path, Path]

    def place(self, path: Path) -> str:
        return self.tree.place(self.origin(path))

    def origin(self, path: Path) -> Path:
        """Where what lies at `path` was written."""
        for end in range(len(path), -1, -1):
            if origin := self.origins.get(path[:end]):
                return (*origin, *path[end:])
        return path


def untold(faults: Iterable[Fault], told: Collection[Path]) -> list[Fault]:
    """Those that are not of a value, or of a part of one, of which something is said already."""
    return [fault for fault in faults if not any(fault.path[: len(path)] == path for path in told)]


def located(faults: Iterable[Fault], places: Places) -> list[str]:
    """A line for each fault; what would be said twice is said once."""
    lines = [f"{places.place(path)}: {dotted(path)}: {message}" for path, message in faults]
    return list(dict.fromkeys(lines))
