"""Training trials: those of a kind in stacks, all others alone.

It takes trials and tells what came of each; which are tried, and what is kept, is not its
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
from dataclasses import replace
from functools import partial

import torch

from nnarch import devices, experiment
from nnarch.config import Config
from nnarch.data.batches import Rows
from nnarch.data.dataset import Dataset
from nnarch.data.hosted import placed
from nnarch.errors import MachineError, NnarchError
from nnarch.evaluation import of_outputs, outputs
from nnarch.searching.limits import Limits, OutOfTime, TookTooLong
from nnarch.searching.underway import Outcome, UnderWay
from nnarch.stacked.grouping import chunks
from nnarch.stacked.member import Ground, Member
from nnarch.stacked.stack import Stack
from nnarch.training import Record, train
from nnarch.trial import Trial

NUMBERS = 800_000  # that a step of a stack touches
TOGETHER = 32 * NUMBERS  # weights, after which networks are trained before others are made
TIMED = 5  # times that one row goes through a network, to know how long it takes


def data_key(config: Config) -> str:
    """What the datasets of a search go by: how a config uses the data."""
    return json.dumps(config.data, sort_keys=True)


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
        leaders: Callable[[Sequence[Trial]], Sequence[Trial]] = lambda trials: (),
        check: Callable[[], None] = lambda: None,
    ):
        """Args:
        exact: whether every trial is trained alone.
        timed: whether the time that a row takes is measured.
        leaders: of trials those that are the best, of which checkpoints are given out.
        check: called before every step; what it raises ends the work.
        """
        self._datasets, self._device = dict(datasets), device
        self._exact, self._timed, self._check = exact, timed, check
        self._leaders, self._leading = leaders, list[Trial]()
        self._waiting: dict[str, UnderWay] = {}
        self._placed: dict[tuple[int, torch.dtype], dict[str, Rows]] = {}

    def begin(self, trials: Sequence[Trial], limits: Limits) -> Iterator[list[Outcome]]:
        """Train trials from their beginning; outcomes as they come."""
        begun: list[UnderWay] = []
        for trial in trials:
            try:
                begun.append(self._begun(trial))
            except NnarchError as error:
                status = "failed" if isinstance(error, MachineError) else "refused"
                yield [Outcome(replace(trial, status=status, reason=error.lines[0]))]
            if sum(each.size.parameters for each in begun) > TOGETHER:
                yield from self._train(begun, limits)
                begun = []
        yield from self._train(begun, limits)

    def go_on(self, ids: Sequence[str], limits: Limits) -> Iterator[list[Outcome]]:
        """Train on those that wait under `ids`; all others that wait are given up."""
        chosen = [self._waiting[id] for id in ids]
        self._waiting.clear()
        yield from self._train(chosen, limits)

    def _begun(self, trial: Trial) -> UnderWay:
        config = Config.model_validate_json(json.dumps(trial.config))
        dataset = self._datasets[data_key(config)]
        begun = experiment.begin(config, dataset, self._device)
        member = Member(begun.config, begun.training, begun.settings)
        found = UnderWay(trial, member, begun.size, dataset, begun.loss)
        if self._timed:
            found.latency = self._latency(found)
        return found

    def _train(self, trials: Sequence[UnderWay], limits: Limits) -> Iterator[list[Outcome]]:
        own = {id(trial.member): trial for trial in trials}
        alone = [trial for trial in trials if trial.records is not None or self._exact]
        grounds: dict[tuple[int, str], list[UnderWay]] = {}
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
                    yield self._alone(found[0], chunk.why, limits)
        for trial in alone:
            yield self._alone(trial, "--exact" if self._exact else None, limits)

    def _together(
        self, trials: Sequence[UnderWay], ground: Ground, limits: Limits
    ) -> list[Outcome]:
        """Train a stack as far as it goes."""
        began = time.monotonic()
        with devices.computing(self._device, trials[0].threads):
            stack = Stack([each.member for each in trials], ground)
            why = self._stacked(stack, trials, limits)
            evaluations = stack.evaluations()
            if limits.until < math.inf:
                stack.write()
        seconds = (time.monotonic() - began) / len(trials)
        for each, evaluation in zip(trials, evaluations, strict=True):
            each.seconds += seconds
            each.evaluation = evaluation or each.evaluation
            each.how = f"in a stack of {len(trials)}"
        return self._outcomes(trials, why, stack.write)

    def _stacked(self, stack: Stack, trials: Sequence[UnderWay], limits: Limits) -> str | None:
        """Train; what ended it before its time, if anything did."""
        began = time.monotonic() - sum(each.seconds for each in trials)
        until = int(min(limits.until, max(each.member.settings.epochs for each in trials)))
        try:
            for _ in stack.epochs(until, limits.clock(began, len(trials), self._check)):
                pass
        except OutOfTime as error:
            return str(error)
        except TookTooLong as error:
            for each in trials:
                each.member.fault = each.member.fault or str(error)
        return None

    def _alone(self, own: UnderWay, why: str | None, limits: Limits) -> list[Outcome]:
        """Train one by itself as far as it goes, as `nnarch train` does."""
        began, ended, member = time.monotonic(), None, own.member
        try:
            clock = limits.clock(began - own.seconds, 1, self._check)
            records = own.records or self._records(own, clock)
            assert own.ready
            with devices.computing(own.ready.device, own.ready.threads):
                while member.training.epoch < limits.until and (record := next(records, None)):
                    member.history.append(record)
                    if record.improved:
                        state = member.training.model.state_dict()
                        member.best = {name: value.clone() for name, value in state.items()}
        except OutOfTime as error:
            ended = str(error)
        except (TookTooLong, MemoryError) as error:
            member.fault = str(error)
        except NnarchError as error:
            member.fault = error.lines[0]
        own.seconds += time.monotonic() - began
        own.how = f"alone: {why}" if why else "alone"
        return self._outcomes([own], ended)

    def _records(self, trial: UnderWay, check: Callable[[], None]) -> Iterator[Record]:
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

    def _outcomes(
        self,
        trials: Sequence[UnderWay],
        ended: str | None,
        write: Callable[[Sequence[int]], None] = lambda numbers: None,
    ) -> list[Outcome]:
        """What came of trials that were trained together.

        Args:
            ended: what broke them off.
            write: gives members, by their places, the numbers that they have come to.
        """
        made = [each.outcome(ended) for each in trials]
        self._waiting |= {
            one.trial.id: each for each, one in zip(trials, made, strict=True) if not one.is_over
        }
        finished = [one.trial for one in made if one.is_over and one.trial.status == "finished"]
        self._leading = list(self._leaders([*self._leading, *finished]))
        leading = {trial.id for trial in self._leading}
        worth = [n for n, one in enumerate(made) if one.is_over and one.trial.id in leading]
        write(worth)
        for number in worth:
            made[number] = replace(made[number], left=trials[number].contents(self._device))
        return made

    def _ground(self, trial: UnderWay) -> Ground:
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

    def _latency(self, trial: UnderWay) -> float:
        """Seconds that one row takes, the least of a few."""
        rows = self._rows(trial.dataset, experiment.DTYPES[trial.member.config.precision])
        one = next(rows["val"].first(1).in_order(1)).inputs
        taken = []
        for _ in range(TIMED + 1):
            began = time.perf_counter()
            outputs(trial.member.training.network, one)
            taken.append(time.perf_counter() - began)
        return min(taken[1:])
