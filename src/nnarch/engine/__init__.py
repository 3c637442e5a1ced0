"""The engines: ways to compute the same steps, of which the fastest that can is chosen.

A user asks for none of them. Which one a run has, and why, is told before it begins and kept with
it: how a number comes about is the business of the engine, which number it is is not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from nnarch.data.batch import Batch
from nnarch.engine.eager import Eager
from nnarch.engine.recorded import Recorded
from nnarch.engine.recording import Unrepeatable
from nnarch.gradient import Gradient, Pass
from nnarch.optim.stepper import Stepper

LONG_STEP = 1e9  # operations, beside which the time of Python is next to nothing


class Plan(NamedTuple):
    """A step to be taken: its batches, and the learning rate of each group of the optimizer."""

    batches: Sequence[Batch]
    rates: Sequence[float]


@dataclass(frozen=True)
class Engine:
    """Takes the steps of a run, one after the other.

    Attributes:
        name: `eager`, `recorded` or `compiled`.
        why: what spoke for it, or against the others.
        step: gradient and update for the batches of one step; what came of each.
        average: of the weights, if there is one; it follows every step.
        at_once: how many plans it likes to be given in a call.
    """

    name: str
    why: str
    step: Callable[[Sequence[Batch]], list[Pass]]
    optimizer: torch.optim.Optimizer | Stepper
    network: nn.Module
    average: AveragedModel | None = None
    at_once: int = 1

    def __call__(self, plans: Sequence[Plan]) -> list[Pass]:
        """Take the steps; what came of each batch, before the update that it was for."""
        passes: list[Pass] = []
        for batches, rates in plans:
            for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
                group["lr"] = rate
            passes += self.step(batches)
            if self.average:
                self.average.update_parameters(self.network)
        return passes


def choose(
    gradient: Gradient,
    optimizer: torch.optim.Optimizer | Stepper,
    average: AveragedModel | None,
    batches: Sequence[Batch],
    step_flops: float,
    accumulate: int = 1,
) -> Engine:
    """The engine for such steps.

    Args:
        batches: some of those to come, at least one of every shape; to try an engine on.
        step_flops: the operations of one step.
    """
    name, why, step = _chosen(gradient, optimizer, batches, step_flops, accumulate)
    return Engine(name, why, step, optimizer, gradient.network, average)


def _chosen(
    gradient: Gradient,
    optimizer: torch.optim.Optimizer | Stepper,
    batches: Sequence[Batch],
    step_flops: float,
    accumulate: int,
) -> tuple[str, str, Eager | Recorded]:
    """Name, reason and step."""
    eager = Eager(gradient, optimizer)
    if not isinstance(optimizer, Stepper):
        return "eager", "the optimizer is none of nnarch's own rules", eager
    if reason := _hindrance(gradient, step_flops, accumulate):
        return "eager", reason, eager
    try:
        recorded = Recorded(gradient, optimizer, batches)
    except Unrepeatable as error:
        return "eager", str(error), eager
    return "recorded", f"{recorded.operations} operations a gradient", recorded


def _hindrance(gradient: Gradient, step_flops: float, accumulate: int) -> str | None:
    """What speaks against repeating a step, if anything."""
    if accumulate > 1:
        return f"a step takes {accumulate} batches"
    if step_flops >= LONG_STEP:
        return "beside the arithmetic of a step the time of Python is next to nothing"
    for part in (*gradient.network.modules(), gradient.loss.values):
        if not _is_known(part):
            return f"{_named(part).__qualname__} is not of nnarch, and may change by the step"
    return None


def _is_known(part: nn.Module | Callable[..., object]) -> bool:
    """Whether it comes from torch or nnarch, whose modules do the same at every step."""
    return _named(part).__module__.split(".")[0] in ("torch", "nnarch")


def _named(part: nn.Module | Callable[..., object]) -> Callable[..., object]:
    """The class of a module, or the function itself, without what it was given beforehand."""
    named = type(part) if isinstance(part, nn.Module) else part
    while isinstance(named, partial):
        named = named.func
    return named
