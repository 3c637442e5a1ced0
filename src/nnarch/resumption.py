"""A run going on where it ended, for whatever reason it did.

All that training carries from epoch to epoch is in the checkpoint's state, and all else follows
from the config, the data and the epoch's number; so what comes after is, bit for bit on one
machine's CPU, what would have come had nothing happened. That holds while config, data, threads
and libraries are the same, so each is compared with what the checkpoint was made with: the first
two are refused where they differ, of the others a warning tells.
"""

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nnarch import devices, experiment, history, members, plugins, runconfig
from nnarch.checkpoint import Checkpoint
from nnarch.checkpoints import Resumable
from nnarch.config import Config
from nnarch.errors import ConfigError, DataError, RunError, UsageError
from nnarch.experiment import Experiment
from nnarch.keeper import NOT_MEASURED
from nnarch.provenance import now, versions
from nnarch.registry import schedules
from nnarch.rundir import RunDir
from nnarch.wholepaths import path_options

TOLD: dict[str, Any] = {  # what run.json tells for good
    "plugins": list,
    "loss": str,
    "parameters": int,
    "seconds": float,
    "resumed": list,
}
ENDED = ("error", "exit_code", "ended", "results")  # what run.json tells of an ending


@dataclass(frozen=True)
class Resumption:
    """What a run goes on with.

    Attributes:
        sentences: what the user should know of it.
    """

    experiment: Experiment
    sentences: list[str]


def prepare(
    run: RunDir,
    overrides: Sequence[str] = (),
    command: Sequence[str] = (),
    changed_data: bool = False,
) -> Resumption:
    """Bring `run`, which the caller holds, to where it goes on from.

    Args:
        overrides: `key=value`, of `runconfig.FREE` or where the data lies.
        changed_data: go on although the data is not what the run was trained on.

    Raises: RunError where no checkpoint is intact or the config was edited meanwhile, UsageError
        where it is an ensemble, ConfigError, DataError or MachineError; the run is then as it was.
    """
    if members.is_ensemble(run):
        raise UsageError(
            f"{run}: is an ensemble, of which nothing goes on; expected one of the runs in it"
        )
    about = run.about
    _check_about(run, about)
    found = run.resumable()
    config = runconfig.load(run, found.checkpoint.meta if found else None, overrides)
    if found:
        _check_told(run, found.checkpoint, config)
    ready = _experiment(config, found, run, changed_data)
    done = ready.training.epoch
    if config.epochs < done:
        raise ConfigError(f"epochs: got {config.epochs}; {run} has done {done} already")
    if found and not found.best:
        ready.training.forget_best()
    run.go_back_to(found)
    if overrides:
        run.write_config(config.to_yaml())
    step = {"command": list(command), "overrides": list(overrides), "after_epoch": done}
    step |= {"threads": ready.threads, "device": str(ready.device), "started": now()}
    kept = {key: value for key, value in about.items() if key not in ENDED}
    run.write_about(kept | {"status": "running", "resumed": [*about.get("resumed", []), step]})
    sentences = list(_sentences(run, found, ready))
    for sentence in sentences:
        run.log(sentence)
    return Resumption(ready, sentences)


def _check_about(run: RunDir, about: Mapping[str, Any]) -> None:
    """See that run.json tells what is read of it again, and that the plugins it tells are here."""
    began = {"seconds": 0.0, "resumed": [], **about}  # both are there once a process has ended
    for key, kind in TOLD.items():
        if key not in began or not isinstance(began[key], kind):
            raise RunError(f"{run}: damaged: run.json does not say {key}")
    try:
        plugins.need(run.path, about["plugins"])
    except (LookupError, TypeError) as error:
        raise RunError(f"{run}: damaged: run.json does not say plugins") from error


def _check_told(run: RunDir, saved: Checkpoint, config: Config) -> None:
    """Hold what a checkpoint says of itself against its state and its history.

    Its sums agree, so where these do not, whoever wrote it wrote something else.
    """
    meta, state = saved.meta, saved.state or {}
    epoch, best, threads = meta["epoch"], meta["best_epoch"], meta.get("threads")
    told = [state.get("epoch"), state.get("best_epoch")]
    agree = {
        "state": all(type(number) is int for number in told)
        and (told[0], told[1] or epoch) == (epoch, best),
        "history": _is_history(saved.history, epoch, config),
        "device": isinstance(meta.get("device"), str),
        "threads": type(threads) is int and threads > 0,
        "versions": isinstance(meta.get("versions"), Mapping),
        "config": type(meta["config"].get("epochs")) is int and meta["config"]["epochs"] >= epoch,
    }
    for name, agrees in agree.items():
        if not agrees:
            raise RunError(
                f"{run}: the {name} of its checkpoint is not of a run after {epoch} epochs"
            )


def _is_history(text: str, epochs: int, config: Config) -> bool:
    """Whether `text` is a history of so many epochs, to which `config` adds more."""
    measured = (f"val_{spec['name']}" for spec in config.metrics or [])
    columns = {"epoch", "train_loss", "val_loss", *measured, *NOT_MEASURED}
    try:
        rows = history.rows(text)
    except (ValueError, TypeError, csv.Error):
        return False
    told = [row["epoch"] for row in rows if row.keys() == columns]
    return told == list(range(1, epochs + 1))


def _experiment(
    config: Config, found: Resumable | None, run: RunDir, changed_data: bool
) -> Experiment:
    """What the run was made of, with the state that it goes on from."""
    if found is None:
        return experiment.prepare(config)
    saved = found.checkpoint
    devices.choose(config.device)  # told before data is read
    try:
        known, _, dataset = experiment.data_of(_as_it_was(config, saved.meta))
    except DataError as error:
        raise _moved(config, error) from error
    if dataset.fingerprint != saved.meta.get("fingerprint") and not changed_data:
        raise DataError(
            f"{run}: the data has changed since the run was trained on it; expected the same "
            "rows, or --changed-data to go on with these"
        )
    return experiment.with_data(known, dataset, saved.state or {})


def _moved(config: Config, error: DataError) -> DataError:
    """The fault of data that cannot be read; where it is gone, with how to say where it is now."""
    for name in path_options(config.data["source"]):
        path = config.data[name]
        if isinstance(path, str) and os.path.isabs(path) and not os.path.exists(path):
            return DataError(f"{error}; where it lies elsewhere now: data.{name}=...")
    return error


def _as_it_was(config: Config, meta: Mapping[str, Any]) -> Config:
    """What the config leaves to the machine, as it was chosen before."""
    chosen = {key: meta[key] for key in ("device", "threads") if getattr(config, key) == "auto"}
    return config.model_copy(update=chosen)


def _sentences(run: RunDir, found: Resumable | None, ready: Experiment) -> Iterator[str]:
    config, done = ready.config, ready.training.epoch
    for fault in found.faults if found else []:
        yield f"warning: {fault}"
    if found is None:
        yield f"{run} had saved no epoch yet: begins with epoch 1 of {config.epochs}"
        return
    yield f"{run} goes on after epoch {done} of {config.epochs}"
    if config.early_stopping and ready.training.waited >= config.early_stopping.patience:
        yield "early stopping ended it there; early_stopping=null trains on"
    if not found.best:
        yield "warning: the best epoch so far is lost; the best from here on is kept"
    meta = found.checkpoint.meta
    before = meta["config"]["epochs"]
    if _rate(config, config.epochs, done) != _rate(config, before, done):
        yield (
            f"schedule: {config.schedule['name']} now runs over {config.epochs} epochs instead of "
            f"{before}, so the rate goes on from another place of its curve"
        )
    yield from _other_machine(ready, meta)


def _rate(config: Config, epochs: int, done: int) -> list[float]:
    """The schedule's factors early in the next epoch, of a run of so many epochs."""
    curve = schedules.build(config.schedule, epochs)
    return [curve(done), curve(done + 0.5)]


def _other_machine(ready: Experiment, meta: Mapping[str, Any]) -> Iterator[str]:
    """What is not as it was, for which the same bits are not to be had."""
    now_used = {"device": str(ready.device), "threads": ready.threads} | versions()
    before = {"device": meta["device"], "threads": meta["threads"]} | meta["versions"]
    for name in ("device", "threads", "torch", "numpy", "nnarch"):
        if now_used.get(name) != before.get(name):
            yield (
                f"warning: {name} is {now_used.get(name)}, was {before.get(name)}: the last bits "
                "may differ from those of a run that was not interrupted"
            )
