"""A member of a stack, and the ground that all members stand on."""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from nnarch.config import Config
from nnarch.data.batches import Rows
from nnarch.evaluation import Evaluation
from nnarch.losses import Loss
from nnarch.training import Record, Settings, Training, has_waited


@dataclass
class Member:
    """One network that is trained with others.

    Attributes:
        history: a record of each epoch, its metrics only where one is monitored.
        best: weights and buffers of the best epoch, by their names.
        fault: why it ended before its time, if it did.
    """

    config: Config
    training: Training
    settings: Settings
    history: list[Record] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    fault: str | None = None

    @property
    def is_over(self) -> bool:
        done = self.training.epoch >= self.settings.epochs
        return done or self.fault is not None or has_waited(self.training, self.settings)


@dataclass(frozen=True)
class Ground:
    """What all members stand on.

    Attributes:
        rows, val: of training and validation, where the networks are.
        scale: what the target was divided by, (T,).
        judge: measures one network's outputs for all validation rows, with all metrics.
    """

    loss: Loss
    rows: Rows
    val: Rows
    scale: Tensor
    judge: Callable[[Tensor, Tensor], Evaluation]
