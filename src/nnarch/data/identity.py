"""By what data and samples are known again: a fingerprint of all, a number for each sample.

A run's directory holds the fingerprint, so that a part of changed data is never measured as if it
were the old. The numbers of samples tell how many stand in two parts at once.
"""

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nnarch.data import duplicates
from nnarch.data import task as tasks
from nnarch.data.array import Array
from nnarch.data.parting import Samples
from nnarch.data.sources.series import Series
from nnarch.data.split import Parts
from nnarch.data.spool import CELLS, blocks
from nnarch.data.table import Table
from nnarch.data.task import Task
from nnarch.data.tokens import Tokens

HASHED = 1 << 16  # targets at once


def fingerprint(data: Samples, numbers: Tensor | None = None) -> str:
    """SHA-256 of names, values and given parts.

    Args:
        numbers: of the samples, if they are known.
    """
    digest = hashlib.sha256()
    if isinstance(data, Tokens):
        named: Any = (data.vocabulary, data.context)
        values = [data.ids, data.documents]
    elif isinstance(data, Series):
        named = (data.input_names, data.channels, data.lookback, data.horizon)
        values = [data.inputs, data.goals, data.starts]
    else:
        columns = data.columns if isinstance(data, Table) else ()
        kinds = [(column.name, column.kind, column.words) for column in columns]
        named = (kinds, data.target_names, tuple(data.inputs.shape[1:]))
        values = [numbers_of(data) if numbers is None else numbers]
        if isinstance(data.target, list):
            digest.update(repr(data.target).encode())
        elif data.target is not None:
            values.append(data.target)
    digest.update(repr(named).encode())
    if not isinstance(data, Series) and data.parts is not None:
        values.append(data.parts)
    for tensor in values:
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


def numbers_of(data: Table | Array, places: Sequence[int] = ()) -> Tensor:
    """(N,) a number for each sample, of all of its columns unless `places` are given."""
    everything = torch.arange(len(data))
    pieces = blocks(
        data.inputs, everything, max(1, CELLS // max(1, math.prod(data.inputs.shape[1:])))
    )
    return duplicates.numbers(piece[:, places] if places else piece for piece in pieces)


def shared(
    data: Samples,
    task: Task,
    names: tuple[str, ...],
    chosen: Parts,
    part: str,
    numbers: Tensor | None = None,
) -> int:
    """How many samples of a part, with their target, are among the training samples.

    Args:
        names: the columns to compare rows by.
        numbers: of the samples, if they are known.
    """
    if isinstance(data, Series | Tokens):
        return 0
    places: list[int] = []
    if isinstance(data, Table):
        at = {name: place for place, name in enumerate(data.input_names)}
        places = [at[name] for name in names]
    if isinstance(data, Array) or len(places) == len(data.columns):
        numbers = numbers_of(data) if numbers is None else numbers
    else:
        numbers = numbers_of(data, places)
    truth = tasks.encode(data, task).view(len(data), -1)
    numbers = numbers * 31 + duplicates.numbers(truth.split(HASHED))
    return duplicates.shared(numbers[chosen["train"]], numbers[chosen[part]])
