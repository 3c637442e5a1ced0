"""Rows that stay on disk: read, prepared and shuffled a stretch at a time.

A file on disk is fast to read in stretches and slow to read row by row. So an epoch goes through
blocks of neighbouring rows in an order drawn anew, several blocks at once, whose rows are then
shuffled together: neighbours in the file are seldom neighbours in a batch, and memory holds one
such buffer. The order follows from the seed and the epoch alone, so a run that goes on at an
epoch goes on with the same batches.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nnarch.data.batch import Batch
from nnarch.data.batches import Sampling, generator
from nnarch.data.preprocessing.preprocess import Columns
from nnarch.data.preprocessing.tableinputs import TableInputs
from nnarch.data.spool import CELLS, take
from nnarch.data.table import Table
from nnarch.devices import sent

CPU = torch.device("cpu")
BLOCK = 1 << 11  # rows read at once
BUFFER = 1 << 17  # rows shuffled together, at most
BYTES = 1 << 26  # of a buffer of prepared rows, at most


@dataclass(frozen=True)
class Streamed:
    """Rows of a table on disk.

    Attributes:
        table: all rows.
        chosen: (N,) the numbers of these rows, ascending.
        target: (N,) or (N, T), of these rows.
    """

    table: Table
    chosen: Tensor
    target: Tensor
    scaling: TableInputs
    device: torch.device = CPU
    dtype: torch.dtype = torch.float32

    def __len__(self) -> int:
        return len(self.chosen)

    def prepare(self, inputs: Tensor) -> Tensor:
        return inputs

    def first(self, count: int) -> "Streamed":
        return replace(self, chosen=self.chosen[:count], target=self.target[:count])

    def to(self, device: torch.device, dtype: torch.dtype) -> "Streamed":
        target = self.target.to(dtype) if self.target.is_floating_point() else self.target
        return replace(self, target=target, device=device, dtype=dtype)

    def in_order(self, size: int) -> Iterator[Batch]:
        for rows in torch.arange(len(self)).split(size):
            yield self._read(rows)

    def epoch(
        self, sizes: Sequence[int], seed: int, epoch: int, sampling: Sampling
    ) -> Iterator[Batch]:
        assert sampling != "balanced", "refused before training"
        places = self._sequence(None if sampling == "sequential" else generator(seed, epoch))
        left = next(places)
        for size in sizes:
            while len(left.target) < size:
                left = _joined(left, next(places))
            yield Batch(left.inputs[:size], left.target[:size])
            left = Batch(left.inputs[size:], left.target[size:])

    def _sequence(self, chance: torch.Generator | None) -> Iterator[Batch]:
        """The rows of an epoch, a buffer after another."""
        blocks = torch.arange(len(self)).split(BLOCK)
        order = torch.arange(len(blocks))
        if chance is not None:
            order = torch.randperm(len(blocks), generator=chance)
        for several in order.split(max(1, self._buffer() // BLOCK)):
            rows = torch.cat([blocks[block] for block in several.sort().values.tolist()])
            buffer = self._read(rows)
            if chance is not None:
                mixed = torch.randperm(len(rows), generator=chance).to(self.device)
                buffer = Batch(buffer.inputs[mixed], buffer.target[mixed])
            yield buffer

    def _buffer(self) -> int:
        """How many rows are shuffled together."""
        width = max(self.scaling.shape[0], len(self.table.columns))
        return min(BUFFER, max(BLOCK, BYTES // (8 * width)))

    def _read(self, rows: Tensor) -> Batch:
        """These of the rows, which ascend, ready for the network."""
        inputs = prepared(self.table, self.scaling, self.chosen[rows], self.dtype)
        return Batch(sent(inputs, self.device), sent(self.target[rows], self.device))


def prepared(table: Table, made: Columns, chosen: Tensor, dtype: torch.dtype) -> Tensor:
    """The network's inputs for the rows `chosen`, which ascend, made a block at a time."""
    inputs = torch.empty(len(chosen), *made.shape, dtype=dtype)
    size = max(1, CELLS // max(len(table.columns), *made.shape))
    for into, piece in zip(inputs.split(size), chosen.split(size), strict=True):
        into.copy_(made(made.raw(replace(table, inputs=take(table.inputs, piece)))))
    return inputs


def _joined(first: Batch, second: Batch) -> Batch:
    return Batch(torch.cat([first.inputs, second.inputs]), torch.cat([first.target, second.target]))
