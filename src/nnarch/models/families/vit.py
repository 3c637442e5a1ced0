"""The vision transformer: an image as a sequence of patches that attend to each other."""

from collections.abc import Mapping
from typing import Literal

from nnarch.models.families.patched import patches_of
from nnarch.models.families.sequences import check_heads
from nnarch.models.layers import Layer, Layers, component, decaying, repeated
from nnarch.models.layers import dropout as left_out
from nnarch.options import Activation, Count, Fraction, Initialization, Positive, Times
from nnarch.registry import models


@models.register
def vit(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    patch: Count = 4,
    width: Count = 192,
    depth: Times = 12,
    heads: Count = 3,
    feedforward: Positive = 4.0,
    activation: Activation = "gelu",
    dropout: Fraction = 0.0,
    stochastic_depth: Fraction = 0.0,
    pooling: Literal["class", "mean"] = "class",
    initialization: Initialization = "trunc_normal",
) -> Layers:
    """Vision transformer for images, of pre-norm blocks (Dosovitskiy et al., 2021).

    The defaults are DeiT-Ti's (Touvron et al., 2021) with patches for small images; `patch: 16`
    with `width: 384`, `heads: 6` is ViT-S/16, and with `width: 768`, `heads: 12` ViT-B/16.

    Options:
        patch: Side of a patch in pixels; it divides the sides of the images.
        width: Numbers for each patch.
        depth: Blocks of attention and a feedforward network.
        heads: Parts of the width that attend each by themselves; they divide it.
        feedforward: By how much a feedforward network's hidden layer is wider than the patches.
        activation: What stands in the middle of a feedforward network.
        dropout: Share of the units that a training step leaves out, behind each linear layer but
            those that make queries, keys and values, and behind the positions.
        stochastic_depth: Share of the samples for which a training step leaves out the last
            block; less the earlier a block comes (Huang et al., 2016).
        pooling: Whether the answer is read off a class token, or off the mean of all patches.
        initialization: How the weights begin.
    """
    assert isinstance(activation, Mapping), "a filled component"
    assert isinstance(initialization, Mapping), "a filled component"
    patches_of("vit", inputs, patch)
    check_heads(width, heads)
    dropped = left_out(dropout)
    attention: list[Layer] = ["LayerNorm", {"attention": heads}, *dropped]
    hidden: list[Layer] = [{"Linear": round(feedforward * width)}, component(activation), *dropped]
    network: list[Layer] = ["LayerNorm", *hidden, {"Linear": width}, *dropped]
    blocks: list[list[Layer]] = []
    for drop in decaying(stochastic_depth, depth):
        beside = {"drop": drop} if drop else {}
        blocks.append([{"residual": attention, **beside}, {"residual": network, **beside}])
    token = ["class_token"] if pooling == "class" else []
    answer: Layer = {"pick": 0} if pooling == "class" else "mean"
    entry = [{"patches": {"size": patch, "width": width}}, *token, "positions", *dropped]
    return Layers(
        [*entry, *repeated(blocks), "LayerNorm", answer, {"Linear": "out"}], initialization
    )
