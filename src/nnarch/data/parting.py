"""Which sample goes to which part: what the data says of it, looked up and handed to the split.

Samples without a target are dealt with here too, since they can go to no part.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from nnarch.data.array import Array
from nnarch.data.sources.series import Series
from nnarch.data.split import PARTS, Bound, Parts, in_order, split
from nnarch.data.spool import Spool, take
from nnarch.data.table import Column, Table
from nnarch.data.task import Task, encode
from nnarch.data.tokens import Tokens
from nnarch.errors import ConfigError, DataError
from nnarch.registry import suggestion
from nnarch.sections import Split

Samples = Table | Array | Series | Tokens
Targeted = TypeVar("Targeted", bound=Table | Array)
WORDS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


def complete(data: Targeted, missing_target: str) -> Targeted:
    """`data` without the samples that have no target.

    Raises: DataError where there are such, unless they may be dropped.
    """
    there = _there(data.target, data.target_names, len(data))
    if bool(there.all()):
        return data
    lacking, first = int((~there).sum()), int(there.int().argmin()) + 1
    if missing_target == "error":
        raise DataError(
            f"data: {lacking:,} of {len(data):,} rows lack {', '.join(data.target_names)} (the "
            f"first is row {first:,}); expected a target in each, or data.missing_target: drop"
        )
    if isinstance(data.inputs, Spool):
        raise DataError(
            f"data: {lacking:,} rows have no target; a table that is larger than memory expects "
            "one in each"
        )
    if lacking == len(data):
        raise DataError(f"data: no row has a {', '.join(data.target_names)}; expected some")
    return taken(data, there.nonzero().flatten(), f"{lacking:,} rows without a target left out")


def _there(target: Tensor | list[str] | None, names: tuple[str, ...], rows: int) -> Tensor:
    if target is None:
        raise DataError(f"data: lacks the target {', '.join(names)}; expected it in every row")
    if isinstance(target, Tensor):
        return ~target.isnan().any(1)
    if "" not in target:
        return torch.ones(rows, dtype=torch.bool)
    return torch.tensor([label != "" for label in target])


def taken(data: Targeted, chosen: Tensor, note: str = "") -> Targeted:
    """The samples of these numbers, which ascend."""
    target = data.target
    if isinstance(target, list):
        target = [target[place] for place in chosen.tolist()]
    return replace(
        data,
        inputs=take(data.inputs, chosen),
        target=target[chosen] if isinstance(target, Tensor) else target,
        parts=data.parts[chosen] if data.parts is not None else None,
        notes=(*data.notes, note) if note else data.notes,
    )


def divide(data: Samples, spec: Mapping[str, Any], task: Task) -> Parts:
    """The sample numbers of `train`, `val` and `test`, as the config's `data` parts them."""
    how = Split(**spec["split"])
    if isinstance(data, Series):
        return _windows(data, how)
    if isinstance(data, Tokens):
        _refuse(how, ("column", "group", "time", "folds"), "running text")
        return _tokens(data, how)
    if isinstance(data, Array):
        _refuse(how, ("column", "group", "time"), "samples without columns")
    classes = encode(data, task) if task.classes else None
    return split(len(data), how, classes, task.classes, _bound(data, how))


def keys(how: Split) -> list[str]:
    """The columns that rows are parted by; they are no features."""
    return [name for name in (how.column, how.group, how.time) if name]


def _refuse(how: Split, ways: tuple[str, ...], what: str) -> None:
    for way in ways:
        if getattr(how, way):
            raise ConfigError(f"data.split.{way}: {what} cannot be parted so")


def _bound(data: Table | Array, how: Split) -> Bound:
    """What the data itself says of its samples' parts."""
    if data.parts is not None:
        if ways := [way for way in ("column", "group", "time", "folds") if getattr(how, way)]:
            raise ConfigError(
                f"data.split.{ways[0]}: the parts have files of their own; expected one of both"
            )
        return Bound(data.parts)
    if isinstance(data, Array):
        return Bound()
    if how.column:
        return Bound(parts=_parts(*_column(data, how.column, "column")))
    groups = _groups(*_column(data, how.group, "group")) if how.group else None
    times = _times(*_column(data, how.time, "time")) if how.time else None
    return Bound(None, groups, times)


def _column(table: Table, name: str, key: str) -> tuple[Column, Tensor]:
    names = table.input_names
    if name in table.target_names:
        raise ConfigError(f"data.split.{key}: {name!r} is the target; expected another column")
    if name not in names:
        raise ConfigError(f"data.split.{key}: no column {name!r}; {suggestion(name, [*names])}")
    place = names.index(name)
    column = table.columns[place]
    if column.fault:
        raise DataError(column.fault)
    if isinstance(table.inputs, Spool):
        return column, table.inputs.column(place)
    return column, table.inputs[:, place]


def _parts(column: Column, codes: Tensor) -> Tensor:
    wanted = "expected train, val or test in each row"
    if column.kind != "categorical":
        raise DataError(f"data.split.column: {column.name!r} holds {column.kind} values; {wanted}")
    if gaps := int(codes.isnan().sum()):
        raise DataError(f"data.split.column: {gaps:,} rows have no {column.name!r}; {wanted}")
    parts = [WORDS.get(word.lower()) for word in column.words]
    for word, part in zip(column.words, parts, strict=True):
        if part is None:
            raise DataError(f"data.split.column: {column.name!r} holds {word!r}; {wanted}")
    return torch.tensor([PARTS.index(part) for part in parts if part])[codes.long()]


def _groups(column: Column, values: Tensor) -> Tensor:
    if gaps := int(values.isnan().sum()):
        raise DataError(
            f"data.split.group: {gaps:,} rows have no {column.name!r}; expected a group in each"
        )
    return values.unique(return_inverse=True)[1]


def _times(column: Column, values: Tensor) -> Tensor:
    if column.kind not in ("datetime", "numeric"):
        raise DataError(
            f"data.split.time: {column.name!r} holds {column.kind} values; expected dates or "
            "numbers"
        )
    if gaps := int(values.isnan().sum()):
        raise DataError(f"data.split.time: {gaps:,} rows have no {column.name!r}")
    return values


def _windows(series: Series, how: Split) -> Parts:
    """Windows by the steps that they predict; one that predicts over a border is left out."""
    _refuse(how, ("column", "group", "folds", "time"), "a series, which is parted by time,")
    steps = in_order(torch.arange(len(series.inputs), dtype=torch.float64), how)
    ahead, end = series.starts + series.lookback, series.starts + series.lookback + series.horizon
    parts = {}
    for part, rows in steps.items():
        first, last = int(rows[0]), int(rows[-1])
        parts[part] = ((ahead >= first) & (end <= last + 1)).nonzero().flatten()
        if not len(parts[part]):
            raise DataError(
                f"data.split: the {len(rows):,} steps of {part} hold no window of horizon "
                f"{series.horizon} after a lookback of {series.lookback}; expected more"
            )
    return parts


def _tokens(tokens: Tokens, how: Split) -> Parts:
    """Whole documents; of a single one the beginning trains, and the end tests."""
    count = len(tokens.documents) - 1
    if count == 1 and tokens.parts is None:
        return in_order(torch.arange(len(tokens), dtype=torch.float64), how)
    documents = split(count, how, None, bound=Bound(tokens.parts))
    return {part: _places(tokens, those) for part, those in documents.items()}


def _places(tokens: Tokens, documents: Tensor) -> Tensor:
    """The tokens of these documents."""
    begins, ends = tokens.documents[documents], tokens.documents[documents + 1]
    part = torch.zeros(len(tokens.ids) + 1, dtype=torch.int64)
    part[begins] += 1
    part.index_add_(0, ends, torch.full_like(ends, -1))
    return part[:-1].cumsum(0).nonzero().flatten()
