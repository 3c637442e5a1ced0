"""The multilayer perceptron: linear layers with an activation between them."""

import math
from collections.abc import Mapping
from typing import Any, Literal

from nnarch.errors import ConfigError
from nnarch.models.layers import Layer, Layers, component
from nnarch.options import Activation, Count, Fraction, Initialization, Positive
from nnarch.registry import models

NORMALIZATIONS = {"none": [], "batch": ["BatchNorm1d"], "layer": ["LayerNorm"]}
EMBEDDINGS = {  # of numbers: by option, what the block calls it
    "linear": {"embedding_width": "width"},
    "periodic": {"embedding_width": "width", "frequencies": "frequencies", "sigma": "sigma"},
    "piecewise": {"embedding_width": "width", "bins": "bins"},
}


@models.register(codes=lambda spec: spec["numbers"] != "plain")
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
    numbers: Literal["plain", "linear", "periodic", "piecewise"] = "plain",
    embedding_width: Count | None = None,
    frequencies: Count | None = None,
    sigma: Positive | None = None,
    bins: Count | None = None,
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
        numbers: How a table's numbers come in; all but plain make a vector of each (Gorishniy et
            al., 2022), of a linear map, of waves, or of bins that hold as many training rows each.
        embedding_width: Numbers of such a vector; unless given 32 of a linear map, 24 of waves,
            and of bins as many as there are bins, without a linear map.
        frequencies: Waves for each number, 48 unless given; with periodic.
        sigma: Deviation of the frequencies at the start, 0.01 unless given and worth tuning up to
            100; with periodic.
        bins: For each number, 48 unless given; with piecewise.
    """
    assert isinstance(activation, Mapping), "a filled component"
    assert isinstance(initialization, Mapping), "a filled component"
    given = {
        "embedding_width": embedding_width,
        "frequencies": frequencies,
        "sigma": sigma,
        "bins": bins,
    }
    items = _embedding(numbers, {key: one for key, one in given.items() if one is not None}, inputs)
    before = 0 if items else math.prod(inputs)
    items += [{"Flatten": {}}] if len(inputs) > 1 else []
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


def _embedding(numbers: str, given: Mapping[str, float], inputs: tuple[int, ...]) -> list[Layer]:
    """The layer that makes vectors of numbers, if one does."""
    taken = EMBEDDINGS.get(numbers, {})
    for key, value in given.items():
        if key not in taken:
            users = " or ".join(name for name, options in EMBEDDINGS.items() if key in options)
            raise ConfigError(f"model.{key}: got {value} with numbers: {numbers}; expected {users}")
    if numbers == "plain":
        return []
    if len(inputs) > 1:
        raise ConfigError(
            f"model.numbers: got {numbers} for samples of shape {inputs}; expected rows of a table"
        )
    options = {taken[key]: value for key, value in given.items()}
    return [{f"{numbers}_embedding": options} if options else f"{numbers}_embedding"]
