"""nnarch, and the loops that one writes by hand in its place.

Each side is made of a case, and gives a function that trains on for a number of epochs. nnarch's
is a real run: it validates and measures each epoch, keeps history, and writes checkpoints into a
run directory. The loops by hand do nothing but train.
"""

import tempfile
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from case import Case
from turns import Train


def seed_loop(case: Case) -> Train:
    """The loop of a first lesson: a `DataLoader` puts each batch together row by row."""
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    rows = TensorDataset(*(part.cpu() for part in case.data()))
    loader = DataLoader(rows, batch_size=case.batch, shuffle=True)
    network, loss_function = case.network(), nn.MSELoss()
    optimizer = case.optimizer_of(network)

    def train(epochs: int) -> None:
        for _ in range(epochs):
            for inputs, target in loader:
                loss = loss_function(network(inputs.to(case.device)), target.to(case.device))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

    return train


def hand_loop(case: Case) -> Train:
    """The same over rows in memory: one permutation an epoch, cut into batches."""
    import torch
    from torch import nn

    inputs, target = case.data()
    network, loss_function = case.network(), nn.MSELoss()
    optimizer = case.optimizer_of(network)

    def train(epochs: int) -> None:
        for _ in range(epochs):
            order = torch.randperm(case.rows, device=case.device)
            batches = (part[order].split(case.batch) for part in (inputs, target))
            for x, y in zip(*batches, strict=True):
                loss = loss_function(network(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

    return train


def run(case: Case) -> Train:
    """A run in a directory of its own; `prepare` is off the clock."""
    return _trained(case, compile=False)


def compiled_run(case: Case) -> Train:
    """The same with `compile: true`."""
    return _trained(case, compile=True)


def _trained(case: Case, compile: bool) -> Train:
    from nnarch import experiment

    records = _records(experiment.prepare(case.config(compile)))
    return lambda epochs: deque(islice(records, epochs), maxlen=0)


def _records(ready: Any) -> Iterator[object]:
    """Epoch after epoch of a run that is kept in a temporary folder."""
    from nnarch import run as runs

    with (
        tempfile.TemporaryDirectory() as folder,
        runs.start(ready, Path(folder), ["benchmark"]) as kept,
    ):
        yield from runs.train(ready, kept)
