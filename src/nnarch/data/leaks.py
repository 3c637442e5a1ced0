"""Columns that give the target away: each feature alone, with no network at all.

A column that was filled in after the target was known (the date an account was closed, the price
with tax) makes a network look perfect in every part of the data, and useless afterwards. What such
columns have in common is that one of them is enough: rows are grouped by its value, and each group
answers with its commonest class or its mean. A group of training rows that answers nearly all
validation rows right is worth a question.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nnarch.data.preprocessing.features import expressed
from nnarch.data.preprocessing.preprocess import Columns
from nnarch.data.split import Parts
from nnarch.data.spool import Spool, take
from nnarch.data.table import Table
from nnarch.data.task import Task, encode

MOST_VALUES = 255  # of a column, to be groups of their own
MOST_BINS, FULL = 200, 5  # equally full ones; and rows in each, to tell classes by
ACCURACY, EXPLAINED, CORRELATION = 0.99, 0.995, 0.9999
LEAST = 20  # rows, to tell
MOST_ROWS, MOST_CELLS = 100_000, 10**7  # looked at


@dataclass(frozen=True)
class Leak:
    """A column that tells a target by itself; `value` is the accuracy, R² or correlation."""

    column: str
    target: str
    measure: str
    value: float

    def __str__(self) -> str:
        return (
            f"column {self.column!r} alone tells {self.target} ({self.measure} {self.value:.4g}): "
            "is it known when predicting?"
        )


def of_table(table: Table, made: Columns, task: Task, chosen: Parts) -> list[Leak]:
    """The features of a table that alone tell the target, by as many rows as it takes to see.

    Args:
        made: what was fitted to the training rows; a text is not looked at.
        chosen: row numbers of the parts.
    """
    most = max(1000, min(MOST_ROWS, MOST_CELLS // len(table.columns)))
    rows = [chosen[part] for part in ("train", "val")]
    if isinstance(table.inputs, Spool):
        rows = [places[:most] for places in rows]  # which are read soonest
    else:
        rows = [places[:: -(-len(places) // most)] for places in rows]
    train, val = (take(table.inputs, places) for places in rows)
    truth = encode(table, task)
    cells: dict[str, tuple[Tensor, Tensor]] = {}
    for feature in made.features:
        place = table.input_names.index(feature.name)
        column = table.columns[place]
        if feature.kind != "text":
            cells[feature.name] = (
                expressed(column, train[:, place].double(), feature),
                expressed(column, val[:, place].double(), feature),
            )
    words = frozenset(feature.name for feature in made.features if feature.kind == "categorical")
    return leaks(task, cells, (truth[rows[0]], truth[rows[1]]), words)


def leaks(
    task: Task,
    cells: Mapping[str, tuple[Tensor, Tensor]],
    truth: tuple[Tensor, Tensor],
    categories: frozenset[str] = frozenset(),
) -> list[Leak]:
    """The columns that alone tell the target, in training and in validation rows.

    Args:
        cells: of each column those of training rows (N,) and of validation rows (M,), float64
            with NaN for nothing.
        truth: of the same rows, (N,) class indices or (N, T) numbers.
        categories: those of the columns whose numbers are codes.
    """
    if len(truth[0]) < LEAST:
        return []
    rows = len(truth[0])
    most = min(MOST_BINS, int(rows**0.5) if task.kind == "regression" else rows // FULL)
    return [
        Leak(column, task.targets[place], measure, value)
        for column, values in cells.items()
        for place, measure, value in _told(
            task, values, truth, _groups(*values, most, column in categories)
        )
    ]


def _groups(train: Tensor, other: Tensor, most: int, of_words: bool) -> tuple[Tensor, Tensor, int]:
    """The groups of training rows and of others, int64, and how many groups there are.

    Each value is a group where there are few; otherwise so many equally full bins. The last group
    is that of empty cells, and of words that training does not know.
    """
    filled = train[~train.isnan()]
    distinct = filled.unique()
    if of_words:
        other = other.where(torch.isin(other, distinct), torch.nan)
    if of_words or len(distinct) <= MOST_VALUES:
        edges = (distinct[:-1] + distinct[1:]) / 2
    else:
        places = torch.arange(1, most) * len(filled) // most
        edges = filled.sort().values[places].unique()
    codes = [
        torch.bucketize(values.contiguous(), edges).masked_fill(values.isnan(), len(edges) + 1)
        for values in (train, other)
    ]
    return codes[0], codes[1], len(edges) + 2


def _told(
    task: Task,
    values: tuple[Tensor, Tensor],
    truth: tuple[Tensor, Tensor],
    groups: tuple[Tensor, Tensor, int],
) -> Iterator[tuple[int, str, float]]:
    """Which targets a column tells, and how well, by which measure."""
    if task.classes:
        majority = float(truth[0].bincount().max()) / len(truth[0])
        found = [_right(truth, groups, len(task.classes), part) for part in (0, 1)]
        if min(found) >= max(ACCURACY, (1 + majority) / 2):
            yield 0, "accuracy", found[1]
        return
    means = _means(truth[0], groups[0], groups[2])
    said = [means[codes] for codes in groups[:2]]
    if task.kind == "multilabel":
        share = truth[0].double().mean(0)
        least = ((1 + torch.maximum(share, 1 - share)) / 2).clamp(min=ACCURACY)
        scores = [
            ((s > 0.5) == (t == 1)).double().mean(0) for s, t in zip(said, truth, strict=True)
        ]
    else:
        least = torch.tensor(EXPLAINED)
        scores = [_explained(s, t) for s, t in zip(said, truth, strict=True)]
    related = _correlation(values[0], truth[0]) if task.kind == "regression" else scores[0] * 0
    measure = "R²" if task.kind == "regression" else "accuracy"
    for place, is_told in enumerate(((scores[0] >= least) & (scores[1] >= least)).tolist()):
        if is_told:
            yield place, measure, float(scores[1][place])
        elif abs(float(related[place])) >= CORRELATION:
            yield place, "correlation", float(related[place])


def _right(
    truth: tuple[Tensor, Tensor], groups: tuple[Tensor, Tensor, int], classes: int, part: int
) -> float:
    """The share of rows whose class is the commonest of their group's training rows."""
    counts = (groups[0] * classes + truth[0]).bincount(minlength=groups[2] * classes)
    often = truth[0].bincount(minlength=classes) / (len(truth[0]) + 1)  # where a group has none
    answers = (counts.view(-1, classes) + often).argmax(1)
    return float((answers[groups[part]] == truth[part]).double().mean())


def _means(truth: Tensor, codes: Tensor, size: int) -> Tensor:
    """(size, T) the mean of each group; of a group without rows, that of all."""
    sums = torch.zeros(size, truth.shape[1], dtype=torch.float64).index_add_(0, codes, truth)
    counts = codes.bincount(minlength=size).unsqueeze(1)
    return torch.where(counts > 0, sums / counts, truth.mean(0))


def _explained(said: Tensor, truth: Tensor) -> Tensor:
    """(T,) R², NaN for a constant."""
    return 1 - (truth - said).square().sum(0) / (truth - truth.mean(0)).square().sum(0)


def _correlation(values: Tensor, truth: Tensor) -> Tensor:
    """(T,) Pearson's, over filled cells; 0 of few."""
    filled = ~values.isnan()
    if int(filled.sum()) < LEAST:
        return torch.zeros(truth.shape[1])
    x, y = values[filled].unsqueeze(1), truth[filled]
    x, y = x - x.mean(), y - y.mean(0)
    return (x * y).sum(0) / (x.square().sum(0) * y.square().sum(0)).sqrt()
