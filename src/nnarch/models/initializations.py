"""The initializations: how the weights of a network begin.

Each fills one weight tensor of two or more dimensions in place, from torch's own generator, so
that a seed decides every weight. "Fan in" is the number of inputs that one unit sees, "fan out"
the number of units that one input reaches. A good start keeps the size of signals from layer to
layer; the rules differ in which way, and for which activation.
"""

from typing import TYPE_CHECKING, Literal

from nnarch.lazy import LazyModule
from nnarch.options import NonNegative, Positive
from nnarch.registry import initializations

if TYPE_CHECKING:
    import torch
    from torch.nn import init
else:
    init = LazyModule("torch.nn.init")

Mode = Literal["fan_in", "fan_out"]
Nonlinearity = Literal["relu", "leaky_relu", "tanh", "sigmoid", "selu", "linear"]


@initializations.register
def default(weight: "torch.Tensor") -> None:
    """torch's own: every layer as its class has it."""


@initializations.register
def kaiming_uniform(
    weight: "torch.Tensor",
    *,
    mode: Mode = "fan_in",
    nonlinearity: Nonlinearity = "relu",
    slope: NonNegative = 0.0,
) -> None:
    """Uniform, of the size that keeps signals through relu (He et al., 2015).

    Options:
        mode: Keep the size of signals forwards (fan_in) or of gradients backwards (fan_out).
        nonlinearity: The activation that follows.
        slope: Slope of a leaky_relu below zero.
    """
    init.kaiming_uniform_(weight, slope, mode, nonlinearity)


@initializations.register
def kaiming_normal(
    weight: "torch.Tensor",
    *,
    mode: Mode = "fan_in",
    nonlinearity: Nonlinearity = "relu",
    slope: NonNegative = 0.0,
) -> None:
    """Normal, of the size that keeps signals through relu (He et al., 2015).

    The deviation is gain / sqrt(fan), with gain sqrt(2) for relu.

    Options:
        mode: Keep the size of signals forwards (fan_in) or of gradients backwards (fan_out).
        nonlinearity: The activation that follows.
        slope: Slope of a leaky_relu below zero.
    """
    init.kaiming_normal_(weight, slope, mode, nonlinearity)


@initializations.register
def xavier_uniform(weight: "torch.Tensor", *, gain: Positive = 1.0) -> None:
    """Uniform, between the sizes that keep signals and gradients (Glorot & Bengio, 2010).

    Options:
        gain: Factor on every weight, 5/3 for tanh.
    """
    init.xavier_uniform_(weight, gain)


@initializations.register
def xavier_normal(weight: "torch.Tensor", *, gain: Positive = 1.0) -> None:
    """Normal, between the sizes that keep signals and gradients (Glorot & Bengio, 2010).

    The deviation is gain sqrt(2 / (fan_in + fan_out)).

    Options:
        gain: Factor on every weight, 5/3 for tanh.
    """
    init.xavier_normal_(weight, gain)


@initializations.register
def lecun_normal(weight: "torch.Tensor") -> None:
    """Normal of deviation 1 / sqrt(fan_in), for selu or no activation (LeCun et al., 1998)."""
    init.kaiming_normal_(weight, nonlinearity="linear")


@initializations.register
def orthogonal(weight: "torch.Tensor", *, gain: Positive = 1.0) -> None:
    """A random rotation, which keeps lengths exactly (Saxe et al., 2014).

    Options:
        gain: Factor on every weight, sqrt(2) for relu.
    """
    init.orthogonal_(weight, gain)


@initializations.register
def normal(weight: "torch.Tensor", *, std: Positive = 0.02) -> None:
    """Normal of a fixed deviation, as in GPT-2.

    The deviation is 0.02 unless said; torch's 1 is far too large for any network.

    Options:
        std: The deviation.
    """
    init.normal_(weight, std=std)


@initializations.register
def trunc_normal(weight: "torch.Tensor", *, std: Positive = 0.02, cut: Positive = 2.0) -> None:
    """Normal of a fixed deviation without its tails, as in BERT and vision transformers.

    The cut is in deviations, where torch's bounds are absolute and cut nothing of a small std.

    Options:
        std: The deviation before the cut.
        cut: Number of deviations beyond which a weight is drawn again.
    """
    init.trunc_normal_(weight, std=std, a=-cut * std, b=cut * std)


@initializations.register
def uniform(weight: "torch.Tensor", *, bound: Positive = 0.05) -> None:
    """Uniform on both sides of zero, as in Keras.

    torch's own goes from 0 to 1, without negative weights.

    Options:
        bound: Largest size of a weight.
    """
    init.uniform_(weight, -bound, bound)


@initializations.register
def constant(weight: "torch.Tensor", *, value: float) -> None:
    """The same number everywhere; units of a layer then stay alike.

    Options:
        value: The number.
    """
    init.constant_(weight, value)


@initializations.register
def zeros(weight: "torch.Tensor") -> None:
    """Zero everywhere, for a layer whose output is added to something."""
    init.zeros_(weight)
