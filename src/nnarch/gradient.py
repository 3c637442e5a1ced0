"""The gradient of one step: forward, loss and backward over its batches, then bounds on it.

A step may take several batches, where one of that many rows would not fit in memory. Each adds
the gradient of its summed loss, and the sum is divided by the number of answers once, so that
the step is that of one large batch even where the batches are of different sizes.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nnarch.data.batch import Batch, answered, of_each_member
from nnarch.data.batches import Rows
from nnarch.losses import Loss
from nnarch.sections import Clip


class Pass(NamedTuple):
    """What came of one batch.

    Attributes:
        values: its loss for each target, (T,), or ().
        mean: the same as one number, ().
        answers: how many answers it is the mean of: a row's one, or those of its tokens.
    """

    values: Tensor
    mean: Tensor
    answers: int


def gradient(
    network: nn.Module,
    loss: Loss,
    rows: Rows,
    batches: Sequence[Batch],
    precision: str,
    clip: Clip | None = None,
) -> list[Pass]:
    """Leave the gradient of the mean loss over all answers in `network`, which has none before."""
    passes = [_backward(network, loss, rows, each, precision, len(batches)) for each in batches]
    if len(passes) > 1:
        _divide(network, sum(each.answers for each in passes))
    _bound(network, clip)
    return passes


def _backward(
    network: nn.Module, loss: Loss, rows: Rows, batch: Batch, precision: str, of: int
) -> Pass:
    """Add the gradient of a batch's mean loss; of its sum, where it is one `of` several."""
    inputs, bf16 = rows.prepare(batch.inputs), precision == "bf16"
    with torch.autocast(inputs.device.type, torch.bfloat16) if bf16 else nullcontext():
        made = network(inputs)
    each = _values(loss, made.float() if bf16 else made, batch)
    values = each.mean(0)
    mean = values.mean() if values.numel() > 1 else values.view(())
    (mean * len(each) if of > 1 else mean).backward()
    return Pass(values.detach(), mean.detach(), len(each))


def _values(loss: Loss, outputs: Tensor, batch: Batch) -> Tensor:
    """A loss an answer; of mixed rows, the mixture of the losses (Zhang et al., 2018)."""
    values = _each(loss, outputs, batch.target)
    if batch.other is None or batch.share is None:
        return values
    share = batch.share.to(values).repeat_interleave(len(values) // len(batch.share))
    share = share.view(-1, *[1] * (values.dim() - 1))
    return share * values + (1 - share) * _each(loss, outputs, batch.other)


def _each(loss: Loss, outputs: Tensor, target: Tensor) -> Tensor:
    return loss.values(*of_each_member(*answered(outputs, target)))


def _divide(network: nn.Module, by: int) -> None:
    for parameter in network.parameters():
        if parameter.grad is not None:
            parameter.grad /= by


def _bound(network: nn.Module, clip: Clip | None) -> None:
    if clip and clip.norm is not None:
        nn.utils.clip_grad_norm_(network.parameters(), clip.norm)
    if clip and clip.value is not None:
        nn.utils.clip_grad_value_(network.parameters(), clip.value)
