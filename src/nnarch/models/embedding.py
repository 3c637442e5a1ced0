"""What stands before a network whose samples hold codes: an embedding learnt for each.

A code (of a category, of a token) is a name, not a size, so it becomes a vector of its own
before any layer computes with it. Families never see codes: what follows is a network for
samples of plain numbers.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nnarch.data.inputs import Inputs

TOKEN_WIDTH = 32
WIDEST = 50


def embedded(inputs: Inputs) -> tuple[int, ...]:
    """The shape of a sample once its codes are embedded.

    >>> embedded(Inputs((5,), cardinalities=(2, 10))), embedded(Inputs((8,), vocabulary=30))
    ((11,), (8, 32))
    """
    if inputs.vocabulary:
        return (*inputs.shape, TOKEN_WIDTH)
    widths = sum(map(width, inputs.cardinalities))
    return (inputs.shape[0] - len(inputs.cardinalities) + widths, *inputs.shape[1:])


def width(cardinality: int) -> int:
    """Numbers for each of so many categories: 1.6 n^0.56, at most 50, as fastai chooses them.

    >>> width(2), width(10), width(10_000)
    (2, 6, 50)
    """
    return min(WIDEST, round(1.6 * cardinality**0.56))


def embedding(inputs: Inputs) -> nn.Module | None:
    """The module that embeds a sample's codes, or None where it has none."""
    if inputs.vocabulary:
        return nn.Embedding(inputs.vocabulary, TOKEN_WIDTH)
    return ColumnEmbedding(inputs.cardinalities) if inputs.cardinalities else None


class ColumnEmbedding(nn.Module):
    """(B, F) numbers, the last of them codes, to (B, F') without codes."""

    def __init__(self, cardinalities: Sequence[int]):
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(size, width(size)) for size in cardinalities)

    def forward(self, rows: Tensor) -> Tensor:
        plain = rows.shape[1] - len(self.tables)
        codes = rows[:, plain:].long().unbind(1)
        vectors = [table(code) for table, code in zip(self.tables, codes, strict=True)]
        return torch.cat([rows[:, :plain], *vectors], dim=1)
