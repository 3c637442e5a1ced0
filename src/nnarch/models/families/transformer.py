"""The encoder of the transformer: every step of a series or a text attends to every other."""

from collections.abc import Mapping
from typing import Literal

from nnarch.models.families.sequences import block, check_heads, vectors
from nnarch.models.layers import Layer, Layers, component, decaying, repeated
from nnarch.models.layers import dropout as left_out
from nnarch.options import Activation, Count, Fraction, Initialization, Positive, Times
from nnarch.registry import models


@models.register(codes=True)
def transformer(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    width: Count = 64,
    depth: Times = 2,
    heads: Count = 4,
    feedforward: Positive = 4.0,
    activation: Activation = "gelu",
    dropout: Fraction = 0.1,
    positions: Literal["sinusoidal", "learned"] = "sinusoidal",
    pooling: Literal["mean", "class"] = "mean",
    stochastic_depth: Fraction = 0.0,
    initialization: Initialization = "default",
) -> Layers:
    """Transformer encoder for series and texts (Vaswani et al., 2017), normalized before each part.

    Options:
        width: Numbers of each step; a linear layer brings the steps of a series to it.
        depth: How many blocks of attention and feed-forward there are.
        heads: Parts of a step that attend each by themselves; they divide the width.
        feedforward: By how much the hidden layer of a feed-forward network is wider than a step.
        activation: What stands in the middle of a feed-forward network.
        dropout: Share of the first vectors, the attention weights and of what each part adds that
            a training step leaves out.
        positions: What tells the place of a step: fixed waves, or a vector that is learnt.
        pooling: What the answer is made of: the mean of all steps, or a class token beside them.
        stochastic_depth: Share of the samples for which a training step leaves out the last
            block; less the earlier a block comes (Huang et al., 2016).
        initialization: How the weights begin; default is torch's own.
    """
    assert isinstance(activation, Mapping), "a filled component"
    assert isinstance(initialization, Mapping), "a filled component"
    check_heads(width, heads)
    parts = heads, round(feedforward * width), component(activation), dropout
    gathered = pooling == "class"
    items: list[Layer] = [
        *(vectors("transformer", inputs, width) or [{"Linear": width}]),
        *(["class_token"] if gathered else []),
        {"positions": {"kind": positions}},
        *left_out(dropout),
    ]
    items += repeated(block(*parts, drop=drop) for drop in decaying(stochastic_depth, depth))
    items += ["LayerNorm", {"pick": 0} if gathered else "mean", {"Linear": "out"}]
    return Layers(items, initialization)
