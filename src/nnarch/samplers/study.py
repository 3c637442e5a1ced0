"""Optuna's samplers, spoken to point by point.

TPE and NSGA-II are Optuna's (Akiba et al., 2019; MIT licence, maintained since 2018): what is hard
about them is in the details, and those are well looked after there. A study in memory, asked and
told, is all of it that is used: networks are trained, trials stored and points known twice by
ourselves.

A value that has an order is a place in it, so that Optuna knows which values are near each other.
"""

import warnings
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from nnarch.errors import MachineError
from nnarch.lazy import LazyModule
from nnarch.samplers.unseen import Unseen, key
from nnarch.space.domains import Choice, Domain
from nnarch.space.space import Point, Space
from nnarch.space.template import Variable

if TYPE_CHECKING:
    import optuna
    from optuna.samplers import BaseSampler
    from optuna.trial import BaseTrial
else:
    optuna = LazyModule("optuna")

TRIES = 10  # proposals that are known already, before an unseen point is drawn at random
Made = Callable[[], "BaseSampler"]


class Study:
    """A sampler of Optuna's, as one of ours."""

    def __init__(self, space: Space, objectives: int, seed: int, made: Made):
        """Raises: MachineError where Optuna is missing."""
        _require()
        self._space, self._unseen = space, Unseen(space, seed)
        self._open: dict[Hashable, int] = {}  # numbers of trials, by what was proposed
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = made()
        directions = [optuna.study.StudyDirection.MINIMIZE] * objectives
        self._study = optuna.create_study(sampler=sampler, directions=directions)

    def ask(self, count: int) -> list[Point]:
        return list(islice(iter(self._next, None), count))

    def _next(self) -> Point | None:
        for _ in range(TRIES):
            trial = self._study.ask()
            point = self._space.walk(partial(suggested, trial))[1]
            if self._unseen.note(point):
                self._open[key(point)] = trial.number
                return point
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return self._unseen.draw()

    def tell(self, point: Point, values: Sequence[float] | None) -> None:
        self._unseen.note(point)
        states = optuna.trial.TrialState
        state = states.PRUNED if values is None else states.COMPLETE
        number = self._open.pop(key(point), None)
        if number is not None:
            self._study.tell(number, values, state=state)
            return
        places = {
            each.key: place(each.domain, point[each.key])
            for each in self._space.variables
            if each.key in point
        }
        past = optuna.trial.FixedTrial(places)
        self._space.walk(partial(suggested, past))
        self._study.add_trial(
            optuna.trial.create_trial(
                params=past.params, distributions=past.distributions, values=values, state=state
            )
        )


def _require() -> None:
    try:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
    except ImportError:
        raise MachineError(
            "search.sampler: tpe and nsga2 need optuna; pip install optuna"
        ) from None


def suggested(trial: "BaseTrial", variable: Variable) -> Any:
    """The value that a trial has for a variable: of an option its place, else `place` undone."""
    domain, name = variable.domain, variable.key
    if isinstance(domain, Choice) and not domain.ordered:
        return trial.suggest_categorical(name, range(domain.size))
    if is_stepped(domain):
        return domain.at((trial.suggest_int(name, 0, int(domain.size) - 1) + 0.5) / domain.size)
    return domain.at(trial.suggest_float(name, 0.0, 1.0))


def place(domain: Domain, value: Any) -> Any:
    """What stands for a value in a study: its place among all of them, or its share."""
    if isinstance(domain, Choice):
        return value
    share = domain.share(value)
    return int(share * domain.size) if is_stepped(domain) else min(max(share, 0.0), 1.0)


def is_stepped(domain: Domain) -> bool:
    """Whether equal shares are equal values, of which there are so many."""
    return domain.size < float("inf") and not getattr(domain, "log", False)
