"""Embeddings of numbers: a vector for each number of a row, in place of the number alone.

A network that sees x_j as it is learns smooth functions of it; through one of these, any
(Gorishniy et al., 2022, arXiv 2203.05556). Each makes a flat row again: `width` numbers for each
numeric column, then what categories are embedded to.
"""

from typing import TYPE_CHECKING

from nnarch.lazy import LazyModule
from nnarch.options import Count, Positive
from nnarch.registry import layers

if TYPE_CHECKING:
    from torch import nn

    from nnarch.models.blocks.modules import numeric as modules
else:
    modules = LazyModule("nnarch.models.blocks.modules.numeric")

COLUMNS = {"features": "features", "cardinalities": "cardinalities"}


@layers.register(infer=COLUMNS, ranks=(1,))
def linear_embedding(
    *,
    features: Count,
    cardinalities: list[Count] | None,
    width: Count = 32,
    activation: bool = True,
) -> "nn.Module":
    """A linear map of each number, and relu: "LR" of Gorishniy et al. (2022).

    Options:
        features: Columns, categories among them.
        cardinalities: Categories of each of the last columns.
        width: Numbers for each number.
        activation: Whether relu follows.
    """
    return modules.LinearEmbedding(features, cardinalities or (), width, activation)


@layers.register(infer=COLUMNS, ranks=(1,))
def periodic_embedding(
    *,
    features: Count,
    cardinalities: list[Count] | None,
    width: Count = 24,
    frequencies: Count = 48,
    sigma: Positive = 0.01,
    lite: bool = False,
    activation: bool = True,
) -> "nn.Module":
    """Cosines and sines of each number, a linear map, and relu: "PLR" of Gorishniy et al. (2022).

    Options:
        features: Columns, categories among them.
        cardinalities: Categories of each of the last columns.
        width: Numbers for each number.
        frequencies: Of each number, learnt.
        sigma: Deviation of the frequencies at the start, from 0.01 to 100; it matters most.
        lite: Whether all numbers share one linear map (Gorishniy et al., 2023, TabR).
        activation: Whether relu follows.
    """
    return modules.PeriodicEmbedding(
        features, cardinalities or (), width, frequencies, sigma, lite, activation
    )


@layers.register(infer=COLUMNS, ranks=(1,))
def piecewise_embedding(
    *,
    features: Count,
    cardinalities: list[Count] | None,
    bins: Count = 48,
    width: Count | None = None,
    activation: bool = True,
) -> "nn.Module":
    """How far each number reaches through bins of the training rows: Gorishniy et al. (2022).

    Their "PLE" by quantiles; with a width, a linear map and relu follow ("Q-LR").

    Options:
        features: Columns, categories among them.
        cardinalities: Categories of each of the last columns.
        bins: For each number; as many training rows lie in each.
        width: Numbers for each number after a linear map; none leaves the bins as they are.
        activation: Whether relu follows the linear map.
    """
    return modules.PiecewiseEmbedding(features, cardinalities or (), bins, width, activation)
