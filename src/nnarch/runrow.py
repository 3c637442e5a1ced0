"""A run as a row: what is known of it, by dotted key.

A key is a short name (`val_loss`), a place in run.json (`results.best.val_loss`), or one in the
complete config (`optimizer.lr`), looked for in this order. Only what is asked for is read, since
thousands of runs may be listed: run.json once, and of the config the sections that keys are in.
Files in a run directory may be a stranger's, so a value of any type may be anywhere.
"""

import contextlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nnarch import files, plainyaml
from nnarch.errors import ConfigError, Path, RunError, reason
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
        self.take([key])
        value = self._values[key]
        infinite = isinstance(value, float) and not math.isfinite(value)
        return None if infinite or value is _NOTHING else value

    def config(self) -> dict[str, Any]:
        """Every value of the complete config, by dotted key; none of an ensemble.

        Raises: RunError where it is missing or damaged.
        """
        with _config_faults(self.run):
            text = self._config_text(self.run.about)
            return leaves(plainyaml.whole(text, RESOLVED)) if text else {}

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
        path = _path(key)
        value = _leaf(about, path) if path else _NOTHING
        if value is not _NOTHING or not path or key in _RECORDED:
            return value
        return _leaf(self._section(about, path[0]), path[1:])

    def _section(self, about: Mapping[str, Any], name: str | int) -> Any:
        with contextlib.suppress(KeyError), _config_faults(self.run):
            if isinstance(name, str) and (text := self._config_text(about)):
                return plainyaml.section(text, name, RESOLVED)
        return _NOTHING

    def _config_text(self, about: Mapping[str, Any]) -> str:
        """The complete config; none of an ensemble, whose config is its first member's.

        Raises: OSError or ValueError.
        """
        if about.get("kind") == ENSEMBLE:
            return ""
        if self._text is None:
            self._text = files.read(self.run.config).decode()
        return self._text


@contextlib.contextmanager
def _config_faults(run: RunDir) -> Iterator[None]:
    """What is wrong with a run's config, as a run's damage."""
    try:
        yield
    except ConfigError as error:
        raise RunError(f"{run}: damaged: {error.lines[0]}") from error
    except OSError as error:
        raise RunError(f"{run.config}: {reason(error)}") from error
    except ValueError as error:
        raise RunError(f"{run.config}: damaged: {error}") from error


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


def _short(key: str) -> Path | None:
    """Where run.json tells of a short name."""
    part, _, name = key.partition("_")
    if part in ("train", "val") and name:
        return ("results", "best", key)
    return ("results", "test", name) if part == "test" and name else _SHORT.get(key)


def _path(key: str) -> Path:
    """
    >>> _path("layers[2].Linear")
    ('layers', 2, 'Linear')
    """
    parts = re.findall(r"([^][.]+)|\[([0-9]{1,9})\]", key)
    return tuple(int(index) if index else name for name, index in parts)


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
