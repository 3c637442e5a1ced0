"""What a network makes of rows: its predictions, and how good they are, in the user's units."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nnarch.data.batch import Batch, answered
from nnarch.data.batches import Rows
from nnarch.data.preprocessing.preprocess import Target
from nnarch.data.task import Task
from nnarch.losses import Loss
from nnarch.metrics import Result
from nnarch.registry import metrics

CHUNK = 8192  # rows at once, or tokens: enough to fill the cores, little enough for any memory


@dataclass(frozen=True)
class Evaluation:
    """The loss and metrics of some rows, and the predictions that they were taken from."""

    loss: float
    metrics: Mapping[str, float]
    result: Result


def outputs(network: nn.Module, inputs: Tensor) -> Tensor:
    """What `network` puts out for `inputs` (N, ...) in evaluation mode, without gradient.

    The network is left in the mode that it was in.
    """
    training = network.training
    network.eval()
    with torch.no_grad():
        made = torch.cat([network(chunk) for chunk in inputs.split(rows_at_once(inputs))])
    network.train(training)
    return made


def rows_at_once(inputs: Tensor) -> int:
    """How many of such samples to compute together: a sample of tokens counts each of them.

    >>> rows_at_once(torch.zeros(9, 2048)), rows_at_once(torch.zeros(9, 2048, dtype=torch.int64))
    (8192, 4)
    """
    return CHUNK if inputs.is_floating_point() else max(1, CHUNK // math.prod(inputs.shape[1:]))


def evaluate(
    network: nn.Module,
    loss: Loss,
    rows: Rows,
    target: Target,
    task: Task,
    wanted: Sequence[Mapping[str, Any]],
) -> Evaluation:
    """Measure `network` on `rows`.

    Args:
        rows: in the network's units, where the network is.
        target: what the target was scaled by.
        wanted: metrics as filled components.
    """
    pieces = [
        answered(outputs(network, inputs), truth)
        for batch in rows.in_order(CHUNK)
        for inputs, truth in _split(batch)
    ]
    made, truth = (torch.cat(those) for those in zip(*pieces, strict=True))
    made = made.to(truth.dtype if truth.is_floating_point() else torch.float32)
    measured = loss.values(made, truth).cpu().double().mean(0)
    predicted = loss.predict(made)
    if task.kind == "regression":
        predicted, truth = (target.inverse(numbers.cpu()) for numbers in (predicted, truth))
    truth = truth.long() if task.kind == "multilabel" else truth
    result = Result(task, truth, predicted, target.scale)
    return Evaluation(
        in_units(loss, measured, target.scale),
        {spec["name"]: float(metrics.build(spec, result)) for spec in wanted},
        result,
    )


def _split(batch: Batch) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and targets, so many at once that the outputs of every token may be held."""
    size = rows_at_once(batch.inputs)
    return zip(batch.inputs.split(size), batch.target.split(size), strict=True)


def in_units(loss: Loss, values: Tensor, scale: Tensor) -> float:
    """The mean of per-target losses (T,), or of one loss (), in the target's own units."""
    return float(loss.in_units(values.double().cpu(), scale).mean())
