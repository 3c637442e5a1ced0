"""A trial under way, and what came of it so far.

The same words tell of a trial that was trained in a stack and of one that was trained alone, of
one that is over and of one that waits to go on; and what is saved of it is what `nnarch train`
saves of a run that has come to its end.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from nnarch import checkpoint, history
from nnarch.data.dataset import Dataset
from nnarch.evaluation import Evaluation
from nnarch.experiment import Experiment
from nnarch.leaders import BEST, LAST, Contents
from nnarch.losses import Loss
from nnarch.models.network import Size
from nnarch.snapshot import Snapshots, history_row
from nnarch.stacked.member import Member
from nnarch.training import Record, has_waited
from nnarch.trial import Status, Trial

KEPT = ("train_loss", "val_loss")  # of every epoch


@dataclass(frozen=True)
class Outcome:
    """What came of a trial so far.

    Attributes:
        trial: what its line would say if it ended here.
        is_over: whether it does.
        left: checkpoints of one that may be worth keeping.
    """

    trial: Trial
    is_over: bool = True
    left: Contents | None = None


@dataclass
class UnderWay:
    """A trial under way.

    Attributes:
        ready, records: of one that is trained alone.
        evaluation: of its best epoch, in a stack.
    """

    trial: Trial
    member: Member
    size: Size
    dataset: Dataset
    loss: Loss
    latency: float | None = None
    seconds: float = 0.0
    ready: Experiment | None = None
    records: Iterator[Record] | None = None
    evaluation: Evaluation | None = None
    how: str = ""

    @property
    def threads(self) -> int:
        """That it is trained with; of those in a stack one, unless the config says how many."""
        threads = self.ready.threads if self.ready else self.member.config.threads
        return threads if isinstance(threads, int) else 1

    def outcome(self, ended: str | None) -> Outcome:
        """What came of it.

        Args:
            ended: what broke it off.
        """
        member, training = self.member, self.member.training
        over = training.epoch >= member.settings.epochs or has_waited(training, member.settings)
        broken_off = ended is not None and not over
        status: Status = "failed" if member.fault else "pruned" if broken_off else "finished"
        trial = replace(
            self.trial,
            status=status,
            reason=member.fault or (ended if broken_off else None),
            epochs=len(member.history),
            best_epoch=training.best_epoch,
            figures=self._figures(),
            history={name: [getattr(each, name) for each in member.history] for name in KEPT},
            parameters=self.size.parameters,
            flops=self.size.flops,
            latency=self.latency,
            seconds=round(self.seconds, 6),
            how=self.how,
        )
        return Outcome(trial, over or status != "finished")

    def contents(self, device: torch.device) -> Contents:
        """Checkpoints of one that has finished."""
        training = self.member.training
        snapshots = Snapshots(self.member.config, self.dataset, device, self.threads)
        last = replace(snapshots.of(training, training.best_epoch), history=self._history())
        best = snapshots.best(self.member.best, training.best_epoch)
        return {LAST: checkpoint.contents(last), BEST: checkpoint.contents(best)}

    def _figures(self) -> dict[str, float]:
        """Those of the best epoch that are finite."""
        best_epoch = self.member.training.best_epoch
        best = next((each for each in self.member.history if each.epoch == best_epoch), None)
        if best is None:
            return {}
        figures = {"train_loss": best.train_loss, "val_loss": best.val_loss}
        figures |= {f"val_{name}": value for name, value in self._metrics(best).items()}
        return {name: value for name, value in figures.items() if math.isfinite(value)}

    def _metrics(self, record: Record) -> dict[str, float]:
        """All that was measured in an epoch: in a stack what is monitored, but of the best all."""
        is_best = record.epoch == self.member.training.best_epoch
        measured = self.evaluation.metrics if self.evaluation and is_best else {}
        return {**measured, **record.metrics}

    def _history(self) -> str:
        """The history of a run that came to this; what was not measured is no number."""
        unknown = {spec["name"]: math.nan for spec in self.member.config.metrics or []}
        lines: list[str] = []
        for record in self.member.history:
            told = replace(record, metrics={**unknown, **self._metrics(record)})
            row = history_row(told, self.seconds / len(self.member.history))
            lines.append(history.lines(row, list(row) if lines else None))
        return "".join(lines)
