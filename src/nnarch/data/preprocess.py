"""The scaling that a network is trained under, fitted once and kept with it.

A module of buffers: it is saved with the weights and applied by evaluation and prediction, so
that whoever uses a network never sees a scaled number. It is fitted on training rows alone;
nothing of the other rows can reach the network through it. Its numbers are float64, since the
difference of two large values (years, prices) is where float32 would lose them.
"""

import torch
from torch import Tensor, nn


class Standardize(nn.Module):
    """(x - mean) / scale for each column; a column that is constant in training becomes 0."""

    mean: Tensor
    scale: Tensor

    def __init__(self, columns: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(columns, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(columns, dtype=torch.float64))

    def fit(self, rows: Tensor) -> None:
        """Take mean and deviation (of the population) from `rows` (N, columns)."""
        deviation, mean = torch.std_mean(rows.double(), dim=0, correction=0)
        # A constant's deviation is rounding noise, which must not be blown up to size 1.
        noise = 1e-12 * mean.abs()
        self.mean, self.scale = mean, torch.where(deviation > noise, deviation, 1.0)

    def forward(self, rows: Tensor) -> Tensor:
        return (rows - self.mean) / self.scale

    def inverse(self, rows: Tensor) -> Tensor:
        return rows * self.scale + self.mean


class Preprocess(nn.Module):
    """From a table's own units to the network's, and a regression's predictions back again.

    It stays on the CPU and in float64, wherever a module that holds it is moved to.
    """

    def __init__(self, inputs: int, targets: int):
        super().__init__()
        self.inputs = Standardize(inputs)
        self.target = Standardize(targets)

    def _apply(self, fn: object, recurse: bool = True) -> "Preprocess":
        return self
