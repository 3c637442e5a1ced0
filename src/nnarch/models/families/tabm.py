"""TabM: an ensemble of multilayer perceptrons in one network, for rows of a table."""

from collections.abc import Mapping
from typing import Any

from nnarch.errors import ConfigError
from nnarch.models.layers import Layer, Layers, component
from nnarch.models.layers import dropout as left_out
from nnarch.options import Activation, Count, Fraction, Initialization
from nnarch.registry import models


@models.register(codes=lambda spec: spec["bins"] is not None, ensemble=True)
def tabm(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    members: Count = 32,
    widths: list[Count] = [512, 512, 512],  # noqa: B006 (read, never changed)
    mini: bool = False,
    bins: Count | None = None,
    embedding_width: Count = 16,
    activation: Activation = "relu",
    dropout: Fraction = 0.1,
    initialization: Initialization = "default",
) -> Layers:
    """TabM: many multilayer perceptrons that share most of their weights (Gorishniy et al., 2025).

    Each member learns from every row by a loss of its own; the answer is the mean of theirs. For
    rows of a table, arXiv 2410.24210.

    Options:
        members: How many there are; 32 in the paper.
        widths: Units of each hidden layer.
        mini: Whether members share the hidden layers wholly, but for factors on what comes in.
        bins: Give each number a vector of so many bins that hold as many training rows each
            (piecewise-linear embeddings); numbers come in as they are unless given.
        embedding_width: Numbers of such a vector.
        activation: What follows each hidden layer.
        dropout: Share of each hidden layer's units that a training step leaves out.
        initialization: How the weights begin; default is torch's own.
    """
    assert isinstance(activation, Mapping), "a filled component"
    assert isinstance(initialization, Mapping), "a filled component"
    if len(inputs) != 1:
        raise ConfigError(f"tabm expects rows of a table; got samples of shape {inputs}")
    bent: list[Layer] = [component(activation), *left_out(dropout)]
    embedding: dict[str, Any] = {"bins": bins, "width": embedding_width, "activation": False}
    items: list[Layer] = [{"piecewise_embedding": embedding}] if bins else []
    items += [{"members": members if mini else {"count": members, "factors": False}}]
    for place, width in enumerate(widths):
        options: Any = {"width": width, "first": True} if place == 0 else width
        items += [{"Linear": width} if mini else {"member_linear": options}, *bent]
    return Layers([*items, {"member_heads": "out"}], initialization)
