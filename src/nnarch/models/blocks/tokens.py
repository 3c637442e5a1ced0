"""Columns of a table as a sequence: what lets attention relate them to one another."""

from typing import TYPE_CHECKING

from nnarch.lazy import LazyModule
from nnarch.options import Count
from nnarch.registry import layers

if TYPE_CHECKING:
    from torch import nn

    from nnarch.models.blocks.modules import tokens as modules
else:
    modules = LazyModule("nnarch.models.blocks.modules.tokens")


@layers.register(infer={"features": "features", "cardinalities": "cardinalities"}, ranks=(1,))
def feature_tokens(
    *, features: Count, cardinalities: list[Count] | None, width: Count
) -> "nn.Module":
    """FT-Transformer's tokenizer: a vector for each column, (F) to (F, width).

    Numbers scale a vector of their column, categories look one up, and each column adds a bias
    (Gorishniy et al., 2021, arXiv 2106.11959).

    Options:
        features: Columns, categories among them.
        cardinalities: Categories of each of the last columns.
        width: Numbers for each column.
    """
    return modules.FeatureTokens(features, cardinalities or (), width)
