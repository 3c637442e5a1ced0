"""Embeddings of numbers (Gorishniy et al., 2022), of rows whose last columns may be codes."""

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnarch.errors import ConfigError
from nnarch.models.embedding import ColumnEmbedding


class NumericEmbedding(nn.Module):
    """(B, F) numbers, the last of them codes, to (B, F'): abstract, `embed` is what differs."""

    called: ClassVar[str]

    def __init__(self, features: int, cardinalities: Sequence[int], activation: bool):
        super().__init__()
        self.features, self.activation = features, activation
        self.numbers = features - len(cardinalities)
        self.codes = ColumnEmbedding(cardinalities) if cardinalities else None

    def embed(self, numbers: Tensor) -> Tensor:
        """(B, numbers) to (B, numbers, width), before the activation."""
        raise NotImplementedError

    def forward(self, rows: Tensor) -> Tensor:
        if rows.shape[1:] != (self.features,):
            raise ConfigError(
                f"{self.called}: got samples of shape {tuple(rows.shape[1:])}; expected rows of "
                f"{self.features} numbers"
            )
        vectors = self.embed(rows[:, : self.numbers])
        flat = (functional.relu(vectors) if self.activation else vectors).flatten(1)
        if self.codes is None:
            return flat
        return torch.cat([flat, self.codes(rows[:, self.numbers :])], dim=1)


class LinearEmbedding(NumericEmbedding):
    """x_j to x_j w_j + b_j, which begin uniform within 1 / sqrt(width)."""

    called = "linear_embedding"

    def __init__(
        self, features: int, cardinalities: Sequence[int], width: int = 32, activation: bool = True
    ):
        super().__init__(features, cardinalities, activation)
        bound = width**-0.5
        self.weight = nn.Parameter(torch.empty(self.numbers, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(self.numbers, width).uniform_(-bound, bound))

    def embed(self, numbers: Tensor) -> Tensor:
        return numbers.unsqueeze(-1) * self.weight + self.bias


class PeriodicEmbedding(NumericEmbedding):
    """x_j to cosines and sines of 2 pi c x_j for its frequencies c, and a linear map of those."""

    called = "periodic_embedding"

    def __init__(
        self,
        features: int,
        cardinalities: Sequence[int],
        width: int = 24,
        frequencies: int = 48,
        sigma: float = 0.01,
        lite: bool = False,
        activation: bool = True,
    ):
        super().__init__(features, cardinalities, activation)
        drawn = torch.empty(self.numbers, frequencies).normal_(std=sigma)
        self.frequencies = nn.Parameter(drawn)
        sizes = 2 * frequencies, width
        self.linear = nn.Linear(*sizes) if lite else LinearEach(self.numbers, *sizes)

    def embed(self, numbers: Tensor) -> Tensor:
        angles = 2 * math.pi * self.frequencies * numbers.unsqueeze(-1)
        return self.linear(torch.cat([angles.cos(), angles.sin()], dim=-1))


class PiecewiseEmbedding(NumericEmbedding):
    """x_j to its share of each bin, (x - left) / (right - left), and a linear map of those.

    A bin wholly below x counts 1, one above 0; the outermost bins have no end to the outside, so
    that the code stays one-to-one (equation 1). `fit` sets the edges from the training rows; until
    then they are those of normal numbers.
    """

    called = "piecewise_embedding"
    edges: Tensor  # (numbers, bins + 1), rising
    least: Tensor  # (bins,), bounds of a share
    most: Tensor

    def __init__(
        self,
        features: int,
        cardinalities: Sequence[int],
        bins: int = 48,
        width: int | None = None,
        activation: bool = True,
    ):
        super().__init__(features, cardinalities, activation and width is not None)
        normal = torch.special.ndtri((torch.arange(bins + 1) + 0.5) / (bins + 1))
        self.register_buffer("edges", normal.repeat(self.numbers, 1))
        inner = torch.arange(bins)
        self.register_buffer("least", torch.where(inner > 0, 0, -torch.inf), persistent=False)
        self.register_buffer("most", torch.where(inner < bins - 1, 1, torch.inf), persistent=False)
        self.linear = LinearEach(self.numbers, bins, width) if width else nn.Identity()

    def fit(self, rows: Tensor) -> None:
        """Set the edges to quantiles of (N, F) training rows, their codes among them."""
        for edges, column in zip(self.edges, rows[:, : self.numbers].unbind(1), strict=True):
            edges.copy_(quantiles(column, len(edges)))

    def embed(self, numbers: Tensor) -> Tensor:
        left, right = self.edges[:, :-1], self.edges[:, 1:]
        x, wide = numbers.unsqueeze(-1), right > left
        shares = (x - left) / torch.where(wide, right - left, 1)
        steps = (x >= right).to(x.dtype)  # of a bin that repeated numbers leave no room
        return self.linear(torch.where(wide, shares.clamp(self.least, self.most), steps))


class LinearEach(nn.Module):
    """(B, F, before) to (B, F, after), by a linear layer of its own for each of the F."""

    def __init__(self, count: int, before: int, after: int):
        super().__init__()
        bound = before**-0.5
        self.weight = nn.Parameter(torch.empty(count, before, after).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(count, after).uniform_(-bound, bound))

    def forward(self, vectors: Tensor) -> Tensor:
        return torch.einsum("bfi,fio->bfo", vectors, self.weight) + self.bias


def quantiles(numbers: Tensor, count: int) -> Tensor:
    """`count` evenly spaced quantiles of (N,) numbers, from the smallest to the largest.

    As torch.quantile, which takes no more than 16 million numbers.

    >>> quantiles(torch.tensor([4.0, 0.0, 1.0]), 5)
    tensor([0.0000, 0.5000, 1.0000, 2.5000, 4.0000])
    """
    ordered = numbers.sort().values
    at = torch.linspace(0, len(ordered) - 1, count, dtype=torch.float64, device=numbers.device)
    below = at.floor().long()
    above = at.ceil().long()
    return ordered[below].lerp(ordered[above], (at - below).to(ordered.dtype))
