"""ResNet for rows of a table: each block adds a little to what goes straight through."""

from collections.abc import Mapping
from typing import Literal

from nnarch.models.layers import Layer, Layers, component, dropout, repeated
from nnarch.options import Activation, Count, Fraction, Initialization, Times
from nnarch.registry import models

NORMALIZATIONS: dict[str, list[Layer]] = {
    "none": [],
    "batch": ["BatchNorm1d"],
    "layer": ["LayerNorm"],
}


@models.register
def resnet_mlp(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    width: Count = 128,
    depth: Times = 4,
    hidden: Count | None = None,
    hidden_dropout: Fraction = 0.2,
    residual_dropout: Fraction = 0.0,
    normalization: Literal["batch", "layer", "none"] = "batch",
    activation: Activation = "relu",
    initialization: Initialization = "default",
) -> Layers:
    """ResNet for tables: blocks of two linear layers, added to what comes in (Gorishniy, 2021).

    A block is x + Dropout(Linear(Dropout(relu(Linear(BatchNorm(x)))))), arXiv 2106.11959.

    Options:
        width: Numbers that go from block to block.
        depth: How many blocks there are.
        hidden: Units between the two linear layers of a block; twice the width unless given.
        hidden_dropout: Share of those units that a training step leaves out.
        residual_dropout: Share of what a block adds that a training step leaves out.
        normalization: What each block, and the end, begins with.
        activation: What stands between the two linear layers, and before the last.
        initialization: How the weights begin; default is torch's own.
    """
    assert isinstance(activation, Mapping), "a filled component"
    assert isinstance(initialization, Mapping), "a filled component"
    begun, active = NORMALIZATIONS[normalization], component(activation)
    added: list[Layer] = [
        *begun,
        {"Linear": hidden or 2 * width},
        active,
        *dropout(hidden_dropout),
        {"Linear": "same"},
        *dropout(residual_dropout),
    ]
    block: list[Layer] = [{"residual": added}]
    items: list[Layer] = [
        *(["Flatten"] if len(inputs) > 1 else []),
        {"Linear": width},
        *repeated([block] * depth),
        *begun,
        active,
        {"Linear": "out"},
    ]
    return Layers(items, initialization)
