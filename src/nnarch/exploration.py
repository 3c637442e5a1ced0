"""A config that leaves values open, checked as far as it can be before anything is drawn.

Each end of each range and each option of each choice is filled in once, so that a value that would
never be accepted is a fault of the config, with the line of the open value, and not of a trial
hours later. What a point makes of the config is then quick: everything closed was read, merged and
located once.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path as File
from typing import Any

from nnarch import config as configs
from nnarch import yamlfile
from nnarch.config import Config
from nnarch.errors import ConfigError, Fault, Path
from nnarch.given import Given, merged
from nnarch.places import Moved, located
from nnarch.progress import MANY
from nnarch.registry import REGISTRIES
from nnarch.sections import Search
from nnarch.space.forms import open_values
from nnarch.space.space import Point, Space
from nnarch.tree import differences
from nnarch.validate import dotted, fill
from nnarch.wholepaths import path_options, whole, whole_paths

ALIKE = "expected one value, the same for every trial"
CLOSED = {  # what may not be open, and why
    "name": "expected one name",
    "seed": "expected one seed; search.seeds is how many each point is tried with",
    "device": ALIKE,
    "threads": ALIKE,
    "monitor": "expected one value, since trials are compared by it",
    "metrics": "expected one list, since trials are compared by them",
    "init_from": ALIKE,
}
OF_DATA = ("source", "target", "task", "split")  # beside the options that say where files are
OTHER_DATA = "expected one value: other data is another search"
MOST_FILLS = 500
MOST_VALUES = 100_000  # of a config, filled so often
LARGEST_GRID = 100_000


class Exploration:
    """An open config, everything but what is left open checked.

    Attributes:
        search: how it is explored; its objectives are those meant where none were given.
        space: what it leaves open.
        name: what the search is called.
        text: the files as they were given.
    """

    def __init__(self, given: Given, search: Search, space: Space, name: str):
        self.search, self.space, self.name, self.text = search, space, name, given.text
        self._given = given

    def config(self, point: Point, seed: int | None = None) -> Config:
        """The complete config of a point, with another seed than the file's where one is given.

        Raises: ConfigError with places in the files where this point is refused.
        """
        tree = self.space.tree(point)
        if seed is not None:
            tree = {**tree, "seed": seed}
        filled, faults = fill(Config, tree)
        places = _Places(self._given, self.space, point)
        if faults:
            raise ConfigError(located(faults, places))
        return configs.complete(filled, self.text, places)

    def fault(self, path: Path, message: str) -> ConfigError:
        """An error about the value at `path`, with its place in the files."""
        return ConfigError(located([Fault(path, message)], self._given.tree))

    @cached_property
    def trials(self) -> int:
        """How many points are tried: `search.trials`, or the whole grid, or as time allows."""
        if self.search.trials is not None:
            return self.search.trials
        return _grid_size(self.search, self.space) or (100 if self.search.seconds is None else MANY)

    def to_yaml(self) -> str:
        """The whole open config, which `load` reads back as the same search."""
        return yamlfile.dump(self._plain)

    @cached_property
    def _plain(self) -> dict[str, Any]:
        search = self.search.model_dump(mode="json")
        return {"name": self.name, **self._given.value, "search": search}

    def identity(self) -> str:
        """What a search is known by: the same for equal ones, whatever they are called."""
        unnamed = {key: value for key, value in self._plain.items() if key != "name"}
        canonical = json.dumps(unnamed, sort_keys=True, ensure_ascii=False, allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    def differences(self, other: "Exploration") -> list[str]:
        """Dotted keys in which another search differs, its name apart."""
        paths = differences(self._plain, other._plain)
        return [dotted(path) for path in paths if path != ("name",)]


class _Places:
    """Places of the config of a point, found out only where one is asked for."""

    def __init__(self, given: Given, space: Space, point: Point):
        self._parts = given, space, point

    def place(self, path: Path) -> str:
        given, space, point = self._parts
        return Moved(given.tree, space.origins(point)).place(path)


def load(
    files: Sequence[str | File] | str | File | Mapping[str, Any],
    overrides: Sequence[str] = (),
    changes: Mapping[str, Any] | None = None,
) -> Exploration:
    """The exploration that `files` and `overrides` mean; see `nnarch.config.load`.

    Raises: ConfigError with every fault, a line each: place, key, what was given and expected.

    >>> open_config = {"data": "synthetic", "optimizer": {"lr": {"float": [1e-3, 1e-1]}}}
    >>> exploration = load(open_config, ["search.trials=20"])
    >>> exploration.config({"optimizer.lr": 0.01}).optimizer["lr"], exploration.search.trials
    (0.01, 20)
    """
    given = merged(files, overrides, changes)
    space, malformed = Space.read(given.value)
    raw = {} if given.search is None else given.search
    search, found = configs.fill_search(raw, given.value)
    faults = [*given.faults, *malformed, *_not_to_be_open(given.value)]
    told = _told(given.value, faults)
    lines = located(faults + found, given.tree)
    lines += [line for path, line in _refused(given, space) if not _is_within(path, told)]
    if lines:
        raise ConfigError(dict.fromkeys(lines))
    assert search is not None, "it has no faults"
    _check_size(given, search, space)
    monitor = given.value.get("monitor", "val_loss")
    meant = search.objectives or ["val_loss" if monitor == "last" else monitor]
    warm_start = whole(search.warm_start, given.homes)
    search = search.model_copy(update={"objectives": meant, "warm_start": warm_start})
    value = _with_whole_paths(given, space)
    name = given.value["name"]
    return Exploration(replace(given, value=value), search, Space(value), name)


def _not_to_be_open(value: Mapping[str, Any]) -> list[Fault]:
    """A fault for each value that is open and must not be."""
    data = value.get("data")
    source = data.get("source") if isinstance(data, Mapping) else None
    fixed = {*OF_DATA}
    if isinstance(source, str) and source in REGISTRIES["data"].names():
        fixed |= {*path_options(source)}
    faults = []
    for path in open_values(value):
        if path[0] in CLOSED:
            faults.append(Fault(path, f"is left open; {CLOSED[str(path[0])]}"))
        elif path[0] == "data" and (len(path) == 1 or path[1] in fixed):
            faults.append(Fault(path, f"is left open; {OTHER_DATA}"))
    return faults


def _refused(given: Given, space: Space) -> Iterator[tuple[Path, str]]:
    """What no config would accept of the values at the corners of a space, with where it stands."""
    fills = MOST_FILLS
    for done, point in enumerate(space.corners()):
        tree = space.tree(point)
        fills = min(fills, 1 + MOST_VALUES // _count(tree))
        if done >= fills:
            return
        if faults := fill(Config, tree)[1]:
            places = Moved(given.tree, space.origins(point))
            for fault in faults:
                yield places.origin(fault.path), located([fault], places)[0]


def _count(value: Any) -> int:
    """How many values there are within one, itself included."""
    inside = value.values() if isinstance(value, Mapping) else value
    return 1 + sum(map(_count, inside)) if isinstance(value, Mapping | list) else 1


def _told(value: Mapping[str, Any], faults: Sequence[Fault]) -> list[Path]:
    """The values of which something is said already; an open one is one, whatever is within."""
    paths = [fault.path for fault in faults]
    return paths + [
        at for at in open_values(value) if any(_is_within(path, [at]) for path in paths)
    ]


def _is_within(path: Path, others: Sequence[Path]) -> bool:
    return any(path[: len(other)] == other for other in others)


def _check_size(given: Given, search: Search, space: Space) -> None:
    """That there is something to try, and of a grid no more than can be."""
    place = given.tree.place
    if not space.variables and search.seeds == 1:
        raise ConfigError(
            f"{place(())}: nothing is left open; expected a value such as "
            "{choice: [relu, gelu]}, {int: [1, 4]} or {float: [1e-4, 1e-1]}, or search.seeds > 1"
        )
    count = _grid_size(search, space)
    if search.trials is None and count is not None and count > LARGEST_GRID:
        told = f"{count:,}" if count < 10**12 else f"10^{len(str(count)) - 1}"
        path = ("search", "trials")
        wanted = "expected a number of them to try, or fewer values"
        raise ConfigError(f"{place(path)}: {dotted(path)}: {told} combinations; {wanted}")


def _grid_size(search: Search, space: Space) -> int | None:
    """How many points a search goes through that takes all of a grid."""
    if search.sampler["name"] != "grid":
        return None
    return space.count(search.sampler["steps"])


def _with_whole_paths(given: Given, space: Space) -> dict[str, Any]:
    """The open config with absolute paths, so that it finds its data from anywhere."""
    value = given.value
    filled, _ = fill(Config, space.tree(next(space.corners())))
    whole = whole_paths(filled, given.homes)
    source = filled["data"]["source"]
    paths = {name: whole["data"][name] for name in path_options(source)}
    data = value["data"] if isinstance(value["data"], Mapping) else {"source": source}
    given_paths = {name: path for name, path in paths.items() if path is not None}
    changed = {"data": {**data, **given_paths}} if given_paths else {}
    return {
        **value,
        **changed,
        **({"init_from": whole["init_from"]} if "init_from" in value else {}),
    }
