"""What a network makes of rows: its predictions, and how good they are, in the user's units."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nnarch.data.batch import Batch, answered, of_each_member
from nnarch.data.batches import Rows
from nnarch.data.preprocessing.preprocess import Target
from nnarch.data.task import Task
from nnarch.losses import Loss
from nnarch.metrics import Result
from nnarch.registry import metrics

CHUNK = 8192  # rows at once: enough to fill the cores, little enough for any memory
USUAL = 1024  # numbers that a layer makes of a row, up to which so many rows are little


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
        made = torch.cat([network(chunk) for chunk in inputs.split(rows_at_once(network, inputs))])
    network.train(training)
    return made


def rows_at_once(network: nn.Module, inputs: Tensor) -> int:
    """How many of such samples to compute together: fewer where one makes many numbers.

    A token makes as many as a row of a table does.

    >>> [rows_at_once(nn.ReLU(), torch.zeros(9, width)) for width in (20, 4096)]
    [8192, 2048]
    """
    numbers = math.prod(inputs.shape[1:]) * (1 if inputs.is_floating_point() else USUAL)
    per_row = max(numbers, getattr(network, "widest", 0))
    return max(1, min(CHUNK, CHUNK * USUAL // per_row))


def predictions(loss: Loss, made: Tensor) -> Tensor:
    """Probabilities or predicted values (N, ...) of outputs; of an ensemble, its members' mean."""
    if made.dim() < 3:
        return loss.predict(made)
    return loss.predict(made.flatten(0, 1)).unflatten(0, made.shape[:2]).mean(1)


def evaluate(
    network: nn.Module,
    loss: Loss,
    rows: Rows,
    target: Target,
    task: Task,
    wanted: Sequence[Mapping[str, Any]],
    check: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Measure `network` on `rows`.

    Args:
        rows: in the network's units, where the network is.
        target: what the target was scaled by.
        wanted: metrics as filled components.
        check: called before every batch; what it raises ends the work.
    """
    pieces = []
    for batch in rows.in_order(CHUNK):
        for inputs, truth in _split(network, batch):
            check()
            pieces.append(answered(outputs(network, inputs), truth))
    made, truth = (torch.cat(those) for those in zip(*pieces, strict=True))
    return of_outputs(made, truth, loss, target, task, wanted)


def of_outputs(
    made: Tensor,
    truth: Tensor,
    loss: Loss,
    target: Target,
    task: Task,
    wanted: Sequence[Mapping[str, Any]],
) -> Evaluation:
    """Measure what a network has put out for rows whose targets, in its units, are `truth`."""
    made = made.to(truth.dtype if truth.is_floating_point() else torch.float32)
    measured = loss.values(*of_each_member(made, truth)).cpu().double().mean(0)
    predicted = predictions(loss, made)
    if task.kind == "regression":
        predicted, truth = (target.inverse(numbers.cpu()) for numbers in (predicted, truth))
    truth = truth.long() if task.kind == "multilabel" else truth
    result = Result(task, truth, predicted, target.scale)
    return Evaluation(
        in_units(loss, measured, target.scale),
        {spec["name"]: float(metrics.build(spec, result)) for spec in wanted},
        result,
    )


def _split(network: nn.Module, batch: Batch) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and targets, so many at once that the outputs of every token may be held."""
    size = rows_at_once(network, batch.inputs)
    return zip(batch.inputs.split(size), batch.target.split(size), strict=True)


def in_units(loss: Loss, values: Tensor, scale: Tensor) -> float:
    """The mean of per-target losses (T,), or of one loss (), in the target's own units."""
    return float(loss.in_units(values.double().cpu(), scale).mean())
