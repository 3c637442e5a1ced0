"""The activations: torch's elementwise functions, by their lower-case names.

Each gives a module, so that a network prints as what it is and an activation may have weights of
its own. None works in place: what that saves is little, and a residual link may still need the
input. `stacks=False` marks what torch cannot run under `torch.func.vmap`.
"""

from typing import TYPE_CHECKING, Literal

from nnarch.errors import ConfigError
from nnarch.lazy import LazyModule
from nnarch.options import NonNegative, Positive
from nnarch.registry import activations

if TYPE_CHECKING:
    from torch import nn
else:
    nn = LazyModule("torch.nn")


@activations.register
def identity() -> "nn.Module":
    """Leaves everything as it is; without an activation, layers add up to one linear layer."""
    return nn.Identity()


@activations.register
def relu() -> "nn.Module":
    """Zero for negative numbers, the number itself otherwise (Nair & Hinton, 2010)."""
    return nn.ReLU()


@activations.register
def relu6() -> "nn.Module":
    """relu that stops at 6, for small number types (Howard et al., 2017)."""
    return nn.ReLU6()


@activations.register
def leaky_relu(*, slope: NonNegative = 0.01) -> "nn.Module":
    """relu that lets a little of negative numbers through (Maas et al., 2013).

    Options:
        slope: Factor on negative numbers.
    """
    return nn.LeakyReLU(slope)


@activations.register
def prelu(*, init: float = 0.25) -> "nn.Module":
    """relu whose slope for negative numbers is learnt (He et al., 2015).

    Options:
        init: Where the slope begins.
    """
    return nn.PReLU(init=init)


@activations.register(stacks=False)
def rrelu(*, lower: NonNegative = 1 / 8, upper: NonNegative = 1 / 3) -> "nn.Module":
    """relu whose slope for negative numbers is drawn anew in training (Xu et al., 2015).

    Options:
        lower: Smallest slope.
        upper: Largest slope.
    """
    if lower > upper:
        raise ConfigError(
            f"rrelu: got lower {lower:g} and upper {upper:g}; expected lower <= upper"
        )
    return nn.RReLU(lower, upper)


@activations.register
def elu(*, alpha: Positive = 1.0) -> "nn.Module":
    """relu with an exponential below zero (Clevert et al., 2016).

    Options:
        alpha: How far below zero it goes.
    """
    return nn.ELU(alpha)


@activations.register
def celu(*, alpha: Positive = 1.0) -> "nn.Module":
    """elu that is smooth at zero for every alpha (Barron, 2017).

    Options:
        alpha: How far below zero it goes.
    """
    return nn.CELU(alpha)


@activations.register
def selu() -> "nn.Module":
    """elu scaled to keep mean 0 and deviation 1, after lecun_normal (Klambauer et al., 2017)."""
    return nn.SELU()


@activations.register
def gelu(*, approximate: Literal["none", "tanh"] = "none") -> "nn.Module":
    """x times the normal distribution's share below x (Hendrycks & Gimpel, 2016).

    Options:
        approximate: Exact, or by tanh as in GPT-2.
    """
    return nn.GELU(approximate)


@activations.register
def silu() -> "nn.Module":
    """x times its sigmoid, also called swish (Elfwing et al., 2018; Ramachandran et al., 2017)."""
    return nn.SiLU()


@activations.register
def mish() -> "nn.Module":
    """x times the tanh of its softplus (Misra, 2019)."""
    return nn.Mish()


@activations.register
def tanh() -> "nn.Module":
    """Hyperbolic tangent, from -1 to 1."""
    return nn.Tanh()


@activations.register
def sigmoid() -> "nn.Module":
    """The logistic function, from 0 to 1."""
    return nn.Sigmoid()


@activations.register
def log_sigmoid() -> "nn.Module":
    """Logarithm of the sigmoid, always below zero."""
    return nn.LogSigmoid()


@activations.register
def hardtanh(*, min_val: float = -1.0, max_val: float = 1.0) -> "nn.Module":
    """The number itself, cut off at both ends.

    Options:
        min_val: Smallest output.
        max_val: Largest output.
    """
    if min_val >= max_val:
        raise ConfigError(
            f"hardtanh: got min_val {min_val:g} and max_val {max_val:g}; expected min_val < max_val"
        )
    return nn.Hardtanh(min_val, max_val)


@activations.register
def hardsigmoid() -> "nn.Module":
    """Sigmoid made of straight lines, cheap to compute (Howard et al., 2019)."""
    return nn.Hardsigmoid()


@activations.register
def hardswish() -> "nn.Module":
    """silu made of straight lines, cheap to compute (Howard et al., 2019)."""
    return nn.Hardswish()


@activations.register
def hardshrink(*, lambd: NonNegative = 0.5) -> "nn.Module":
    """Zero for small numbers, the number itself otherwise.

    Options:
        lambd: Size up to which a number becomes zero.
    """
    return nn.Hardshrink(lambd)


@activations.register
def softshrink(*, lambd: NonNegative = 0.5) -> "nn.Module":
    """Moves every number towards zero by the same amount, but not across.

    Options:
        lambd: By how much.
    """
    return nn.Softshrink(lambd)


@activations.register
def tanhshrink() -> "nn.Module":
    """x less its tanh: flat near zero, straight far from it."""
    return nn.Tanhshrink()


@activations.register
def softplus(*, beta: Positive = 1.0, threshold: Positive = 20.0) -> "nn.Module":
    """A smooth relu, log(1 + exp(beta x)) / beta (Dugas et al., 2000).

    Options:
        beta: How sharp the bend is.
        threshold: Value of beta x above which it is taken as a straight line.
    """
    return nn.Softplus(beta, threshold)


@activations.register
def softsign() -> "nn.Module":
    """x / (1 + |x|), a tanh with long tails (Turian et al., 2009)."""
    return nn.Softsign()


@activations.register
def threshold(*, threshold: float = 1.0, value: float = 0.0) -> "nn.Module":
    """The number itself above a threshold, a fixed value otherwise (Konda et al., 2015).

    torch asks for both options; these defaults are the paper's.

    Options:
        threshold: What a number has to exceed.
        value: What all others become.
    """
    return nn.Threshold(threshold, value)
