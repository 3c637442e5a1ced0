"""What training leaves on disk, epoch by epoch: a row of history, and now and then a checkpoint.

An epoch of milliseconds must not wait for a disk, so checkpoints are some seconds apart; but what
comes to the disk is always the state at the end of an epoch that ended well, however the next one
ends.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from nnarch import history
from nnarch.checkpoint import Checkpoint
from nnarch.errors import Diverged
from nnarch.experiment import Experiment
from nnarch.optim.statesize import tensors_in
from nnarch.rundir import RunDir
from nnarch.snapshot import Snapshots, history_row
from nnarch.training import Record

SAVE_EVERY = 5.0  # seconds; epochs shorter than this are not slowed by a disk
NOT_MEASURED = ("lr", "seconds")  # columns of the history that tell nothing of the network


class Keeper:
    """Writes what an epoch leaves: a row of history always, checkpoints now and then.

    The state at the end of every epoch is copied in memory, so that what comes to the disk, now or
    after an epoch that was broken off or diverged, is always that of an epoch which ended well.

    Attributes:
        epoch: the last that ended.
        best: the history row of the best epoch; of the last, while none was told from another.
    """

    def __init__(self, experiment: Experiment, run: RunDir):
        self._training, self._run = experiment.training, run
        self._snapshots = Snapshots(
            experiment.config, experiment.dataset, experiment.device, experiment.threads
        )
        self._unsaved: dict[str, Checkpoint] = {}
        self._saved_at = time.monotonic()
        self.epoch = self._training.epoch
        self._lines, rows = [run.history_text], run.history
        self._columns = list(rows[0]) if rows else None
        self.best = _row_of(self._training.best_epoch or self.epoch, rows)

    def keep(self, record: Record, seconds: float) -> None:
        row = history_row(record, seconds)
        self._write(row)
        self.epoch = record.epoch
        is_best = record.improved or not self._training.best_epoch
        self.best = _measured(row) if is_best else self.best
        last = self._unsaved["last"] = self._snapshots.of(self._training, int(self.best["epoch"]))
        if is_best:
            self._unsaved["best"] = replace(last, state=None)
        if seconds >= SAVE_EVERY or time.monotonic() - self._saved_at >= SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Bring the last epoch, and the best if it is new, to the disk."""
        unsaved, self._unsaved = self._unsaved, {}
        if last := unsaved.get("last"):
            _check_finite(last)
            last = replace(last, history="".join(self._lines))
            self._run.save_checkpoint(last, unsaved.get("best"))
        self._saved_at = time.monotonic()

    def _write(self, row: Mapping[str, float]) -> None:
        text = history.lines(row, self._columns)
        self._columns = self._columns or list(row)
        self._run.append_history(text)
        self._lines.append(text)


def _row_of(epoch: int, rows: Sequence[history.Row]) -> dict[str, float]:
    """What was measured in an epoch."""
    for row in rows:
        if row["epoch"] == epoch:
            return _measured(row)
    return {}


def _measured(row: history.Row) -> history.Row:
    return {name: value for name, value in row.items() if name not in NOT_MEASURED}


def _check_finite(saved: Checkpoint) -> None:
    """Moments of an optimizer can overflow while the weights, which then stand still, do not."""
    for tensor in tensors_in(saved.state):
        if tensor.is_floating_point() and not tensor.isfinite().all():
            epoch = saved.meta["epoch"]
            raise Diverged(
                f"training diverged: the optimizer's state is not finite after epoch {epoch}; "
                "try a smaller optimizer.lr, or clip: {norm: 1}"
            )
