"""What the dropouts of a stack draw: for each member what it would draw alone.

Alone a network draws from torch's generator, seeded anew in every epoch, a number for each unit of
each row, layer after layer, and keeps the unit where the number is small enough. Members of one
seed so go along one sequence, each at its own pace. It is drawn once for all of them, an epoch's
at a time, and each takes from it what is its own, in a tenth of the time that drawing takes.
Where torch draws in another way, or an epoch's numbers are too many to hold, each draws its own.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import groupby
from typing import Protocol

import torch
from torch import Tensor

from nnarch.seeds import derive

MOST = 2**24  # numbers that are held at a time


class Drawing:
    """One dropout of all members, for batches of one size.

    Attributes:
        shares: that each member leaves out; it draws nothing where that is none, or all.
        counts: how many numbers each member draws, (M,).
        draws: which members draw, (M,).
        like: what to multiply by lies in memory as this does, (M, ...).
    """

    def __init__(self, shares: Sequence[float], counts: Sequence[int], order: Tensor, like: Tensor):
        """Args:
        counts: of the units of each member, for all rows.
        order: which of its own numbers each unit of a member takes, (M, N), in memory's order.
        """
        self.shares, self.like = shares, like
        self.draws = torch.tensor([0 < share < 1 for share in shares], device=order.device)
        self.counts = torch.tensor(counts, device=order.device) * self.draws
        self._order = (order * self.draws.view(-1, 1)).int()

    def __call__(self, factors: Tensor, begin: Tensor) -> Tensor:
        """What to multiply by, taken from `factors`, where each member's own begin, (M,)."""
        places = self._order + begin.int().view(-1, 1)
        taken = factors.index_select(0, places.view(-1))
        return taken.as_strided(self.like.shape, self.like.stride())


class Drawn(Protocol):
    """A network that has dropouts."""

    def drawings(self, rows: int) -> list[Drawing]:
        """Those for a batch of so many rows, in their order."""
        ...


class Chance(Protocol):
    """What all dropouts of a network of networks draw."""

    def begin(self, epoch: int) -> None:
        """Draw from here on what epoch number `epoch` (from 1) draws."""
        ...

    def drawn(self, rows: int) -> list[Tensor]:
        """For the next batch, of so many rows, what each dropout multiplies by."""
        ...


def chance(network: Drawn, seeds: Sequence[int], sizes: Sequence[int]) -> Chance:
    """What draws for members of such seeds, in epochs of batches of so many rows each."""
    drawings = {rows: network.drawings(rows) for rows in set(sizes)}
    if any(drawings.values()) and _is_uniform(drawings[sizes[0]][0].like.device.type):
        shared = _Shared(drawings, seeds, sizes)
        if shared.numbers <= MOST:
            return shared
    return _Own(drawings, seeds)


class _Shared:
    """Members of one seed share what is drawn.

    Of each seed, and share that is left out, there is a row of factors as long as the longest.
    """

    def __init__(
        self, drawings: Mapping[int, list[Drawing]], seeds: Sequence[int], sizes: Sequence[int]
    ):
        each = [drawing for those in drawings.values() for drawing in those]
        pairs = {pair for one in each for pair in zip(seeds, one.shares, strict=True)}
        self._rows = sorted((seed, share) for seed, share in pairs if 0 < share < 1)
        needed = torch.stack([one.counts for rows in sizes for one in drawings[rows]]).sum(0)
        self._longest, self._none = int(needed.max()), torch.zeros_like(needed)
        self._drawings, self._like = drawings, each[0].like
        self._begins = {one: self._begin(one, seeds) for one in each}

    @property
    def numbers(self) -> int:
        return len(self._rows) * self._longest

    def _begin(self, drawing: Drawing, seeds: Sequence[int]) -> Tensor:
        """Where the factors of each member begin."""
        pairs = zip(seeds, drawing.shares, strict=True)
        rows = [self._rows.index(pair) if pair in self._rows else 0 for pair in pairs]
        return _begin(drawing, [row * self._longest for row in rows], self.numbers)

    def begin(self, epoch: int) -> None:
        self._factors = _room(self._like, self.numbers)
        rows = iter(self._factors[: self.numbers].view(len(self._rows), self._longest))
        for seed, shares in groupby(self._rows, key=lambda row: row[0]):
            generator = torch.Generator().manual_seed(derive(seed, "epoch", epoch))
            drawn = torch.empty(self._longest, dtype=torch.float64).uniform_(generator=generator)
            for (_, share), row in zip(shares, rows, strict=False):
                torch.lt(drawn, 1 - share, out=row).div_(1 - share)
        self._passed = self._none

    def drawn(self, rows: int) -> list[Tensor]:
        made = []
        for drawing in self._drawings[rows]:
            passed = self._passed * drawing.draws
            made.append(drawing(self._factors, self._begins[drawing] + passed))
            self._passed = self._passed + drawing.counts
        return made


class _Own:
    """Each member draws its own."""

    def __init__(self, drawings: Mapping[int, list[Drawing]], seeds: Sequence[int]):
        self._drawings, self._seeds = drawings, seeds

    def begin(self, epoch: int) -> None:
        self._epoch, self._generators = epoch, list[torch.Generator]()

    def drawn(self, rows: int) -> list[Tensor]:
        return [self._drawn(drawing) for drawing in self._drawings[rows]]

    def _drawn(self, drawing: Drawing) -> Tensor:
        self._generators = self._generators or [
            torch.Generator(drawing.like.device).manual_seed(derive(seed, "epoch", self._epoch))
            for seed in self._seeds
        ]
        ends = drawing.counts.cumsum(0).tolist()
        begins = [0, *ends[:-1]]
        factors = _room(drawing.like, ends[-1])
        each = zip(drawing.shares, begins, ends, self._generators, strict=True)
        for share, begin, end, generator in each:
            if begin < end:
                own = factors[begin:end].bernoulli_(1 - share, generator=generator)
                own.div_(1 - share)
        return drawing(factors, _begin(drawing, begins, ends[-1]))


def _room(like: Tensor, numbers: int) -> Tensor:
    """For so many factors, and after them those where all is kept, and nothing."""
    room = like.new_empty(numbers + 2)
    room[-2], room[-1] = 1, 0
    return room


def _begin(drawing: Drawing, begins: Sequence[int], numbers: int) -> Tensor:
    """`begins` of the members that draw; of the others the place of the factor that they have."""
    pairs = zip(drawing.shares, begins, strict=True)
    places = [begin if 0 < share < 1 else numbers + (share == 1) for share, begin in pairs]
    return torch.tensor(places, device=drawing.counts.device)


@cache
def _is_uniform(device: str) -> bool:
    """Whether torch keeps a unit where a uniform number of double precision is small enough.

    That is not so on all processors.
    """
    if device != "cpu":
        return False
    one, other = (torch.Generator().manual_seed(0) for _ in range(2))
    numbers = torch.empty(1000, dtype=torch.float64).uniform_(generator=one)
    kept = [torch.empty(count).bernoulli_(0.7, generator=other) for count in (7, 993)]
    same = torch.equal((numbers < 0.7).float(), torch.cat(kept))
    return same and torch.equal(one.get_state(), other.get_state())
