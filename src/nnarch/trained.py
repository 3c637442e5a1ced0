"""A trained network, or an ensemble of several, opened from its run directory alone.

A run directory may come from a stranger, so what it says is checked like a config: components
are looked up in the registry, never imported, and nothing is allocated that its own weights do
not account for.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nnarch import devices, members, plugins, prediction, runconfig, threads
from nnarch.averaged import Averaged
from nnarch.checkpoint import Checkpoint
from nnarch.data import dataset as datasets
from nnarch.data import identity, newdata, parting
from nnarch.data.batches import Rows
from nnarch.data.preprocessing.preprocess import Preprocess
from nnarch.data.task import Task
from nnarch.errors import ConfigError, DataError, RunError, UsageError, cause
from nnarch.evaluation import Evaluation
from nnarch.models import network as networks
from nnarch.predictor import Predictor
from nnarch.registry import REGISTRIES, losses, metrics, sources
from nnarch.rundir import RunDir
from nnarch.validate import fill_component

RowsOf = Callable[[Predictor], Rows]  # the same samples, as each network takes them


def load(run: RunDir, which: str = "best") -> Predictor:
    """The network of `run`, with its preprocessing, on the CPU; of an ensemble, all of its members.

    Args:
        which: the `best` epoch's or the `last`.

    Raises: RunError where the checkpoint is missing, damaged, or needs a plugin.
    """
    return _opened(run, which).predictor


@dataclass
class Opened:
    """What was trained, as it came from disk.

    Attributes:
        metrics: that it was trained with.
        meta: of its checkpoint; of an ensemble, of its first member's.
    """

    predictor: Predictor
    metrics: list[dict[str, Any]]
    meta: Mapping[str, Any]


def _opened(run: RunDir, which: str = "best") -> Opened:
    if not members.is_ensemble(run):
        return together(run, [run.load_checkpoint(which)], which)
    if which != "best":
        raise UsageError(f"{run}: an ensemble holds the best of its members; got {which!r}")
    return together(run, members.load(run), which)


def together(run: RunDir, saved: Sequence[Checkpoint], which: str = "best") -> Opened:
    """The network of a checkpoint of `run`, or the average of those of several.

    Raises: RunError where they do not fit together, or need a plugin.
    """
    meta = saved[0].meta
    try:
        plugins.need(run.path, _told(run, "plugins"))
        predictors = [_predictor(one) for one in saved]
        counts = [one.meta.get("count", 1) for one in saved]
        predictor = Averaged(predictors, counts) if len(predictors) > 1 else predictors[0]
        wanted = [_fitting("metric", spec, predictor.task) for spec in meta["config"]["metrics"]]
        return Opened(predictor, wanted, meta)
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
    opened = _opened(run)
    spec = runconfig.load(run, opened.meta).data
    for name in wanted:
        if name not in [spec["name"] for spec in opened.metrics]:
            opened.metrics.append(_metric(name, opened.predictor.task))
    rows = _given(spec, data) if data else own(opened, run, spec, [part])[part]
    return measured(opened, run, rows)


def measured(opened: Opened, run: RunDir, rows: RowsOf) -> Evaluation:
    """The loss and the metrics of `opened`, computed as `run` was."""
    device = devices.choose("auto")
    with devices.computing(device, max(1, threads.chosen(_told(run, "threads"), 0))):
        return opened.predictor.evaluate(rows, opened.metrics, device)


def predict(run: RunDir, data: Path, keep: Sequence[str] = ()) -> Iterator[prediction.Frame]:
    """What the best network of `run` says of a file, a chunk of its samples at a time.

    Args:
        keep: columns of the file to be given back beside the answers.

    Raises: RunError, or DataError where the data is not what the network takes.
    """
    opened = _opened(run)
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


def own(
    opened: Opened, run: RunDir, spec: dict[str, Any], parts: Sequence[str]
) -> dict[str, RowsOf]:
    """Parts of the data that the run was trained on, known by its fingerprint."""
    data = datasets.whole(sources.build(spec), spec)
    if identity.fingerprint(data) != opened.meta.get("fingerprint"):
        raise DataError(
            f"{run}: the data has changed since the run was trained on it; expected the same rows "
            "to take a part of, or --data with a file to measure"
        )
    chosen = parting.divide(data, spec, opened.predictor.task)
    return {part: partial(_rows, data, chosen[part]) for part in parts}


def _given(spec: dict[str, Any], path: Path) -> RowsOf:
    """Every row of another file, which each network reads for itself."""

    def rows(predictor: Predictor) -> Rows:
        made, task = predictor.preprocess, predictor.task
        data = newdata.read(str(path), spec, made, task, needs_target=True)
        with newdata.faults_of(path):
            data = datasets.whole(data, spec)
            return _rows(data, torch.arange(len(data)), predictor)

    return rows


def _rows(data: parting.Samples, chosen: Tensor, predictor: Predictor) -> Rows:
    made, task = predictor.preprocess, predictor.task
    return datasets.rows(data, task, made, {"those": chosen}, predictor.dtype)["those"]
