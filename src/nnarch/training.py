"""The training loop.

`train` yields a record an epoch and touches no file, clock or terminal, so that its caller is in
charge: one writes, one draws, one ends a poor run by not asking for the next record. Everything
that a run carries from epoch to epoch is in `Training`; every epoch begins from seeds that can
be computed, so nothing else has to be kept to go on where it ended.
"""

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nnarch import likeness
from nnarch.average import Average
from nnarch.data.batch import Batch
from nnarch.data.batches import Rows, Sampling
from nnarch.engine import Engine, Plan
from nnarch.errors import Diverged
from nnarch.evaluation import Evaluation, in_units
from nnarch.freezing import set_to_train
from nnarch.gradient import Pass
from nnarch.losses import Loss
from nnarch.optim.stepper import Stepper
from nnarch.schedules import Schedule
from nnarch.sections import EarlyStopping
from nnarch.seeds import derive


@dataclass(frozen=True)
class Record:
    """One epoch: losses and metrics in the target's own units, the learning rate of its end.

    Of an optimizer with groups it is that of the first, which is all that a config puts in none.
    """

    epoch: int
    train_loss: float
    val_loss: float
    metrics: Mapping[str, float]  # of the validation rows
    lr: float
    improved: bool  # whether it is the best epoch so far

    def monitored(self, name: str) -> float:
        """The value of `val_loss`, `train_loss`, or `val_` and a metric.

        Of `last`, one that is smaller the later the epoch is.
        """
        losses = {"val_loss": self.val_loss, "train_loss": self.train_loss, "last": -self.epoch}
        return losses[name] if name in losses else self.metrics[name.removeprefix("val_")]


@dataclass(frozen=True)
class Settings:
    """How to train; the words are those of a config."""

    seed: int
    epochs: int
    batch_size: int
    monitor: str
    higher_is_better: bool
    early_stopping: EarlyStopping | None = None
    sampling: Sampling = "shuffled"
    drop_last: bool = False
    augment: Sequence[Callable[[Batch], Batch]] = ()
    accumulate: int = 1  # batches a step


@dataclass
class Training:
    """What a run carries from one epoch to the next."""

    network: nn.Module
    optimizer: torch.optim.Optimizer | Stepper
    schedule: Schedule
    average: Average | None
    epoch: int = 0
    best: float = math.inf  # of the monitored value, negated where higher is better
    best_epoch: int = 0
    reference: float = math.inf  # what an improvement that early stopping counts must beat
    waited: int = 0  # epochs since such an improvement
    base_lrs: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.base_lrs = [group["lr"] for group in self.optimizer.param_groups]

    @property
    def model(self) -> nn.Module:
        """The network to be judged and kept: the averaged one where there is one."""
        return self.average.module if self.average else self.network

    def state(self) -> dict[str, Any]:
        """All of it as tensors and plain numbers."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state(),
            "average": self.average.state_dict() if self.average else None,
            "epoch": self.epoch,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "reference": self.reference,
            "waited": self.waited,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave, whose network, optimizer and schedule were such.

        Raises: LookupError, TypeError, ValueError, ArithmeticError or AttributeError where they
            were not.
        """
        own, optimizer = self.state(), dict(state["optimizer"])
        likeness.check({**state, "optimizer": None}, {**own, "optimizer": None}, "state")
        groups = own["optimizer"]["param_groups"]
        members = [dict(group)["params"] for group in optimizer["param_groups"]]
        likeness.check(members, [group["params"] for group in groups], "param_groups")
        if not type(self.optimizer).__module__.startswith("nnarch."):  # ours count in states alone
            groups = list(map(_gone_on, groups, optimizer["param_groups"]))
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict({"state": dict(optimizer["state"]), "param_groups": groups})
        self.schedule.restore(state["schedule"])
        if self.average:
            self.average.load_state_dict(state["average"])
        self.epoch, self.best_epoch = int(state["epoch"]), int(state["best_epoch"])
        self.best, self.reference = float(state["best"]), float(state["reference"])
        self.waited = int(state["waited"])

    def forget_best(self) -> None:
        """Let the next epoch be the best so far, since the weights of the one that was are lost."""
        self.best, self.best_epoch = math.inf, 0


def _gone_on(group: Mapping[str, Any], saved: Mapping[str, Any]) -> dict[str, Any]:
    """A group as it was built, but with its numbers: an optimizer of the user's may count there.

    The rate is left, since every step sets it.
    """
    names = [name for name, value in group.items() if type(value) in (int, float) and name != "lr"]
    numbers = {name: saved.get(name) for name in names}
    likeness.check(numbers, dict.fromkeys(names, 0.0), "param_groups", within=(-3e38, 3e38))
    return {**group, **numbers}


def train(
    training: Training,
    engine: Engine,
    loss: Loss,
    rows: Rows,
    scale: Tensor,
    evaluate: Callable[[], Evaluation],
    settings: Settings,
    check: Callable[[], None] = lambda: None,
) -> Iterator[Record]:
    """Train in place, yielding a `Record` after every epoch.

    Args:
        engine: that takes the steps of `training`.
        rows: training rows, where the network is.
        scale: what the target was divided by, (T,).
        evaluate: measures `training.model` on the validation rows.
        check: called before every step; what it raises leaves the epoch unfinished.

    Raises: Diverged where a loss or a weight is not finite; the epoch and batch are named.
    """
    while training.epoch < settings.epochs and not has_waited(training, settings):
        losses = _epoch(training, engine, rows, settings, check)
        training.epoch += 1
        check_finite(training.epoch, losses, training.model)
        evaluation = evaluate()
        if not math.isfinite(evaluation.loss):
            raise _diverged(f"the validation loss of epoch {training.epoch} is {evaluation.loss}")
        yield judged(training, settings, in_units(loss, losses.mean(0), scale), evaluation)


def batch_sizes(rows: int, size: int, drop_last: bool = False) -> list[int]:
    """How an epoch is cut: a single row left over joins the batch before it.

    Batch normalisation cannot tell the deviation of one row.

    >>> batch_sizes(10, 4), batch_sizes(9, 4), batch_sizes(10, 4, drop_last=True)
    ([4, 4, 2], [4, 5], [4, 4])
    """
    sizes = [size] * (rows // size) + ([rows % size] if rows % size else [])
    if len(sizes) > 1 and drop_last:
        return [size] * (rows // size)
    if len(sizes) > 1 and sizes[-1] == 1:
        sizes[-2:] = [size + 1]
    return sizes


def _epoch(
    training: Training,
    engine: Engine,
    rows: Rows,
    settings: Settings,
    check: Callable[[], None],
) -> Tensor:
    """One pass over the rows. The loss of each batch as a share of the epoch's, (batches, T)."""
    epoch = training.epoch + 1
    seed_everything(derive(settings.seed, "epoch", epoch))
    set_to_train(training.network)
    sizes = batch_sizes(len(rows), settings.batch_size, settings.drop_last)
    batches = rows.epoch(sizes, settings.seed, epoch, settings.sampling)
    steps = math.ceil(len(sizes) / settings.accumulate)
    passes: list[Pass] = []
    for begin in range(0, steps, engine.at_once):
        check()
        plans = []
        for done in range(begin, min(begin + engine.at_once, steps)):
            several = islice(batches, settings.accumulate)
            changed = [augmented(batch, settings.augment) for batch in several]
            plans.append(Plan(changed, _rates(training, epoch - 1 + done / steps)))
        passes += engine(plans)
    return shares_of(passes)


def seed_everything(seed: int) -> None:
    """Let whatever draws by chance from here on, a plugin's code as well, draw the same again."""
    # torch.manual_seed notes down where it was called for every device that is not there, which
    # takes longer than a step.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


def augmented(batch: Batch, augment: Sequence[Callable[[Batch], Batch]]) -> Batch:
    """A batch after each change of `augment`, one after the other."""
    for change in augment:
        batch = change(batch)
    return batch


def shares_of(passes: Sequence[Pass]) -> Tensor:
    """The losses, each in the share that its answers have in those of all, (batches, T)."""
    losses = torch.stack([each.values for each in passes]).double().cpu()
    answers = torch.tensor([each.answers for each in passes], dtype=torch.float64)
    weights = answers * (len(passes) / answers.sum())
    return losses * weights.view(-1, *[1] * (losses.dim() - 1))


def _rates(training: Training, epoch: float) -> list[float]:
    """The learning rate of each group of the optimizer."""
    factor = training.schedule(epoch)
    return [base * factor for base in training.base_lrs]


def check_finite(epoch: int, losses: Tensor, network: nn.Module) -> None:
    """Raises: Diverged where a loss of an epoch's batches, (batches, ...), or a weight is not."""
    bad = ~losses.isfinite().flatten(1).all(1) if losses.dim() > 1 else ~losses.isfinite()
    if bad.any():
        batch = int(bad.nonzero()[0]) + 1
        value = float(losses[batch - 1].sum())
        raise _diverged(f"the loss of epoch {epoch}, batch {batch} is {value}")
    weights = network.state_dict()
    if not torch.stack([weight.isfinite().all() for weight in weights.values()]).all():
        name = next(name for name, weight in weights.items() if not weight.isfinite().all())
        raise _diverged(f"{name} is not finite after epoch {epoch}")


def _diverged(what: str) -> Diverged:
    return Diverged(f"training diverged: {what}; try a smaller optimizer.lr, or clip: {{norm: 1}}")


def judged(
    training: Training, settings: Settings, train_loss: float, evaluation: Evaluation
) -> Record:
    """Judge the epoch that has ended."""
    record = Record(
        training.epoch,
        train_loss,
        evaluation.loss,
        evaluation.metrics,
        training.optimizer.param_groups[0]["lr"],
        improved=False,
    )
    value = record.monitored(settings.monitor)
    value = -value if settings.higher_is_better else value
    needed = settings.early_stopping.min_delta if settings.early_stopping else 0.0
    training.waited += 1
    if value < training.reference - needed:
        training.reference, training.waited = value, 0
    training.schedule.observe(value)
    if not value < training.best:
        return record
    training.best, training.best_epoch = value, training.epoch
    return replace(record, improved=True)


def has_waited(training: Training, settings: Settings) -> bool:
    stopping = settings.early_stopping
    return stopping is not None and training.waited >= stopping.patience
