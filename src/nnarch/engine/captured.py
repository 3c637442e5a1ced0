"""A step on a GPU as one CUDA graph: gradient and update, without a word from the processor.

To launch the kernels of a small network's step takes far longer than they do. A graph of them is
launched at once, and always works on the same memory: batches and learning rates are copied to
where it looks for them, the counts of the optimizer lie on the device, and nothing waits until an
epoch's losses are read. What is captured is a recorded pure step, in which nothing is left to do
for the processor.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from nnarch.data.batch import Batch
from nnarch.engine.purestep import PureStep
from nnarch.engine.recording import record
from nnarch.gradient import Gradient, Pass
from nnarch.optim.stepper import Stepper

WARM_UP = 3  # turns before a capture, in which libraries take the memory that they work in

Program = Callable[[], tuple[Tensor, ...]]


class Graph(NamedTuple):
    """A step for batches of one shape.

    Attributes:
        held: where it looks for a batch.
        replay: takes the step.
        values: where it leaves the loss for each target.
        answers: in a batch, as `Pass` has it.
    """

    held: list[Tensor]
    replay: Callable[[], object]
    values: Tensor
    answers: int


class Captured:
    """Takes a step a call, along the rates that the optimizer's groups have."""

    def __init__(self, gradient: Gradient, optimizer: Stepper, batches: Sequence[Batch]):
        """Capture a step on each shape that is among `batches`, of an optimizer that is settled.

        What moves is left as it is.

        Raises: Unrepeatable, or what torch raises where it cannot.
        """
        self._gradient, self._groups = gradient, optimizer.param_groups
        device = optimizer.parameters[0].device
        exact = {"dtype": torch.float64, "device": device}
        before = [part.state for part in optimizer.parts]
        for part in optimizer.parts:
            part.state = {
                name: value if isinstance(value, Tensor) else torch.tensor(value, **exact)
                for name, value in (part.state or {}).items()
            }
        self._pure = PureStep(gradient, optimizer)
        self._rates = [torch.zeros((), **exact) for _ in self._groups]
        self._known = [0.0 for _ in self._groups]  # what lies in the rates
        self._graphs: dict[Hashable, Graph] = {}
        try:
            for batch in batches:
                if batch.kind not in self._graphs:
                    self._graphs[batch.kind] = self._captured(batch)
        except BaseException:
            for part, state in zip(optimizer.parts, before, strict=True):
                part.state = state
            raise

    def __call__(self, batches: Sequence[Batch]) -> list[Pass]:
        [batch] = batches
        if (graph := self._graphs.get(batch.kind)) is None:
            graph = self._graphs[batch.kind] = self._captured(batch)
        for place, each in zip(graph.held, batch.tensors, strict=True):
            place.copy_(each)
        self._set_rates()
        graph.replay()
        return [Pass(graph.values.clone(), graph.answers)]

    def _set_rates(self) -> None:
        for number, (rate, group) in enumerate(zip(self._rates, self._groups, strict=True)):
            if self._known[number] != group["lr"]:
                rate.fill_(group["lr"])
                self._known[number] = group["lr"]

    def _captured(self, batch: Batch) -> Graph:
        pure, held = self._pure, [each.clone() for each in batch.tensors]
        moving, network = pure.now(), self._gradient.network
        hypers = [
            {**group, "lr": rate} for group, rate in zip(pure.hypers, self._rates, strict=True)
        ]

        def compute() -> list[Tensor]:
            after, values = pure(moving, hypers, held)
            pure.keep(after.tensors)
            return [values]

        lasting = [*moving.tensors, *network.parameters(), *network.buffers(), *self._rates, *held]
        with pure.kept():
            [made], _ = self._gradient([batch])
            recording = record(compute, [], lasting)
        with pure.kept():
            replay, values = (_graph if held[0].is_cuda else _repeated)(recording.program)
        return Graph(held, replay, values, made.answers)


def _graph(program: Program) -> tuple[Callable[[], object], Tensor]:
    """What replays `program`, and the first of its results, which a replay writes anew."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(WARM_UP):
            program()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        values, *_ = program()
    return graph.replay, values


def _repeated(program: Program) -> tuple[Callable[[], object], Tensor]:
    """The same where there are no graphs."""
    values = program()[0].clone()
    return lambda: values.copy_(program()[0]), values
