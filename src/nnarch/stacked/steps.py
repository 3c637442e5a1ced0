"""The steps of a stack: one gradient and one update for all members.

The gradient is recorded once for each shape of a batch and repeated without autograd, as that of
one network is; what is recorded is the same function of the same loss and the same bounds.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from nnarch.average import Average
from nnarch.data.batch import Batch, of_each_member
from nnarch.engine.recording import Unrepeatable, record
from nnarch.gradient import clipped
from nnarch.losses import Loss
from nnarch.optim.stepper import Stepper
from nnarch.sections import Clip
from nnarch.stacked.mapped import Mapped
from nnarch.stacked.member import Member
from nnarch.stacked.outline import Unstackable, outline
from nnarch.stacked.padded import Padded, Stacked
from nnarch.stacked.update import Update
from nnarch.training import Training

Program = Callable[..., tuple[Tensor, ...]]


class Steps:
    """Takes the steps of all members at once."""

    def __init__(self, members: Sequence[Member], loss: Loss, sample: Tensor, own: bool):
        """Args:
        sample: (1, ...) as the networks take it.
        own: whether every member has batches of its own.
        """
        self._members, self._loss, self._own = members, loss, own
        self._clip: Clip | None = members[0].config.clip
        self.network = _as_one([member.training.network for member in members], sample)
        self.weights = [each.tensor for each in self.network.weights]
        optimizers = [each.training.optimizer for each in members]
        self._update = Update(
            self.network.weights,
            [each for each in optimizers if isinstance(each, Stepper)],
            [each.training.base_lrs for each in members],
        )
        averages = [each.training.average for each in members]
        self._averaged = _Averaged([each for each in averages if each])
        self._programs: dict[Hashable, Program] = {}
        self._taken = 0
        self._written = [0] * len(members)  # the steps that the networks know of

    def __call__(self, batch: Batch, noise: Sequence[Tensor], factor: Tensor | float) -> Tensor:
        """Take a step; the loss before it of each member, (M,), or for each target, (M, T).

        Args:
            batch: rows that all share, or (M, rows, ...).
            noise: what the dropouts multiply by.
            factor: on the learning rates, (M,), or the same for all.
        """
        given = [batch.inputs, batch.target, *noise]
        kind = tuple(each.shape for each in given)
        if kind not in self._programs:
            self._programs[kind] = self._program(given)
        values, *gradients = self._programs[kind](*given)
        self._update(gradients, factor)
        self._averaged.follow(self.weights)
        self._taken += 1
        return values

    def values(self, made: Tensor, target: Tensor, own: bool = False) -> Tensor:
        """The loss of each answer, (M, rows) or (M, rows, T); an ensemble gives several a row.

        Args:
            made: (M, rows, outputs), of ensembles (M, rows, k, outputs).
            target: (rows, ...) that all share, or every member's `own`, (M, rows, ...).
        """
        of_all = (target if own else target.expand(len(made), *target.shape)).flatten(0, 1)
        values = self._loss.values(*of_each_member(made.flatten(0, 1), of_all))
        return values.unflatten(0, (len(made), -1))

    def _program(self, given: Sequence[Tensor]) -> Program:
        """What gives losses and gradients for tensors of such shapes."""
        if self._taken:  # a last, smaller batch comes too seldom to be recorded
            return self._computed
        buffers = [each.tensor for each in self.network.buffers]
        before = [each.clone() for each in buffers]
        try:
            moving = [*self.weights, *buffers]
            return record(lambda: self._computed(*given), given, moving).program
        except Unrepeatable:
            return self._computed
        finally:
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)

    def _computed(self, inputs: Tensor, target: Tensor, *noise: Tensor) -> tuple[Tensor, ...]:
        with torch.enable_grad():
            values = self.values(self.network(inputs, noise), target, self._own).mean(1)
            each = values.flatten(1).mean(1) if values.dim() > 1 else values
            gradients = torch.autograd.grad(each.sum(), self.weights)
        if self._clip:
            gradients = torch.func.vmap(self._bounded)(*gradients)
        return values.detach(), *gradients

    def _bounded(self, *gradients: Tensor) -> tuple[Tensor, ...]:
        return tuple(each for each in clipped(list(gradients), self._clip) if each is not None)

    @contextmanager
    def judged(self) -> Iterator[None]:
        """Have the weights that are to be judged in place: the averaged ones where there are."""
        with self._averaged.in_place(self.weights):
            yield

    def write(self, number: int) -> None:
        """Give a member's network, optimizer and average what they have come to."""
        training = self._members[number].training
        steps, self._written[number] = self._taken - self._written[number], self._taken
        self.network.write(number, steps)
        self._averaged.write(number, training, steps)
        optimizer = training.optimizer
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": self._update.states(number), "param_groups": groups})


def _as_one(networks: Sequence[nn.Module], sample: Tensor) -> Padded | Mapped:
    """Networks as one function: padded where that is known how, which is quicker."""
    try:
        outline(networks[0])
    except Unstackable:
        return Mapped(networks, sample)
    return Padded(networks, sample.dim())


class _Averaged:
    """The moving averages of all members, if they have some."""

    def __init__(self, averages: Sequence[Average]):
        self._weights: list[Tensor] = []
        if not averages:
            return
        own = [[each.detach() for each in average.module.parameters()] for average in averages]
        self._stacked = [Stacked(list(each)) for each in zip(*own, strict=True)]
        self._weights = [each.tensor for each in self._stacked]
        self._shares = [1 - average.decay for average in averages]
        self._begun = bool(averages[0].n_averaged)

    def follow(self, weights: Sequence[Tensor]) -> None:
        """Average a step."""
        if not self._weights:
            return
        with torch.no_grad():
            for own, weight in zip(self._weights, weights, strict=True):
                shape = (-1, *[1] * (own.dim() - 1))
                share = own.new_tensor(self._shares).view(shape) if self._begun else 1.0
                own.lerp_(weight, share)
        self._begun = True

    @contextmanager
    def in_place(self, weights: Sequence[Tensor]) -> Iterator[None]:
        if not self._weights:
            yield
            return
        with torch.no_grad():
            kept = [each.detach().clone() for each in weights]
            for weight, average in zip(weights, self._weights, strict=True):
                weight.copy_(average)
            yield
            for weight, own in zip(weights, kept, strict=True):
                weight.copy_(own)

    def write(self, number: int, training: Training, steps: int) -> None:
        if not training.average:
            return
        for stacked in self._stacked:
            stacked.write(number)
        average = training.average
        average.n_averaged += steps
        for own, newest in zip(average.module.buffers(), training.network.buffers(), strict=True):
            own.copy_(newest)
