"""A round of a search: its trials trained side by side, by one process or several.

Where a pruner is asked, a round has rungs: all trials are trained to the first, the best of them
to the next. They wait in the process that trained them, and go on there.

A process that dies takes down what it was training, and what waited in it. Of several any may be
innocent, so each is begun again by itself. So is one that was by itself, but once: a process may
be killed for what others do on the machine. What comes to no end by itself twice has failed.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from nnarch.pruners.pruner import Bracket
from nnarch.searching import tasks
from nnarch.searching.limits import Limits
from nnarch.searching.proposals import Planned
from nnarch.searching.tally import Tally
from nnarch.searching.trialtraining import TrialTraining
from nnarch.searching.underway import Outcome
from nnarch.searching.workers import Done, Here, Told, Workers
from nnarch.trial import Trial

PATIENCE = 0.2  # seconds between two looks at what else there is to do
GRACE = 10.0  # times the limit of a trial, after which a worker that is silent is killed

Crew = Workers | Here
Task = tuple[str, Sequence[Any]]  # "begin" orders, or "go on" with trials by their ids


class Rounds:
    """Has trials trained, and tells the tally what came of them.

    Attributes:
        running: how many trials are under way.
    """

    def __init__(
        self,
        crew: Crew,
        tally: Tally,
        limits: Limits,
        log: Callable[[str], None],
    ):
        """Args:
        limits: what bounds every trial.
        log: is told the traceback of a bug.
        """
        self._crew, self._tally, self._log = crew, tally, log
        self._limits = limits
        self._planned: dict[str, Trial] = {}
        self._holders: dict[str, int] = {}  # of trials that wait, the worker in which each does
        self._suspects: set[str] = set()  # trials that came to no end by themselves, once
        self.running = 0

    def go(self, planned: Sequence[Planned], bracket: Bracket) -> Iterator[None]:
        """Train trials to the end, or as far as they are worth it.

        Yields: now and then, so that others can have a look at the world.
        """
        self._planned = {each.trial.id: each.trial for each in planned}
        queue: list[tuple[int | None, Task]] = [
            (None, ("begin", [each.trial for each in task]))
            for task in tasks.dealt(planned, self._crew.count)
        ]
        for rung, count in zip(bracket.rungs, (*bracket.kept, None), strict=True):
            waiting: dict[str, Trial] = {}
            for outcomes in self._outcomes(queue, rung if count else math.inf):
                waiting |= {o.trial.id: o.trial for o in outcomes if not o.is_over}
                self._ended([outcome for outcome in outcomes if outcome.is_over])
                yield
            if not count or not waiting:
                return
            rows = self._tally.ranked([*waiting.values()])
            chosen = [trial.id for row in rows[:count] for trial in row.trials]
            self._ended(
                [
                    Outcome(_pruned(trial, count))
                    for trial in waiting.values()
                    if trial.id not in chosen
                ]
            )
            queue = self._going_on(chosen)

    def _going_on(self, ids: Sequence[str]) -> list[tuple[int | None, Task]]:
        """Tasks of trials that wait; those whose process has died meanwhile begin anew."""
        of_worker: dict[int, list[str]] = {}
        for id in ids:
            if id in self._holders:
                of_worker.setdefault(self._holders[id], []).append(id)
        lost = [self._planned[id] for id in ids if id not in self._holders]
        self._holders = {}
        going: list[tuple[int | None, Task]] = [
            (worker, ("go on", held)) for worker, held in of_worker.items()
        ]
        return [*going, *([(None, ("begin", lost))] if lost else [])]

    def _ended(self, outcomes: Sequence[Outcome]) -> None:
        # For what there was no time at all, there may be on another day.
        ended = [o for o in outcomes if o.trial.status != "pruned" or o.trial.epochs]
        left = {o.trial.id: o.left for o in ended if o.left}
        self._tally.record([outcome.trial for outcome in ended], left)
        self._tally.commit()

    def _outcomes(
        self, queue: list[tuple[int | None, Task]], until: float
    ) -> Iterator[list[Outcome]]:
        """What comes of tasks, each of which any worker does, or the one that is named."""
        limits, busy = replace(self._limits, until=until), {}
        while queue or busy:
            for worker in range(self._crew.count):
                if worker not in busy and (task := _next(queue, worker)) is not None:
                    busy[worker] = {o.id if isinstance(o, Trial) else o for o in task[1]}
                    self.running += len(busy[worker])
                    self._crew.send(worker, (*task, limits), self._patience(len(busy[worker])))
            yield []
            for heard in self._crew.heard(PATIENCE):
                if isinstance(heard, Told):
                    busy[heard.worker] -= {outcome.trial.id for outcome in heard.message}
                    self.running -= len(heard.message)
                    self._holders |= {
                        o.trial.id: heard.worker for o in heard.message if not o.is_over
                    }
                    yield heard.message
                else:
                    left = busy.pop(heard.worker, set[str]())  # one that had no task may die too
                    self.running -= len(left)
                    yield self._after(heard, left, queue)

    def _after(
        self, done: Done, left: set[str], queue: list[tuple[int | None, Task]]
    ) -> list[Outcome]:
        """What becomes of trials that a worker, which is done, did not bring to their end."""
        if done.died:
            held = self._holders.items()
            self._holders = {id: worker for id, worker in held if worker != done.worker}
        if left and done.fault and "\n" in done.fault:
            self._log(done.fault)
        failed = left & self._suspects if len(left) == 1 else set[str]()
        if len(left) == 1:
            self._suspects |= left
        queue += [(None, ("begin", [self._planned[id]])) for id in sorted(left - failed)]
        fault = (done.fault or "came to no end").strip().splitlines()[-1]
        return [Outcome(replace(self._planned[id], status="failed", reason=fault)) for id in failed]

    def _patience(self, trials: int) -> float | None:
        limit = self._limits.seconds
        return None if limit == math.inf else GRACE + 2 * limit * trials


def work(make: Callable[[], TrialTraining]) -> Callable[[Any], Iterator[list[Outcome]]]:
    """What a process does with a task of a round."""
    training = make()

    def do(task: tuple[str, Any, Limits]) -> Iterator[list[Outcome]]:
        what, given, limits = task
        yield from (training.begin if what == "begin" else training.go_on)(given, limits)

    return do


def _pruned(trial: Trial, kept: int) -> Trial:
    why = f"not among the best {kept} after {trial.epochs} epochs"
    return replace(trial, status="pruned", reason=why)


def _next(queue: list[tuple[int | None, Task]], worker: int) -> Task | None:
    """The next task that a worker may do, taken from the queue."""
    for place, (who, task) in enumerate(queue):
        if who is None or who == worker:
            del queue[place]
            return task
    return None
