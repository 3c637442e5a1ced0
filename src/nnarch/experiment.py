"""One experiment: a config made real, with nothing on disk yet.

`prepare` does all that can fail for a reason of the user's: the device, the data and its task,
the network's size, the loss and metrics that fit it. What only the data can tell (the default
loss, say) is filled into the config here, so that the config of a run is complete.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from nnarch import compatibility, devices, machine, plugins, warmstart
from nnarch.average import Average
from nnarch.config import Config
from nnarch.data import dataset as datasets
from nnarch.data.batches import Rows
from nnarch.data.dataset import Dataset
from nnarch.data.hosted import placed
from nnarch.data.parting import Samples
from nnarch.data.task import REGRESSION, Task
from nnarch.engine import Engine
from nnarch.errors import ConfigError, RunError, cause
from nnarch.evaluation import Evaluation, evaluate, outputs, rows_at_once
from nnarch.freezing import freeze
from nnarch.losses import Loss
from nnarch.models import network as networks
from nnarch.models.network import Size
from nnarch.optim.groups import in_groups
from nnarch.registry import (
    losses,
    metrics,
    optimizers,
    schedules,
    sources,
)
from nnarch.schedules import Observer, with_warmup
from nnarch.stepping import Stepping
from nnarch.training import Settings, Training
from nnarch.warmstart import WarmStart

FEW = 64  # rows, to try a network on
SURELY = 2**26  # bytes, which any machine has
FITTED = 100_000  # training rows that a layer is fitted to, if one is
DTYPES = {"float32": torch.float32, "bf16": torch.float32, "float64": torch.float64}


@dataclass
class Experiment:
    """A config made real: all that training needs, nothing on disk yet."""

    config: Config
    dataset: Dataset
    loss: Loss
    size: Size
    device: torch.device
    rows: dict[str, Rows]
    settings: Settings
    training: Training
    warm_start: WarmStart | None = None
    threads: int = field(init=False)
    engine: Engine = field(init=False)

    @property
    def step_flops(self) -> float:
        """The operations of one step: forward, and backward as two of it."""
        return 3.0 * self.size.flops * self.settings.batch_size

    def stepping(self, training: Training) -> Stepping:
        """How steps of `training` are taken, which is this one's or like it."""
        config, loss, rows = self.config, self.loss, self.rows["train"]
        return Stepping(config, training, loss, rows, self.settings, self.device, self.step_flops)

    @property
    def task(self) -> Task:
        return self.dataset.task

    def evaluate(
        self, part: str, first: int | None = None, check: Callable[[], None] = lambda: None
    ) -> Evaluation:
        """Measure the network on `train`, `val` or `test`, or on the first few rows of it.

        Args:
            check: called before every batch; what it raises ends the work.
        """
        return evaluate(
            self.training.model,
            self.loss,
            self.rows[part] if first is None else self.rows[part].first(first),
            self.dataset.preprocess.target,
            self.task,
            self.config.metrics or [],
            check,
        )


def prepare(config: Config) -> Experiment:
    """Everything that `config` means, made and checked.

    Raises: ConfigError, DataError or MachineError, with nothing written.
    """
    devices.choose(config.device)  # told before data is read
    config, _, dataset = data_of(config)
    return with_data(config, dataset)


def with_data(
    config: Config, dataset: Dataset, state: Mapping[str, Any] | None = None
) -> Experiment:
    """The experiment on a dataset that is made already, as `data_of` gives both.

    Args:
        state: of a training that is to go on; it begins anew unless there is one.

    Raises: ConfigError, DataError or MachineError, with nothing written; RunError where `state`
        is not of such a training.
    """
    device = devices.choose(config.device)
    begun = begin(config, dataset, device, anew=state is None)
    if state is not None:
        _restore(begun.training, state)
    rows = placed(dataset.parts, device, DTYPES[config.precision], devices.room(device))
    ready = Experiment(
        begun.config,
        dataset,
        begun.loss,
        begun.size,
        device,
        rows,
        begun.settings,
        begun.training,
        begun.warm_start,
    )
    _check_outputs(ready)
    stepping = ready.stepping(begun.training)
    ready.threads = stepping.threads()
    ready.engine = stepping.engine(ready.threads)
    return ready


@dataclass(frozen=True)
class Begun:
    """A network, and what it is to be trained with, before it has seen a row."""

    config: Config
    loss: Loss
    size: Size
    training: Training
    settings: Settings
    warm_start: WarmStart | None


def begin(config: Config, dataset: Dataset, device: torch.device, anew: bool = True) -> Begun:
    """A network as it begins, and all that is checked of it without computing.

    Args:
        anew: whether it begins with the weights of `init_from`, where the config says so.

    Raises: ConfigError or RunError.
    """
    config = compatibility.completed(config, dataset.task)
    assert config.loss is not None
    compatibility.check_sampling(config, dataset)
    compatibility.check_optimizer(config)
    with config.locating("loss"):
        loss: Loss = losses.build(config.loss, dataset.task)
    network, size = _network(config, dataset, loss)
    compatibility.check_channels(config, dataset)
    compatibility.check_batches(config, network, len(dataset.parts["train"]))
    network = network.to(device, DTYPES[config.precision])
    warm_start = warmstart.begin(network, config, dataset) if anew else None
    with config.locating("freeze"):
        freeze(network, config.freeze)
    settings, training = _settings(config, dataset), training_of(config, network)
    return Begun(config, loss, size, training, settings, warm_start)


def _restore(training: Training, state: Mapping[str, Any]) -> None:
    try:
        training.restore(state)
    except (
        LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RuntimeError
    ) as error:  # fmt: skip
        raise RunError(
            f"the state of the checkpoint is not of such a training: {cause(error)}"
        ) from error


def _first_rows(dataset: Dataset, count: int) -> Tensor:
    """The first training rows, as the network takes them."""
    return next(dataset.parts["train"].first(count).in_order(count)).inputs


def data_of(config: Config) -> tuple[Config, Samples, Dataset]:
    """The config as its data is used, what its source gives, and that made ready for training.

    Raises: ConfigError or DataError where the data cannot be learnt so.
    """
    split = config.data["split"]
    if split["folds"] and not split["fold"]:
        raise config.fault(
            ("data", "split", "folds"),
            f"got {split['folds']} folds for one network; expected data.split.fold to say which",
        )
    facts = losses.get(config.loss["name"]).facts if config.loss else {}
    counts = REGRESSION[0] in facts.get("tasks", ()) and not facts["standardize"]
    if counts:  # the loss needs the target's own numbers
        config = config.model_copy(update={"data": config.data | {"target_scaling": "none"}})
    with config.locating("data"):
        data = sources.build(config.data)
    compatibility.check_tokens(config, data)
    with config.locating("data"):
        tasks, every = facts.get("tasks"), networks.autoregressive(config.model)
        dataset = datasets.make(data, config.data, tasks, DTYPES[config.precision], every)
    if counts and config.loss:
        compatibility.check_sign(config.loss["name"], dataset)
    return config, data, dataset


def _network(config: Config, dataset: Dataset, loss: Loss) -> tuple[nn.Module, Size]:
    """The network and its size, refused where it cannot be trained in this machine's memory."""
    inputs = dataset.inputs
    try:
        with config.locating("model"), torch.random.fork_rng(devices=[]):
            network, size = networks.make_sized(
                config.model,
                inputs,
                loss.outputs,
                config.seed,
                lambda size: _check_memory(config, dataset, size),
            )
            networks.fit_to(network, lambda: _first_rows(dataset, FITTED))
    except (RuntimeError, TypeError, OverflowError) as error:
        if "overflow" not in str(error).lower():
            raise
        raise config.fault(("model",), "has more parameters than can be counted") from error
    return network, size


def _check_memory(config: Config, dataset: Dataset, size: Size) -> None:
    """Weights, gradients and moments have to fit, and so has every single output.

    Training keeps more of them; `nnarch check` tells how much all take.
    """
    number, rows = DTYPES[config.precision].itemsize, _batch_size(config, dataset)
    for what, needed in (
        (f"{size.parameters:,} parameters", 4 * size.parameters * number),
        (f"{size.widest:,} outputs of a layer, for {rows:,} rows,", size.widest * rows * number),
    ):
        if needed > SURELY and needed > (memory := machine.memory()):
            raise ConfigError(
                f"model: {what} need {needed / 2**30:,.0f} GiB to train; this machine has "
                f"{memory / 2**30:,.0f} GiB"
            )


def _check_outputs(ready: Experiment) -> None:
    """A look at a few rows, so that what the network or a metric refuses is refused now."""
    few = next(ready.rows["val"].first(FEW).in_order(FEW)).inputs
    few = few[: rows_at_once(ready.training.network, few)]
    every = networks.autoregressive(ready.config.model)
    expected = (*few.shape[: 2 if every else 1], ready.loss.outputs)
    with ready.config.locating("model"):
        made = _shape(ready.training.network, few)
        if networks.is_ensemble(ready.config.model) and len(made) == 3:
            made = (made[0], *made[2:])
        if made != expected:
            raise ConfigError(f"gives {made} for {len(few)} rows; expected {expected}")
    if every:
        compatibility.check_causal(ready.config, ready.training.network, few)
    with ready.config.locating("metrics"):
        ready.evaluate("val", first=FEW)


def _shape(network: nn.Module, rows: Tensor) -> tuple[int, ...]:
    """The shape of what `network` puts out; a user's own module may well not take the rows."""
    try:
        return tuple(outputs(network, rows).shape)
    except Exception as error:
        if not plugins.loaded():
            raise
        raise ConfigError(
            f"cannot take rows of shape {tuple(rows.shape[1:])}: {cause(error)}"
        ) from error


def _batch_size(config: Config, dataset: Dataset) -> int:
    rows = len(dataset.parts["train"])
    return rows if config.batch_size == "all" else min(config.batch_size, rows)


def training_of(config: Config, network: nn.Module) -> Training:
    """What a run of `network` would begin with.

    Raises: ConfigError where the optimizer or the schedule is not for it.
    """
    with config.locating("schedule"):
        schedule = schedules.build(config.schedule, config.epochs)
        if not isinstance(factor := schedule(0.0), float | int):
            raise ConfigError(f"gives {factor!r} for epoch 0; expected a factor on the rate")
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise config.fault(("model",), "has no parameters to train")
    if config.monitor == "last" and isinstance(schedule, Observer):
        raise config.fault(
            ("schedule",), f"{config.schedule['name']} follows what is monitored; got monitor: "
            "last, expected val_loss, train_loss, or val_ and a metric"
        )  # fmt: skip
    with config.locating("optimizer"):
        parameters = in_groups(network, config.optimizer["groups"])
        optimizer = optimizers.build(config.optimizer, parameters)
    return Training(
        network,
        optimizer,
        with_warmup(schedule, config.schedule["warmup"]),
        Average(network, config.average.decay) if config.average else None,
    )


def _settings(config: Config, dataset: Dataset) -> Settings:
    metric = config.monitor.removeprefix("val_") if config.monitor.startswith("val_") else "loss"
    return Settings(
        seed=config.seed,
        epochs=config.epochs,
        batch_size=_batch_size(config, dataset),
        monitor=config.monitor,
        higher_is_better=metric != "loss" and metrics.get(metric).facts["higher"],
        early_stopping=config.early_stopping,
        sampling=config.sampling,
        drop_last=config.last_batch == "drop",
        augment=compatibility.augmentations_for(config, dataset),
        accumulate=config.accumulate,
    )
