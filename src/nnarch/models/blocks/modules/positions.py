"""Modules that tell the steps of a sequence apart, or add one."""

from typing import Literal

import torch
from torch import Tensor, nn

STD = 0.02  # of learnt vectors at the start, as in BERT and GPT-2
LONGEST_WAVE = 10_000


def sinusoids(steps: int, features: int) -> Tensor:
    """(steps, features): sin(t / 10000^(i/F)) where i is even, the cosine beside it where odd."""
    feature = torch.arange(features)
    exponents = (feature - feature % 2) / features
    angles = torch.arange(steps).unsqueeze(1) / LONGEST_WAVE**exponents
    return torch.where(feature % 2 == 0, angles.sin(), angles.cos())


class Positions(nn.Module):
    """(B, T, F) plus a vector for each step; T may be less than `steps`."""

    table: Tensor  # (steps, F)

    def __init__(
        self, steps: int, features: int, kind: Literal["learned", "sinusoidal"] = "learned"
    ):
        super().__init__()
        self.kind = kind
        if kind == "learned":
            self.table = nn.Parameter(torch.empty(steps, features).normal_(std=STD))
        else:
            self.register_buffer("table", sinusoids(steps, features), persistent=False)

    def forward(self, series: Tensor) -> Tensor:
        return series + self.table[: series.shape[1]]

    def extra_repr(self) -> str:
        steps, features = self.table.shape
        return f"{steps}, {features}, {self.kind!r}"


class ClassToken(nn.Module):
    """(B, T, F) to (B, T + 1, F), the same learnt step first in every sample."""

    def __init__(self, features: int):
        super().__init__()
        self.token = nn.Parameter(torch.empty(features).normal_(std=STD))

    def forward(self, series: Tensor) -> Tensor:
        return torch.cat([self.token.expand(len(series), 1, -1), series], dim=1)

    def extra_repr(self) -> str:
        return f"{len(self.token)}"
