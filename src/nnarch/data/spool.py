"""Rows on disk, for a table that is larger than memory.

A file of text is read once, a chunk at a time, into a temporary file of float64 rows of equal
length, of which any stretch is then one read away: that is what makes a second pass, a split and
a shuffle possible in bounded memory. The file has no name from its beginning on, so that it is
gone with the process, however that ends. It is read into buffers rather than mapped, since a
mapping counts as memory wherever memory is limited by address space.
"""

import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from nnarch.data.table import Table
from nnarch.errors import MachineError, reason

BLOCK = 1 << 16  # rows at once
CELLS = 1 << 18  # numbers at once that lie in a core's cache


class Spool:
    """A matrix (N, F) of float64 on disk; it grows at its end, and is read by rows."""

    def __init__(self, columns: int):
        self._file = tempfile.TemporaryFile(prefix="nnarch-", buffering=0)  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._rows, self._columns = 0, columns

    def __len__(self) -> int:
        return self._rows

    @property
    def shape(self) -> tuple[int, int]:
        return self._rows, self._columns

    def append(self, rows: Tensor) -> None:
        """Add `rows` (n, F) at the end.

        Raises: MachineError where the disk for temporary files is full.
        """
        assert rows.shape[1] == self._columns
        assert rows.dtype == torch.float64
        left = _bytes(rows.contiguous())
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise MachineError(
                f"{tempfile.gettempdir()}: {reason(error)}, after {self._rows:,} rows of a table "
                "larger than memory; expected room for 8 bytes a cell (TMPDIR says where)"
            ) from error
        self._rows += len(rows)

    def stretch(self, start: int, stop: int) -> Tensor:
        """Rows `start` to `stop`, (stop - start, F)."""
        rows = torch.empty(stop - start, self._columns, dtype=torch.float64)
        left, place = _bytes(rows), start * self._columns * 8
        while left:
            read = os.preadv(self._file.fileno(), [left], place)
            assert read > 0, "rows that were written"
            left, place = left[read:], place + read
        return rows

    def column(self, place: int) -> Tensor:
        """All of one column, (N,)."""
        starts = range(0, self._rows, BLOCK)
        stops = (min(start + BLOCK, self._rows) for start in starts)
        return torch.cat([self.stretch(*ends)[:, place] for ends in zip(starts, stops)])  # noqa: B905

    def take(self, chosen: Tensor) -> Tensor:
        """The rows of these numbers, which ascend: (n, F)."""
        parts = []
        for block in (chosen // BLOCK).unique_consecutive().tolist():
            inside = chosen[torch.searchsorted(chosen, block * BLOCK) :]
            inside = inside[: torch.searchsorted(inside, (block + 1) * BLOCK)]
            first, last = int(inside[0]), int(inside[-1])
            parts.append(self.stretch(first, last + 1)[inside - first])
        return torch.cat(parts) if parts else torch.empty(0, self._columns, dtype=torch.float64)


def _bytes(rows: Tensor) -> memoryview:
    """The memory of contiguous rows; there may be none."""
    return rows.flatten().view(torch.uint8).numpy().data


def spooled(chunks: Iterable[Table]) -> Table:
    """The table whose rows are those of `chunks`, its inputs on disk."""
    spool, targets, parts, last = None, [], [], None
    for last in chunks:
        spool = spool or Spool(last.inputs.shape[1])
        spool.append(last.inputs)
        targets.append(last.target)
        parts.append(last.parts)
    assert spool is not None, "a table has rows"
    assert last is not None
    together = torch.cat(parts) if last.parts is not None else None
    note = f"the table stays on disk, {len(spool):,} rows of it, and is read a block at a time"
    notes = (*last.notes, note)
    return replace(last, inputs=spool, target=_joined(targets), parts=together, notes=notes)


def _joined(targets: list[Tensor | list[str] | None]) -> Tensor | list[str] | None:
    if isinstance(targets[0], Tensor):
        return torch.cat([target for target in targets if isinstance(target, Tensor)])
    if targets[0] is None:
        return None
    known: dict[str, str] = {}  # each word once, however many rows say it
    return [
        known.setdefault(label, label)
        for target in targets
        if isinstance(target, list)
        for label in target
    ]


def blocks(inputs: Tensor | Spool, chosen: Tensor, size: int = BLOCK) -> Iterator[Tensor]:
    """The rows of the numbers `chosen`, which ascend, a block at a time."""
    for piece in chosen.split(size):
        yield take(inputs, piece)


def take(inputs: Tensor | Spool, chosen: Tensor) -> Tensor:
    """The rows of the numbers `chosen`, which ascend."""
    return inputs.take(chosen) if isinstance(inputs, Spool) else inputs[chosen]
