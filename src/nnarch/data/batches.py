"""Rows in the network's units, in batches: what training and evaluation go through.

However the data lies in memory (a matrix of rows, pixels as bytes, one long series of which a
sample is a window), a batch is one indexing operation on the device. Nothing is copied per
sample before its batch is asked for, so overlapping windows cost no more than the series.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import torch
from torch import Tensor

from nnarch.data.batch import Batch
from nnarch.data.preprocessing.arrayinputs import ArrayInputs
from nnarch.seeds import derive

Sampling = Literal["shuffled", "balanced", "sequential"]


class Rows(Protocol):
    """N samples and what is to be predicted from each."""

    def __len__(self) -> int: ...

    def first(self, count: int) -> "Rows":
        """The first `count` of them."""
        ...

    def to(self, device: torch.device, dtype: torch.dtype) -> "Rows":
        """On `device`, numbers as `dtype`; classes and tokens stay integers."""
        ...

    def in_order(self, size: int) -> Iterator[Batch]:
        """All of them, `size` at a time, ready for the network."""
        ...

    def epoch(
        self, sizes: Sequence[int], seed: int, epoch: int, sampling: Sampling
    ) -> Iterator[Batch]:
        """Epoch number `epoch` (from 1) in batches of `sizes`, before `prepare`."""
        ...

    def prepare(self, inputs: Tensor) -> Tensor:
        """The inputs of a batch, ready for the network; augmentation comes before."""
        ...


def order(rows: int, seed: int, epoch: int) -> Tensor:
    """The order in which epoch `epoch` (from 1) goes through the rows; the same on any device."""
    return torch.randperm(rows, generator=generator(seed, epoch))


def balanced(classes: Tensor, seed: int, epoch: int) -> Tensor:
    """As many row numbers as there are rows, drawn so that every class comes equally often."""
    chance, (found, counts) = generator(seed, epoch), classes.unique(return_counts=True)
    of_class = classes.argsort(stable=True)
    chosen = torch.randint(len(found), (len(classes),), generator=chance)
    share = torch.rand(len(classes), generator=chance, dtype=torch.float64)
    starts = counts.cumsum(0) - counts
    return of_class[starts[chosen] + (share * counts[chosen]).long()]


def generator(seed: int, epoch: int) -> torch.Generator:
    """The chance by which an epoch goes through its rows."""
    return torch.Generator().manual_seed(derive(seed, "batches", epoch))


class Indexed:
    """Rows of which any can be taken by its number, all on one device."""

    def __len__(self) -> int:
        raise NotImplementedError

    @property
    def device(self) -> torch.device:
        raise NotImplementedError

    def taken(self, chosen: Tensor | slice) -> Batch:
        raise NotImplementedError

    def goals_of_all(self) -> Tensor:
        """The target of every sample."""
        return self.taken(slice(None)).target

    def prepare(self, inputs: Tensor) -> Tensor:
        return inputs

    def in_order(self, size: int) -> Iterator[Batch]:
        for start in range(0, len(self), size):
            batch = self.taken(slice(start, start + size))
            yield replace(batch, inputs=self.prepare(batch.inputs))

    def epoch(
        self, sizes: Sequence[int], seed: int, epoch: int, sampling: Sampling
    ) -> Iterator[Batch]:
        chosen = self._chosen(seed, epoch, sampling)[: sum(sizes)].to(self.device)
        yield from self._batches(chosen, sizes)

    def _batches(self, chosen: Tensor, sizes: Sequence[int]) -> Iterator[Batch]:
        yield from map(self.taken, chosen.split(list(sizes)))

    def _chosen(self, seed: int, epoch: int, sampling: Sampling) -> Tensor:
        if sampling == "sequential":
            return torch.arange(len(self))
        if sampling == "balanced":
            return balanced(self.goals_of_all().cpu(), seed, epoch)
        return order(len(self), seed, epoch)


@dataclass(frozen=True)
class Matrix(Indexed):
    """Rows that the network takes as they are: inputs (N, ...), target (N,) or (N, T)."""

    inputs: Tensor
    target: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def device(self) -> torch.device:
        return self.inputs.device

    def first(self, count: int) -> "Matrix":
        return Matrix(self.inputs[:count], self.target[:count])

    def to(self, device: torch.device, dtype: torch.dtype) -> "Matrix":
        # converted first: not every device knows float64
        return Matrix(_as(self.inputs, dtype).to(device), _as(self.target, dtype).to(device))

    def taken(self, chosen: Tensor | slice) -> Batch:
        return Batch(self.inputs[chosen], self.target[chosen])

    def _batches(self, chosen: Tensor, sizes: Sequence[int]) -> Iterator[Batch]:
        """One permuted copy an epoch is cheaper than many small ones."""
        pieces = (part[chosen].split(list(sizes)) for part in (self.inputs, self.target))
        for inputs, target in zip(*pieces, strict=True):
            yield Batch(inputs, target)


@dataclass(frozen=True)
class Pixels(Indexed):
    """Arrays as they were read, scaled in their batch: pixels take a byte until then."""

    inputs: Tensor
    target: Tensor
    scaling: ArrayInputs
    dtype: torch.dtype = torch.float32

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def device(self) -> torch.device:
        return self.inputs.device

    def first(self, count: int) -> "Pixels":
        return replace(self, inputs=self.inputs[:count], target=self.target[:count])

    def to(self, device: torch.device, dtype: torch.dtype) -> "Pixels":
        target = _as(self.target, dtype).to(device)
        return Pixels(self.inputs.to(device), target, self.scaling, dtype)

    def taken(self, chosen: Tensor | slice) -> Batch:
        return Batch(self.inputs[chosen], self.target[chosen])

    def prepare(self, inputs: Tensor) -> Tensor:
        return self.scaling(inputs, self.dtype)


@dataclass(frozen=True)
class Windows(Indexed):
    """Stretches of one long series: `lookback` steps are seen, the next `horizon` predicted.

    Attributes:
        inputs: (T, C) of every step.
        goals: (T, G) of every step.
        starts: (N,) the step that each window begins with.
    """

    inputs: Tensor
    goals: Tensor
    starts: Tensor
    lookback: int
    horizon: int

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def device(self) -> torch.device:
        return self.inputs.device

    def first(self, count: int) -> "Windows":
        return replace(self, starts=self.starts[:count])

    def to(self, device: torch.device, dtype: torch.dtype) -> "Windows":
        return replace(
            self,
            inputs=self.inputs.to(dtype).to(device),
            goals=self.goals.to(dtype).to(device),
            starts=self.starts.to(device),
        )

    def taken(self, chosen: Tensor | slice) -> Batch:
        begin = self.starts[chosen].unsqueeze(1)
        steps = torch.arange(self.lookback + self.horizon, device=begin.device)
        seen, ahead = steps[: self.lookback], steps[self.lookback :]
        return Batch(self.inputs[begin + seen], self.goals[begin + ahead].flatten(1))


@dataclass(frozen=True)
class Contexts(Indexed):
    """Tokens, each to be told from those before it in its document.

    Attributes:
        ids: (T,) int64 tokens.
        places: (N,) which of them are to be predicted.
        begins: (T,) where the document of each begins.
    """

    ids: Tensor
    places: Tensor
    begins: Tensor
    context: int
    padding: int

    def __len__(self) -> int:
        return len(self.places)

    @property
    def device(self) -> torch.device:
        return self.ids.device

    def first(self, count: int) -> "Contexts":
        return replace(self, places=self.places[:count])

    def to(self, device: torch.device, dtype: torch.dtype) -> "Contexts":
        ids, places, begins = (t.to(device) for t in (self.ids, self.places, self.begins))
        return replace(self, ids=ids, places=places, begins=begins)

    def goals_of_all(self) -> Tensor:
        return self.ids[self.places]

    def taken(self, chosen: Tensor | slice) -> Batch:
        places = self.places[chosen]
        before = places.unsqueeze(1) + torch.arange(-self.context, 0, device=places.device)
        outside = before < self.begins[places].unsqueeze(1)
        seen = self.ids[before.clamp(min=0)].masked_fill(outside, self.padding)
        return Batch(seen, self.ids[places])


def _as(numbers: Tensor, dtype: torch.dtype) -> Tensor:
    return numbers.to(dtype) if numbers.is_floating_point() else numbers
