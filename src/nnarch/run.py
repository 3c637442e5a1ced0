"""A run: an experiment going through its epochs, kept in a run directory.

Compute and disk do not know each other; this is where they meet. Training yields records;
`train` writes each into the history, saves checkpoints now and then, passes the record on to
whoever watches, and at the end measures the best network on the rows that it never saw.
"""

import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import Tensor

from nnarch import devices, plugins
from nnarch.checkpoint import Checkpoint
from nnarch.errors import Interrupted, NnarchError
from nnarch.experiment import Experiment
from nnarch.interrupts import Stop
from nnarch.provenance import provenance
from nnarch.registry import metrics
from nnarch.rundir import RunDir
from nnarch.training import Record
from nnarch.training import train as train_epochs

SAVE_EVERY = 5.0  # seconds; epochs shorter than this are not slowed by a disk
GRACE = 5.0  # seconds that an interrupted epoch has to end by itself


def start(
    experiment: Experiment, root: Path, command: Sequence[str], overrides: Sequence[str] = ()
) -> RunDir:
    """Make the run's directory below `root`, saying all that is known before training."""
    config = experiment.config
    run = RunDir.create(root, config.name, config.text, config.to_yaml())
    used = plugins.loaded()
    for plugin in used:
        run.save_plugin(plugin.path.name, plugin.source)
    run.write_about(
        {
            "id": run.path.name,
            "status": "created",
            **provenance(command),
            "overrides": list(overrides),
            "seed": config.seed,
            "device": str(experiment.device),
            "threads": experiment.threads,
            "task": asdict(experiment.task),
            "data": {
                "fingerprint": experiment.dataset.fingerprint,
                "rows": {name: len(part) for name, part in experiment.rows.items()},
                "inputs": len(experiment.dataset.input_names),
            },
            "model": config.model["name"],
            "loss": config.loss["name"] if config.loss else None,
            "parameters": experiment.size.parameters,
            "flops": experiment.size.flops,
            "plugins": [{"path": str(p.path), "sha256": p.sha256} for p in used],
            "started": _now(),
        }
    )
    for sentence in experiment.sentences:
        run.log(sentence)
    return run


def train(
    experiment: Experiment, run: RunDir, stop: Stop | None = None
) -> Generator[Record, None, None]:
    """Go through the epochs, keeping history and checkpoints in `run`, and measure the best.

    Raises: Diverged, Interrupted or MachineError; `run` then says so, and keeps what it has.
    """
    stop = stop or Stop()
    about = run.about
    began = time.monotonic()
    with run.lock():
        run.write_about(about | {"status": "running"})
        ending: dict[str, Any] = {"status": "failed", "exit_code": 1}
        try:
            with devices.computing(experiment.device, experiment.threads):
                yield from _epochs(experiment, run, stop)
                ending["results"] = _results(experiment, run)
            ending |= {"status": "finished", "exit_code": 0}
        except NnarchError as error:
            ending["exit_code"] = error.exit_code
            ending["status"] = _STATUS.get(type(error).__name__, "failed")
            ending["error"] = error.lines[0]
            run.log(f"error: {error.lines[0]}")
            raise
        except GeneratorExit:  # whoever took the records wants no more of them
            ending |= {"status": "interrupted", "exit_code": 0}
            raise
        finally:
            seconds = round(time.monotonic() - began, 3)
            run.write_about(about | ending | {"ended": _now(), "seconds": seconds})
            run.log(f"{ending['status']} after {experiment.training.epoch} epochs, {seconds} s")


_STATUS = {"Diverged": "diverged", "Interrupted": "interrupted"}


def _epochs(experiment: Experiment, run: RunDir, stop: Stop) -> Generator[Record, None, None]:
    keeper = Keeper(experiment, run)
    scale = experiment.dataset.preprocess.target.scale
    records = train_epochs(
        experiment.training,
        experiment.loss,
        experiment.rows["train"],
        scale,
        lambda: experiment.evaluate("val"),
        experiment.settings,
        lambda: (stop.seconds_ago() or 0.0) > GRACE,
    )
    began = time.monotonic()
    try:
        for record in records:
            seconds, began = time.monotonic() - began, time.monotonic()
            keeper.keep(record, seconds)
            yield record
            if stop.signal_number is not None:
                break
    finally:
        keeper.save()
    if stop.signal_number is not None:
        ended = f"after epoch {keeper.epoch}, which is saved" if keeper.epoch else "in epoch 1"
        raise Interrupted(f"interrupted {ended} in {run}", stop.signal_number)


class Keeper:
    """Writes what an epoch leaves: a row of history always, checkpoints now and then.

    The state at the end of every epoch is copied in memory, so that what comes to the disk, now or
    after an epoch that was broken off or diverged, is always that of an epoch which ended well.
    """

    def __init__(self, experiment: Experiment, run: RunDir):
        self._experiment, self._run = experiment, run
        self._unsaved: dict[str, Checkpoint] = {}
        self._saved_at = time.monotonic()
        self.epoch = 0  # the last that ended

    def keep(self, record: Record, seconds: float) -> None:
        row = {"epoch": record.epoch, "train_loss": record.train_loss, "val_loss": record.val_loss}
        row |= {f"val_{name}": value for name, value in record.metrics.items()}
        self._run.append_history(row | {"lr": record.lr, "seconds": round(seconds, 6)})
        self.epoch = record.epoch
        weights = _copied(self._experiment.training.model.state_dict())
        state = _copied(self._experiment.training.state())
        self._unsaved["last"] = _checkpoint(self._experiment, record.epoch, weights, state)
        if record.improved:
            self._unsaved["best"] = _checkpoint(self._experiment, record.epoch, weights)
        if seconds >= SAVE_EVERY or time.monotonic() - self._saved_at >= SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Bring the last epoch, and the best if it is new, to the disk."""
        for which in sorted(self._unsaved):
            self._run.save_checkpoint(which, self._unsaved.pop(which))
        self._saved_at = time.monotonic()


def _copied(value: Any) -> Any:
    """`value` with every tensor in it copied, wherever it lies."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, Mapping):
        return {key: _copied(inner) for key, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, list) else value


def _checkpoint(
    experiment: Experiment,
    epoch: int,
    weights: dict[str, Tensor],
    state: dict[str, Any] | None = None,
) -> Checkpoint:
    scaling = experiment.dataset.preprocess.state_dict()
    tensors = {f"network.{name}": value for name, value in weights.items()}
    tensors |= {f"preprocess.{name}": value for name, value in scaling.items()}
    config = experiment.config
    meta = {
        "epoch": epoch,
        "inputs": list(experiment.dataset.input_names),
        "shape": list(experiment.dataset.shape),
        "task": asdict(experiment.task),
        "model": config.model,
        "loss": config.loss,
        "metrics": config.metrics,
        "precision": config.precision,
        "plugins": [plugin.sha256 for plugin in plugins.loaded()],
    }
    return Checkpoint(tensors, meta, state)


def _results(experiment: Experiment, run: RunDir) -> dict[str, Any]:
    """The best epoch's figures, and its network's on the test rows; it is the network kept."""
    training = experiment.training
    if not training.best_epoch:  # the monitored metric was never a number
        run.save_checkpoint(
            "best", _checkpoint(experiment, training.epoch, training.model.state_dict())
        )
    saved = run.load_checkpoint("best")
    weights = {
        name.removeprefix("network."): value
        for name, value in saved.tensors.items()
        if name.startswith("network.")
    }
    training.model.load_state_dict(weights)
    tested = experiment.evaluate("test")
    epoch = saved.meta["epoch"]
    row = next(row for row in run.history if row["epoch"] == epoch)
    best = {key: value for key, value in row.items() if key not in ("epoch", "lr", "seconds")}
    return {
        "epochs": training.epoch,
        "best_epoch": epoch,
        "best": best,
        "test": {"loss": tested.loss, **tested.metrics},
        "higher": [
            f"val_{spec['name']}"
            for spec in experiment.config.metrics or []
            if metrics.get(spec["name"]).facts["higher"]
        ],
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
