"""A run: an experiment going through its epochs, kept in a run directory.

Compute and disk do not know each other; this is where they meet. Training yields records;
`train` writes each into the history, saves checkpoints now and then, passes the record on to
whoever watches, and at the end measures the best network on the rows that it never saw. A run
that goes on where it ended is trained by the same lines as one that begins.
"""

import contextlib
import shlex
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import Tensor

from nnarch import devices, history, opening, plugins
from nnarch.checkpoint import Checkpoint
from nnarch.errors import Diverged, Interrupted, MachineError, NnarchError
from nnarch.experiment import Experiment
from nnarch.interrupts import BrokenOff, Stop
from nnarch.provenance import provenance, versions
from nnarch.registry import metrics
from nnarch.rundir import RunDir
from nnarch.seeds import derive
from nnarch.training import Record, seed_everything
from nnarch.training import train as train_epochs

SAVE_EVERY = 5.0  # seconds; epochs shorter than this are not slowed by a disk
NOT_MEASURED = ("lr", "seconds")  # columns of the history that tell nothing of the network


@contextlib.contextmanager
def start(
    experiment: Experiment, root: Path, command: Sequence[str], overrides: Sequence[str] = ()
) -> Iterator[RunDir]:
    """Make the run's directory below `root`, saying all that is known before training.

    It is held against other processes until the end.
    """
    config, used = experiment.config, plugins.loaded()
    about = {
        "status": "running",
        **provenance(command),
        "overrides": list(overrides),
        "seed": config.seed,
        "seeds": {"data": config.data.get("seed"), "split": config.data["split"]["seed"]},
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
        "started": now(),
    }
    sources = plugins.sources(used)
    with RunDir.create(root, config.name, config.text, config.to_yaml(), about, sources) as run:
        for sentence in opening.sentences(experiment):
            run.log(sentence)
        yield run


def train(
    experiment: Experiment, run: RunDir, stop: Stop | None = None
) -> Generator[Record, None, None]:
    """Go through the epochs that are left, keeping all in `run`, and measure the best network.

    The caller holds `run`.

    Raises: Diverged, Interrupted or MachineError; `run` then says so, and keeps what it has.
    """
    stop = stop or Stop()
    about, began = run.about, time.monotonic()
    ending: dict[str, Any] = {"status": "failed", "exit_code": 1}
    try:
        with devices.computing(experiment.device, experiment.threads):
            keeper = Keeper(experiment, run)
            yield from _epochs(experiment, keeper, run, stop)
            ending["results"] = _results(experiment, keeper, run, stop)
        ending |= {"status": "finished", "exit_code": 0}
    except NnarchError as error:
        ending["exit_code"] = error.exit_code
        ending["status"] = _STATUS.get(type(error), "failed")
        ending["error"] = error.lines[0]
        with contextlib.suppress(MachineError):
            run.log(f"error: {error.lines[0]}")
        raise
    except GeneratorExit:  # whoever took the records wants no more of them
        ending |= {"status": "interrupted", "exit_code": 0}
        raise
    except KeyboardInterrupt:  # in a program of the user's own
        ending |= {"status": "interrupted", "exit_code": 130}
        raise
    finally:
        seconds = round(time.monotonic() - began, 3)
        total = round(about.get("seconds", 0.0) + seconds, 3)
        # Of a disk that is full or gone only the first fault is told, which it ends for.
        with contextlib.suppress(*[] if ending["status"] == "finished" else [MachineError]):
            run.write_about(about | ending | {"ended": now(), "seconds": total})
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
        self.epoch = self._training.epoch
        self._lines, rows = [run.history_text], run.history
        self._columns = list(rows[0]) if rows else None
        self.best = _row_of(self._training.best_epoch or self.epoch, rows)

    def keep(self, record: Record, seconds: float) -> None:
        row = {"epoch": record.epoch, "train_loss": record.train_loss, "val_loss": record.val_loss}
        row |= {f"val_{name}": value for name, value in record.metrics.items()}
        self._write(row | {"lr": record.lr, "seconds": round(seconds, 6)})
        self.epoch = record.epoch
        is_best = record.improved or not self._training.best_epoch
        self.best = row if is_best else self.best
        last = self._unsaved["last"] = self._checkpoint()
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

    def _checkpoint(self) -> Checkpoint:
        """The epoch that has just ended, apart from what the next one changes."""
        state = _copied(self._training.state())
        weights = state["network"]
        if self._training.average:
            weights = _copied(self._training.model.state_dict())
        tensors = _prefixed("network.", weights) | self._scaling
        meta = {"epoch": self.epoch, "best_epoch": int(self.best["epoch"]), **self._meta}
        return Checkpoint(tensors, meta, state)


def _row_of(epoch: int, rows: Sequence[history.Row]) -> dict[str, float]:
    """What was measured in an epoch."""
    for row in rows:
        if row["epoch"] == epoch:
            return {name: value for name, value in row.items() if name not in NOT_MEASURED}
    return {}


def _check_finite(saved: Checkpoint) -> None:
    """Moments of an optimizer can overflow while the weights, which then stand still, do not."""
    for tensor in _tensors(saved.state):
        if tensor.is_floating_point() and not tensor.isfinite().all():
            epoch = saved.meta["epoch"]
            raise Diverged(
                f"training diverged: the optimizer's state is not finite after epoch {epoch}; "
                "try a smaller optimizer.lr, or clip: {norm: 1}"
            )


def _tensors(value: Any) -> Iterator[Tensor]:
    """Every tensor in `value`, wherever it lies."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _tensors(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _tensors(inner)


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
    """What inference needs to know beside the weights, and what to go on needs to know again."""
    return {
        "preprocess": experiment.dataset.preprocess.spec,
        "task": asdict(experiment.task),
        "config": experiment.config.model_dump(mode="json"),
        "fingerprint": experiment.dataset.fingerprint,
        "device": str(experiment.device),
        "threads": experiment.threads,
        "versions": versions(),
    }


def _epochs(
    experiment: Experiment, keeper: Keeper, run: RunDir, stop: Stop
) -> Generator[Record, None, None]:
    records = train_epochs(
        experiment.training,
        experiment.loss,
        experiment.rows["train"],
        experiment.dataset.preprocess.target.scale,
        lambda: experiment.evaluate("val", check=stop.check),
        experiment.settings,
        stop.check,
    )
    began = time.monotonic()
    try:
        for record in records:
            seconds, began = time.monotonic() - began, time.monotonic()
            keeper.keep(record, seconds)
            yield record
            if stop.signal_number is not None:
                break
    except BrokenOff:
        pass
    except MachineError:  # which is told, not that a full disk has no room for a checkpoint either
        with contextlib.suppress(MachineError):
            keeper.save()
        raise
    finally:
        keeper.save()
    if stop.signal_number is not None:
        raise _interrupted(keeper, run, stop.signal_number)


def _interrupted(keeper: Keeper, run: RunDir, signal_number: int) -> Interrupted:
    ended = f"after epoch {keeper.epoch}, which is saved" if keeper.epoch else "in epoch 1"
    command = f"nnarch resume {shlex.quote(str(run))}"
    return Interrupted(f"interrupted {ended}; go on with: {command}", signal_number)


def _results(experiment: Experiment, keeper: Keeper, run: RunDir, stop: Stop) -> dict[str, Any]:
    """The best epoch's figures, and its network's on the test rows; it is the network kept."""
    training = experiment.training
    training.model.load_state_dict(run.load_checkpoint("best").below("network."))
    seed_everything(derive(experiment.settings.seed, "test"))
    tested = None
    with contextlib.suppress(BrokenOff):
        tested = experiment.evaluate("test", check=stop.check)
    if stop.signal_number is not None:
        raise _interrupted(keeper, run, stop.signal_number)
    assert tested, "nothing but a signal breaks off"
    return {
        "epochs": training.epoch,
        "best_epoch": int(keeper.best["epoch"]),
        "best": {key: value for key, value in keeper.best.items() if key != "epoch"},
        "test": {"loss": tested.loss, **tested.metrics},
        "higher": [
            f"val_{spec['name']}"
            for spec in experiment.config.metrics or []
            if metrics.get(spec["name"]).facts["higher"]
        ],
    }


def now() -> str:
    """The time, as `run.json` tells it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
