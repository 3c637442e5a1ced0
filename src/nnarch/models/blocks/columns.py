"""The embedding of a table's categories, for networks that compute with plain numbers after it."""

from typing import TYPE_CHECKING

from nnarch.lazy import LazyModule
from nnarch.registry import layers

if TYPE_CHECKING:
    from torch import nn

    from nnarch.models import embedding as modules
else:
    modules = LazyModule("nnarch.models.embedding")


@layers.register(infer={"cardinalities": "cardinalities"}, ranks=(1,))
def column_embedding(*, cardinalities: list[int]) -> "nn.Module":
    """A vector for each category of a row, after its plain numbers (Guo & Berkhahn, 2016).

    For data.categories: embedding, whose codes are the last numbers of a row.

    Options:
        cardinalities: How many categories each of those columns knows.
    """
    return modules.ColumnEmbedding(cardinalities)
