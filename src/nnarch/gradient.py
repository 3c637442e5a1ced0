"""The gradient of one step, as a pure function: forward, loss and backward, then bounds on it.

Nothing is left in the network: parameters have no `.grad` after it, so that the same function
serves an ordinary step, one that is recorded to be repeated, and one that is compiled. A step may
take several batches, where one of that many rows would not fit in memory. Each adds the gradient
of its summed loss, and the sum is divided by the number of answers once, so that the step is that
of one large batch even where the batches are of different sizes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nnarch.data.batch import Batch, answered, of_each_member
from nnarch.data.batches import Rows
from nnarch.losses import Loss
from nnarch.sections import Clip

Gradients = list[Tensor | None]  # one for each parameter; None where the loss does not hang on it


class Pass(NamedTuple):
    """What came of one batch.

    Attributes:
        values: its loss for each target, (T,), or ().
        answers: how many answers it is the mean of: a row's one, or those of its tokens.
    """

    values: Tensor
    answers: int


@dataclass(frozen=True)
class Gradient:
    """The gradient of the mean loss over all answers of a step's batches.

    Attributes:
        parameters: those of `network` that it is taken for.
        rows: prepares inputs for the network.
        precision: `bf16` computes outputs under autocast; numbers are as the network has them.
    """

    network: nn.Module
    parameters: Sequence[nn.Parameter]
    loss: Loss
    rows: Rows
    precision: str = "float32"
    clip: Clip | None = None

    def __call__(self, batches: Sequence[Batch]) -> tuple[list[Pass], Gradients]:
        """What came of each batch, and the gradient of all."""
        passes, total = zip(*(self._of_batch(each, len(batches)) for each in batches), strict=True)
        gradients = total[0]
        for other in total[1:]:
            gradients = [_sum(*both) for both in zip(gradients, other, strict=True)]
        if len(passes) > 1:
            answers = sum(each.answers for each in passes)
            gradients = [each if each is None else each / answers for each in gradients]
        return list(passes), clipped(gradients, self.clip)

    def _of_batch(self, batch: Batch, of: int) -> tuple[Pass, Gradients]:
        """The gradient of a batch's mean loss; of its sum, where it is one `of` several."""
        inputs, bf16 = self.rows.prepare(batch.inputs), self.precision == "bf16"
        with torch.autocast(inputs.device.type, torch.bfloat16) if bf16 else nullcontext():
            made = self.network(inputs)
        each = _values(self.loss, made.float() if bf16 else made, batch)
        values = each.mean(0)
        mean = values.mean() if values.numel() > 1 else values.view(())
        whole = mean * len(each) if of > 1 else mean
        gradients = torch.autograd.grad(whole, list(self.parameters), allow_unused=True)
        return Pass(values.detach(), len(each)), list(gradients)


@contextmanager
def unchanged(network: nn.Module) -> Iterator[None]:
    """Leave the buffers of `network`, its modes and what is drawn by chance as they were."""
    buffers = [(buffer, buffer.clone()) for buffer in network.buffers()]
    modes = [(module, module.training) for module in network.modules()]
    devices = {each.device for each in network.parameters() if each.is_cuda}
    try:
        with torch.random.fork_rng(devices=list(devices)):
            yield
    finally:
        for buffer, before in buffers:
            buffer.copy_(before)
        for module, training in modes:
            module.training = training


def _sum(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    return one + other if one is not None and other is not None else one if other is None else other


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


def clipped(gradients: Gradients, clip: Clip | None) -> Gradients:
    """The gradients, all of them scaled to a norm of at most `clip.norm`, then cut at `clip.value`.

    The norm is that of all together (Pascanu et al., 2013).
    """
    there = [each for each in gradients if each is not None]
    if clip and clip.norm is not None and there:
        norm = torch.stack([torch.linalg.vector_norm(each) for each in there]).norm()
        factor = (clip.norm / (norm + 1e-6)).clamp(max=1)
        gradients = [each if each is None else each * factor for each in gradients]
    if clip and (most := clip.value) is not None:
        gradients = [each if each is None else each.clamp(-most, most) for each in gradients]
    return gradients
