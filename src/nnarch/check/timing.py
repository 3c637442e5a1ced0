"""How long training will take, measured: a few steps on real batches.

The steps are those that training begins with, by the training loop itself, on a copy of the
network and with an optimizer of its own; nothing of it is left. The loop asks before every step
whether it shall end, which is where the clock is read.
"""

import contextlib
import copy
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from nnarch import devices, experiment
from nnarch.evaluation import Evaluation
from nnarch.experiment import Experiment
from nnarch.training import batch_sizes, train

WARM_UP, STEPS = 3, 60  # steps
SECONDS = 5.0  # after which no step is begun
FEWEST = 5  # steps to measure, however long they take


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
    clock = _Clock(ready.device)
    with devices.computing(ready.device, ready.threads):
        network = copy.deepcopy(ready.training.network)
        training = experiment.training_of(ready.config, network)
        engine = experiment.engine_for(ready, training)
        settings = replace(ready.settings, epochs=10**9, early_stopping=None)
        scale = ready.dataset.preprocess.target.scale
        evaluate = clock.apart(lambda: ready.evaluate("val"))
        rows = ready.rows["train"]
        with contextlib.suppress(_Enough):
            for _ in train(
                training, engine, ready.loss, rows, scale, evaluate, settings, clock.tick
            ):
                pass
        if not clock.evaluations:
            evaluate()
    sizes = batch_sizes(len(rows), settings.batch_size, settings.drop_last)
    steps = math.ceil(len(sizes) / settings.accumulate)
    validation = min(clock.evaluations)
    measured = clock.steps[WARM_UP:]
    low, middle, high = statistics.quantiles(measured, n=4, method="inclusive")
    epochs = [steps * seconds + validation for seconds in (low, middle, high)]
    return Timing(len(measured), epochs[1], epochs[0], epochs[2], ready.settings.epochs)


class _Enough(Exception):
    """As many steps as the clock wants."""


class _Clock:
    """The seconds of each step and of each evaluation."""

    def __init__(self, device: torch.device):
        self.device = device
        self.steps: list[float] = []
        self.evaluations: list[float] = []
        self.began: float | None = None
        self.last: float | None = None

    def now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def tick(self) -> None:
        """Read before every step. Raises: _Enough where that step is one too many."""
        now = self.now()
        if self.last is None:
            self.began = now
        else:
            self.steps.append(now - self.last)
        self.last = now
        assert self.began is not None
        late = now - self.began > SECONDS and len(self.steps) >= WARM_UP + FEWEST
        if late or len(self.steps) >= WARM_UP + STEPS:
            raise _Enough

    def apart(self, evaluate: Callable[[], Evaluation]) -> Callable[[], Evaluation]:
        """`evaluate`, whose time is that of no step."""

        def timed() -> Evaluation:
            began = self.now()
            if self.last is not None:
                self.steps.append(began - self.last)
            made = evaluate()
            ended = self.now()
            self.evaluations.append(ended - began)
            self.last = ended
            return made

        return timed
