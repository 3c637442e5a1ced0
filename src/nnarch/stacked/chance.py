"""What the dropouts of a stack draw: for each member what it would draw alone.

Alone a network draws from torch's generator, seeded anew in every epoch, a number for each unit of
each row, layer after layer, and keeps the unit where the number is small enough. Members of one
seed so go along one sequence, each at its own pace. It is drawn once for all of them, an epoch's
at a time, and each takes from it what is its own, in a fifth of the time that drawing takes.
What is held of a number is which of the members' shares it is small enough for, one byte.

Where torch draws in another way, or an epoch's numbers are too many to hold, each draws its own.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Protocol

import torch
from torch import Tensor

from nnarch.seeds import derive

MOST = 2**26  # numbers that are held at a time
LARGE = 254  # of what is held of a number, for one that nobody keeps
ALL = 255  # below which all are


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
        kept = like.new_tensor([1 - share for share in shares]).view(-1, 1)
        self._factors = (1 / kept).where(kept > 0, 0)

    def __call__(self, numbers: Tensor, begin: Tensor, limits: Tensor) -> Tensor:
        """What to multiply by, (M, ...).

        Args:
            numbers: what is held of those that were drawn, a byte each.
            begin: where each member's own begin among them, (M,).
            limits: below which a member keeps a unit, (M,).
        """
        places = self._order + begin.int().view(-1, 1)
        taken = numbers.index_select(0, places.view(-1)).view(places.shape)
        made = self.like.new_empty(places.shape)
        torch.lt(taken, limits.view(-1, 1), out=made)
        return made.mul_(self._factors).as_strided(self.like.shape, self.like.stride())


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
    if any(drawings.values()) and _is_uniform(drawings[sizes[0]][0].counts.device.type):
        shared = _Shared(drawings, seeds, sizes)
        if shared.is_possible:
            return shared
    return _Own(drawings, seeds)


class _Shared:
    """Members of one seed share what is drawn.

    Of each seed there is a row of numbers, as many as any member draws.
    """

    def __init__(
        self, drawings: Mapping[int, list[Drawing]], seeds: Sequence[int], sizes: Sequence[int]
    ):
        each = [drawing for those in drawings.values() for drawing in those]
        self._drawings, self._seeds = drawings, sorted(set(seeds))
        needed = torch.stack([one.counts for rows in sizes for one in drawings[rows]]).sum(0)
        self._longest = max(1, int(needed.max()))
        self._first = torch.tensor([self._seeds.index(seed) * self._longest for seed in seeds])
        kept = {1 - share for one in each for share in one.shares if 0 < share < 1}
        self._bounds = sorted(kept)
        self._limits = {one: self._limits_of(one) for one in each}

    @property
    def is_possible(self) -> bool:
        numbers = len(self._seeds) * self._longest
        return numbers <= MOST and len(self._bounds) < LARGE

    def _limits_of(self, drawing: Drawing) -> Tensor:
        limits = [_limit(share, self._bounds) for share in drawing.shares]
        return torch.tensor(limits, dtype=torch.uint8)

    def begin(self, epoch: int) -> None:
        bounds = torch.tensor(self._bounds, dtype=torch.float64)
        self._numbers = torch.empty(len(self._seeds), self._longest, dtype=torch.uint8)
        for seed, row in zip(self._seeds, self._numbers, strict=True):
            generator = torch.Generator().manual_seed(derive(seed, "epoch", epoch))
            drawn = torch.empty(self._longest, dtype=torch.float64).uniform_(generator=generator)
            row.copy_(torch.bucketize(drawn, bounds, right=True, out_int32=True))
        self._passed = torch.zeros_like(self._first)

    def drawn(self, rows: int) -> list[Tensor]:
        numbers, made = self._numbers.view(-1), []
        for drawing in self._drawings[rows]:
            begin = self._first + self._passed * drawing.draws
            made.append(drawing(numbers, begin, self._limits[drawing]))
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
        device = drawing.counts.device
        self._generators = self._generators or [
            torch.Generator(device).manual_seed(derive(seed, "epoch", self._epoch))
            for seed in self._seeds
        ]
        ends = drawing.counts.cumsum(0)
        begins = ends - drawing.counts
        numbers = drawing.like.new_zeros(int(ends[-1]) + 1)
        each = zip(drawing.shares, begins.tolist(), ends.tolist(), self._generators, strict=True)
        for share, begin, end, generator in each:
            if begin < end:
                numbers[begin:end].bernoulli_(1 - share, generator=generator)
        limits = [_limit(share, [1 - share]) for share in drawing.shares]
        held = ((1 - numbers) * LARGE).to(torch.uint8)
        return drawing(held, begins, torch.tensor(limits, dtype=torch.uint8, device=device))


def _limit(share: float, bounds: Sequence[float]) -> int:
    """Below which a member that leaves out a share keeps a unit, each number being held as how
    many of `bounds` it reaches."""
    if 0 < share < 1:
        return bounds.index(1 - share) + 1
    return 0 if share == 1 else ALL


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
