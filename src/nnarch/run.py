"""A run: an experiment going through its epochs, kept in a run directory.

Compute and disk do not know each other; this is where they meet. Training yields records;
`train` writes each into the history, saves checkpoints now and then, passes the record on to
whoever watches, and at the end measures the best network on the rows that it never saw.
"""

import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import Tensor

from nnarch import devices, opening, plugins
from nnarch.checkpoint import Checkpoint
from nnarch.errors import Diverged, Interrupted, NnarchError
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
            "init_from": experiment.warm_start.origin if experiment.warm_start else None,
            "plugins": [{"path": str(p.path), "sha256": p.sha256} for p in used],
            "started": _now(),
        }
    )
    for sentence in opening.sentences(experiment):
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
                keeper = Keeper(experiment, run)
                yield from _epochs(experiment, keeper, run, stop)
                ending["results"] = _results(experiment, keeper, run)
            ending |= {"status": "finished", "exit_code": 0}
        except NnarchError as error:
            ending["exit_code"] = error.exit_code
            ending["status"] = _STATUS.get(type(error), "failed")
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


_STATUS = {Diverged: "diverged", Interrupted: "interrupted"}


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
        self._meta = _meta(experiment)
        self._scaling = _prefixed("preprocess.", experiment.dataset.preprocess.state_dict())
        self._unsaved: dict[str, Checkpoint] = {}
        self._saved_at = time.monotonic()
        self.epoch = 0
        self.best: dict[str, float] = {}

    def keep(self, record: Record, seconds: float) -> None:
        row = {"epoch": record.epoch, "train_loss": record.train_loss, "val_loss": record.val_loss}
        row |= {f"val_{name}": value for name, value in record.metrics.items()}
        self._run.append_history(row | {"lr": record.lr, "seconds": round(seconds, 6)})
        self.epoch = record.epoch
        last = self._unsaved["last"] = self._checkpoint()
        if record.improved or not self._training.best_epoch:
            self.best = row
            self._unsaved["best"] = replace(last, state=None)
        if seconds >= SAVE_EVERY or time.monotonic() - self._saved_at >= SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Bring the last epoch, and the best if it is new, to the disk."""
        for which in sorted(self._unsaved):
            self._run.save_checkpoint(which, self._unsaved.pop(which))
        self._saved_at = time.monotonic()

    def _checkpoint(self) -> Checkpoint:
        """The epoch that has just ended, apart from what the next one changes."""
        state = _copied(self._training.state())
        weights = state["network"]
        if self._training.average:
            weights = _copied(self._training.model.state_dict())
        tensors = _prefixed("network.", weights) | self._scaling
        return Checkpoint(tensors, {"epoch": self.epoch, **self._meta}, state)


def _copied(value: Any) -> Any:
    """`value` with every tensor in it copied, wherever it lies."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, Mapping):
        return {key: _copied(inner) for key, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, list) else value


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def _meta(experiment: Experiment) -> dict[str, Any]:
    """What inference needs to know beside the weights."""
    config = experiment.config
    return {
        "preprocess": experiment.dataset.preprocess.spec,
        "task": asdict(experiment.task),
        "model": config.model,
        "loss": config.loss,
        "metrics": config.metrics,
        "precision": config.precision,
    }


def _epochs(
    experiment: Experiment, keeper: Keeper, run: RunDir, stop: Stop
) -> Generator[Record, None, None]:
    records = train_epochs(
        experiment.training,
        experiment.loss,
        experiment.rows["train"],
        experiment.dataset.preprocess.target.scale,
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


def _results(experiment: Experiment, keeper: Keeper, run: RunDir) -> dict[str, Any]:
    """The best epoch's figures, and its network's on the test rows; it is the network kept."""
    training = experiment.training
    training.model.load_state_dict(run.load_checkpoint("best").below("network."))
    tested = experiment.evaluate("test")
    return {
        "epochs": training.epoch,
        "best_epoch": keeper.best["epoch"],
        "best": {key: value for key, value in keeper.best.items() if key != "epoch"},
        "test": {"loss": tested.loss, **tested.metrics},
        "higher": [
            f"val_{spec['name']}"
            for spec in experiment.config.metrics or []
            if metrics.get(spec["name"]).facts["higher"]
        ],
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
