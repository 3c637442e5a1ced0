"""A step as PyTorch takes it: forward and backward by autograd, then the optimizer's update.

It takes every network, loss and optimizer, several batches a step, and optimizers that ask for
the loss again and again; what the other engines compute is held against it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from nnarch.data.batch import Batch
from nnarch.gradient import Gradient, Pass
from nnarch.optim.stepper import Stepper


@dataclass(frozen=True)
class Eager:
    """Takes a step a call, and says what came of each batch before the update."""

    gradient: Gradient
    optimizer: torch.optim.Optimizer | Stepper

    def __call__(self, batches: Sequence[Batch]) -> list[Pass]:
        done: list[list[Pass]] = []

        def closure() -> Any:
            self.optimizer.zero_grad(set_to_none=True)
            passes, gradients = self.gradient(batches)
            for parameter, each in zip(self.gradient.parameters, gradients, strict=True):
                parameter.grad = each
            done.append(passes)
            return passes[0].values.mean()

        self.optimizer.step(closure)
        return done[0]
