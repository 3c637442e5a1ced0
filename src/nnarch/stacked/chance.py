"""What the dropouts of a stack draw: for each member what it would draw alone.

Alone a network draws from torch's generator, seeded anew in every epoch, a number for each unit of
each row, layer after layer. So each member has a generator of its own here, and draws in its own
shape.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from nnarch.seeds import derive


class Drawing:
    """One dropout of all members, for batches of one size.

    Attributes:
        whole: what was drawn last, (M, ...), 0 or 1.
    """

    def __init__(self, shares: Sequence[float], own: Sequence[Tensor], whole: Tensor):
        """Args:
        shares: that each member leaves out.
        own: where each draws: parts of `whole`, that lie in memory as what it would draw alone.
        whole: of all, (M, ...), filled with ones.
        """
        self._shares, self._own, self.whole = shares, own, whole
        kept = [1.0 if share == 1 else 1 - share for share in shares]
        self._kept = whole.new_tensor(kept).view(-1, *[1] * (whole.dim() - 1))
        for share, place in zip(shares, own, strict=True):
            if share == 1:
                place.zero_()

    def __call__(self, generators: Sequence[torch.Generator]) -> Tensor:
        """What to multiply by, of the shape of `whole`."""
        each = zip(self._shares, self._own, generators, strict=True)
        for share, place, generator in each:
            if 0 < share < 1:  # torch draws nothing where nothing is left out, or all is
                place.bernoulli_(1 - share, generator=generator)
        return self.whole / self._kept


class Drawn(Protocol):
    """A network that has dropouts."""

    def drawings(self, rows: int) -> list[Drawing]:
        """Those for a batch of so many rows, in their order."""
        ...


class Chance:
    """The drawings of all dropouts of a network of networks."""

    def __init__(self, network: Drawn, seeds: Sequence[int], device: torch.device):
        """Args:
        device: where the networks are.
        """
        self._network, self._seeds = network, seeds
        self._generators = [torch.Generator(device) for _ in seeds]
        self._drawings: dict[int, list[Drawing]] = {}  # by rows of a batch

    def begin(self, epoch: int) -> None:
        """Draw from here on what epoch number `epoch` (from 1) draws."""
        for generator, seed in zip(self._generators, self._seeds, strict=True):
            generator.manual_seed(derive(seed, "epoch", epoch))

    def drawn(self, rows: int) -> list[Tensor]:
        """For a batch of so many rows, what each dropout multiplies by."""
        if rows not in self._drawings:
            self._drawings[rows] = self._network.drawings(rows)
        return [drawing(self._generators) for drawing in self._drawings[rows]]
