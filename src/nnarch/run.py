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
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nnarch import devices, opening, plugins
from nnarch.errors import Diverged, Interrupted, MachineError, NnarchError
from nnarch.experiment import Experiment
from nnarch.interrupts import BrokenOff, Stop
from nnarch.keeper import Keeper
from nnarch.provenance import now, provenance
from nnarch.registry import metrics
from nnarch.rundir import RunDir
from nnarch.seeds import derive
from nnarch.training import Record, seed_everything
from nnarch.training import train as train_epochs


@contextlib.contextmanager
def start(
    experiment: Experiment,
    root: Path,
    command: Sequence[str],
    overrides: Sequence[str] = (),
    about: Mapping[str, Any] = MappingProxyType({}),
) -> Iterator[RunDir]:
    """Make the run's directory below `root`, saying all that is known before training.

    It is held against other processes until the end.

    Args:
        about: what else run.json is to say.
    """
    config, used = experiment.config, plugins.loaded()
    about = {
        **about,
        "status": "running",
        **provenance(command),
        "overrides": list(overrides),
        "seed": config.seed,
        "seeds": {"data": config.data.get("seed"), "split": config.data["split"]["seed"]},
        "device": str(experiment.device),
        "threads": experiment.threads,
        "engine": {"name": experiment.engine.name, "why": experiment.engine.why},
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


def _epochs(
    experiment: Experiment, keeper: Keeper, run: RunDir, stop: Stop
) -> Generator[Record, None, None]:
    records = train_epochs(
        experiment.training,
        experiment.engine,
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
