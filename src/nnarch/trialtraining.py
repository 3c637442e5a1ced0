"""Training trials: those of a kind in stacks, all others alone.

It takes configs and tells what came of each; which are tried, and what is kept, is not its
business. So the same lines serve the process of a search and each of its workers. A trial whose
epochs are not over is kept here, to go on with those that were chosen to; they are stacked anew,
so that what was left out takes no time.

A fault of one trial is its own outcome. What is not a trial's fault (memory that runs out, a bug)
ends the work, and whoever asked for it decides.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch

from nnarch import devices, experiment
from nnarch.config import Config
from nnarch.data.batches import Rows
from nnarch.data.dataset import Dataset
from nnarch.data.hosted import placed
from nnarch.errors import NnarchError
from nnarch.evaluation import Evaluation, of_outputs, outputs
from nnarch.experiment import Experiment
from nnarch.losses import Loss
from nnarch.models.network import Size
from nnarch.stacked.grouping import chunks
from nnarch.stacked.member import Ground, Member
from nnarch.stacked.stack import Stack
from nnarch.training import Record, has_waited, train
from nnarch.trial import Status

NUMBERS = 800_000  # that a step of a stack touches
TIMED = 5  # times that one row goes through a network, to know how long it takes
KEPT = ("train_loss", "val_loss")  # of every epoch
NO_TIME = "the search's time was over"  # why a trial was broken off that can be tried again


@dataclass(frozen=True)
class Order:
    """A trial to be trained, its complete config as JSON."""

    id: str
    config: str


@dataclass(frozen=True)
class Outcome:
    """What came of a trial so far; the words are those of `nnarch.trial.Trial`.

    Attributes:
        status: None of one that can go on.
    """

    id: str
    status: Status | None
    reason: str | None = None
    epochs: int = 0
    best_epoch: int = 0
    figures: Mapping[str, float] = field(default_factory=dict)
    history: Mapping[str, Sequence[float]] = field(default_factory=dict)
    parameters: int | None = None
    flops: int | None = None
    latency: float | None = None
    seconds: float = 0.0
    how: str = ""


def data_key(config: Config) -> str:
    """What the datasets of a search go by: how a config uses the data."""
    return json.dumps(config.data, sort_keys=True)


class OutOfTime(Exception):
    """The time that the search has is over."""


class TookTooLong(Exception):
    """The time that one trial has is over."""


@dataclass(frozen=True)
class Limits:
    """How long trials may take.

    Attributes:
        until: epochs after which they wait to be told to go on.
        deadline: the moment (`time.monotonic`) at which all end.
        seconds: that one of them may take.
    """

    until: float = math.inf
    deadline: float = math.inf
    seconds: float = math.inf


@dataclass
class _Trial:
    """A trial under way."""

    id: str
    member: Member
    size: Size
    dataset: Dataset
    loss: Loss
    latency: float | None = None
    seconds: float = 0.0
    ready: Experiment | None = None  # of one that is trained alone
    records: Iterator[Record] | None = None
    evaluation: Evaluation | None = None  # of its best epoch
    how: str = ""


class TrialTraining:
    """Trains trials of one search.

    Attributes:
        datasets: by `data_key`.
    """

    def __init__(
        self,
        datasets: Mapping[str, Dataset],
        device: torch.device,
        exact: bool = False,
        timed: bool = False,
        check: Callable[[], None] = lambda: None,
    ):
        """Args:
        exact: whether every trial is trained alone.
        timed: whether the time that a row takes is measured.
        check: called before every step; what it raises ends the work.
        """
        self._datasets, self._device = dict(datasets), device
        self._exact, self._timed, self._check = exact, timed, check
        self._waiting: dict[str, _Trial] = {}
        self._placed: dict[tuple[int, torch.dtype], dict[str, Rows]] = {}

    def begin(self, orders: Sequence[Order], limits: Limits) -> Iterator[list[Outcome]]:
        """Train trials from their beginning; outcomes as they come."""
        begun: list[_Trial] = []
        for order in orders:
            try:
                begun.append(self._begun(order))
            except NnarchError as error:
                yield [Outcome(order.id, "refused", error.lines[0])]
        yield from self._train(begun, limits)

    def go_on(self, ids: Sequence[str], limits: Limits) -> Iterator[list[Outcome]]:
        """Train on those that wait under `ids`; all others that wait are given up."""
        chosen = [self._waiting[id] for id in ids]
        self._waiting.clear()
        yield from self._train(chosen, limits)

    def _begun(self, order: Order) -> _Trial:
        config = Config.model_validate_json(order.config)
        dataset = self._datasets[data_key(config)]
        begun = experiment.begin(config, dataset, self._device)
        member = Member(begun.config, begun.training, begun.settings)
        trial = _Trial(order.id, member, begun.size, dataset, begun.loss)
        if self._timed:
            trial.latency = self._latency(trial)
        return trial

    def _train(self, trials: Sequence[_Trial], limits: Limits) -> Iterator[list[Outcome]]:
        own = {id(trial.member): trial for trial in trials}
        alone = [trial for trial in trials if trial.records is not None or self._exact]
        grounds: dict[tuple[int, str], list[_Trial]] = {}
        for trial in trials:
            if trial not in alone:
                key = id(trial.dataset), json.dumps(trial.member.config.loss)
                grounds.setdefault(key, []).append(trial)
        for those in grounds.values():
            ground = self._ground(those[0])
            for chunk in chunks([trial.member for trial in those], ground, NUMBERS):
                found = [own[id(member)] for member in chunk.members]
                if len(found) > 1:
                    yield self._together(found, ground, limits)
                else:
                    yield [self._alone(found[0], chunk.why, limits)]
        for trial in alone:
            yield [self._alone(trial, "--exact" if self._exact else None, limits)]

    def _together(self, trials: Sequence[_Trial], ground: Ground, limits: Limits) -> list[Outcome]:
        """Train a stack as far as it goes."""
        began = time.monotonic()
        threads = trials[0].member.config.threads
        with devices.computing(self._device, threads if isinstance(threads, int) else 1):
            why, evaluations = self._stacked(trials, ground, limits)
        seconds = (time.monotonic() - began) / len(trials)
        for trial, evaluation in zip(trials, evaluations, strict=True):
            trial.seconds += seconds
            trial.evaluation = evaluation or trial.evaluation
            trial.how = f"in a stack of {len(trials)}"
        return [self._outcome(trial, why) for trial in trials]

    def _stacked(
        self, trials: Sequence[_Trial], ground: Ground, limits: Limits
    ) -> tuple[str | None, list[Evaluation | None]]:
        """What ended a stack before its time, if anything did, and its members' best epochs."""
        why, began = None, time.monotonic() - sum(trial.seconds for trial in trials)
        stack = Stack([trial.member for trial in trials], ground, last=False)
        try:
            until = int(min(limits.until, max(t.member.settings.epochs for t in trials)))
            for _ in stack.epochs(until, _Clock(limits, began, len(trials), self._check).check):
                pass
        except OutOfTime as error:
            why = str(error)
        except TookTooLong as error:
            for trial in trials:
                trial.member.fault = trial.member.fault or str(error)
        evaluations = stack.evaluations()
        if limits.until < math.inf:
            stack.write()
        return why, evaluations

    def _alone(self, trial: _Trial, why: str | None, limits: Limits) -> Outcome:
        """Train one by itself as far as it goes, as `nnarch train` does."""
        began, ended, member = time.monotonic(), None, trial.member
        check = _Clock(limits, began - trial.seconds, 1, self._check).check
        try:
            records = trial.records or self._records(trial, check)
            assert trial.ready
            with devices.computing(trial.ready.device, trial.ready.threads):
                while member.training.epoch < limits.until and (record := next(records, None)):
                    member.history.append(record)
        except OutOfTime as error:
            ended = str(error)
        except (TookTooLong, MemoryError) as error:
            member.fault = str(error)
        except NnarchError as error:
            member.fault = error.lines[0]
        trial.seconds += time.monotonic() - began
        trial.how = f"alone: {why}" if why else "alone"
        return self._outcome(trial, ended)

    def _records(self, trial: _Trial, check: Callable[[], None]) -> Iterator[Record]:
        begun = trial.member.training
        state = begun.state() if begun.epoch else None  # of one that was in a stack
        ready = experiment.with_data(trial.member.config, trial.dataset, state)
        trial.ready = ready
        trial.member.training, trial.member.settings = ready.training, ready.settings
        trial.records = train(
            ready.training,
            ready.engine,
            ready.loss,
            ready.rows["train"],
            ready.dataset.preprocess.target.scale,
            lambda: ready.evaluate("val", check=check),
            ready.settings,
            check,
        )
        return trial.records

    def _outcome(self, trial: _Trial, ended: str | None) -> Outcome:
        member, history = trial.member, trial.member.history
        training = member.training
        best = next((r for r in history if r.epoch == training.best_epoch), None)
        figures: dict[str, float] = {}
        if best:
            measured = trial.evaluation.metrics if trial.evaluation else {}
            metrics = {**measured, **best.metrics}
            figures = {"train_loss": best.train_loss, "val_loss": best.val_loss}
            figures |= {f"val_{name}": value for name, value in metrics.items()}
        over = training.epoch >= member.settings.epochs or has_waited(training, member.settings)
        status: Status | None = "failed" if member.fault else "finished" if over else None
        if status is None and ended:
            status = "pruned"
        if status is None:
            self._waiting[trial.id] = trial
        return Outcome(
            trial.id,
            status,
            member.fault or (ended if status == "pruned" else None),
            len(history),
            training.best_epoch,
            {name: value for name, value in figures.items() if math.isfinite(value)},
            {name: [getattr(record, name) for record in history] for name in KEPT},
            trial.size.parameters,
            trial.size.flops,
            trial.latency,
            trial.seconds,
            trial.how,
        )

    def _ground(self, trial: _Trial) -> Ground:
        dataset, config = trial.dataset, trial.member.config
        rows = self._rows(dataset, experiment.DTYPES[config.precision])
        target = dataset.preprocess.target
        judge = partial(
            of_outputs,
            loss=trial.loss,
            target=target,
            task=dataset.task,
            wanted=config.metrics or [],
        )
        return Ground(trial.loss, rows["train"], rows["val"], target.scale, judge)

    def _rows(self, dataset: Dataset, dtype: torch.dtype) -> dict[str, Rows]:
        key = id(dataset), dtype
        if key not in self._placed:
            room = devices.room(self._device)
            self._placed[key] = placed(dataset.parts, self._device, dtype, room)
        return self._placed[key]

    def _latency(self, trial: _Trial) -> float:
        """Seconds that one row takes, the least of a few."""
        rows = self._rows(trial.dataset, experiment.DTYPES[trial.member.config.precision])
        one = next(rows["val"].first(1).in_order(1)).inputs
        taken = []
        for _ in range(TIMED + 1):
            began = time.perf_counter()
            outputs(trial.member.training.network, one)
            taken.append(time.perf_counter() - began)
        return min(taken[1:])


@dataclass(frozen=True)
class _Clock:
    """Ends what takes too long."""

    limits: Limits
    began: float
    trials: int
    outer: Callable[[], None]

    def check(self) -> None:
        self.outer()
        now = time.monotonic()
        if now > self.limits.deadline:
            raise OutOfTime(NO_TIME)
        if (now - self.began) / self.trials > self.limits.seconds:
            raise TookTooLong(f"took longer than search.trial_seconds, {self.limits.seconds:g}")
