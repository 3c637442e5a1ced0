"""Rows that stay in the machine's memory, because the device has no room for them.

Batches are made where the rows lie and sent over one by one. From pinned memory they travel while
the device still computes on earlier ones, since nothing in an epoch waits for it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from nnarch.data.batch import Batch
from nnarch.data.batches import Rows, Sampling
from nnarch.data.streamed import Streamed
from nnarch.devices import sent

CPU = torch.device("cpu")
SHARE = 0.5  # of the memory that a device has left, which rows may take


@dataclass(frozen=True)
class Hosted:
    """The batches of `rows`, which are on the CPU, on `device`."""

    rows: Rows
    device: torch.device

    def __len__(self) -> int:
        return len(self.rows)

    def first(self, count: int) -> "Hosted":
        return replace(self, rows=self.rows.first(count))

    def to(self, device: torch.device, dtype: torch.dtype) -> "Hosted":
        return Hosted(self.rows.to(CPU, dtype), device)

    def prepare(self, inputs: Tensor) -> Tensor:
        return self.rows.prepare(inputs)

    def in_order(self, size: int) -> Iterator[Batch]:
        yield from map(self._sent, self.rows.in_order(size))

    def epoch(
        self, sizes: Sequence[int], seed: int, epoch: int, sampling: Sampling
    ) -> Iterator[Batch]:
        yield from map(self._sent, self.rows.epoch(sizes, seed, epoch, sampling))

    def _sent(self, batch: Batch) -> Batch:
        return Batch(sent(batch.inputs, self.device), sent(batch.target, self.device))


def placed(
    parts: Mapping[str, Rows], device: torch.device, dtype: torch.dtype, room: float
) -> dict[str, Rows]:
    """All rows where a network on `device` takes them from.

    Args:
        room: bytes that the device has left.
    """
    kept = [part for part in parts.values() if not isinstance(part, Streamed)]
    if sum(map(size, kept)) <= SHARE * room:
        return {name: part.to(device, dtype) for name, part in parts.items()}
    return {
        name: (part if isinstance(part, Streamed) else Hosted(part, device)).to(device, dtype)
        for name, part in parts.items()
    }


def size(rows: Any) -> int:
    """Bytes of all tensors in `rows`."""
    if isinstance(rows, Tensor):
        return rows.nbytes
    if not is_dataclass(rows):
        return 0
    return sum(size(getattr(rows, field.name)) for field in fields(rows))
