"""What training rows are like, gathered block by block.

All that is fitted before a network (scaling, filling, which columns are of use) is fitted on
these numbers, so that a file larger than memory is no special case. Rows are cut anew into
blocks of one size however they arrive: the same rows give the same numbers to the last bit,
from a tensor or from a file. Medians and quantiles need rows side by side; they are taken from a
sample, which holds all rows unless there are very many.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from nnarch.data.table import Column, numeric

BLOCK = 1 << 18  # cells, which lie in a core's cache
SAMPLE = 1 << 16  # rows


@dataclass(frozen=True)
class Statistics:
    """Of N rows and F columns.

    Attributes:
        rows: N.
        columns: what the numbers stand for.
        missing: (F,) int64 empty cells.
        mean: (F,) float64 of the filled cells; NaN where there are none.
        deviation: (F,) float64, of the population.
        minimum: (F,) float64.
        maximum: (F,) float64.
        integral: (F,) bool, whether all filled cells are whole numbers.
        counts: for each column of words how often each of them occurs, int64; None for others.
        sample: (S, F) float64 rows.
    """

    rows: int
    columns: tuple[Column, ...]
    missing: Tensor
    mean: Tensor
    deviation: Tensor
    minimum: Tensor
    maximum: Tensor
    integral: Tensor
    counts: tuple[Tensor | None, ...]
    sample: Tensor

    @property
    def filled(self) -> Tensor:
        """(F,) int64 cells that hold something."""
        return self.rows - self.missing

    def take(self, chosen: Sequence[int]) -> "Statistics":
        """Those of some columns, in this order."""
        if len(chosen) == len(self.columns) and list(chosen) == list(range(len(chosen))):
            return self  # the sample may be large
        index = torch.tensor(chosen, dtype=torch.int64)
        taken: dict[str, Any] = {name: getattr(self, name)[index] for name in _OF_A_COLUMN}
        return Statistics(
            rows=self.rows,
            columns=tuple(self.columns[i] for i in chosen),
            counts=tuple(self.counts[i] for i in chosen),
            sample=self.sample[:, index],
            **taken,
        )

    def pooled(self, groups: int) -> "Statistics":
        """Those of neighbouring columns without gaps as if they were one, in equal groups.

        There is no sample of them, nor are there words.
        """
        mean, deviation = self.mean.view(groups, -1), self.deviation.view(groups, -1)
        center = mean.mean(1)
        around = deviation.square() + (mean - center.unsqueeze(1)).square()
        return Statistics(
            rows=self.rows * mean.shape[1],
            columns=self.columns[:groups],
            missing=self.missing.view(groups, -1).sum(1),
            mean=center,
            deviation=around.mean(1).sqrt(),
            minimum=self.minimum.view(groups, -1).amin(1),
            maximum=self.maximum.view(groups, -1).amax(1),
            integral=self.integral.view(groups, -1).all(1),
            counts=(None,) * groups,
            sample=torch.empty(0, groups, dtype=torch.float64),
        )

    def quantiles(self, at: Tensor) -> Tensor:
        """(Q, F) values below which the shares `at` (Q,) of the sample's filled cells lie.

        Between two cells the line through them counts (Hyndman & Fan 1996, type 7); NaN for a
        column without cells.
        """
        ordered, last = self._ordered
        # Rounded, lest equal values be told apart by an error in the last bit of a share.
        place = (last.unsqueeze(1) * at.double()).round(decimals=9)
        if not ordered.numel():
            return place.t() * torch.nan
        low = place.floor().long()
        high = torch.minimum(low + 1, last.unsqueeze(1))
        below, above = ordered.gather(1, low), ordered.gather(1, high)
        return (below + (above - below) * (place - low)).t().contiguous()

    @cached_property
    def _ordered(self) -> tuple[Tensor, Tensor]:
        """The sample's columns in order (F, S), gaps last, and the place of the last cell (F,)."""
        ordered = self.sample.t().contiguous().sort().values
        return ordered, ((~ordered.isnan()).sum(1) - 1).clamp(min=0)


_SIZES = ("rows", "columns", "counts", "sample")
_OF_A_COLUMN = [field.name for field in fields(Statistics) if field.name not in _SIZES]


def sample_rows(rows: int, seed: int) -> Tensor:
    """Numbers of the rows to sample, in order: all, or one of each of `SAMPLE` equal stretches."""
    if rows <= SAMPLE:
        return torch.arange(rows)
    starts = torch.arange(SAMPLE + 1) * rows // SAMPLE
    generator = torch.Generator().manual_seed(seed)
    chance = torch.rand(SAMPLE, generator=generator, dtype=torch.float64)
    return starts[:-1] + (chance * starts.diff()).long()


def describe(rows: Tensor, columns: Sequence[Column] = (), seed: int = 0) -> Statistics:
    """The statistics of rows (N, F) in memory, of plain numbers unless `columns` says otherwise."""
    columns = columns or numeric(str(i) for i in range(rows.shape[1]))
    return gather([rows], columns, sample_rows(len(rows), seed))


def gather(blocks: Iterable[Tensor], columns: Sequence[Column], sample: Tensor) -> Statistics:
    """The statistics of the rows of all blocks.

    Args:
        blocks: rows (n, F), one after another; codes where a column is of words, NaN for nothing.
        sample: numbers of the rows to keep, in order.
    """
    moments = _Moments(len(columns))
    words = [i for i, column in enumerate(columns) if column.kind in ("categorical", "text")]
    counts = {i: torch.zeros(len(columns[i].words), dtype=torch.int64) for i in words}
    kept, start = [torch.empty(0, len(columns), dtype=torch.float64)], 0
    for block in _equal(blocks, max(1, BLOCK // max(1, len(columns)))):
        moments.add(block)
        for i in words:
            codes = block[:, i]
            codes = codes[~codes.isnan()].long()
            counts[i] += codes.bincount(minlength=len(counts[i]))
        low, high = torch.searchsorted(sample, torch.tensor([start, start + len(block)])).tolist()
        kept.append(block[sample[low:high] - start])
        start += len(block)
    return Statistics(
        rows=start,
        columns=tuple(columns),
        counts=tuple(counts.get(i) for i in range(len(columns))),
        sample=torch.cat(kept),
        **moments.result(start),
    )


def _equal(blocks: Iterable[Tensor], size: int) -> Iterator[Tensor]:
    """The same rows in blocks of `size`, laid out alike so that they are added up alike."""
    waiting: list[Tensor] = []
    lacking = size
    for block in blocks:
        for piece in (block[:lacking], *block[lacking:].split(size)):
            waiting += [piece] if len(piece) else []
            lacking -= len(piece)
            if not lacking:
                yield _joined(waiting)
                waiting, lacking = [], size
    if lacking < size:
        yield _joined(waiting)


def _joined(pieces: list[Tensor]) -> Tensor:
    block = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
    return block.double().contiguous()


class _Moments:
    """Mean, deviation and bounds, of blocks joined as by Chan, Golub & LeVeque (1979).

    Deviations are summed around a block's own mean, which keeps them exact for values that are
    large and differ little, such as times.
    """

    def __init__(self, columns: int):
        zeros = torch.zeros(columns, dtype=torch.float64)
        self.filled, self.mean, self.squares = zeros, zeros, zeros
        self.minimum, self.maximum = zeros + torch.inf, zeros - torch.inf
        self.whole = torch.arange(columns)  # columns without a fraction so far

    def add(self, block: Tensor) -> None:
        sums = block.sum(0)
        if sums.isnan().any():
            empty = block.isnan()
            filled = (~empty).sum(0).double()
            mean = block.masked_fill(empty, 0).sum(0) / filled.clamp(min=1)
            apart = (block - mean).masked_fill_(empty, 0)
            least = block.masked_fill(empty, torch.inf).amin(0)
            most = block.masked_fill(empty, -torch.inf).amax(0)
        else:
            filled = torch.full_like(sums, len(block))
            mean = sums / len(block)
            apart = block - mean
            least, most = block.amin(0), block.amax(0)
        slip = apart.sum(0) / filled.clamp(min=1)  # what rounding left in the mean
        squares = apart.square_().sum(0) - filled * slip.square()
        mean = mean + slip
        self._join(filled, mean, squares)
        self.minimum = torch.minimum(self.minimum, least)
        self.maximum = torch.maximum(self.maximum, most)
        if len(self.whole):
            cells = block if len(self.whole) == block.shape[1] else block[:, self.whole]
            broken = cells.floor().sub_(cells).nan_to_num_(0)
            self.whole = self.whole[~broken.any(0)]

    def _join(self, filled: Tensor, mean: Tensor, squares: Tensor) -> None:
        total = self.filled + filled
        share = filled / total.clamp(min=1)
        apart = mean - self.mean
        self.squares = self.squares + squares + apart.square() * self.filled * share
        self.mean, self.filled = self.mean + apart * share, total

    def result(self, rows: int) -> dict[str, Tensor]:
        nothing = self.filled == 0
        # A constant is its own mean: a rounding error beside it would look like a deviation.
        constant = self.minimum == self.maximum
        mean = torch.where(constant, self.minimum, self.mean)
        deviation = (self.squares.clamp(min=0) / self.filled).sqrt().masked_fill(constant, 0)
        integral = torch.zeros_like(nothing)
        integral[self.whole] = True
        return {
            "missing": rows - self.filled.long(),
            "mean": mean.masked_fill(nothing, torch.nan),
            "deviation": deviation.masked_fill(nothing, torch.nan),
            "minimum": self.minimum.masked_fill(nothing, torch.nan),
            "maximum": self.maximum.masked_fill(nothing, torch.nan),
            "integral": integral,
        }
