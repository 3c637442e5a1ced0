"""M networks of one outline as one function of stacked, padded weights.

Features come first and rows last, (M, width, rows): the rows of a batch then lie side by side
however narrow a layer is, and a first layer that all networks feed with the same rows is one
product of matrices.

A unit that is there for padding alone never changes a result. The weights into it and its bias
are zero, so it puts out f(0); where that is not zero it is multiplied by zero. So the weights out
of it have no gradient and stay zero, and nothing flows back through it.
"""

import math
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nnarch.models.structures import Chain, Residual
from nnarch.stacked.activation import Run, activation
from nnarch.stacked.chance import Drawing
from nnarch.stacked.outline import is_activation

NARROW = 16  # features
EVEN = 4  # what padded sizes are multiples of
Noise = Iterator[Tensor]  # what each dropout multiplies by, in order


def common(sizes: Sequence[int]) -> int:
    """The size that tensors of several sizes are padded to; products of odd ones are slow."""
    largest = max(sizes)
    return largest if min(sizes) == largest else math.ceil(largest / EVEN) * EVEN


@dataclass
class Stacked:
    """A tensor of each of M networks, padded with zeros to (M, ...).

    Attributes:
        own: of each network, where it has its own, in its own shape.
        tensor: of all.
    """

    own: list[Tensor]
    tensor: Tensor = field(init=False)

    def __post_init__(self) -> None:
        shape = [common(sizes) for sizes in zip(*(each.shape for each in self.own), strict=True)]
        self.tensor = self.own[0].new_zeros(len(self.own), *shape)
        self.read()

    @property
    def is_padded(self) -> bool:
        return any(each.shape != self.own[0].shape for each in self.own)

    def of(self, member: int, tensor: Tensor | None = None) -> Tensor:
        """The part of a network in `tensor`, which is like this one's."""
        whole = self.tensor if tensor is None else tensor
        return whole[member][tuple(map(slice, self.own[member].shape))]

    @torch.no_grad()
    def read(self) -> None:
        """Take the numbers that the networks have."""
        for member, own in enumerate(self.own):
            self.of(member).copy_(own)

    @torch.no_grad()
    def write(self, member: int) -> None:
        """Give a network its numbers."""
        self.own[member].copy_(self.of(member))


class Padded:
    """M networks as one function.

    Attributes:
        weights: of the networks' parameters, in the order of these; they want gradients.
        buffers: running statistics.
        widest: numbers that a layer puts out for a sample.
    """

    def __init__(self, networks: Sequence[nn.Module], dims: int):
        """Args:
        dims: of a batch of rows that all networks share.
        """
        self.weights: list[Stacked] = []
        self.buffers: list[Stacked] = []
        self.counted: list[list[Tensor]] = []  # steps that a normalization has seen, by network
        self._dropouts: list[tuple[list[float], list[int]]] = []  # shares, and widths there
        self._size = len(networks)
        self._widths = [0] * self._size  # of what comes in; the same for all, so without padding
        self._dtype = next(networks[0].parameters()).dtype
        self._device = next(networks[0].parameters()).device
        self._shared_dims = dims
        self._operations = self._chain(networks)
        for member, network in enumerate(networks):
            own = [weight.own[member] for weight in self.weights]
            assert all(map(operator.is_, own, network.parameters())), "in the order of the network"

    def __call__(self, inputs: Tensor, noise: Iterable[Tensor] | None = None) -> Tensor:
        """Outputs (M, rows, outputs) of rows (rows, ...) that all share, or (M, rows, ...).

        Args:
            noise: what the dropouts multiply by, (M, width, rows) each; given in training.
        """
        shared = inputs.dim() == self._shared_dims
        rows = inputs.flatten(1) if shared else inputs.flatten(2)
        state: Tensor = rows.transpose(-1, -2)
        drawn = None if noise is None else iter(noise)
        for operation in self._operations:
            state = operation(state, drawn)
        return state.transpose(1, 2)

    def write(self, member: int, steps: int) -> None:
        """Give a network its numbers, after so many steps."""
        for each in (*self.weights, *self.buffers):
            each.write(member)
        for counts in self.counted:
            counts[member] += steps

    @property
    def widest(self) -> int:
        return max(max(each.tensor.shape[1:]) for each in self.weights)

    def drawings(self, rows: int) -> list[Drawing]:
        """The dropouts of a batch of so many rows, in their order."""
        made = []
        for shares, widths in self._dropouts:
            sizes = len(widths), common(widths), rows
            order = torch.zeros(sizes, dtype=torch.int64, device=self._device)
            for own, width in zip(order, widths, strict=True):
                numbers = torch.arange(rows * width, device=self._device)
                own[:width] = numbers.view(rows, width).t()
            counts = [rows * width for width in widths]
            like = torch.empty(sizes, dtype=self._dtype, device=self._device)
            made.append(Drawing(shares, counts, order.flatten(1), like))
        return made

    # What follows makes an operation of the modules that stand at one place in the networks.

    def _chain(self, modules: Sequence[nn.Module]) -> "list[Operation]":
        operations: list[Operation] = []
        for at_one_place in zip(*modules, strict=True):  # type: ignore[arg-type]
            operations += self._operation(list(at_one_place))
        return operations

    def _operation(self, modules: list[Any]) -> "list[Operation]":
        match modules[0]:
            case Chain():
                return self._chain(modules)
            case nn.Flatten():
                return []
            case nn.Linear():
                return [self._linear(modules)]
            case Residual():
                return [self._residual(modules)]
            case nn.Dropout():
                self._dropouts.append(([each.p for each in modules], list(self._widths)))
                return [_dropout]
            case nn.BatchNorm1d():
                return [self._batch_norm(modules)]
            case nn.LayerNorm():
                return [self._layer_norm(modules)]
        assert is_activation(modules[0])
        return self._activation(modules)

    def _stacked(self, tensors: list[Any]) -> Tensor:
        self.weights.append(Stacked(tensors))
        return self.weights[-1].tensor.requires_grad_(True)

    def _linear(self, modules: list[nn.Linear]) -> "Operation":
        weight = self._stacked([each.weight for each in modules])
        bias = None
        if modules[0].bias is not None:
            bias = self._stacked([each.bias for each in modules])
        self._widths = [each.out_features for each in modules]
        members, wide, narrow = weight.shape

        def linear(state: Tensor, noise: Noise | None) -> Tensor:
            if state.dim() == 2:
                flat = weight.view(members * wide, narrow)
                added = None if bias is None else bias.view(members * wide, 1)
                return _Shared.apply(flat, state, added).view(members, wide, -1)
            added = None if bias is None else bias.unsqueeze(2)
            return _Own.apply(weight, state, added)

        return linear

    def _residual(self, modules: list[Residual]) -> "Operation":
        before = list(self._widths)
        if isinstance(modules[0].body, Chain):
            body = self._chain([each.body for each in modules])
        else:
            body = self._operation([each.body for each in modules])
        after, project = list(self._widths), None
        if modules[0].project is not None:
            self._widths = before
            [project] = self._operation([each.project for each in modules])
        self._widths = after

        def residual(state: Tensor, noise: Noise | None) -> Tensor:
            made = state
            for operation in body:
                made = operation(made, noise)
            return (state if project is None else project(state, noise)) + made

        return residual

    def _batch_norm(self, modules: list[nn.BatchNorm1d]) -> "Operation":
        first = modules[0]
        weight = bias = None
        if first.affine:
            weight = self._stacked([each.weight for each in modules])
            bias = self._stacked([each.bias for each in modules])
        mean, variance = (
            Stacked([getattr(each, name) for each in modules])
            for name in ("running_mean", "running_var")
        )
        self.buffers += [mean, variance]
        self.counted.append([each.num_batches_tracked for each in modules])  # type: ignore
        momentum, eps = first.momentum, first.eps

        def batch_norm(state: Tensor, noise: Noise | None) -> Tensor:
            state = self._own(state)
            made = F.batch_norm(
                state.reshape(1, -1, state.shape[2]),
                mean.tensor.view(-1),
                variance.tensor.view(-1),
                None if weight is None else weight.view(-1),
                None if bias is None else bias.view(-1),
                noise is not None,
                momentum or 0.0,
                eps,
            )
            return made.view(state.shape)

        return batch_norm

    def _layer_norm(self, modules: list[nn.LayerNorm]) -> "Operation":
        weight = bias = None
        if modules[0].weight is not None:
            weight = self._stacked([each.weight for each in modules])
        if modules[0].bias is not None:
            bias = self._stacked([each.bias for each in modules])
        there, eps = self._there(), modules[0].eps
        count = self._numbers(self._widths)

        def layer_norm(state: Tensor, noise: Noise | None) -> Tensor:
            state = self._own(state)
            state = state if there is None else state * there  # for the gradient of the mean
            centred = state - state.sum(1, keepdim=True) / count
            centred = centred if there is None else centred * there
            variance = (centred * centred).sum(1, keepdim=True) / count
            made = centred * (variance + eps).rsqrt()
            made = made if weight is None else made * weight.unsqueeze(2)
            return made if bias is None else made + bias.unsqueeze(2)

        return layer_norm

    def _activation(self, modules: list[nn.Module]) -> "list[Operation]":
        groups = [list(group) for _, group in groupby(modules, key=str)]
        if all(isinstance(group[0], nn.Identity) for group in groups):
            return []
        zero, there = torch.zeros(1, dtype=self._dtype, device=self._device), self._there()
        sizes = [len(group) for group in groups]
        masks = [None] * len(groups) if there is None else there.split(sizes)
        runs = [
            Run(group[0], len(group), mask if group[0](zero).item() else None)
            for group, mask in zip(groups, masks, strict=True)
        ]
        function = activation(runs)
        return [lambda state, noise: function(self._own(state))]

    def _own(self, state: Tensor) -> Tensor:
        """What all share, as each network's own."""
        return state if state.dim() == 3 else state.expand(self._size, *state.shape)

    def _there(self) -> Tensor | None:
        """1 for each unit here that is a network's own, 0 for padding, (M, width, 1), if any is."""
        if min(self._widths) == max(self._widths):
            return None
        places = torch.arange(common(self._widths), device=self._device).view(1, -1, 1)
        return (places < self._numbers(self._widths)).to(self._dtype)

    def _numbers(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=self._dtype, device=self._device).view(-1, 1, 1)


Operation = Callable[[Tensor, "Noise | None"], Tensor]


class _Shared(torch.autograd.Function):
    """A product with rows that all share, (M * width, features) by (features, rows), and a bias.

    Its gradient is a narrow matrix, which is several times quicker to make the other way round.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, state: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight, state)
        return torch.mm(weight, state) if bias is None else torch.addmm(bias, weight, state)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        [gradient] = grad_outputs
        weight, state = ctx.saved_tensors
        back = torch.mm(weight.t(), gradient) if ctx.needs_input_grad[1] else None
        added = gradient.sum(1, keepdim=True) if ctx.needs_input_grad[2] else None
        if len(state) > NARROW:
            return torch.mm(gradient, state.t()), back, added
        return torch.mm(state, gradient.t()).t().contiguous(), back, added


class _Own(torch.autograd.Function):
    """Products with each network's own rows, (M, width, features) by (M, features, rows).

    A layer of one unit has an outer product for its gradient, which is quicker multiplied out.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, state: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight, state)
        if bias is None:
            return torch.bmm(weight, state)
        return torch.baddbmm(bias, weight, state)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        [gradient] = grad_outputs
        weight, state = ctx.saved_tensors
        back = None
        if ctx.needs_input_grad[1]:
            turned = weight.transpose(1, 2)
            back = turned * gradient if weight.shape[1] == 1 else torch.bmm(turned, gradient)
        added = gradient.sum(2, keepdim=True) if ctx.needs_input_grad[2] else None
        return torch.bmm(gradient, state.transpose(1, 2)), back, added


def _dropout(state: Tensor, noise: Noise | None) -> Tensor:
    return state if noise is None else state * next(noise)
