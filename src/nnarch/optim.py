"""The optimizers: torch's own, under their own names.

Every optimizer of `torch.optim` for dense weights is here, so that its options are checked
before a run begins and listed beside their defaults. Options that choose an implementation or
serve tracing (`foreach`, `fused`, `capturable`, `differentiable`, `maximize`) are left to torch:
they are no part of what is learnt. `fused` in particular is faster on a small network but ends
in other last bits, and a config should mean one thing on every torch build.

`weight_decay` is added to the gradient, as torch's documentation has it, except where an
optimizer says that it shrinks the weights themselves.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from nnarch.errors import ConfigError
from nnarch.lazy import LazyModule
from nnarch.options import WHOLE, Betas, Count, Fraction, NonNegative, Positive, Share
from nnarch.registry import optimizers

if TYPE_CHECKING:
    import torch
else:
    torch = LazyModule("torch")

Parameters = Iterable["torch.nn.Parameter"]
BETAS = [0.9, 0.999]


@optimizers.register
def sgd(
    parameters: Parameters,
    *,
    lr: Positive = 0.01,
    momentum: Fraction = 0.0,
    dampening: Share = 0.0,
    weight_decay: NonNegative = 0.0,
    nesterov: bool = False,
) -> "torch.optim.Optimizer":
    """Stochastic gradient descent, with momentum if wanted (Robbins & Monro, 1951).

    lr is 0.01, which suits inputs of deviation 1; torch's 0.001 is slow there.

    Options:
        lr: Size of a step.
        momentum: Share of the last step that the next one keeps.
        dampening: Share of the gradient that momentum leaves out.
        weight_decay: Pull of every weight towards zero.
        nesterov: Look ahead along the momentum; needs momentum, and no dampening.
    """
    if nesterov and (not momentum or dampening):
        raise ConfigError(
            f"optimizer.nesterov: got momentum {momentum:g} and dampening {dampening:g}; "
            "expected momentum > 0 and dampening 0"
        )
    return torch.optim.SGD(parameters, lr, momentum, dampening, weight_decay, nesterov)


@optimizers.register
def adam(
    parameters: Parameters,
    *,
    lr: Positive = 1e-3,
    betas: Betas = BETAS,
    eps: Positive = 1e-8,
    weight_decay: NonNegative = 0.0,
    amsgrad: bool = False,
) -> "torch.optim.Optimizer":
    """Adam: momentum, and a step size of its own for every weight (Kingma & Ba, 2015).

    Options:
        lr: Size of a step.
        betas: Decay of the averages of the gradient and of its square.
        eps: Added to the divisor, so that it never reaches zero.
        weight_decay: Pull of every weight towards zero.
        amsgrad: Never let the average of squares shrink (Reddi et al., 2018).
    """
    return torch.optim.Adam(parameters, lr, _pair(betas), eps, weight_decay, amsgrad)


@optimizers.register
def adamw(
    parameters: Parameters,
    *,
    lr: Positive = 1e-3,
    betas: Betas = BETAS,
    eps: Positive = 1e-8,
    weight_decay: NonNegative = 0.01,
    amsgrad: bool = False,
) -> "torch.optim.Optimizer":
    """Adam with weight decay apart from the gradient (Loshchilov & Hutter, 2019).

    Options:
        lr: Size of a step.
        betas: Decay of the averages of the gradient and of its square.
        eps: Added to the divisor, so that it never reaches zero.
        weight_decay: Share of every weight, times lr, that a step takes off.
        amsgrad: Never let the average of squares shrink (Reddi et al., 2018).
    """
    return torch.optim.AdamW(parameters, lr, _pair(betas), eps, weight_decay, amsgrad)


@optimizers.register
def adamax(
    parameters: Parameters,
    *,
    lr: Positive = 2e-3,
    betas: Betas = BETAS,
    eps: Positive = 1e-8,
    weight_decay: NonNegative = 0.0,
) -> "torch.optim.Optimizer":
    """Adam with the largest recent gradient as divisor (Kingma & Ba, 2015).

    Options:
        lr: Size of a step.
        betas: Decay of the average of the gradient and of its largest size.
        eps: Added to the divisor, so that it never reaches zero.
        weight_decay: Pull of every weight towards zero.
    """
    return torch.optim.Adamax(parameters, lr, _pair(betas), eps, weight_decay)


@optimizers.register
def nadam(
    parameters: Parameters,
    *,
    lr: Positive = 2e-3,
    betas: Betas = BETAS,
    eps: Positive = 1e-8,
    weight_decay: NonNegative = 0.0,
    momentum_decay: NonNegative = 4e-3,
    decoupled_weight_decay: bool = False,
) -> "torch.optim.Optimizer":
    """Adam with Nesterov's look ahead (Dozat, 2016).

    Options:
        lr: Size of a step.
        betas: Decay of the averages of the gradient and of its square.
        eps: Added to the divisor, so that it never reaches zero.
        weight_decay: Pull of every weight towards zero.
        momentum_decay: How fast momentum rises to its full value.
        decoupled_weight_decay: Shrink the weights themselves, as adamw does.
    """
    return torch.optim.NAdam(
        parameters, lr, _pair(betas), eps, weight_decay, momentum_decay, decoupled_weight_decay
    )


@optimizers.register
def radam(
    parameters: Parameters,
    *,
    lr: Positive = 1e-3,
    betas: Betas = BETAS,
    eps: Positive = 1e-8,
    weight_decay: NonNegative = 0.0,
    decoupled_weight_decay: bool = False,
) -> "torch.optim.Optimizer":
    """Adam that holds back while its averages are young, in place of a warmup (Liu et al., 2020).

    Options:
        lr: Size of a step.
        betas: Decay of the averages of the gradient and of its square.
        eps: Added to the divisor, so that it never reaches zero.
        weight_decay: Pull of every weight towards zero.
        decoupled_weight_decay: Shrink the weights themselves, as adamw does.
    """
    return torch.optim.RAdam(
        parameters, lr, _pair(betas), eps, weight_decay, decoupled_weight_decay
    )


@optimizers.register
def adafactor(
    parameters: Parameters,
    *,
    lr: Positive = 0.01,
    beta2_decay: Annotated[float, Field(le=0)] = -0.8,
    eps: Positive | None = None,
    least_scale: Positive = 1e-3,
    clip: Annotated[float, Field(ge=1)] = 1.0,
    weight_decay: NonNegative = 0.0,
) -> "torch.optim.Optimizer":
    """Adam with row and column averages only, for little memory (Shazeer & Stern, 2018).

    Options:
        lr: Size of a step, relative to the size of the weights.
        beta2_decay: Power of the step's number by which the average of squares forgets less.
        eps: Least squared gradient; null takes the smallest that the number type tells from zero.
        least_scale: Least size that a weight tensor is taken to have.
        clip: Largest root mean square of an update before lr; torch's `d`.
        weight_decay: Share of every weight, times lr, that a step takes off.
    """
    return torch.optim.Adafactor(
        parameters, lr, beta2_decay, (eps, least_scale), clip, weight_decay
    )


@optimizers.register
def adagrad(
    parameters: Parameters,
    *,
    lr: Positive = 0.01,
    lr_decay: NonNegative = 0.0,
    weight_decay: NonNegative = 0.0,
    initial_accumulator_value: NonNegative = 0.0,
    eps: Positive = 1e-10,
) -> "torch.optim.Optimizer":
    """Steps that shrink with the sum of squared gradients so far (Duchi et al., 2011).

    Options:
        lr: Size of a step.
        lr_decay: How fast lr falls with the number of steps.
        weight_decay: Pull of every weight towards zero.
        initial_accumulator_value: Where the sum of squares begins.
        eps: Added to the divisor, so that it never reaches zero.
    """
    return torch.optim.Adagrad(
        parameters, lr, lr_decay, weight_decay, initial_accumulator_value, eps
    )


@optimizers.register
def adadelta(
    parameters: Parameters,
    *,
    lr: Positive = 1.0,
    rho: Fraction = 0.9,
    eps: Positive = 1e-6,
    weight_decay: NonNegative = 0.0,
) -> "torch.optim.Optimizer":
    """Steps in the proportion of past updates to past gradients (Zeiler, 2012).

    Options:
        lr: Factor on the step, which finds its own size.
        rho: Decay of the averages of squared gradients and updates.
        eps: Added to both averages; it sets the size of the first steps.
        weight_decay: Pull of every weight towards zero.
    """
    return torch.optim.Adadelta(parameters, lr, rho, eps, weight_decay)


@optimizers.register
def rmsprop(
    parameters: Parameters,
    *,
    lr: Positive = 0.01,
    alpha: Fraction = 0.99,
    eps: Positive = 1e-8,
    weight_decay: NonNegative = 0.0,
    momentum: Fraction = 0.0,
    centered: bool = False,
) -> "torch.optim.Optimizer":
    """Gradients divided by the root of their recent mean square (Tieleman & Hinton, 2012).

    Options:
        lr: Size of a step.
        alpha: Decay of the average of squared gradients.
        eps: Added to the divisor, so that it never reaches zero.
        weight_decay: Pull of every weight towards zero.
        momentum: Share of the last step that the next one keeps.
        centered: Divide by the gradient's deviation instead.
    """
    return torch.optim.RMSprop(parameters, lr, alpha, eps, weight_decay, momentum, centered)


@optimizers.register
def rprop(
    parameters: Parameters,
    *,
    lr: Positive = 0.01,
    shrink: Annotated[float, Field(gt=0, lt=1)] = 0.5,
    grow: Annotated[float, Field(gt=1)] = 1.2,
    least_step: Positive = 1e-6,
    largest_step: Positive = 50.0,
) -> "torch.optim.Optimizer":
    """Steps by the sign of the gradient alone, for full batches (Riedmiller & Braun, 1993).

    Steps grow and shrink by themselves, so a schedule touches only the first.

    Options:
        lr: Size of the first step.
        shrink: Factor on a weight's step when its gradient changes sign.
        grow: Factor on it when the sign stays.
        least_step: Smallest step.
        largest_step: Largest step.
    """
    return torch.optim.Rprop(parameters, lr, (shrink, grow), (least_step, largest_step))


@optimizers.register
def asgd(
    parameters: Parameters,
    *,
    lr: Positive = 0.01,
    lambd: NonNegative = 1e-4,
    alpha: NonNegative = 0.75,
    t0: NonNegative = 1e6,
    weight_decay: NonNegative = 0.0,
) -> "torch.optim.Optimizer":
    """Gradient descent with a falling step, for averaged weights (Polyak & Juditsky, 1992).

    The network keeps the plain weights; `average` in a config gives averaged ones.

    Options:
        lr: Size of the first step.
        lambd: How fast the step falls, and a pull of every weight towards zero.
        alpha: Power by which the step falls.
        t0: Step at which torch's own average begins.
        weight_decay: Pull of every weight towards zero.
    """
    return torch.optim.ASGD(parameters, lr, lambd, alpha, t0, weight_decay)


@optimizers.register(closure=True)
def lbfgs(
    parameters: Parameters,
    *,
    lr: Positive = 1.0,
    max_iter: Count = 20,
    max_eval: Count | None = None,
    tolerance_grad: NonNegative = 1e-7,
    tolerance_change: NonNegative = 1e-9,
    history_size: Count = 100,
    line_search: Literal["strong_wolfe", "none"] = "strong_wolfe",
) -> "torch.optim.Optimizer":
    """Quasi-Newton steps, for small networks on full batches (Liu & Nocedal, 1989).

    It searches along each direction, where torch by default takes the step as it comes: without
    a search, lr 1 often diverges.

    Options:
        lr: Size of a step before the search.
        max_iter: Iterations in one step.
        max_eval: Evaluations of the loss in one step; null for a quarter more than iterations.
        tolerance_grad: Largest gradient at which a step ends early.
        tolerance_change: Change of weights or loss at which a step ends early.
        history_size: Past updates that the curvature is guessed from.
        line_search: How far to go along a direction is searched for, or not.
    """
    return torch.optim.LBFGS(
        parameters,
        lr,
        max_iter,
        max_eval,
        tolerance_grad,
        tolerance_change,
        history_size,
        None if line_search == "none" else line_search,
    )


@optimizers.register
def muon(
    parameters: Parameters,
    *,
    lr: Positive = 1e-3,
    momentum: Fraction = 0.95,
    nesterov: bool = True,
    weight_decay: NonNegative = 0.1,
    ns_steps: Annotated[int, Field(ge=1, le=99), WHOLE] = 5,
    betas: Betas = BETAS,
    eps: Positive = 1e-8,
) -> "torch.optim.Optimizer":
    """Orthogonal steps for weight matrices, adamw for everything else (Jordan et al., 2024).

    Its steps are sized to match adamw's (Liu et al., 2025), where torch by default sizes them
    otherwise, so that one lr and one weight decay serve both.

    Options:
        lr: Size of a step.
        momentum: Share of the average gradient of a matrix that a step keeps.
        nesterov: Look ahead along the momentum.
        weight_decay: Share of every weight, times lr, that a step takes off.
        ns_steps: Iterations that make a matrix orthogonal.
        betas: Decay of the averages that adamw keeps of a gradient and its square.
        eps: Added to adamw's divisor, so that it never reaches zero.
    """
    everything = list(parameters)
    matrices = [parameter for parameter in everything if parameter.dim() == 2]
    others = [parameter for parameter in everything if parameter.dim() != 2]
    parts: list[torch.optim.Optimizer] = []
    if matrices:
        how = {"ns_steps": ns_steps, "adjust_lr_fn": "match_rms_adamw"}
        parts.append(torch.optim.Muon(matrices, lr, weight_decay, momentum, nesterov, **how))
    if others:
        parts.append(torch.optim.AdamW(others, lr, _pair(betas), eps, weight_decay))
    return _together(parts)


def _together(parts: list["torch.optim.Optimizer"]) -> "torch.optim.Optimizer":
    """Optimizers of different parameters as one: one list of groups, one state to save.

    The class stands in here because its base is torch's, which is not imported with this file.
    """

    class Together(torch.optim.Optimizer):
        def __init__(self) -> None:
            super().__init__([group for part in parts for group in part.param_groups], {})
            self._share()

        def _share(self) -> None:
            for part, group in zip(parts, self.param_groups, strict=True):
                part.state, part.param_groups = self.state, [group]

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            super().load_state_dict(state_dict)
            self._share()

        def step(self, closure: Callable[[], Any] | None = None) -> Any:
            loss = closure() if closure else None
            for part in parts:
                part.step()
            return loss

    return Together()


def _pair(betas: list[float]) -> tuple[float, float]:
    first, second = betas
    return first, second
