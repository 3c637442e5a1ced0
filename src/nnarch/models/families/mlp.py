"""The multilayer perceptron: linear layers with an activation between them."""

import math
from collections.abc import Mapping
from typing import Any, Literal

from nnarch.models.layers import Layer, Layers, component
from nnarch.options import Activation, Count, Fraction, Initialization
from nnarch.registry import models

NORMALIZATIONS = {"none": [], "batch": ["BatchNorm1d"], "layer": ["LayerNorm"]}


@models.register
def mlp(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    widths: list[Count] = [64, 64],  # noqa: B006 (read, never changed)
    activation: Activation = "relu",
    dropout: Fraction = 0.0,
    normalization: Literal["none", "batch", "layer"] = "none",
    residual: bool = False,
    bias: bool = True,
    initialization: Initialization = "default",
) -> Layers:
    """Multilayer perceptron: linear layers with an activation between them.

    Options:
        widths: Units of each hidden layer, from input to output; none makes a linear model.
        activation: What follows each hidden layer.
        dropout: Share of each hidden layer's units that a training step leaves out.
        normalization: What stands between a hidden layer and its activation.
        residual: Add a hidden layer's input to its output wherever the two are equally wide.
        bias: Whether the linear layers have one.
        initialization: How the weights begin; default is torch's own.
    """
    assert isinstance(activation, Mapping), "a filled component"
    assert isinstance(initialization, Mapping), "a filled component"
    items: list[Layer] = [{"Flatten": {}}] if len(inputs) > 1 else []
    before = math.prod(inputs)
    for width in widths:
        block: list[Any] = [
            {"Linear": {"out_features": width, "bias": bias}},
            *NORMALIZATIONS[normalization],
            component(activation),
            *([{"Dropout": {"p": dropout}}] if dropout else []),
        ]
        items += [{"residual": block}] if residual and width == before else block
        before = width
    return Layers([*items, {"Linear": {"out_features": "out", "bias": bias}}], initialization)
