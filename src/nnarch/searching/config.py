"""The config of a search: what its directory says, and what may change of it as it goes on.

A search that goes on tries what is missing of the same space, so its space is as it was. How much
is tried, for how long and by how many is free. Whether `resolved.yaml` was edited since is known
by the identity that run.json tells.
"""

from collections.abc import Sequence

from nnarch import exploration as explorations
from nnarch import plugins
from nnarch.errors import ConfigError, RunError, UsageError
from nnarch.exploration import Exploration
from nnarch.searchdir import SearchDir

FREE = [f"search.{key}" for key in ("keep", "seconds", "trial_seconds", "trials", "workers")]


def load(home: SearchDir, overrides: Sequence[str] = ()) -> Exploration:
    """What the search at `home` explores.

    Args:
        overrides: `key=value`, of `FREE` keys.

    Raises: RunError where it is damaged, was edited, or needs a plugin; ConfigError where an
        override is of another key.
    """
    _need_plugins(home)
    try:
        before = explorations.load(home.config)
    except (ConfigError, UsageError) as error:
        raise RunError(f"{home}: damaged: {error.lines[0]}") from error
    if before.identity() not in home.identities:
        raise RunError(f"{home.config}: was edited since the search began")
    if not overrides:
        return before
    explored = explorations.load(home.config, overrides)
    if changed := [key for key in explored.differences(before) if key not in FREE]:
        raise ConfigError(
            f"command line: {key}: would be another search; expected one of {', '.join(FREE)}"
            for key in changed
        )
    return explored


def _need_plugins(home: SearchDir) -> None:
    try:
        plugins.need(home.path, home.about["plugins"])
    except (LookupError, TypeError) as error:
        raise RunError(f"{home}: damaged: run.json does not say plugins") from error
