"""A table made ready for training: its task known, its rows parted, its numbers scaled.

Everything lies in memory as tensors, so that a batch is one indexing operation on the device.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from nnarch.data import task as tasks
from nnarch.data.preprocess import Preprocess
from nnarch.data.split import split
from nnarch.data.table import Table
from nnarch.data.task import Task, TaskKind
from nnarch.errors import DataError
from nnarch.sections import Split


@dataclass(frozen=True)
class Rows:
    """Rows in the network's units: inputs (N, F) and target (N,) class indices or (N, T)."""

    inputs: Tensor
    target: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, chosen: Tensor | slice) -> "Rows":
        """The rows of these numbers."""
        return Rows(self.inputs[chosen], self.target[chosen])

    def to(self, device: torch.device, dtype: torch.dtype) -> "Rows":
        """On `device`, numbers as `dtype`; class indices stay integers."""
        # converted first: not every device knows float64
        target = self.target.to(dtype) if self.target.is_floating_point() else self.target
        return Rows(self.inputs.to(dtype).to(device), target.to(device))


@dataclass(frozen=True)
class Dataset:
    """What an experiment trains and is measured on.

    Attributes:
        parts: `train`, `val` and `test`.
        fingerprint: SHA-256 of the table, to know the same data again.
    """

    task: Task
    input_names: tuple[str, ...]
    preprocess: Preprocess
    parts: Mapping[str, Rows]
    fingerprint: str

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return tuple(self.parts["train"].inputs.shape[1:])


def make(table: Table, spec: Mapping[str, Any], fitting: tuple[TaskKind, ...] | None) -> Dataset:
    """Part and scale `table` as the config's `data` says.

    Args:
        spec: the filled `data` of a config.
        fitting: kinds of task that the config's loss is for, or None where it names no loss.
    """
    task = tasks.infer(table, spec["task"], fitting)
    target, parts = tasks.encode(table, task), divide(table, spec, task)
    train = parts["train"]
    if task.classes:
        task = replace(task, counts=_counts(target[train], task))
    preprocess = Preprocess(table.inputs.shape[1], len(table.target_names))
    if spec["scaling"] == "standard":
        preprocess.inputs.fit(table.inputs[train])
    if spec["target_scaling"] == "standard" and not task.classes:
        preprocess.target.fit(target[train])
    rows = scaled(table, task, preprocess)
    return Dataset(
        task,
        table.input_names,
        preprocess,
        {part: rows.take(chosen) for part, chosen in parts.items()},
        fingerprint(table),
    )


def divide(table: Table, spec: Mapping[str, Any], task: Task) -> dict[str, Tensor]:
    """The row numbers of `train`, `val` and `test`, as the config's `data` parts them."""
    classes = tasks.encode(table, task) if task.classes else None
    return split(len(table), Split(**spec["split"]), classes, task.classes)


def scaled(table: Table, task: Task, preprocess: Preprocess) -> Rows:
    """A table's rows in the units that a network was trained in."""
    target = tasks.encode(table, task)
    if not task.classes:
        target = preprocess.target(target)
    return Rows(preprocess.inputs(table.inputs), target)


def fingerprint(table: Table) -> str:
    """SHA-256 of names and values."""
    digest = hashlib.sha256(repr((table.input_names, table.target_names)).encode())
    digest.update(table.inputs.contiguous().numpy().data)
    if isinstance(table.target, list):
        digest.update(repr(table.target).encode())
    elif table.target is not None:
        digest.update(table.target.contiguous().numpy().data)
    return digest.hexdigest()


def _counts(classes: Tensor, task: Task) -> tuple[int, ...]:
    counts = classes.bincount(minlength=len(task.classes)).tolist()
    if 0 in counts:
        missing = task.classes[counts.index(0)]
        raise DataError(
            f"data: no training row is of class {missing!r}; expected data.split.stratify=true "
            "or a larger data.split.train"
        )
    return tuple(counts)
