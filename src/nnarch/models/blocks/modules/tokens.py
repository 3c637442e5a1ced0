"""The tokenizer of FT-Transformer (Gorishniy et al., 2021)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nnarch.errors import ConfigError


class FeatureTokens(nn.Module):
    """(B, F) numbers, the last of them codes, to (B, F, width).

    Number j becomes x_j w_j + b_j, code j the vector of its category plus b_j. All begin uniform
    within 1 / sqrt(width).
    """

    firsts: Tensor  # where the categories of each column begin in the one table

    def __init__(self, features: int, cardinalities: Sequence[int], width: int):
        super().__init__()
        numbers, bound = features - len(cardinalities), width**-0.5
        self.weight = nn.Parameter(torch.empty(numbers, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(features, width).uniform_(-bound, bound))
        self.categories = None
        if cardinalities:
            self.categories = nn.Embedding(sum(cardinalities), width)
            self.categories.weight.data.uniform_(-bound, bound)
        sizes = torch.tensor([0, *cardinalities[:-1]], dtype=torch.int64)
        self.register_buffer("firsts", sizes.cumsum(0), persistent=False)

    def forward(self, rows: Tensor) -> Tensor:
        if rows.shape[1:] != self.bias.shape[:1]:
            raise ConfigError(
                f"feature_tokens: got samples of shape {tuple(rows.shape[1:])}; expected rows of "
                f"{len(self.bias)} numbers"
            )
        numbers = len(self.weight)
        tokens = rows[:, :numbers, None] * self.weight
        if self.categories is not None:
            codes = rows[:, numbers:].long() + self.firsts
            tokens = torch.cat([tokens, self.categories(codes)], dim=1)
        return tokens + self.bias
