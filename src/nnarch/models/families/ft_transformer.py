"""FT-Transformer: the columns of a table as a sequence, related to one another by attention."""

from collections.abc import Mapping
from typing import Any

from nnarch.errors import ConfigError
from nnarch.models.families.sequences import check_heads
from nnarch.models.layers import Layer, Layers, dropout, repeated
from nnarch.options import Count, Fraction, Initialization, Times
from nnarch.registry import models


@models.register(codes=True)
def ft_transformer(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    width: Count = 192,
    depth: Times = 3,
    heads: Count = 8,
    hidden: Count | None = None,
    attention_dropout: Fraction = 0.2,
    hidden_dropout: Fraction = 0.1,
    residual_dropout: Fraction = 0.0,
    initialization: Initialization = "default",
) -> Layers:
    """FT-Transformer for tables: attention among the columns of a row (Gorishniy et al., 2021).

    Every column becomes a vector, categories too; a class token beside them gathers the answer
    (arXiv 2106.11959). The feed-forward layers are gated by relu.

    Options:
        width: Numbers of each column's vector.
        depth: How many blocks of attention and feed-forward there are.
        heads: Parts of a vector that attend each by themselves; they divide the width.
        hidden: Units in the middle of a feed-forward network; 4/3 of the width unless given.
        attention_dropout: Share of the attention weights that a training step leaves out.
        hidden_dropout: Share of those units that a training step leaves out.
        residual_dropout: Share of what attention and feed-forward add that a step leaves out.
        initialization: How the weights begin; default is torch's own.
    """
    assert isinstance(initialization, Mapping), "a filled component"
    check_heads(width, heads)
    if len(inputs) != 1:
        raise ConfigError(f"ft_transformer expects rows of a table; got samples of shape {inputs}")
    attention: dict[str, Any] = {"heads": heads}
    attention |= {"dropout": attention_dropout} if attention_dropout else {}
    attends: list[Layer] = [{"attention": attention}, *dropout(residual_dropout)]
    feeds: Layer = {
        "residual": [
            "LayerNorm",
            {"Linear": 2 * (hidden or width * 4 // 3)},
            "reglu",
            *dropout(hidden_dropout),
            {"Linear": "same"},
            *dropout(residual_dropout),
        ]
    }
    later: list[Layer] = [{"residual": ["LayerNorm", *attends]}, feeds]
    items: list[Layer] = [
        {"feature_tokens": {"width": width}},
        "class_token",
        {"residual": attends},  # the first without a normalization, as the paper found best
        feeds,
        *repeated([later] * (depth - 1)),
        {"pick": 0},
        "LayerNorm",
        "relu",
        {"Linear": "out"},
    ]
    return Layers(items, initialization)
