"""compile: true. What torch's compiler can do for a run is done, and measured, before it begins.

torch compiles at a first call, takes seconds for it, and needs a compiler of the machine. So all
of it happens on batches of the run before anything is written; what fails there is told in a
line, and whether it pays on the steps ahead is measured, both ways, and told as well. Of steps
that can be recorded several are compiled as one (`nnarch.engine.compiled`); of others the network
alone is. Names and values of weights stay, and a checkpoint says nothing of how it was computed.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from nnarch.data.batch import Batch
from nnarch.engine import Engine, Plan
from nnarch.engine.compiled import Compiled, Together
from nnarch.engine.eager import Eager
from nnarch.engine.purestep import PureStep
from nnarch.engine.recorded import Recorded
from nnarch.errors import MachineError, cause
from nnarch.gradient import Gradient, Pass, unchanged
from nnarch.optim.stepper import Stepper

NEEDS = "compile: true needs a C++ compiler, such as g++ or clang++, and this machine has none"
OPTIONS = {"fallback_random": True}  # what torch draws by chance is the same compiled
LONG = 200  # characters of another's message
MOST = 8  # steps in a call; with more the rest of what can be saved is less than a twentieth
OPERATIONS = 1000  # of a call: the compiler takes some milliseconds for each
ALIKE = 0.02  # within which losses must agree, relative to their size: rounding is far below
TURNS, SECONDS = 5, 0.5  # to measure for


class Otherwise(Exception):
    """Compiled steps that do something else."""


def compiled(
    ordinary: Engine,
    gradient: Gradient,
    batches: Sequence[Batch],
    sizes: Sequence[int],
    epochs: int,
) -> Engine:
    """The fastest that torch's compiler makes of an engine.

    Weights, buffers, the optimizer's state, random state and training mode are as before.

    Args:
        batches: some of those to come, the first one of the first size.
        sizes: of the batches of an epoch.
        epochs: how many are to come.

    Raises: MachineError where torch cannot compile here.
    """
    if isinstance(ordinary.step, Eager):
        return _alone(ordinary, gradient, batches[0], len(sizes) * epochs)
    if not isinstance(ordinary.step, Recorded):
        return _unchanged(ordinary, ordinary.why)
    try:
        return _together(ordinary, gradient, batches[0], sizes, epochs)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        if (told := _told(error)) == NEEDS:
            raise MachineError(told) from error
        return _unchanged(ordinary, _shortened(cause(error)))


def _unchanged(ordinary: Engine, why: str) -> Engine:
    return replace(ordinary, warning=f"compile: true changes nothing: {why}")


def _together(
    ordinary: Engine, gradient: Gradient, batch: Batch, sizes: Sequence[int], epochs: int
) -> Engine:
    """Several steps as one; only one where a moving average is to follow every step."""
    assert isinstance(ordinary.optimizer, Stepper)
    assert isinstance(ordinary.step, Recorded)
    alike = sizes.count(sizes[0])
    count = 1 if ordinary.average else _at_once(ordinary.step.operations, alike)
    pure, plans = PureStep(gradient, ordinary.optimizer), _plans(batch, ordinary.optimizer, count)
    with pure.kept():
        expected = [each for plan in plans for each in ordinary.step(plan.batches)]
    began = time.perf_counter()
    with pure.kept():
        together = Together(pure, batch, expected[0].answers, count)
    with pure.kept():
        given = together(plans)
    seconds = time.perf_counter() - began
    if not _are_alike(given, expected):
        raise Otherwise("compiled, the steps come to other losses")
    with pure.kept():
        after = _seconds(lambda: together(plans)) / count
        before = _seconds(lambda: ordinary.step(plans[0].batches))
    saved = (before - after) * (alike - alike % count) * epochs
    made = {name: getattr(ordinary, name) for name in ("step", "optimizer", "network", "average")}
    return Compiled(
        "compiled",
        f"{count} step{'s' * (count > 1)} in a call, compiled in {seconds:.1f} s",
        **made,
        at_once=count,
        warning=_warning(seconds, saved, before, len(sizes) * epochs),
        together=together,
    )


def _at_once(operations: int, steps: int) -> int:
    """How many steps to take in a call, so that few of an epoch's are left over.

    Args:
        operations: of a step.
        steps: of an epoch, that are alike.

    >>> _at_once(30, 1000), _at_once(30, 15), _at_once(400, 1000), _at_once(30, 1)
    (8, 5, 2, 1)
    """
    most = min(max(OPERATIONS // operations, 1), MOST, steps)
    return max(range((most + 1) // 2, most + 1), key=lambda count: (steps - steps % count, count))


def _plans(batch: Batch, optimizer: Stepper, count: int) -> list[Plan]:
    """Steps to try, no two alike: the answers of one are to be learnt for others of its rows."""
    rates = [group["lr"] for group in optimizer.param_groups]
    return [
        Plan([replace(batch, inputs=batch.inputs.roll(shift, 0))], rates) for shift in range(count)
    ]


def _are_alike(some: Sequence[Pass], others: Sequence[Pass]) -> bool:
    ours, theirs = (torch.stack([each.values for each in passes]) for passes in (some, others))
    return torch.allclose(ours, theirs, rtol=ALIKE, atol=ALIKE * 1e-3, equal_nan=True)


def _alone(ordinary: Engine, gradient: Gradient, batch: Batch, batches: int) -> Engine:
    """The network compiled, and the rest of a step as torch takes it."""
    with unchanged(gradient.network):
        found = gradient([batch])[1]  # what fails already here is no fault of the compiler
        if isinstance(ordinary.optimizer, Stepper):
            ordinary.optimizer.settle(found)  # compiled code remembers where parameters lie
        before = _seconds(lambda: gradient([batch]))
        seconds = compile(gradient.network, lambda: gradient([batch]))
        after = _seconds(lambda: gradient([batch]))
    return replace(
        ordinary,
        name="compiled",
        why=f"the network alone, in {seconds:.1f} s, since {ordinary.why}",
        warning=_warning(seconds, (before - after) * batches, before, batches),
    )


def compile(network: nn.Module, attempt: Callable[[], Any]) -> float:
    """Have `network` compiled by `attempt`, which goes forward and backward once.

    Returns: how many seconds it took.
    Raises: MachineError where torch cannot compile it here.
    """
    began = time.perf_counter()
    try:
        network.compile(options=OPTIONS)
        attempt()
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        raise MachineError(_told(error)) from error
    return time.perf_counter() - began


def _seconds(attempt: Callable[[], Any]) -> float:
    """How long an attempt takes: the least of a few."""
    began, least = _now(), float("inf")
    for _ in range(TURNS):
        before = _now()
        attempt()
        least = min(least, (now := _now()) - before)
        if now - began > SECONDS:
            break
    return least


def _now() -> float:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()  # a GPU is given work that it has not done yet
    return time.perf_counter()


def _warning(seconds: float, saved: float, before: float, batches: int) -> str | None:
    """What to tell where compiling takes longer than it saves.

    Args:
        seconds: of compiling.
        saved: seconds, on all batches.
        before: seconds of one batch, uncompiled.

    >>> _warning(14.0, 1.2, 0.001, 3120)
    'compile: true took 14 s, to save 1.2 s of the 3.1 s that 3,120 batches take without it'
    >>> _warning(14.0, -3.1, 0.001, 3120)
    'compile: true took 14 s, to save nothing of the 3.1 s that 3,120 batches take without it'
    """
    if saved >= seconds:
        return None
    gain = _told_in_seconds(saved) if saved > 0 else "nothing"
    return (
        f"compile: true took {_told_in_seconds(seconds)}, to save {gain} of the "
        f"{_told_in_seconds(before * batches)} that {batches:,} batches take without it"
    )


def _told_in_seconds(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 99 else f"{seconds:,.0f} s"


def _told(error: Exception) -> str:
    said = cause(error)
    if "C++ compiler" in said or "InvalidCxxCompiler" in said:
        return NEEDS
    return (
        f"compile: torch cannot compile this network here: {_shortened(said)}; "
        "expected compile: false"
    )


def _shortened(said: str) -> str:
    return said if len(said) <= LONG else f"{said[:LONG]}..."
