"""The activation at one place of a stack, where each run of members may have a function of its own.

Each function writes its members' part of one tensor, and of one gradient, so that networks which
differ in their activations cost hardly more together than networks that do not. What is not known
here is computed piece by piece and put together again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

aten = torch.ops.aten


@dataclass(frozen=True)
class Pointwise:
    """A function of one number that is zero at zero, but for the sigmoid.

    Attributes:
        into: computes x into a tensor.
        back: computes the gradient of x, given that of y, x and y, into a tensor.
    """

    into: Callable[[Tensor, Tensor], Any]
    back: Callable[[Tensor, Tensor, Tensor, Tensor], Any]


@dataclass(frozen=True)
class Run:
    """Members beside each other that have one activation.

    Attributes:
        there: (members, width, 1), 0 where a unit is padding and would not give zero.
    """

    module: nn.Module
    count: int
    there: Tensor | None = None


def _tanh(x: Tensor, y: Tensor) -> None:
    """tanh(x) as 2 / (1 + exp(-2x)) - 1, in a quarter of the time.

    Near zero it is off by the last digit of 1, as what it is added to is.
    """
    torch.mul(x, 2, out=y).sigmoid_().mul_(2).sub_(1)


def _elu(module: Any) -> Pointwise:
    alpha = module.alpha
    return Pointwise(
        lambda x, y: aten.elu.out(x, alpha, out=y),
        lambda g, x, y, made: aten.elu_backward.grad_input(
            g, alpha, 1.0, 1.0, False, x, grad_input=made
        ),
    )


def _gelu(module: Any) -> Pointwise:
    form = module.approximate
    return Pointwise(
        lambda x, y: aten.gelu.out(x, approximate=form, out=y),
        lambda g, x, y, made: aten.gelu_backward.grad_input(
            g, x, approximate=form, grad_input=made
        ),
    )


def _leaky_relu(module: Any) -> Pointwise:
    slope = module.negative_slope
    return Pointwise(
        lambda x, y: aten.leaky_relu.out(x, slope, out=y),
        lambda g, x, y, made: aten.leaky_relu_backward.grad_input(
            g, x, slope, False, grad_input=made
        ),
    )


IDENTITY = Pointwise(lambda x, y: y.copy_(x), lambda g, x, y, made: made.copy_(g))
RELU = Pointwise(
    lambda x, y: torch.clamp_min(x, 0, out=y),
    lambda g, x, y, made: aten.threshold_backward.grad_input(g, y, 0, grad_input=made),
)
SIGMOID = Pointwise(  # of padding y is made 0, and with it the gradient, g y (1 - y)
    lambda x, y: torch.sigmoid(x, out=y),
    lambda g, x, y, made: aten.sigmoid_backward.grad_input(g, y, grad_input=made),
)
SILU = Pointwise(
    lambda x, y: aten.silu.out(x, out=y),
    lambda g, x, y, made: aten.silu_backward.grad_input(g, x, grad_input=made),
)
TANH = Pointwise(_tanh, lambda g, x, y, made: aten.tanh_backward.grad_input(g, y, grad_input=made))
KNOWN: dict[type[nn.Module], Callable[[nn.Module], Pointwise]] = {
    nn.ELU: _elu,
    nn.GELU: _gelu,
    nn.Identity: lambda module: IDENTITY,
    nn.LeakyReLU: _leaky_relu,
    nn.ReLU: lambda module: RELU,
    nn.SiLU: lambda module: SILU,
    nn.Sigmoid: lambda module: SIGMOID,
    nn.Tanh: lambda module: TANH,
}


def activation(runs: Sequence[Run]) -> Callable[[Tensor], Tensor]:
    """What (M, width, rows) becomes."""
    sizes = [run.count for run in runs]
    if all(type(run.module) in KNOWN for run in runs):
        functions = [KNOWN[type(run.module)](run.module) for run in runs]
        there = [run.there for run in runs]
        return lambda state: _Runs.apply(state, functions, sizes, there)  # type: ignore

    def pieces(state: Tensor) -> Tensor:
        made = [run.module(piece) for run, piece in zip(runs, state.split(sizes), strict=True)]
        made = [
            piece if run.there is None else piece * run.there
            for run, piece in zip(runs, made, strict=True)
        ]
        return torch.cat(made) if len(made) > 1 else made[0]

    return pieces


class _Runs(torch.autograd.Function):
    """Known functions, each of its members."""

    @staticmethod
    def forward(
        ctx: Any,
        state: Tensor,
        functions: Sequence[Pointwise],
        sizes: Sequence[int],
        there: Sequence[Tensor | None],
    ) -> Tensor:
        made = torch.empty_like(state)
        each = zip(functions, there, state.split(sizes), made.split(sizes), strict=True)
        for function, mask, x, y in each:
            function.into(x, y)
            if mask is not None:
                y.mul_(mask)
        ctx.functions, ctx.sizes = functions, sizes
        ctx.save_for_backward(state, made)
        return made

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        gradient, (state, made) = grad_outputs[0], ctx.saved_tensors
        back = torch.empty_like(made)
        parts = [each.split(ctx.sizes) for each in (gradient, state, made, back)]
        for function, *given in zip(ctx.functions, *parts, strict=True):
            function.back(*given)
        return back, None, None, None
