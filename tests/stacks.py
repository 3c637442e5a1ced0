"""Members trained in a stack, and each of the same configs trained alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from nnarch import config as configs
from nnarch import experiment, training
from nnarch.config import Config
from nnarch.data.batches import Rows
from nnarch.data.dataset import Dataset
from nnarch.errors import Diverged
from nnarch.evaluation import Evaluation, of_outputs
from nnarch.experiment import Experiment
from nnarch.stacked.grouping import kind
from nnarch.stacked.member import Ground, Member
from nnarch.stacked.stack import Stack
from nnarch.training import Record

NUMBERS = {"source": "synthetic", "rows": 200, "features": 4, "noise": 0.5}
CLASSES = {"source": "synthetic", "kind": "blobs", "rows": 200, "features": 4, "classes": 3}
TWO = {**CLASSES, "classes": 2}
WAVES = {"source": "waves", "steps": 200, "lookback": 12, "horizon": 2}
FEW = {"train": 0.1, "val": 0.1, "test": 0.8}
DIGITS = {"source": "sklearn", "dataset": "digits", "images": True, "split": FEW}
BASE: dict[str, Any] = {
    "data": NUMBERS,
    "model": {"name": "mlp", "widths": [6, 5]},
    "epochs": 3,
    "batch_size": 48,
    "threads": 1,
    "precision": "float64",
}


@dataclass
class Alone:
    """A config trained by itself.

    Attributes:
        best: weights and buffers of the best epoch.
        evaluation: of the best epoch, where there was one.
    """

    ready: Experiment
    history: list[Record] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    evaluation: Evaluation | None = None
    fault: str | None = None


def loaded(changes: dict[str, Any]) -> tuple[Config, Dataset]:
    config = configs.load({**BASE, **changes})
    return config, _dataset(repr(config.data), config.precision, _key(config))


class _key:  # the config goes along, the texts tell it from others
    def __init__(self, config: Config):
        self.config = config

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return True


@cache
def _dataset(data: str, precision: str, of: _key) -> Dataset:
    return experiment.data_of(of.config)[2]


def alone(changes: dict[str, Any]) -> Alone:
    made = Alone(ready := experiment.with_data(*loaded(changes)))
    scale = ready.dataset.preprocess.target.scale
    rows, settings = ready.rows["train"], ready.settings
    evaluations: list[Evaluation] = []

    def evaluate() -> Evaluation:
        evaluations.append(ready.evaluate("val"))
        return evaluations[-1]

    told = ready.training, ready.engine, ready.loss, rows, scale, evaluate, settings
    try:
        for record in training.train(*told):
            made.history.append(record)
            if record.improved:
                made.evaluation = evaluations[-1]
                state = ready.training.model.state_dict()
                made.best = {name: value.clone() for name, value in state.items()}
    except Diverged as error:
        made.fault = error.lines[0]
    return made


def member(changes: dict[str, Any]) -> Member:
    begun = experiment.begin(*loaded(changes), torch.device("cpu"))
    return Member(begun.config, begun.training, begun.settings)


def ground(changes: dict[str, Any]) -> Ground:
    config, dataset = loaded(changes)
    begun = experiment.begin(config, dataset, torch.device("cpu"))
    dtype, target = experiment.DTYPES[config.precision], dataset.preprocess.target
    train, val = (_placed(dataset.parts[part], dtype) for part in ("train", "val"))
    judge = partial(
        of_outputs,
        loss=begun.loss,
        target=target,
        task=dataset.task,
        wanted=begun.config.metrics or [],
    )
    return Ground(begun.loss, train, val, target.scale, judge)


def _placed(rows: Rows, dtype: torch.dtype) -> Rows:
    return rows.to(torch.device("cpu"), dtype)


def together(changes: Sequence[dict[str, Any]]) -> tuple[list[Member], Stack]:
    """Members of one kind in a stack that has gone as far as it goes, and been written back."""
    members = [member(each) for each in changes]
    assert len({kind(each) for each in members}) == 1
    stack = Stack(members, ground(changes[0]))
    list(stack.epochs(members[0].settings.epochs))
    stack.write()
    return members, stack


def check(one: Alone, other: Member, tolerance: float = 1e-9) -> None:
    """A member has come to what the same config came to alone."""
    assert other.fault == one.fault
    check_history(one.history, other.history, tolerance)
    torch.testing.assert_close(other.best, one.best, rtol=tolerance, atol=tolerance)
    if one.fault is None:
        ours, theirs = other.training.state(), one.ready.training.state()
        for name in ("network", "optimizer", "average", "schedule", "epoch", "best_epoch"):
            torch.testing.assert_close(ours[name], theirs[name], rtol=tolerance, atol=tolerance)


def check_outputs(one: Alone, other: Member, tolerance: float = 1e-6) -> None:
    """The same of networks with biases of no effect, which go where rounding leads them.

    The running mean behind such a bias lags a little, so that outputs are not quite the same.
    """
    assert other.fault == one.fault
    check_history(one.history, other.history, tolerance)
    batch = next(one.ready.rows["val"].in_order(100)).inputs
    ours, theirs = (each.model.eval() for each in (other.training, one.ready.training))
    torch.testing.assert_close(ours(batch), theirs(batch), rtol=tolerance, atol=tolerance)
    ours.load_state_dict(other.best)
    theirs.load_state_dict(one.best)
    torch.testing.assert_close(ours(batch), theirs(batch), rtol=tolerance, atol=tolerance)


def check_history(one: Sequence[Record], other: Sequence[Record], tolerance: float) -> None:
    assert [each.epoch for each in other] == [each.epoch for each in one]
    assert [each.improved for each in other] == [each.improved for each in one]
    for name in ("train_loss", "val_loss", "lr"):
        pair = ([getattr(each, name) for each in history] for history in (other, one))
        torch.testing.assert_close(*pair, rtol=tolerance, atol=tolerance * 1e-3)
