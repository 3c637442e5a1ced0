"""Layers of several networks in one, which share most of their weights (TabM).

A sample is (members, features): each member sees its own row. BatchEnsemble (Wen et al., 2020)
gives every member a factor for each input and output of a shared linear layer, TabM (Gorishniy et
al., 2025, arXiv 2410.24210) makes a tabular network of such layers.
"""

import torch
from torch import Tensor, nn


def signs(members: int, features: int) -> Tensor:
    """1 or -1 at random, which is what tells members apart that share everything else."""
    return torch.randint(2, (members, features)).float() * 2 - 1


class Members(nn.Module):
    """(B, F) to (B, members, F): the same row for each, times factors of its own if wanted."""

    def __init__(self, features: int, members: int, factors: bool = True):
        super().__init__()
        self.members = members
        self.factors = nn.Parameter(signs(members, features)) if factors else None

    def forward(self, rows: Tensor) -> Tensor:
        each = rows.unsqueeze(1).expand(-1, self.members, -1)
        return each if self.factors is None else each * self.factors


class MemberLinear(nn.Module):
    """(B, k, F) to (B, k, width): s * (W (r * x)) + b, with r, s and b of each member's own.

    Weights and biases begin as those of torch's linear layer, the factors as 1, but for those of a
    first layer: there r begins as 1 or -1 at random.
    """

    def __init__(self, members: int, features: int, width: int, first: bool = False):
        super().__init__()
        self.shared = nn.Linear(features, width, bias=False)
        begun = signs(members, features) if first else torch.ones(members, features)
        self.before = nn.Parameter(begun)
        self.after = nn.Parameter(torch.ones(members, width))
        bound = features**-0.5
        self.bias = nn.Parameter(torch.empty(members, width).uniform_(-bound, bound))

    def forward(self, rows: Tensor) -> Tensor:
        return self.shared(rows * self.before) * self.after + self.bias


class MemberHeads(nn.Module):
    """(B, k, F) to (B, k, width), by a linear layer for each member."""

    def __init__(self, members: int, features: int, width: int):
        super().__init__()
        bound = features**-0.5
        self.weight = nn.Parameter(torch.empty(members, features, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(members, width).uniform_(-bound, bound))

    def forward(self, rows: Tensor) -> Tensor:
        return torch.einsum("bkf,kfw->bkw", rows, self.weight) + self.bias
