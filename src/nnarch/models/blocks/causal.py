"""The causal convolution: a step sees itself and steps before, never one to come.

torch's Conv1d pads both ends alike; for a sequence that is read as it happens, all of the padding
belongs before the first step.
"""

from typing import TYPE_CHECKING

from nnarch.lazy import LazyModule
from nnarch.options import Count
from nnarch.registry import layers

if TYPE_CHECKING:
    from torch import nn

    from nnarch.models.blocks.modules import causal as modules
else:
    modules = LazyModule("nnarch.models.blocks.modules.causal")


@layers.register(infer={"channels": "channels"}, axis="channels", ranks=(2,))
def causal_conv(
    *,
    channels: Count,
    width: Count,
    kernel: Count = 3,
    dilation: Count = 1,
    weight_norm: bool = False,
) -> "nn.Module":
    """Convolution of (channels, T) with what came before, to (width, T) (Bai et al., 2018).

    Options:
        channels: Channels that come in.
        width: Channels that go out.
        kernel: Steps that each output is made of.
        dilation: From how many steps to the next of those.
        weight_norm: Learn length and direction of the weights apart (Salimans & Kingma, 2016).
    """
    return modules.CausalConv(channels, width, kernel, dilation, weight_norm)
