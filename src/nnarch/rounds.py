"""A round of a search: its trials trained side by side, by one process or several.

Where a pruner is asked, a round has rungs: all trials are trained to the first, the best of them
to the next. They wait in the process that trained them, and go on there.

A process that dies takes down what it was training. A trial that was by itself has failed then;
others may be innocent, and are each tried by themselves.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from nnarch import ranking, tasks
from nnarch.proposals import Planned
from nnarch.pruners.pruner import Bracket
from nnarch.tally import Tally
from nnarch.trial import Trial
from nnarch.trialtraining import Limits, Order, Outcome, TrialTraining
from nnarch.workers import Done, Here, Told, Workers

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
        rank: Callable[[Sequence[Trial]], list[ranking.Row]],
        limits: Limits,
        log: Callable[[str], None],
    ):
        """Args:
        rank: trials to points from the best to the worst.
        limits: what bounds every trial.
        log: is told the traceback of a bug.
        """
        self._crew, self._tally, self._rank, self._log = crew, tally, rank, log
        self._limits = limits
        self._planned: dict[str, Planned] = {}
        self.running = 0

    def go(self, planned: Sequence[Planned], bracket: Bracket) -> Iterator[list[Trial]]:
        """Train trials to the end, or as far as they are worth it.

        Yields: those that ended since; often none, so that others can have a look at the world.
        """
        self._planned = {each.trial.id: each for each in planned}
        queue: list[tuple[int | None, Task]] = [
            (None, ("begin", [_order(each) for each in task]))
            for task in tasks.dealt(planned, self._crew.count)
        ]
        for rung, count in zip(bracket.rungs, (*bracket.kept, None), strict=True):
            waiting: dict[str, tuple[int, Outcome]] = {}
            for worker, outcomes in self._outcomes(queue, rung if count else math.inf):
                waiting |= {each.id: (worker, each) for each in outcomes if each.status is None}
                yield self._ended(each for each in outcomes if each.status is not None)
            if not count or not waiting:
                return
            chosen = self._chosen([outcome for _, outcome in waiting.values()], count)
            yield self._ended(
                _pruned(outcome, count)
                for _, outcome in waiting.values()
                if outcome.id not in chosen
            )
            of_worker: dict[int, list[str]] = {}
            for id in chosen:
                of_worker.setdefault(waiting[id][0], []).append(id)
            queue = [(worker, ("go on", ids)) for worker, ids in of_worker.items()]

    def _ended(self, outcomes: Iterator[Outcome]) -> list[Trial]:
        trials = [self._trial(outcome) for outcome in outcomes]
        # For what there was no time at all, there may be on another day.
        ended = [trial for trial in trials if trial.status != "pruned" or trial.epochs]
        self._tally.record(ended)
        self._tally.commit()
        return ended

    def _chosen(self, waiting: Sequence[Outcome], count: int) -> list[str]:
        """The best of those that wait, all seeds of a point together."""
        rows = self._rank([replace(self._trial(each), status="finished") for each in waiting])
        return [trial.id for row in rows[:count] for trial in row.trials]

    def _outcomes(
        self, queue: list[tuple[int | None, Task]], until: float
    ) -> Iterator[tuple[int, list[Outcome]]]:
        """What comes of tasks, each of which any worker does, or the one that is named."""
        limits, busy = replace(self._limits, until=until), {}
        while queue or busy:
            for worker in range(self._crew.count):
                if worker not in busy and (task := _next(queue, worker)) is not None:
                    busy[worker] = {o.id if isinstance(o, Order) else o for o in task[1]}
                    self.running += len(busy[worker])
                    self._crew.send(worker, (*task, limits), self._patience(len(busy[worker])))
            yield -1, []
            for heard in self._crew.heard(PATIENCE):
                if isinstance(heard, Told):
                    busy[heard.worker] -= {outcome.id for outcome in heard.message}
                    self.running -= len(heard.message)
                    yield heard.worker, heard.message
                else:
                    left = busy.pop(heard.worker)
                    self.running -= len(left)
                    yield heard.worker, self._after_fault(heard, left, queue)

    def _after_fault(
        self, done: Done, left: set[str], queue: list[tuple[int | None, Task]]
    ) -> list[Outcome]:
        """What becomes of trials whose process did not come to their end."""
        if len(left) > 1 and done.fault is not None:
            queue += [(None, ("begin", [_order(self._planned[id])])) for id in sorted(left)]
            return []
        if left and done.fault and "\n" in done.fault:
            self._log(done.fault)
        fault = (done.fault or "came to no end").strip().splitlines()[-1]
        return [Outcome(id, "failed", fault) for id in left]

    def _patience(self, trials: int) -> float | None:
        limit = self._limits.seconds
        return None if limit == math.inf else GRACE + 2 * limit * trials

    def _trial(self, outcome: Outcome) -> Trial:
        told = {
            name: getattr(outcome, name)
            for name in ("epochs", "best_epoch", "figures", "history", "parameters", "flops",
                         "latency", "how", "reason")
        }  # fmt: skip
        history = {
            name: [value if math.isfinite(value) else None for value in values]
            for name, values in outcome.history.items()
        }
        return replace(
            self._planned[outcome.id].trial,
            status=outcome.status or "finished",
            **{**told, "history": history, "seconds": round(outcome.seconds, 6)},
        )


def work(make: Callable[[], TrialTraining]) -> Callable[[Any], Iterator[list[Outcome]]]:
    """What a process does with a task of a round."""
    training = make()

    def do(task: tuple[str, Any, Limits]) -> Iterator[list[Outcome]]:
        what, given, limits = task
        yield from (training.begin if what == "begin" else training.go_on)(given, limits)

    return do


def _order(planned: Planned) -> Order:
    return Order(planned.trial.id, json.dumps(planned.trial.config))


def _pruned(outcome: Outcome, kept: int) -> Outcome:
    why = f"not among the best {kept} after {outcome.epochs} epochs"
    return replace(outcome, status="pruned", reason=why)


def _next(queue: list[tuple[int | None, Task]], worker: int) -> Task | None:
    """The next task that a worker may do, taken from the queue."""
    for place, (who, task) in enumerate(queue):
        if who is None or who == worker:
            del queue[place]
            return task
    return None
