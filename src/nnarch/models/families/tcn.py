"""Temporal convolutional network: causal convolutions whose reach doubles from block to block."""

from collections.abc import Mapping
from typing import Any

from nnarch.models.families.sequences import vectors
from nnarch.models.layers import Layer, Layers
from nnarch.models.layers import dropout as left_out
from nnarch.options import Count, Fraction, Initialization, Times
from nnarch.registry import models


@models.register(codes=True)
def tcn(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    width: Count = 32,
    depth: Times = 4,
    kernel: Count = 3,
    dropout: Fraction = 0.2,
    embedding: Count = 64,
    initialization: Initialization = "default",
) -> Layers:
    """Temporal convolutional network for series and texts (Bai et al., 2018, arXiv 1803.01271).

    Block i is two convolutions of dilation 2^i with weight normalization, and what comes in is
    added. The last step answers: it sees 1 + 2 (kernel - 1) (2^depth - 1) steps.

    Options:
        width: Channels of every convolution.
        depth: How many blocks there are; each doubles how far the network looks back.
        kernel: Steps that a convolution puts together.
        dropout: Share of a convolution's outputs that a training step leaves out.
        embedding: Numbers for each token of a text.
        initialization: How the weights begin; default is torch's own.
    """
    assert isinstance(initialization, Mapping), "a filled component"
    items: list[Layer] = [*vectors("tcn", inputs, embedding), "transpose"]
    before = inputs[1] if len(inputs) == 2 else embedding
    for place in range(depth):
        options: dict[str, Any] = {
            "width": width,
            "kernel": kernel,
            "dilation": 2**place,
            "weight_norm": True,
        }
        convolution: list[Layer] = [{"causal_conv": options}, "relu", *left_out(dropout)]
        project = {"project": True} if before != width else {}
        items += [{"residual": [*convolution, *convolution], **project}, "relu"]
        before = width
    return Layers([*items, "transpose", {"pick": -1}, {"Linear": "out"}], initialization)
