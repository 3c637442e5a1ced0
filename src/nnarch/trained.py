"""A trained network, opened from its run directory alone.

A run directory may come from a stranger, so what it says is checked like a config: components
are looked up in the registry, never imported, and nothing is allocated that its own weights do
not account for.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nnarch import devices, plugins, prediction, runconfig, threads
from nnarch.checkpoint import Checkpoint
from nnarch.data import dataset as datasets
from nnarch.data import identity, newdata, parting
from nnarch.data.batches import Rows
from nnarch.data.preprocessing.preprocess import Preprocess
from nnarch.data.task import Task
from nnarch.errors import ConfigError, DataError, RunError, cause
from nnarch.evaluation import Evaluation, evaluate
from nnarch.models import network as networks
from nnarch.predictor import Predictor
from nnarch.registry import REGISTRIES, losses, metrics, sources
from nnarch.rundir import RunDir
from nnarch.validate import fill_component


def load(run: RunDir, which: str = "best") -> Predictor:
    """The network of `run`, with its preprocessing, on the CPU.

    Args:
        which: the `best` epoch's or the `last`.

    Raises: RunError where the checkpoint is missing, damaged, or needs a plugin.
    """
    return _opened(run, which).predictor


@dataclass
class _Opened:
    predictor: Predictor
    metrics: list[dict[str, Any]]  # that it was trained with
    meta: Mapping[str, Any]

    @property
    def dtype(self) -> torch.dtype:
        return next(self.predictor.network.parameters()).dtype


def _opened(run: RunDir, which: str) -> _Opened:
    saved = run.load_checkpoint(which)
    try:
        plugins.need(run.path, _told(run, "plugins"))
        predictor = _predictor(saved)
        wanted = saved.meta["config"]["metrics"]
        wanted = [_fitting("metric", spec, predictor.task) for spec in wanted]
        return _Opened(predictor, wanted, saved.meta)
    except RunError:
        raise
    except Exception as error:  # whatever a stranger may have written there
        raise RunError(
            f"{run}: its {which} checkpoint does not fit together: {cause(error)}"
        ) from error


def evaluate_run(
    run: RunDir,
    part: str = "test",
    data: Path | None = None,
    wanted: Sequence[str] = (),
) -> Evaluation:
    """Measure the best network of `run` on a part of its own data, or on another file.

    Args:
        part: `train`, `val` or `test`.
        data: a file with the same columns, instead.
        wanted: metrics beside the ones that the run was trained with.

    Raises: RunError, or DataError where the data is not what the run was trained on.
    """
    opened = _opened(run, "best")
    spec = runconfig.load(run, opened.meta).data
    predictor, measured = opened.predictor, list(opened.metrics)
    for name in wanted:
        if name not in [spec["name"] for spec in measured]:
            measured.append(_metric(name, predictor.task))
    rows = _given(opened, spec, data) if data else _own(opened, run, spec, part)
    device = devices.choose("auto")
    with devices.computing(device, max(1, threads.chosen(_told(run, "threads"), 0))):
        return evaluate(
            predictor.network.to(device),
            predictor.loss,
            rows.to(device, opened.dtype),
            predictor.preprocess.target,
            predictor.task,
            measured,
        )


def predict(run: RunDir, data: Path, keep: Sequence[str] = ()) -> Iterator[prediction.Frame]:
    """What the best network of `run` says of a file, a chunk of its samples at a time.

    Args:
        keep: columns of the file to be given back beside the answers.

    Raises: RunError, or DataError where the data is not what the network takes.
    """
    opened = _opened(run, "best")
    spec = runconfig.load(run, opened.meta).data
    with devices.computing(torch.device("cpu"), max(1, threads.chosen(_told(run, "threads"), 0))):
        yield from prediction.frames(opened.predictor, spec, data, keep)


def _predictor(saved: Checkpoint) -> Predictor:
    meta, config = saved.meta, saved.meta["config"]
    told = meta["task"]
    task = Task(told["kind"], *(tuple(told[key]) for key in ("targets", "classes", "counts")))
    loss = losses.build(_fitting("loss", config["loss"], task), task)
    preprocess = Preprocess.from_spec(meta["preprocess"])
    preprocess.load_state_dict(saved.below("preprocess."))
    if preprocess.target.targets != len(task.targets):
        raise ValueError(f"{preprocess.target.targets} targets were scaled of {len(task.targets)}")
    spec, inputs = _component("model", config["model"]), datasets.inputs_of(preprocess)
    weights = saved.below("network.")
    size = networks.size(spec, inputs, loss.outputs)
    if size.parameters > sum(weight.numel() for weight in weights.values()):
        raise ValueError(f"the model has {size.parameters:,} parameters, more than were saved")
    with torch.random.fork_rng(devices=[]):
        network = networks.make(spec, inputs, loss.outputs, seed=0)
    dtype = torch.float64 if config["precision"] == "float64" else torch.float32
    network.to(dtype).load_state_dict(weights)
    return Predictor(network, preprocess, loss, task)


def _component(kind: str, spec: Any) -> dict[str, Any]:
    filled, faults = fill_component(kind, spec, (kind,))
    if faults:
        raise ValueError(faults[0].message)
    return filled


def _fitting(kind: str, spec: Any, task: Task) -> dict[str, Any]:
    filled = _component(kind, spec)
    if filled["name"] not in REGISTRIES[kind].fitting(task.kind):
        raise ValueError(f"{filled['name']} does not fit a task of {task.kind}")
    return filled


def _told(run: RunDir, *keys: str) -> Any:
    """What `run.json` says at `keys`."""
    value: Any = run.about
    try:
        for key in keys:
            value = value[key]
    except (LookupError, TypeError) as error:
        raise RunError(f"{run}: damaged: run.json does not say {'.'.join(keys)}") from error
    return value


def _metric(name: str, task: Task) -> dict[str, Any]:
    spec, faults = fill_component("metric", name, ("metrics",))
    if faults:
        raise ConfigError(f"metrics: {faults[0].message}")
    if task.kind not in metrics.get(name).facts["tasks"]:
        fits = ", ".join(metrics.fitting(task.kind))
        raise ConfigError(
            f"metrics: {name} does not fit a task of {task.kind}; expected one of {fits}"
        )
    return spec


def _own(opened: _Opened, run: RunDir, spec: dict[str, Any], part: str) -> Rows:
    """Rows of the data that the run was trained on, known by its fingerprint."""
    data = datasets.whole(sources.build(spec), spec)
    if identity.fingerprint(data) != opened.meta.get("fingerprint"):
        raise DataError(
            f"{run}: the data has changed since the run was trained on it; expected the same rows "
            "to take a part of, or --data with a file to measure"
        )
    task, made = opened.predictor.task, opened.predictor.preprocess
    chosen = {part: parting.divide(data, spec, task)[part]}
    return datasets.rows(data, task, made, chosen, opened.dtype)[part]


def _given(opened: _Opened, spec: dict[str, Any], path: Path) -> Rows:
    """Every row of another file."""
    task, made = opened.predictor.task, opened.predictor.preprocess
    data = newdata.read(str(path), spec, made, task, needs_target=True)
    with newdata.faults_of(path):
        data = datasets.whole(data, spec)
        everything = {"test": torch.arange(len(data))}
        return datasets.rows(data, task, made, everything, opened.dtype)["test"]
