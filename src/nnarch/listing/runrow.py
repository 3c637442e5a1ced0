"""A run as a row: what is known of it, by dotted key.

A key is a short name (`val_loss`), a place in run.json (`results.best.val_loss`), or one in the
complete config (`optimizer.lr`), looked for in this order. Only what is asked for is read, since
thousands of runs may be listed: run.json once, and of the config the sections that keys are in.
Files in a run directory may be a stranger's, so a value of any type may be anywhere.
"""

import math
import os
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from nnarch import files, plainyaml
from nnarch.errors import ConfigError, Path, RunError, reason, undotted
from nnarch.members import ENSEMBLE
from nnarch.rundir import RESOLVED, RunDir

METRIC = "main_metric"  # the first that the test rows were measured by
_SHORT: Mapping[str, Path] = {
    "epochs": ("results", "epochs"),
    "best_epoch": ("results", "best_epoch"),
    "trials": ("search", "trials"),
}
_RECORDED = ("kind", "status", "model", "parameters", "flops", "seconds", "started")
_NOTHING = object()


class Row:
    """One run, whose values are read when they are asked for, and kept."""

    def __init__(self, run: RunDir):
        self.run = run
        self._values: dict[str, Any] = {"name": run.path.name}
        self._text: str | None = None

    def take(self, keys: Iterable[str]) -> None:
        """Read the values of `keys` at one go; beside `METRIC` that metric's own, `test_rmse`.

        Raises: RunError where the run is damaged.
        """
        missing = [key for key in keys if key not in self._values]
        about = self.run.about if missing else {}
        for key in missing:
            self._values[key] = self._found(about, key)
        if METRIC in missing and isinstance(name := self._values[METRIC], str):
            self._values[name] = self._found(about, name)

    def has(self, key: str) -> bool:
        """Whether the run says anything of `key`, be it null.

        Raises: RunError where the run is damaged.
        """
        self.take([key])
        return self._values[key] is not _NOTHING

    def value(self, key: str) -> Any:
        """What `key` is: None where it is null, no finite number, or nothing is said of it.

        Raises: RunError where the run is damaged.
        """
        if key not in self._values:
            self.take([key])
        value = self._values[key]
        infinite = isinstance(value, float) and not math.isfinite(value)
        return None if infinite or value is _NOTHING else value

    def config(self) -> dict[str, Any]:
        """Every value of the complete config, by dotted key; none of an ensemble.

        Raises: RunError where it is missing or damaged.
        """
        whole = self._of_config(self.run.about, lambda text: plainyaml.whole(text, RESOLVED))
        return {} if whole is _NOTHING else leaves(whole)

    def measured(self) -> list[str]:
        """The short names of what was measured: `val_loss`, `test_rmse`, ...

        Raises: RunError where the run is damaged.
        """
        about = self.run.about
        tested = leaves(_at(about, ("results", "test"), {}))
        return [*leaves(_at(about, ("results", "best"), {})), *(f"test_{key}" for key in tested)]

    def higher(self) -> set[str]:
        """Which `val_` metrics are better where they are higher.

        Raises: RunError where the run is damaged.
        """
        told = _at(self.run.about, ("results", "higher"), [])
        return {name for name in told if isinstance(name, str)} if isinstance(told, list) else set()

    def keys(self) -> list[str]:
        """Every key that there is, short ones first.

        Raises: RunError where the run is damaged.
        """
        return ["name", *_SHORT, *self.measured(), *leaves(self.run.about), *self.config()]

    def _found(self, about: Mapping[str, Any], key: str) -> Any:
        if key == METRIC:
            return _main_metric(about)
        if short := _short(key):
            return _leaf(about, short)
        path = undotted(key)
        value = _leaf(about, path) if path else _NOTHING
        if value is not _NOTHING or not path or key in _RECORDED:
            return value
        section, name = plainyaml.section, str(path[0])
        found = self._of_config(about, lambda text: section(text, name, RESOLVED))
        return _leaf(found, path[1:])

    def _of_config(self, about: Mapping[str, Any], read: Callable[[str], Any]) -> Any:
        """What `read` finds in the complete config; an ensemble's is its first member's, not it.

        Raises: RunError where it is missing or damaged.
        """
        if about.get("kind") == ENSEMBLE:
            return _NOTHING
        try:
            if self._text is None:
                self._text = files.read(os.path.join(self.run, RESOLVED)).decode()
            return read(self._text)
        except KeyError:
            return _NOTHING
        except ConfigError as error:
            raise RunError(f"{self.run}: damaged: {error.lines[0]}") from error
        except OSError as error:
            raise RunError(f"{self.run.config}: {reason(error)}") from error
        except ValueError as error:
            raise RunError(f"{self.run.config}: damaged: {error}") from error


def leaves(value: Any, at: str = "") -> dict[str, Any]:
    """All that is no mapping and no list with mappings in it, by dotted key.

    >>> leaves({"model": {"widths": [8, 8]}, "metrics": [{"name": "f1"}]})
    {'model.widths': [8, 8], 'metrics[0].name': 'f1'}
    """
    if isinstance(value, dict) and (value or not at):
        inside = [(f"{at}.{key}".removeprefix("."), inner) for key, inner in value.items()]
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        inside = [(f"{at}[{place}]", inner) for place, inner in enumerate(value)]
    else:
        return {at: value} if at else {}
    return {key: leaf for name, inner in inside for key, leaf in leaves(inner, name).items()}


def _main_metric(about: Mapping[str, Any]) -> Any:
    tested = leaves(_at(about, ("results", "test"), {}))
    return next((f"test_{name}" for name in tested if name != "loss"), _NOTHING)


@lru_cache(1024)
def _short(key: str) -> Path | None:
    """Where run.json tells of a short name."""
    part, _, name = key.partition("_")
    if part in ("train", "val") and name:
        return ("results", "best", key)
    return ("results", "test", name) if part == "test" and name else _SHORT.get(key)


def _leaf(value: Any, path: Path) -> Any:
    """What stands there, unless that is a mapping with more in it."""
    found = _at(value, path, _NOTHING)
    return _NOTHING if isinstance(found, dict) and found else found


def _at(value: Any, path: Path, otherwise: Any) -> Any:
    for key in path:
        if isinstance(value, list) and isinstance(key, int):
            value = value[key] if key < len(value) else otherwise
        else:
            value = value.get(key, otherwise) if isinstance(value, dict) else otherwise
    return value
