"""The MLP-Mixer: an image as a table of patches, mixed along its rows and along its columns."""

from collections.abc import Mapping

from nnarch.models.families.patched import patches_of
from nnarch.models.layers import Layer, Layers, component, decaying, repeated
from nnarch.models.layers import dropout as left_out
from nnarch.options import Activation, Count, Fraction, Initialization, Times
from nnarch.registry import models


@models.register
def mixer(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    patch: Count = 4,
    width: Count = 128,
    depth: Times = 8,
    tokens: Count = 64,
    channels: Count = 512,
    activation: Activation = "gelu",
    dropout: Fraction = 0.0,
    stochastic_depth: Fraction = 0.0,
    initialization: Initialization = "lecun_normal",
) -> Layers:
    """MLP-Mixer for images: perceptrons across patches and within them (Tolstikhin et al., 2021).

    The defaults have the shape of the paper's S/16, a fourth as wide and for small images; that
    is `patch: 16`, `width: 512`, `tokens: 256`, `channels: 2048`.

    Options:
        patch: Side of a patch in pixels; it divides the sides of the images.
        width: Numbers for each patch.
        depth: Blocks, each of one perceptron across patches and one within them.
        tokens: Hidden units of a perceptron across patches.
        channels: Hidden units of a perceptron within a patch.
        activation: What stands between the two layers of a perceptron.
        dropout: Share of the units behind each of those layers that a training step leaves out.
        stochastic_depth: Share of the samples for which a training step leaves out the last
            block's perceptrons; less the earlier a block comes (Huang et al., 2016).
        initialization: How the weights begin.
    """
    assert isinstance(activation, Mapping), "a filled component"
    assert isinstance(initialization, Mapping), "a filled component"
    count = patches_of("mixer", inputs, patch)
    dropped = left_out(dropout)

    def perceptron(hidden: int, after: int) -> list[Layer]:
        within: list[Layer] = [{"Linear": hidden}, component(activation), *dropped]
        return [*within, {"Linear": after}, *dropped]

    across = ["LayerNorm", "transpose", *perceptron(tokens, count), "transpose"]
    inside = ["LayerNorm", *perceptron(channels, width)]
    blocks: list[list[Layer]] = []
    for drop in decaying(stochastic_depth, depth):
        beside = {"drop": drop} if drop else {}
        blocks.append([{"residual": across, **beside}, {"residual": inside, **beside}])
    entry: Layer = {"patches": {"size": patch, "width": width}}
    items = [entry, *repeated(blocks), "LayerNorm", "mean", {"Linear": "out"}]
    return Layers(items, initialization)
