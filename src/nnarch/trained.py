"""A trained network, opened from its run directory alone.

A run directory may come from a stranger, so what it says is checked like a config: components
are looked up in the registry, never imported, and nothing is allocated that its own weights do
not account for.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from nnarch import config as configs
from nnarch import devices, plugins, prediction
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
    return _opened(run, which)[0]


def _opened(run: RunDir, which: str) -> tuple[Predictor, list[dict[str, Any]]]:
    """The network, and the metrics that it was trained with."""
    saved = run.load_checkpoint(which)
    try:
        _need_plugins(run)
        predictor = _predictor(saved)
        wanted = saved.meta["metrics"]
        return predictor, [_fitting("metric", spec, predictor.task) for spec in wanted]
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
    predictor, measured = _opened(run, "best")
    for name in wanted:
        if name not in [spec["name"] for spec in measured]:
            measured.append(_metric(name, predictor.task))
    weight = next(predictor.network.parameters())
    if data:
        rows = _given(predictor, run, data, weight.dtype)
    else:
        rows = _own(predictor, run, part, weight.dtype)
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


def predict(run: RunDir, data: Path, keep: Sequence[str] = ()) -> Iterator[prediction.Frame]:
    """What the best network of `run` says of a file, a chunk of its samples at a time.

    Args:
        keep: columns of the file to be given back beside the answers.

    Raises: RunError, or DataError where the data is not what the network takes.
    """
    predictor = load(run)
    with devices.computing(torch.device("cpu"), max(1, devices.threads(_told(run, "threads"), 0))):
        yield from prediction.frames(predictor, _config(run).data, data, keep)


def _predictor(saved: Checkpoint) -> Predictor:
    meta = saved.meta
    told = meta["task"]
    task = Task(told["kind"], *(tuple(told[key]) for key in ("targets", "classes", "counts")))
    loss = losses.build(_fitting("loss", meta["loss"], task), task)
    preprocess = Preprocess.from_spec(meta["preprocess"])
    preprocess.load_state_dict(saved.below("preprocess."))
    if preprocess.target.targets != len(task.targets):
        raise ValueError(f"{preprocess.target.targets} targets were scaled of {len(task.targets)}")
    spec, inputs = _component("model", meta["model"]), datasets.inputs_of(preprocess)
    weights = saved.below("network.")
    size = networks.size(spec, inputs, loss.outputs)
    if size.parameters > sum(weight.numel() for weight in weights.values()):
        raise ValueError(f"the model has {size.parameters:,} parameters, more than were saved")
    with torch.random.fork_rng(devices=[]):
        network = networks.make(spec, inputs, loss.outputs, seed=0)
    dtype = torch.float64 if meta["precision"] == "float64" else torch.float32
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


def _own(predictor: Predictor, run: RunDir, part: str, dtype: torch.dtype) -> Rows:
    """Rows of the data that the run was trained on, known by its fingerprint."""
    config = _config(run)
    data = datasets.whole(sources.build(config.data), config.data)
    if identity.fingerprint(data) != _told(run, "data", "fingerprint"):
        raise DataError(
            f"{run}: the data has changed since the run was trained on it; expected the same rows "
            "to take a part of, or --data with a file to measure"
        )
    chosen = {part: parting.divide(data, config.data, predictor.task)[part]}
    return datasets.rows(data, predictor.task, predictor.preprocess, chosen, dtype)[part]


def _given(predictor: Predictor, run: RunDir, path: Path, dtype: torch.dtype) -> Rows:
    """Every row of another file."""
    spec, task, made = _config(run).data, predictor.task, predictor.preprocess
    data = newdata.read(str(path), spec, made, task, needs_target=True)
    with newdata.faults_of(path):
        data = datasets.whole(data, spec)
        everything = {"test": torch.arange(len(data))}
        return datasets.rows(data, task, made, everything, dtype)["test"]
