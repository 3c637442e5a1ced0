"""A step whose gradient is a recorded program, of which there is one for each shape of a batch.

The optimizer's update is the same few operations as ever, on parameters that lie side by side;
forward, loss and backward are repeated without autograd. A program is trusted after it has given
the gradient that autograd gives, bit for bit, of every batch that it was tried on.
"""

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from nnarch.data.batch import Batch
from nnarch.engine.eager import Eager
from nnarch.engine.program import Recording
from nnarch.engine.recording import Unrepeatable, record
from nnarch.errors import cause, is_out_of_memory
from nnarch.gradient import Gradient, Pass, unchanged
from nnarch.optim.stepper import Stepper


class Recorded:
    """Takes a step a call, as `Eager` does, and does what it was not recorded for as that does."""

    def __init__(self, gradient: Gradient, optimizer: Stepper, batches: Sequence[Batch]):
        """Record a step on each shape that is among `batches`, and try it on all of these.

        Parameters get their place in memory; all else is left as it is.

        Raises: Unrepeatable.
        """
        self._gradient, self._optimizer = gradient, optimizer
        self._eager = Eager(gradient, optimizer)
        self._programs: dict[Hashable, tuple[Recording, int]] = {}
        with unchanged(gradient.network):
            optimizer.settle(gradient(batches[:1])[1])
        for batch in batches:
            if batch.kind not in self._programs:
                self._record(batch)
            self._try(batch)

    def __call__(self, batches: Sequence[Batch]) -> list[Pass]:
        if len(batches) > 1 or (found := self._programs.get(batches[0].kind)) is None:
            return self._eager(batches)
        recording, answers = found
        values, *joined = recording.program(*batches[0].tensors)
        self._optimizer.advance(joined)
        return [Pass(values, answers)]

    @property
    def operations(self) -> int:
        """How many operations a gradient takes."""
        return max(recording.operations for recording, _ in self._programs.values())

    def _record(self, batch: Batch) -> None:
        network = self._gradient.network
        answers = 0

        def compute() -> list[Tensor]:
            nonlocal answers
            made, results = self._computed(batch)
            answers = made.answers
            return results

        moving = [*network.parameters(), *network.buffers()]
        with unchanged(network):
            recording = record(compute, batch.tensors, moving)
        self._programs[batch.kind] = recording, answers

    def _computed(self, batch: Batch) -> tuple[Pass, list[Tensor]]:
        [made], gradients = self._gradient([batch])
        return made, [made.values, *self._optimizer.joined(gradients)]

    def _try(self, batch: Batch) -> None:
        network, (recording, _) = self._gradient.network, self._programs[batch.kind]
        with unchanged(network):
            expected = [*self._computed(batch)[1], *map(torch.clone, network.buffers())]
        try:
            with unchanged(network):
                given = [*recording.program(*batch.tensors), *map(torch.clone, network.buffers())]
        except Exception as error:
            if isinstance(error, MemoryError | RuntimeError) and is_out_of_memory(error):
                raise
            raise Unrepeatable(f"what was recorded fails: {cause(error)}") from error
        if not all(map(torch.equal, given, expected)):
            raise Unrepeatable("on another batch what was recorded gives other numbers")
