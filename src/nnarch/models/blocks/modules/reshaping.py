"""Modules that turn, pick from and pool samples; none has weights."""

from typing import Literal

import torch
from torch import Tensor, nn

from nnarch.errors import ConfigError

REDUCTIONS = {"mean": torch.mean, "maximum": torch.amax}


def place(block: str, dimension: int, samples: Tensor) -> int:
    """Where a dimension of a sample stands once there is a batch before it.

    Raises: ConfigError where samples have no such dimension.

    >>> place("mean", 0, torch.empty(2, 4, 5)), place("mean", -1, torch.empty(2, 4, 5))
    (1, 2)
    """
    count = samples.dim() - 1
    if not -count <= dimension < count:
        raise ConfigError(
            f"{block}: got dimension {dimension} of samples of shape {tuple(samples.shape[1:])}; "
            f"expected one from {-count} to {count - 1}"
        )
    return dimension % count + 1


class Transpose(nn.Module):
    """(B, ...) with two dimensions of the sample swapped."""

    def __init__(self, first: int = 0, second: int = 1):
        super().__init__()
        self.first, self.second = first, second

    def forward(self, samples: Tensor) -> Tensor:
        first, second = (place("transpose", one, samples) for one in (self.first, self.second))
        return samples.transpose(first, second)

    def extra_repr(self) -> str:
        return f"{self.first}, {self.second}"


class Pick(nn.Module):
    """(B, T, ...) to (B, ...), one step."""

    def __init__(self, step: int = -1):
        super().__init__()
        self.step = step

    def forward(self, series: Tensor) -> Tensor:
        count = series.shape[1]
        if not -count <= self.step < count:
            raise ConfigError(
                f"pick: got step {self.step} of samples of {count} steps; expected one from "
                f"{-count} to {count - 1}"
            )
        return series[:, self.step]

    def extra_repr(self) -> str:
        return f"{self.step}"


class Pool(nn.Module):
    """(B, ...) with one dimension of the sample reduced to a number each."""

    def __init__(self, kind: Literal["mean", "maximum"], dimension: int = 0, keep: bool = False):
        super().__init__()
        self.kind, self.dimension, self.keep = kind, dimension, keep

    def forward(self, samples: Tensor) -> Tensor:
        dimension = place(self.kind, self.dimension, samples)
        return REDUCTIONS[self.kind](samples, dim=dimension, keepdim=self.keep)

    def extra_repr(self) -> str:
        return f"{self.kind!r}, dimension={self.dimension}, keep={self.keep}"


class Channel(nn.Module):
    """(B, ...) to (B, 1, ...)."""

    def forward(self, samples: Tensor) -> Tensor:
        return samples.unsqueeze(1)


class Ends(nn.Module):
    """(B, T, 2H), forward half first, to (B, 2H)."""

    def forward(self, series: Tensor) -> Tensor:
        if series.dim() != 3 or series.shape[2] % 2:
            raise ConfigError(
                f"ends: got samples of shape {tuple(series.shape[1:])}; expected (steps, features) "
                "of both directions, so an even number of features"
            )
        half = series.shape[2] // 2
        return torch.cat([series[:, -1, :half], series[:, 0, half:]], dim=1)
