"""Self-attention as a block: one sequence in, one out, where torch's own layer takes three."""

from typing import TYPE_CHECKING

from nnarch.lazy import LazyModule
from nnarch.options import Count, Fraction
from nnarch.registry import layers

if TYPE_CHECKING:
    from torch import nn

    from nnarch.models.blocks.modules import attention as modules
else:
    modules = LazyModule("nnarch.models.blocks.modules.attention")


@layers.register(infer={"features": "features"}, axis="features", ranks=(2,))
def attention(
    *,
    features: Count,
    heads: Count = 8,
    dropout: Fraction = 0.0,
    causal: bool = False,
    bias: bool = True,
) -> "nn.Module":
    """Multi-head self-attention, (T, F) to the same shape (Vaswani et al., 2017).

    Options:
        features: Numbers of each step.
        heads: Parts of the features that attend each by themselves; they divide the features.
        dropout: Share of the attention weights that a training step leaves out.
        causal: Whether a step sees only itself and the steps before.
        bias: Whether the linear layers have one.
    """
    return modules.SelfAttention(features, heads, dropout, causal, bias)
