"""How long training will take, measured: a few steps on real batches.

The steps are those that training begins with, by the training loop itself, on a copy of the
network and with an optimizer of its own; nothing of it is left. The loop asks whether it shall
end before it calls its engine, which may take several steps in a call: there the clock is read.
"""

import contextlib
import copy
import itertools
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from nnarch import devices, experiment
from nnarch.evaluation import Evaluation
from nnarch.experiment import Experiment
from nnarch.training import Settings, batch_sizes, train

WARM_UP, CALLS = 3, 60  # of the engine
SECONDS = 5.0  # after which no call is begun
FEWEST = 5  # calls to measure, however long they take


@dataclass(frozen=True)
class Timing:
    """Seconds that training takes.

    Attributes:
        steps: how many were measured.
        epoch: seconds of one epoch, with the measuring of validation rows: the median.
        fastest, slowest: the same by the lower and the upper quartile of the steps.
        epochs: how many the config says.
    """

    steps: int
    epoch: float
    fastest: float
    slowest: float
    epochs: int

    @property
    def total(self) -> float:
        """Seconds of all epochs, where nothing ends them early."""
        return self.epoch * self.epochs


def measure(ready: Experiment) -> Timing:
    """Time the first training steps of `ready`, which stays as it is.

    Raises: Diverged where they do.
    """
    settings, rows = replace(ready.settings, epochs=10**9, early_stopping=None), ready.rows["train"]
    with devices.computing(ready.device, ready.threads):
        network = copy.deepcopy(ready.training.network)
        training = experiment.training_of(ready.config, network)
        engine = ready.stepping(training).engine(ready.threads)
        clock = _Clock(ready.device, calls := _calls(len(rows), settings, engine.at_once))
        scale = ready.dataset.preprocess.target.scale
        evaluate = clock.apart(lambda: ready.evaluate("val"))
        with contextlib.suppress(_Enough):
            for _ in train(
                training, engine, ready.loss, rows, scale, evaluate, settings, clock.tick
            ):
                pass
        if not clock.evaluations:
            evaluate()
    measured, validation = clock.calls[WARM_UP:], min(clock.evaluations)
    low, middle, high = (seconds + validation for seconds in _of_an_epoch(calls, measured))
    return Timing(sum(steps for steps, _ in measured), middle, low, high, ready.settings.epochs)


def _calls(rows: int, settings: Settings, at_once: int) -> list[int]:
    """How many steps each call of an epoch takes."""
    sizes = batch_sizes(rows, settings.batch_size, settings.drop_last)
    steps = math.ceil(len(sizes) / settings.accumulate)
    return [min(at_once, steps - begin) for begin in range(0, steps, at_once)]


def _of_an_epoch(calls: Sequence[int], measured: Sequence[tuple[int, float]]) -> list[float]:
    """The seconds of an epoch by the lower quartile, the median and the upper quartile.

    Args:
        calls: how many steps each call of the epoch takes.
        measured: the steps and seconds of some calls. One that takes as many steps as none of
            these takes a share of the time of the longest.

    >>> _of_an_epoch([8, 8, 2], [(8, 1.0), (8, 3.0), (8, 2.0), (2, 5.0)])
    [8.0, 9.0, 10.0]
    >>> _of_an_epoch([8, 8, 2], [(8, 1.0), (8, 3.0), (8, 2.0)])
    [3.375, 4.5, 5.625]
    """
    alike: dict[int, list[float]] = {}
    for steps, seconds in measured:
        alike.setdefault(steps, []).append(seconds)
    most = max(alike)
    quartiles = {steps: _quartiles(seconds) for steps, seconds in alike.items()}
    for steps in set(calls) - quartiles.keys():
        quartiles[steps] = [seconds * steps / most for seconds in quartiles[most]]
    return [sum(those) for those in zip(*(quartiles[steps] for steps in calls), strict=True)]


def _quartiles(seconds: Sequence[float]) -> list[float]:
    return statistics.quantiles(
        [*seconds] * (2 if len(seconds) == 1 else 1), n=4, method="inclusive"
    )


class _Enough(Exception):
    """As many calls as the clock wants."""


class _Clock:
    """The steps and seconds of each call of the engine, and the seconds of each evaluation."""

    def __init__(self, device: torch.device, calls: Sequence[int]):
        """
        Args:
            calls: how many steps each call of an epoch takes.
        """
        self.device = device
        self.calls: list[tuple[int, float]] = []
        self.evaluations: list[float] = []
        self._steps = itertools.cycle(calls)
        self._began: float | None = None
        self._last: float | None = None  # when the call that goes on began

    def now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def tick(self) -> None:
        """Read before every call. Raises: _Enough where that call is one too many."""
        now = self.now()
        self._began = now if self._began is None else self._began
        self._end_call(now)
        self._last = now
        late = now - self._began > SECONDS and len(self.calls) >= WARM_UP + FEWEST
        if late or len(self.calls) >= WARM_UP + CALLS:
            raise _Enough

    def _end_call(self, now: float) -> None:
        if self._last is not None:
            self.calls.append((next(self._steps), now - self._last))
        self._last = None

    def apart(self, evaluate: Callable[[], Evaluation]) -> Callable[[], Evaluation]:
        """`evaluate`, whose time is that of no call."""

        def timed() -> Evaluation:
            began = self.now()
            self._end_call(began)
            made = evaluate()
            self.evaluations.append(self.now() - began)
            return made

        return timed
