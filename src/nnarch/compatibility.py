"""What of a config fits its data, and what does not.

A config is right by itself before any data is read; whether its loss, metrics, sampling and
augmentation are for such data shows only now. What the config leaves to the data (the usual loss
of a task, its usual metrics) is filled in here too. Faults have their place in the config's file.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from nnarch.config import Config
from nnarch.data.batch import Batch
from nnarch.data.dataset import NOUNS, Dataset
from nnarch.data.parting import Samples
from nnarch.data.passages import Passages
from nnarch.data.preprocessing.sequenceinputs import SeriesInputs
from nnarch.data.streamed import Streamed
from nnarch.data.task import Task
from nnarch.data.tokens import Tokens
from nnarch.errors import DataError
from nnarch.evaluation import outputs
from nnarch.metrics import DEFAULTS
from nnarch.models import network as networks
from nnarch.optim.groups import numbers_of
from nnarch.registry import augmentations, losses, metrics, models, optimizers, suggestion
from nnarch.validate import fill_component

DEFAULT_LOSS = {
    "regression": "mse",
    "binary": "bce_with_logits",
    "multiclass": "cross_entropy",
    "multilabel": "bce_with_logits",
}


def completed(config: Config, task: Task) -> Config:
    """What only the task can tell: the loss, the metrics, and whether all of it fits."""
    loss = config.loss or _filled("loss", DEFAULT_LOSS[task.kind])
    measured = measured_by(config, task)
    for place, kind, spec in [
        (("loss",), losses, loss),
        *((("metrics", i), metrics, spec) for i, spec in enumerate(measured)),
    ]:
        if spec["name"] not in (fits := kind.fitting(task.kind)):
            raise config.fault(
                place,
                f"{spec['name']} does not fit a task of {task.kind}, which the target "
                f"{', '.join(task.targets)} makes it; expected one of {', '.join(fits)}",
            )
    scaled = [spec["name"] for spec in measured if spec["name"].startswith("scaled_")]
    if scaled and config.data["target_transform"] != "none":
        raise config.fault(
            ("metrics",), f"{scaled[0]} is of a target that is not learnt as its logarithm"
        )
    known = ["val_loss", *(f"val_{spec['name']}" for spec in measured), "train_loss", "last"]
    if config.monitor not in known:
        raise config.fault(
            ("monitor",), f"{config.monitor!r} is not measured; {suggestion(config.monitor, known)}"
        )
    if config.monitor == "last" and config.early_stopping:
        raise config.fault(
            ("early_stopping",), "got monitor: last, by which every epoch is better than the one "
            "before; expected monitor: val_loss, train_loss, or val_ and a metric"
        )  # fmt: skip
    return config.model_copy(update={"loss": loss, "metrics": measured})


def measured_by(config: Config, task: Task) -> list[dict[str, Any]]:
    """The metrics that a config names, or else the task's usual ones."""
    if config.metrics is not None:
        return config.metrics
    return [_filled("metric", name) for name in DEFAULTS[task.kind]]


def _filled(kind: str, name: str) -> dict[str, Any]:
    spec, faults = fill_component(kind, name, ())
    assert not faults, faults
    return spec


def check_optimizer(config: Config) -> None:
    """Whether the optimizer takes its groups, and steps of several batches."""
    component = optimizers.get(config.optimizer["name"])
    if component.facts.get("closure"):
        whole = f"{component.name} computes its own gradients, of the whole network"
        if config.optimizer["groups"]:
            raise config.fault(("optimizer", "groups"), f"{whole}; expected none")
        if config.accumulate > 1:
            raise config.fault(("accumulate",), f"{whole}; expected 1, and a larger batch_size")
    for number, group in enumerate(config.optimizer["groups"]):
        for name in numbers_of(group):
            if name not in component.schema.model_fields:
                raise config.fault(
                    ("optimizer", "groups", number, name), f"{component.name} has no {name}"
                )


def check_sign(loss: str, dataset: Dataset) -> None:
    if dataset.lowest < 0:
        names = ", ".join(dataset.task.targets)
        raise DataError(f"data: {loss} expects a target >= 0; {names} holds negative numbers")


def check_sampling(config: Config, dataset: Dataset) -> None:
    if config.sampling != "balanced":
        return
    if not dataset.task.classes:
        raise config.fault(("sampling",), f"got 'balanced' for {dataset.task}; expected classes")
    if isinstance(dataset.parts["train"], Passages):
        raise config.fault(
            ("sampling",), "got 'balanced' for passages of text, which hold tokens of many "
            "classes; expected 'shuffled', and loss.class_weights: balanced"
        )  # fmt: skip
    if isinstance(dataset.parts["train"], Streamed):
        raise config.fault(
            ("sampling",), "got 'balanced' for a table that is larger than memory; expected "
            "'shuffled', and loss.class_weights: balanced"
        )  # fmt: skip


def check_channels(config: Config, dataset: Dataset) -> None:
    """A network that takes each channel by itself gives back the channels that it was given."""
    made, name = dataset.preprocess.inputs, config.model["name"]
    if not models.get(name).facts.get("channelwise") or not isinstance(made, SeriesInputs):
        return
    predicted = [f"{channel}+1" for channel in made.names]
    if list(dataset.task.targets[: len(predicted)]) != predicted:
        raise config.fault(
            ("model",),
            f"{name} predicts the channels that it sees, {', '.join(made.names)}; expected the "
            "same as data.target, in one order",
        )


def check_tokens(config: Config, data: Samples) -> None:
    """A network that answers to every token of a text wants running text."""
    if networks.autoregressive(config.model) and not isinstance(data, Tokens):
        raise config.fault(
            ("model",),
            f"{config.model['name']} predicts every token of a text; this data holds "
            f"{NOUNS[type(data)]}; expected data.source: text without data.target",
        )


def check_causal(config: Config, network: nn.Module, tokens: Tensor) -> None:
    """A network that sees the token that it is to predict would learn to repeat it.

    Args:
        tokens: (B, T) of which the last is exchanged: answers before it must stay.
    """
    other = tokens.clone()
    other[:, -1] = (other[:, -1] == 0).long()
    before, after = (outputs(network, those)[:, :-1] for those in (tokens, other))
    if not torch.allclose(before, after, rtol=1e-3, atol=1e-4):
        raise config.fault(
            ("model",),
            f"{config.model['name']} predicts every token of a text, and its answers change with "
            "tokens that come later; expected answers from the tokens so far alone",
        )


def augmentations_for(config: Config, dataset: Dataset) -> list[Callable[[Batch], Batch]]:
    shape, made = dataset.inputs.shape, []
    for place, spec in enumerate(config.augment):
        component = augmentations.get(spec["name"])
        if component.facts["images"] and len(shape) != 3:
            raise config.fault(
                ("augment", place), f"{spec['name']} is for images; got inputs of shape {shape}"
            )
        if dataset.inputs.vocabulary or dataset.inputs.cardinalities:
            raise config.fault(
                ("augment", place), "got inputs that hold codes; expected numbers alone"
            )
        with config.locating(f"augment[{place}]"):
            made.append(augmentations.build(spec))
    return made


def check_batches(config: Config, network: nn.Module, rows: int) -> None:
    """Batch normalisation cannot tell the deviation of one row."""
    normalises = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in network.modules())
    if normalises and (config.batch_size == 1 or rows == 1):
        raise config.fault(
            ("batch_size",), "got 1; batch normalisation expects at least 2 rows a step"
        )
