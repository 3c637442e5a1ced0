"""A trained network, opened from its run directory alone.

A run directory may come from a stranger, so what it says is checked like a config: components
are looked up in the registry, never imported, and nothing is allocated that its own weights do
not account for.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from nnarch import config as configs
from nnarch import devices, plugins
from nnarch.checkpoint import Checkpoint
from nnarch.data import csv
from nnarch.data import dataset as datasets
from nnarch.data.dataset import Rows
from nnarch.data.preprocess import Preprocess
from nnarch.data.task import Task
from nnarch.errors import ConfigError, DataError, RunError, cause
from nnarch.evaluation import Evaluation, evaluate
from nnarch.models import network as networks
from nnarch.predictor import Predictor
from nnarch.registry import losses, metrics, sources
from nnarch.rundir import RunDir
from nnarch.validate import fill_component


def load(run: RunDir, which: str = "best") -> Predictor:
    """The network of `run`, with its preprocessing, on the CPU.

    Args:
        which: the `best` epoch's or the `last`.

    Raises: RunError where the checkpoint is missing, damaged, or needs a plugin.
    """
    return _opened(run, which)[0]


def _opened(run: RunDir, which: str) -> tuple[Predictor, list[dict[str, Any]]]:
    """The network, and the metrics that it was trained with."""
    saved = run.load_checkpoint(which)
    try:
        _need_plugins(run)
        wanted = [_component("metric", spec) for spec in saved.meta["metrics"]]
        return _predictor(saved), wanted
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
        data: a CSV file with the same columns, instead.
        wanted: metrics beside the ones that the run was trained with.

    Raises: RunError, or DataError where the data is not what the run was trained on.
    """
    predictor, measured = _opened(run, "best")
    for name in wanted:
        if name not in [spec["name"] for spec in measured]:
            measured.append(_metric(name, predictor.task))
    rows = _given(predictor, run, data) if data else _own(predictor, run, part)
    weight = next(predictor.network.parameters())
    device = devices.choose("auto")
    with devices.computing(device, max(1, devices.threads(_told(run, "threads"), 0))):
        return evaluate(
            predictor.network.to(device),
            predictor.loss,
            rows.to(device, weight.dtype),
            predictor.preprocess.target,
            predictor.task,
            measured,
        )


def _predictor(saved: Checkpoint) -> Predictor:
    meta = saved.meta
    told = meta["task"]
    task = Task(told["kind"], *(tuple(told[key]) for key in ("targets", "classes", "counts")))
    loss = losses.build(_component("loss", meta["loss"]), task)
    spec, shape = _component("model", meta["model"]), tuple(meta["shape"])
    weights = saved.below("network.")
    size = networks.size(spec, shape, loss.outputs)
    if size.parameters > sum(weight.numel() for weight in weights.values()):
        raise ValueError(f"the model has {size.parameters:,} parameters, more than were saved")
    with torch.random.fork_rng(devices=[]):
        network = networks.make(spec, shape, loss.outputs, seed=0)
    dtype = torch.float64 if meta["precision"] == "float64" else torch.float32
    network.to(dtype).load_state_dict(weights)
    preprocess = Preprocess(len(meta["inputs"]), len(task.targets))
    preprocess.load_state_dict(saved.below("preprocess."))
    return Predictor(network, preprocess, loss, task, meta["inputs"])


def _component(kind: str, spec: Any) -> dict[str, Any]:
    filled, faults = fill_component(kind, spec, (kind,))
    if faults:
        raise ValueError(faults[0].message)
    return filled


def _need_plugins(run: RunDir) -> None:
    """A run made with plugins opens only with the same ones, named again by the user."""
    here = {plugin.sha256 for plugin in plugins.loaded()}
    for made_with in _told(run, "plugins"):
        if made_with["sha256"] not in here:
            name = Path(made_with["path"]).name
            raise RunError(
                f"{run}: was made with the plugin {name}; expected --plugin with the same file "
                f"(a copy lies in {run}/plugins, to be read before it is trusted)"
            )


def _told(run: RunDir, *keys: str) -> Any:
    """What `run.json` says at `keys`."""
    value: Any = run.about
    try:
        for key in keys:
            value = value[key]
    except (LookupError, TypeError) as error:
        raise RunError(f"{run}: damaged: run.json does not say {'.'.join(keys)}") from error
    return value


def _config(run: RunDir) -> configs.Config:
    try:
        return configs.load(run.config)
    except ConfigError as error:
        raise RunError(f"{run}: damaged: {error.lines[0]}") from error


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


def _own(predictor: Predictor, run: RunDir, part: str) -> Rows:
    """Rows of the data that the run was trained on, known by its fingerprint."""
    config = _config(run)
    table = sources.build(config.data)
    if datasets.fingerprint(table) != _told(run, "data", "fingerprint"):
        raise DataError(
            f"{run}: the data has changed since the run was trained on it; expected the same rows "
            "to take a part of, or --data with a file to measure"
        )
    chosen = datasets.divide(table, config.data, predictor.task)[part]
    return datasets.scaled(table, predictor.task, predictor.preprocess).take(chosen)


def _given(predictor: Predictor, run: RunDir, path: Path) -> Rows:
    """Every row of another file."""
    spec = _config(run).data
    reading = {key: spec[key] for key in ("separator", "decimal") if key in spec}
    table = csv.read(
        str(path),
        inputs=predictor.input_names,
        target=predictor.task.targets,
        labels=not all(map(_is_number, predictor.task.classes)),
        **reading,
    )
    if table.target is None:
        raise DataError(f"{path}: lacks the target {', '.join(predictor.task.targets)}")
    return datasets.scaled(table, predictor.task, predictor.preprocess)


def _is_number(label: str) -> bool:
    """Whether a class is written like a number; a file may write the same one as 3 or as 3.0."""
    try:
        return math.isfinite(float(label))
    except ValueError:
        return False
