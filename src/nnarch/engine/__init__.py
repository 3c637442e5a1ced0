"""The engines: ways to compute the same steps, of which the fastest that can is chosen.

A user asks for none of them. Which one a run has, and why, is told before it begins and kept with
it: how a number comes about is the business of the engine, which number it is is not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

from nnarch.average import Average
from nnarch.data.batch import Batch
from nnarch.engine.captured import Captured
from nnarch.engine.eager import Eager
from nnarch.engine.recorded import Recorded
from nnarch.engine.recording import Unrepeatable
from nnarch.errors import cause, is_out_of_memory
from nnarch.gradient import Gradient, Pass
from nnarch.optim.stepper import Stepper

# Operations beside which the time of Python is next to nothing, on a processor and on a GPU.
LONG_STEP = 1e9, 1e12


class Plan(NamedTuple):
    """A step to be taken: its batches, and the learning rate of each group of the optimizer."""

    batches: Sequence[Batch]
    rates: Sequence[float]


@dataclass(frozen=True)
class Engine:
    """Takes the steps of a run, one after the other.

    Attributes:
        name: `eager`, `recorded`, `captured` or `compiled`.
        why: what spoke for it, or against the others.
        step: gradient and update for the batches of one step; what came of each.
        average: of the weights, if there is one; it follows every step.
        at_once: how many plans it likes to be given in a call.
        warning: what a user should know of it before the run.
    """

    name: str
    why: str
    step: Callable[[Sequence[Batch]], list[Pass]]
    optimizer: torch.optim.Optimizer | Stepper
    network: nn.Module
    average: Average | None = None
    at_once: int = 1
    warning: str | None = None

    def __call__(self, plans: Sequence[Plan]) -> list[Pass]:
        """Take the steps; what came of each batch, before the update that it was for."""
        passes: list[Pass] = []
        for batches, rates in plans:
            for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
                group["lr"] = rate
            passes += self.step(batches)
            if self.average:
                self.average.follow(self.network)
        return passes


def choose(
    gradient: Gradient,
    optimizer: torch.optim.Optimizer | Stepper,
    average: Average | None,
    batches: Sequence[Batch],
    step_flops: float,
    accumulate: int = 1,
    capture: bool = True,
) -> Engine:
    """The engine for such steps.

    Args:
        batches: some of those to come, at least one of every shape; to try an engine on.
        step_flops: the operations of one step.
        capture: whether steps on a GPU may become graphs.
    """
    eager, name, network = Eager(gradient, optimizer), "eager", gradient.network
    if not isinstance(optimizer, Stepper):
        why = "the optimizer is none of nnarch's own rules"
        return Engine(name, why, eager, optimizer, network, average)
    if why := _hindrance(gradient, step_flops, accumulate):
        return Engine(name, why, eager, optimizer, network, average)
    try:
        name, why, step = _repeated(gradient, optimizer, batches, capture)
    except Unrepeatable as error:
        return Engine(name, str(error), eager, optimizer, network, average)
    return Engine(name, why, step, optimizer, network, average)


def _repeated(
    gradient: Gradient, optimizer: Stepper, batches: Sequence[Batch], capture: bool
) -> tuple[str, str, Recorded | Captured]:
    """Name, what speaks for it, and step. Raises: Unrepeatable."""
    recorded = Recorded(gradient, optimizer, batches)
    why = f"{recorded.operations} operations a gradient"
    if not capture or batches[0].inputs.device.type != "cuda":
        return "recorded", why, recorded
    try:
        return "captured", "a CUDA graph a step", Captured(gradient, optimizer, batches)
    except (Unrepeatable, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        return "recorded", f"{why}; as a CUDA graph it fails: {cause(error)}", recorded


def _hindrance(gradient: Gradient, step_flops: float, accumulate: int) -> str | None:
    """What speaks against repeating a step, if anything."""
    if accumulate > 1:
        return f"a step takes {accumulate} batches"
    device = next(gradient.network.parameters()).device.type
    if step_flops >= LONG_STEP[device == "cuda"]:
        return "beside the arithmetic of a step the time of Python is next to nothing"
    for part in (*gradient.network.modules(), gradient.loss.values):
        if not _is_known(part):
            return f"{_named(part).__qualname__} is not of nnarch, and may change by the step"
    return None


def _is_known(part: nn.Module | Callable[..., object]) -> bool:
    """Whether it comes from torch or nnarch, whose modules do the same at every step."""
    return str(_named(part).__module__).split(".")[0] in ("torch", "nnarch")


def _named(part: nn.Module | Callable[..., object]) -> Any:
    """The function itself, without what it was given beforehand, or the class of what it is."""
    while isinstance(part, partial):
        part = part.func
    return part if hasattr(part, "__qualname__") else type(part)
