"""GPT: a transformer that looks back alone, and tells at every token of a text the next."""

from collections.abc import Mapping

from nnarch.errors import ConfigError
from nnarch.models.families.sequences import block, check_heads
from nnarch.models.layers import Layer, Layers, repeated
from nnarch.models.layers import dropout as left_out
from nnarch.options import Count, Fraction, Initialization, Positive, Times
from nnarch.registry import models


@models.register(codes=True, autoregressive=True)
def gpt(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    width: Count = 64,
    depth: Times = 4,
    heads: Count = 4,
    feedforward: Positive = 4.0,
    dropout: Fraction = 0.1,
    tie: bool = True,
    initialization: Initialization = "normal",
) -> Layers:
    """Language model in the manner of GPT-2, for running text (Radford et al., 2019).

    Options:
        width: Numbers of each token.
        depth: How many blocks of attention and feed-forward there are.
        heads: Parts of a token that attend each by themselves; they divide the width.
        feedforward: By how much the hidden layer of a feed-forward network is wider than a token.
        dropout: Share of the first vectors, the attention weights and of what each part adds that
            a training step leaves out.
        tie: Whether tokens are told by the vectors that they are read by (Press & Wolf, 2017).
        initialization: How the weights begin; normal is of GPT-2's deviation, 0.02.
    """
    assert isinstance(initialization, Mapping), "a filled component"
    check_heads(width, heads)
    if len(inputs) != 1:
        raise ConfigError(f"gpt expects texts; got samples of shape {inputs}")
    told: Layer = {"Linear": {"out_features": "out", "bias": False}}
    items: list[Layer] = [
        {"Embedding": width, **({"as": "tokens"} if tie else {})},
        "positions",
        *left_out(dropout),
        *repeated([block(heads, round(feedforward * width), "gelu", dropout, causal=True)] * depth),
        "LayerNorm",
        {**told, **({"tie": "tokens"} if tie else {})},
    ]
    return Layers(items, initialization)
