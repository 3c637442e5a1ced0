"""The config of a run: what its directory says, held against what its checkpoint was made with.

`resolved.yaml` is there to be read and to be trained from again, so anyone may have edited it
since. Each checkpoint holds the config that it was trained by, under a sum; where the two differ
in anything but where files lie and how long and on what to compute, nothing is measured or trained
by either.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from nnarch import config as configs
from nnarch.config import Config
from nnarch.errors import ConfigError, Path, RunError, UsageError
from nnarch.rundir import RunDir
from nnarch.tree import differences
from nnarch.validate import dotted, shortened
from nnarch.wholepaths import path_options

FREE = ("epochs", "early_stopping", "device", "threads")  # may differ from the run's beginning


def load(run: RunDir, meta: Mapping[str, Any] | None, overrides: Sequence[str] = ()) -> Config:
    """The config of `run`.

    Args:
        meta: of its checkpoint, if it has one.
        overrides: `key=value`, of `FREE` keys or of where the data lies.

    Raises: RunError where it is damaged, or not the config of the checkpoint; ConfigError where an
        override is of another key.
    """
    try:
        config = configs.load(run.config)
    except (ConfigError, UsageError) as error:
        raise RunError(f"{run}: damaged: {error.lines[0]}") from error
    if meta is not None:
        _check_unedited(run, config, meta.get("config"))
    if not overrides:
        return config
    changed = configs.load(run.config, overrides)
    for path in _bound(config, _plain(config), _plain(changed)):
        raise ConfigError(
            f"command line: {dotted(path)}: is as it was when the run began; expected one of "
            f"{', '.join(FREE)}, or where the data lies; another network is a run of its own: "
            f"nnarch train {run.config} {overrides[0]}"
        )
    return changed


def _check_unedited(run: RunDir, config: Config, trained: Any) -> None:
    now = _plain(config)
    told = [
        f"{dotted(path)} is {shortened(_at(now, path))}, was {shortened(_at(trained, path))}"
        for path in _bound(config, now, trained)
    ]
    if told:
        more = f", and {len(told) - 3} more" if len(told) > 3 else ""
        raise RunError(
            f"{run.config}: was edited since the run was trained by it: {'; '.join(told[:3])}{more}"
        )


def _plain(config: Config) -> dict[str, Any]:
    return config.model_dump(mode="json")


def _bound(config: Config, one: Any, other: Any) -> list[Path]:
    """Where two configs differ and must not."""
    paths = path_options(config.data["source"])
    return [
        path
        for path in differences(one, other)
        if path[:1] not in [(key,) for key in FREE]
        and path[:2] not in [("data", name) for name in paths]
    ]


def _at(value: Any, path: Path) -> Any:
    """The value at `path`, or None where there is no such place."""
    for key in path:
        try:
            value = value[key]
        except (LookupError, TypeError):
            return None
    return value
