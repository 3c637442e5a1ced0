"""The optimizers, under the names that torch gives them.

Every optimizer of `torch.optim` for dense weights is here, so that its options are checked
before a run begins and listed beside their defaults. Their mathematics is ours (`rules`), held
against torch's, except where an optimizer does not go one weight at a time (`from_torch`).
Options that choose an implementation or serve tracing (`foreach`, `fused`, `capturable`,
`differentiable`, `maximize`) are no part of what is learnt, and are left out.

`weight_decay` is added to the gradient, as torch's documentation has it, except where an
optimizer says that it shrinks the weights themselves.
"""

from typing import Annotated

from pydantic import Field

from nnarch.errors import ConfigError
from nnarch.optim import rules
from nnarch.optim.from_torch import BETAS
from nnarch.optim.stepper import Parameters, Stepper
from nnarch.options import Betas, Fraction, NonNegative, Positive, Share
from nnarch.registry import optimizers


@optimizers.register
def sgd(
    parameters: Parameters,
    *,
    lr: Positive = 0.01,
    momentum: Fraction = 0.0,
    dampening: Share = 0.0,
    weight_decay: NonNegative = 0.0,
    nesterov: bool = False,
) -> Stepper:
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
    rule = rules.sgd(
        momentum=momentum > 0, dampening=momentum > 0 and dampening > 0, nesterov=nesterov
    )
    numbers = {"momentum": momentum, "dampening": dampening, "weight_decay": weight_decay}
    return Stepper(parameters, rule, lr=lr, **numbers)


@optimizers.register
def adam(
    parameters: Parameters,
    *,
    lr: Positive = 1e-3,
    betas: Betas = BETAS,
    eps: Positive = 1e-8,
    weight_decay: NonNegative = 0.0,
    amsgrad: bool = False,
) -> Stepper:
    """Adam: momentum, and a step size of its own for every weight (Kingma & Ba, 2015).

    Options:
        lr: Size of a step.
        betas: Decay of the averages of the gradient and of its square.
        eps: Added to the divisor, so that it never reaches zero.
        weight_decay: Pull of every weight towards zero.
        amsgrad: Never let the average of squares shrink (Reddi et al., 2018).
    """
    rule = rules.adam(amsgrad=amsgrad, decoupled=False)
    return Stepper(parameters, rule, lr=lr, **_pair(betas), eps=eps, weight_decay=weight_decay)


@optimizers.register
def adamw(
    parameters: Parameters,
    *,
    lr: Positive = 1e-3,
    betas: Betas = BETAS,
    eps: Positive = 1e-8,
    weight_decay: NonNegative = 0.01,
    amsgrad: bool = False,
) -> Stepper:
    """Adam with weight decay apart from the gradient (Loshchilov & Hutter, 2019).

    Options:
        lr: Size of a step.
        betas: Decay of the averages of the gradient and of its square.
        eps: Added to the divisor, so that it never reaches zero.
        weight_decay: Share of every weight, times lr, that a step takes off.
        amsgrad: Never let the average of squares shrink (Reddi et al., 2018).
    """
    rule = rules.adam(amsgrad=amsgrad, decoupled=True)
    return Stepper(parameters, rule, lr=lr, **_pair(betas), eps=eps, weight_decay=weight_decay)


@optimizers.register
def adamax(
    parameters: Parameters,
    *,
    lr: Positive = 2e-3,
    betas: Betas = BETAS,
    eps: Positive = 1e-8,
    weight_decay: NonNegative = 0.0,
) -> Stepper:
    """Adam with the largest recent gradient as divisor (Kingma & Ba, 2015).

    Options:
        lr: Size of a step.
        betas: Decay of the average of the gradient and of its largest size.
        eps: Added to the divisor, so that it never reaches zero.
        weight_decay: Pull of every weight towards zero.
    """
    rule = rules.adamax()
    return Stepper(parameters, rule, lr=lr, **_pair(betas), eps=eps, weight_decay=weight_decay)


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
) -> Stepper:
    """Adam with Nesterov's look ahead (Dozat, 2016).

    Options:
        lr: Size of a step.
        betas: Decay of the averages of the gradient and of its square.
        eps: Added to the divisor, so that it never reaches zero.
        weight_decay: Pull of every weight towards zero.
        momentum_decay: How fast momentum rises to its full value.
        decoupled_weight_decay: Shrink the weights themselves, as adamw does.
    """
    rule = rules.nadam(decoupled=decoupled_weight_decay)
    numbers = {"eps": eps, "weight_decay": weight_decay, "momentum_decay": momentum_decay}
    return Stepper(parameters, rule, lr=lr, **_pair(betas), **numbers)


@optimizers.register
def radam(
    parameters: Parameters,
    *,
    lr: Positive = 1e-3,
    betas: Betas = BETAS,
    eps: Positive = 1e-8,
    weight_decay: NonNegative = 0.0,
    decoupled_weight_decay: bool = False,
) -> Stepper:
    """Adam that holds back while its averages are young, in place of a warmup (Liu et al., 2020).

    Options:
        lr: Size of a step.
        betas: Decay of the averages of the gradient and of its square.
        eps: Added to the divisor, so that it never reaches zero.
        weight_decay: Pull of every weight towards zero.
        decoupled_weight_decay: Shrink the weights themselves, as adamw does.
    """
    rule = rules.radam(decoupled=decoupled_weight_decay)
    return Stepper(parameters, rule, lr=lr, **_pair(betas), eps=eps, weight_decay=weight_decay)


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
) -> Stepper:
    """Adam with row and column averages only, for little memory (Shazeer & Stern, 2018).

    Options:
        lr: Size of a step, relative to the size of the weights.
        beta2_decay: Power of the step's number by which the average of squares forgets less.
        eps: Least squared gradient; null takes the smallest that the number type tells from zero.
        least_scale: Least size that a weight tensor is taken to have.
        clip: Largest root mean square of an update before lr; torch's `d`.
        weight_decay: Share of every weight, times lr, that a step takes off.
    """
    numbers = {"beta2_decay": beta2_decay, "least_scale": least_scale, "clip": clip}
    if eps is not None:
        numbers["eps"] = eps
    return Stepper(parameters, rules.adafactor(), lr=lr, weight_decay=weight_decay, **numbers)


@optimizers.register
def adagrad(
    parameters: Parameters,
    *,
    lr: Positive = 0.01,
    lr_decay: NonNegative = 0.0,
    weight_decay: NonNegative = 0.0,
    initial_accumulator_value: NonNegative = 0.0,
    eps: Positive = 1e-10,
) -> Stepper:
    """Steps that shrink with the sum of squared gradients so far (Duchi et al., 2011).

    Options:
        lr: Size of a step.
        lr_decay: How fast lr falls with the number of steps.
        weight_decay: Pull of every weight towards zero.
        initial_accumulator_value: Where the sum of squares begins.
        eps: Added to the divisor, so that it never reaches zero.
    """
    numbers = {"lr_decay": lr_decay, "weight_decay": weight_decay, "eps": eps}
    numbers["initial_accumulator_value"] = initial_accumulator_value
    rule = rules.adagrad(from_zero=not initial_accumulator_value)
    return Stepper(parameters, rule, lr=lr, **numbers)


@optimizers.register
def adadelta(
    parameters: Parameters,
    *,
    lr: Positive = 1.0,
    rho: Fraction = 0.9,
    eps: Positive = 1e-6,
    weight_decay: NonNegative = 0.0,
) -> Stepper:
    """Steps in the proportion of past updates to past gradients (Zeiler, 2012).

    Options:
        lr: Factor on the step, which finds its own size.
        rho: Decay of the averages of squared gradients and updates.
        eps: Added to both averages; it sets the size of the first steps.
        weight_decay: Pull of every weight towards zero.
    """
    rule = rules.adadelta()
    return Stepper(parameters, rule, lr=lr, rho=rho, eps=eps, weight_decay=weight_decay)


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
) -> Stepper:
    """Gradients divided by the root of their recent mean square (Tieleman & Hinton, 2012).

    Options:
        lr: Size of a step.
        alpha: Decay of the average of squared gradients.
        eps: Added to the divisor, so that it never reaches zero.
        weight_decay: Pull of every weight towards zero.
        momentum: Share of the last step that the next one keeps.
        centered: Divide by the gradient's deviation instead.
    """
    rule = rules.rmsprop(momentum=momentum > 0, centered=centered)
    numbers = {"alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum}
    return Stepper(parameters, rule, lr=lr, **numbers)


@optimizers.register
def rprop(
    parameters: Parameters,
    *,
    lr: Positive = 0.01,
    shrink: Annotated[float, Field(gt=0, lt=1)] = 0.5,
    grow: Annotated[float, Field(gt=1)] = 1.2,
    least_step: Positive = 1e-6,
    largest_step: Positive = 50.0,
) -> Stepper:
    """Steps by the sign of the gradient alone, for full batches (Riedmiller & Braun, 1993).

    Steps grow and shrink by themselves, so a schedule touches only the first.

    Options:
        lr: Size of the first step.
        shrink: Factor on a weight's step when its gradient changes sign.
        grow: Factor on it when the sign stays.
        least_step: Smallest step.
        largest_step: Largest step.
    """
    limits = {"least_step": least_step, "largest_step": largest_step}
    return Stepper(parameters, rules.rprop(), lr=lr, shrink=shrink, grow=grow, **limits)


@optimizers.register
def asgd(
    parameters: Parameters,
    *,
    lr: Positive = 0.01,
    lambd: NonNegative = 1e-4,
    alpha: NonNegative = 0.75,
    t0: NonNegative = 1e6,
    weight_decay: NonNegative = 0.0,
) -> Stepper:
    """Gradient descent with a falling step, for averaged weights (Polyak & Juditsky, 1992).

    The network keeps the plain weights; `average` in a config gives averaged ones.

    Options:
        lr: Size of the first step.
        lambd: How fast the step falls, and a pull of every weight towards zero.
        alpha: Power by which the step falls.
        t0: Step at which torch's own average begins.
        weight_decay: Pull of every weight towards zero.
    """
    numbers = {"lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay}
    return Stepper(parameters, rules.asgd(), lr=lr, **numbers)


def _pair(betas: list[float]) -> dict[str, float]:
    return dict(zip(("beta1", "beta2"), betas, strict=True))
