"""What an earlier search tells of a space that may be another one.

Its trials are read by what a person reads of them, not by what was drawn: that `tanh` was the
second option there says nothing of the second one here. A trial counts if there is a point here
that reads the same, and if it was measured by all that this search is judged by.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nnarch.errors import RunError
from nnarch.exploration import Exploration
from nnarch.searchdir import SearchDir
from nnarch.space.domains import Choice
from nnarch.space.space import Point, Space
from nnarch.space.variable import Variable
from nnarch.trial import Trial


def told(exploration: Exploration) -> list[Trial]:
    """The trials of `search.warm_start` that are of this space, with their points in it.

    Raises: ConfigError where there is no such search, or none of its trials fits.
    """
    option = ("search", "warm_start")
    where = exploration.search.warm_start
    if where is None:
        return []
    try:
        trials = SearchDir.open(Path(where)).trials.read()
    except RunError as error:
        said = f"{error.lines[0]}; expected the directory of a search"
        raise exploration.fault(option, said) from error
    objectives = exploration.search.objectives
    found = fitting(trials, exploration.space, objectives)
    if not found:
        raise exploration.fault(
            option,
            f"no trial of {where} finished with {', '.join(objectives)} at a point of this space; "
            "expected a search with the same open values",
        )
    return found


def fitting(trials: Sequence[Trial], space: Space, objectives: Sequence[str]) -> list[Trial]:
    """Those that finished with all objectives at a point of `space`, with that point."""
    found = []
    for trial in trials:
        measured = all(trial.objective(name) is not None for name in objectives)
        if trial.status == "finished" and measured:
            point = _point(trial, space)
            if point is not None:
                found.append(replace(trial, point=point))
    return found


def _point(trial: Trial, space: Space) -> Point | None:
    """The point that reads as a trial did, if there is one."""
    try:
        _, point = space.walk(lambda variable: _value(variable, trial.shown[variable.key]))
    except (KeyError, ValueError):
        return None
    return point if point.keys() == trial.shown.keys() else None


def _value(variable: Variable, shown: Any) -> Any:
    """Raises: ValueError where no value of the variable reads so."""
    domain = variable.domain
    if isinstance(domain, Choice):
        return [variable.shown(place) for place in range(len(domain.options))].index(shown)
    if not domain.contains(shown):
        raise ValueError(f"{shown!r} is not in {domain}")
    return shown
