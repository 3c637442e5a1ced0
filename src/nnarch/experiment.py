"""One experiment: from a config to a trained network in a run directory.

Compute and disk do not know each other; this is where they meet. `prepare` makes all that can
fail for a reason of the user's: data, task, network, optimizer. Only then does `start` make a
directory, and `train` goes through the epochs and keeps what they yield.
"""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nnarch import devices, plugins
from nnarch.checkpoint import Checkpoint
from nnarch.config import Config
from nnarch.data import dataset as datasets
from nnarch.data.dataset import Dataset, Rows
from nnarch.data.task import Task
from nnarch.errors import ConfigError, Interrupted, NnarchError
from nnarch.evaluate import Evaluation, evaluate
from nnarch.interrupts import Stop
from nnarch.losses import Loss
from nnarch.metrics import DEFAULTS
from nnarch.models import network as networks
from nnarch.models.network import Size
from nnarch.provenance import provenance
from nnarch.registry import losses, metrics, optimizers, schedules, sources, suggestion
from nnarch.rundir import RunDir
from nnarch.schedules import with_warmup
from nnarch.train import Record, Settings, Training, averaged
from nnarch.train import train as train_epochs
from nnarch.validate import fill_component

DEFAULT_LOSS = {"regression": "mse", "binary": "bce_with_logits", "multiclass": "cross_entropy"}
DTYPES = {"float32": torch.float32, "bf16": torch.float32, "float64": torch.float64}
SAVE_EVERY = 5.0  # seconds; epochs shorter than this are not slowed by a disk
GRACE = 5.0  # seconds that an interrupted epoch has to end by itself


@dataclass
class Experiment:
    """A config made real: all that training needs, nothing on disk yet."""

    config: Config
    dataset: Dataset
    loss: Loss
    size: Size
    device: torch.device
    threads: int
    rows: dict[str, Rows]
    training: Training

    @property
    def task(self) -> Task:
        return self.dataset.task

    @property
    def sentences(self) -> list[str]:
        """What a user should know before training: what was inferred, and what it will be."""
        rows = {name: len(part) for name, part in self.rows.items()}
        parts = ", ".join(f"{count:,} {name}" for name, count in rows.items())
        optimizer = self.config.optimizer
        cpu = f", {self.threads} thread{'s' * (self.threads > 1)}"
        said = [
            f"{self.task}",
            f"{sum(rows.values()):,} rows ({parts}), {len(self.dataset.input_names)} inputs",
            f"{self.config.model['name']} with {self.size.parameters:,} parameters, "
            f"{optimizer['name']} with lr {optimizer['lr']:g}, on {self.device}"
            + (cpu if self.device.type == "cpu" else ""),
        ]
        return said + [f"warning: {warning}" for warning in self.warnings]

    @property
    def warnings(self) -> list[str]:
        """What is allowed, and is likely not meant."""
        config, said = self.config, []
        rows = len(self.rows["train"])
        if config.batch_size != "all" and config.batch_size > rows:
            said.append(f"batch_size {config.batch_size} is all of the {rows} training rows")
        marks = [config.schedule["warmup"], *config.schedule.get("milestones", [])]
        late = [mark for mark in marks if mark >= config.epochs]
        if late:
            said.append(f"schedule: epoch {late[0]:g} lies beyond the run's {config.epochs} epochs")
        if self.task.counts and max(self.task.counts) >= 100 * min(self.task.counts):
            share = max(self.task.counts) / sum(self.task.counts)
            said.append(f"classes are very unequal: always the commonest is right {share:.1%}")
        if optimizers.get(config.optimizer["name"]).facts.get("closure") and config.batch_size != "all":
            said.append(f"{config.optimizer['name']} expects batch_size: all")
        return said

    def evaluate(self, part: str, network: nn.Module | None = None) -> Evaluation:
        """Measure the network (or another of its kind) on `train`, `val` or `test`."""
        return evaluate(
            network or self.training.model,
            self.loss,
            self.rows[part],
            self.dataset.preprocess.target,
            self.task,
            self.config.metrics or [],
        )


def prepare(config: Config) -> Experiment:
    """Everything that `config` means, made and checked.

    Raises: ConfigError, DataError or MachineError, with nothing written.
    """
    device = devices.choose(config.device)
    facts = losses.get(config.loss["name"]).facts if config.loss else {}
    if not facts.get("standardize", True):  # the loss needs the target's own numbers
        config = config.model_copy(update={"data": config.data | {"target_scaling": "none"}})
    table = sources.build(config.data)
    dataset = datasets.make(table, config.data, facts.get("tasks"))
    config = _completed(config, dataset.task)
    assert config.loss is not None
    try:
        loss: Loss = losses.build(config.loss, dataset.task)
    except ConfigError as error:
        raise config.fault(("loss",), str(error)) from error
    size = _size(config, dataset, loss)
    dtype = DTYPES[config.precision]
    with torch.random.fork_rng(devices=[]):
        network = networks.make(config.model, dataset.shape, loss.outputs, config.seed)
    network = network.to(device, dtype)
    _check_batches(config, network, len(dataset.parts["train"]))
    rows = {name: part.to(device, dtype) for name, part in dataset.parts.items()}
    batch = min(_batch_size(config, dataset), len(rows["train"]))
    threads = devices.threads(config.threads, 3.0 * size.flops * batch)
    return Experiment(
        config, dataset, loss, size, device, threads, rows, _training(config, network)
    )


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
            "loss": experiment.config.loss["name"] if experiment.config.loss else None,
            "parameters": experiment.size.parameters,
            "flops": experiment.size.flops,
            "plugins": [{"path": str(p.path), "sha256": p.sha256} for p in used],
            "started": _now(),
        }
    )
    return run


def train(experiment: Experiment, run: RunDir, stop: Stop | None = None) -> Iterator[Record]:
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
        finally:
            seconds = round(time.monotonic() - began, 3)
            run.write_about(about | ending | {"ended": _now(), "seconds": seconds})


_STATUS = {"Diverged": "diverged", "Interrupted": "interrupted"}


def _epochs(experiment: Experiment, run: RunDir, stop: Stop) -> Iterator[Record]:
    keeper = Keeper(experiment, run)
    settings = _settings(experiment)
    scale = experiment.dataset.preprocess.target.scale
    measure = partial(experiment.evaluate, "val")
    records = train_epochs(
        experiment.training,
        experiment.loss,
        experiment.rows["train"],
        scale,
        lambda network: measure(network),
        settings,
        lambda: (stop.seconds_ago() or 0.0) > GRACE,
    )
    began = time.monotonic()
    for record in records:
        seconds, began = time.monotonic() - began, time.monotonic()
        keeper.keep(record, seconds)
        yield record
        if stop.signal_number is not None:
            break
    keeper.save()
    if stop.signal_number is not None:
        raise Interrupted(
            f"interrupted after epoch {keeper.saved_epoch}, which is saved in {run}",
            stop.signal_number,
        )


class Keeper:
    """Writes what an epoch leaves: a row of history always, checkpoints now and then."""

    def __init__(self, experiment: Experiment, run: RunDir):
        self._experiment, self._run = experiment, run
        self._best: dict[str, torch.Tensor] | None = None  # not on disk yet
        self._saved_at = time.monotonic()
        self.saved_epoch = 0

    def keep(self, record: Record, seconds: float) -> None:
        row = {"epoch": record.epoch, "train_loss": record.train_loss, "val_loss": record.val_loss}
        row |= {f"val_{name}": value for name, value in record.metrics.items()}
        self._run.append_history(row | {"lr": record.lr, "seconds": round(seconds, 6)})
        if record.improved:
            weights = self._experiment.training.model.state_dict()
            self._best = {name: value.detach().clone() for name, value in weights.items()}
        if seconds >= SAVE_EVERY or time.monotonic() - self._saved_at >= SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Bring the last epoch, and the best if it is new, to the disk."""
        training = self._experiment.training
        if training.epoch == self.saved_epoch:
            return
        if self._best is not None:
            self._run.save_checkpoint(
                "best", _checkpoint(self._experiment, training.best_epoch, self._best)
            )
            self._best = None
        weights = training.model.state_dict()
        last = _checkpoint(self._experiment, training.epoch, weights, training.state())
        self._run.save_checkpoint("last", last)
        self._saved_at, self.saved_epoch = time.monotonic(), training.epoch


def _checkpoint(
    experiment: Experiment,
    epoch: int,
    weights: dict[str, torch.Tensor],
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


def _completed(config: Config, task: Task) -> Config:
    """What only the task can tell: the loss, the metrics, and whether all of it fits."""
    loss = config.loss or _filled("loss", DEFAULT_LOSS[task.kind])
    measured = config.metrics
    if measured is None:
        measured = [_filled("metric", name) for name in DEFAULTS[task.kind]]
    for place, kind, spec in [
        (("loss",), losses, loss),
        *((("metrics", i), metrics, spec) for i, spec in enumerate(measured)),
    ]:
        fits = [component.name for component in kind if task.kind in component.facts["tasks"]]
        if spec["name"] not in fits:
            raise config.fault(
                place,
                f"{spec['name']} is not for a {task.kind}, which the target "
                f"{', '.join(task.targets)} makes it; expected one of {', '.join(fits)}",
            )
    known = ["val_loss", *(f"val_{spec['name']}" for spec in measured)]
    if config.monitor not in known:
        raise config.fault(
            ("monitor",), f"{config.monitor!r} is not measured; {suggestion(config.monitor, known)}"
        )
    return config.model_copy(update={"loss": loss, "metrics": measured})


def _filled(kind: str, name: str) -> dict[str, Any]:
    spec, faults = fill_component(kind, name, ())
    assert not faults, faults
    return spec


def _size(config: Config, dataset: Dataset, loss: Loss) -> Size:
    """The network's size, refused where weights, gradients and moments cannot fit in memory."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        size = networks.size(config.model, dataset.shape, loss.outputs)
    except (RuntimeError, TypeError, OverflowError) as error:
        if "overflow" not in str(error).lower():
            raise
        raise config.fault(("model",), "has more parameters than can be counted") from error
    needed = 4 * size.parameters * DTYPES[config.precision].itemsize
    if needed > memory:
        raise config.fault(
            ("model",),
            f"{size.parameters:,} parameters need {needed / 2**30:,.0f} GiB to train; this "
            f"machine has {memory / 2**30:,.0f} GiB",
        )
    return size


def _check_batches(config: Config, network: nn.Module, rows: int) -> None:
    normalises = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in network.modules())
    if normalises and (config.batch_size == 1 or rows == 1):
        raise config.fault(
            ("batch_size",), "got 1; batch normalisation expects at least 2 rows a step"
        )


def _batch_size(config: Config, dataset: Dataset) -> int:
    rows = len(dataset.parts["train"])
    return rows if config.batch_size == "all" else min(config.batch_size, rows)


def _training(config: Config, network: nn.Module) -> Training:
    schedule = schedules.build(config.schedule, config.epochs)
    return Training(
        network,
        optimizers.build(config.optimizer, network.parameters()),
        with_warmup(schedule, config.schedule["warmup"]),
        averaged(network, config.average.decay) if config.average else None,
    )


def _settings(experiment: Experiment) -> Settings:
    config = experiment.config
    name = config.monitor.removeprefix("val_")
    return Settings(
        seed=config.seed,
        epochs=config.epochs,
        batch_size=_batch_size(config, experiment.dataset),
        precision=config.precision,
        monitor=config.monitor,
        higher_is_better=name != "loss" and metrics.get(name).facts["higher"],
        clip=config.clip,
        early_stopping=config.early_stopping,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
