"""Modules that stand last in a residual branch of a deep network."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class DropPath(nn.Module):
    """(B, ...) to the same: in training, each sample is zero with probability `p`.

    The others are divided by 1 - p, which keeps the expectation, so that nothing is left to do in
    evaluation.
    """

    def __init__(self, p: float = 0.1):
        super().__init__()
        self.p = p

    def forward(self, samples: Tensor) -> Tensor:
        if not self.training or not self.p:
            return samples
        ones = samples.new_ones(len(samples), *[1] * (samples.dim() - 1))
        return samples * functional.dropout(ones, self.p)

    def extra_repr(self) -> str:
        return f"{self.p}"


class Scale(nn.Module):
    """(..., F) times a factor for each of the F features."""

    def __init__(self, features: int, initial: float = 0.1):
        super().__init__()
        self.factors = nn.Parameter(torch.full((features,), float(initial)))

    def forward(self, samples: Tensor) -> Tensor:
        return samples * self.factors

    def extra_repr(self) -> str:
        return f"{len(self.factors)}"
