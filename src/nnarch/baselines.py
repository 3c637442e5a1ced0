"""What a network has to beat: simple predictors, measured on the same rows by the same metrics.

A figure means little alone: an accuracy of 0.97 is poor where always the same answer gives 0.98.
So each task has a baseline that looks at no input at all, and one or two that are quickly fitted
and need no training worth the name. They take a sample exactly as the network takes it, after the
same preprocessing, and answer in the user's units.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from nnarch import linear
from nnarch.data.batch import Batch
from nnarch.data.batches import Contexts, Indexed, Matrix, Pixels, Rows, Windows
from nnarch.data.dataset import Dataset
from nnarch.data.passages import Passages
from nnarch.data.preprocessing.target import Target
from nnarch.data.streamed import Streamed
from nnarch.data.task import Task
from nnarch.metrics import Result
from nnarch.registry import metrics

CHUNK = 8192  # rows at once
MOST_ROWS = 20_000  # that a linear model is fitted to
MOST_INPUTS = 2_000  # that it takes
WORK = 2e8  # rows x inputs x classes: what a linear classifier is fitted to in seconds
STRETCH = 200  # rows read at once of a table on disk
MOST_TOKENS = 10_000  # of which pairs are counted
MOST_CHANCES = 10**8  # probabilities at once

Answers = Callable[[Rows], Tensor]


@dataclass(frozen=True)
class Baseline:
    """How good a simple predictor is: each metric by name, in the user's units."""

    name: str
    figures: Mapping[str, float]


def baselines(
    task: Task, dataset: Dataset, wanted: Sequence[Mapping[str, Any]], part: str = "test"
) -> list[Baseline]:
    """The baselines that fit a task, measured on a part of the data.

    Args:
        wanted: metrics as filled components.
    """
    dataset = _one_by_one(dataset)
    rows, found = dataset.parts[part], []
    target = dataset.preprocess.target
    for name, answers in _predictors(task, dataset):
        some = _measured(task, rows)
        truth = _targets(some)
        if task.kind == "regression":
            truth = target.inverse(truth)
        truth = truth.long() if task.kind == "multilabel" else truth
        result = Result(task, truth, answers(some), target.scale)
        figures = {spec["name"]: float(metrics.build(spec, result)) for spec in wanted}
        found.append(Baseline(name, figures))
    return found


def _predictors(task: Task, dataset: Dataset) -> Iterator[tuple[str, Answers]]:
    """Name and answers of each baseline, fitted to the training rows."""
    train, target = dataset.parts["train"], dataset.preprocess.target
    if isinstance(train, Contexts):
        yield "majority token", _constant(_shares(task, len(train)))
        if len(task.classes) <= MOST_TOKENS:
            yield "previous token", _following(task, train)
        return
    if task.kind == "regression":
        yield "mean", _constant(_mean(train, target))
        if isinstance(train, Windows) and _is_seen(task, dataset, train):
            yield "last value", lambda rows: target.inverse(_last(rows))
    else:
        name = "label shares" if task.kind == "multilabel" else "majority class"
        yield name, _constant(_shares(task, len(train)))
    if found := _linear(task, dataset):
        yield found


def _one_by_one(dataset: Dataset) -> Dataset:
    """The tokens of a text are told apart, whatever the network does at once."""
    parts = {
        name: rows.each if isinstance(rows, Passages) else rows
        for name, rows in dataset.parts.items()
    }
    return replace(dataset, parts=parts)


# Without a look at the inputs


def _constant(answer: Tensor) -> Answers:
    return lambda rows: answer.expand(len(rows), -1)


def _shares(task: Task, rows: int) -> Tensor:
    """(K,) the share of the training rows that is of each class, or has each label."""
    return torch.tensor(task.counts, dtype=torch.float64) / rows


def _mean(train: Rows, target: Target) -> Tensor:
    """(T,) of the training rows, in the user's units."""
    if isinstance(train, Windows):  # they overlap: each step counts once
        channels = train.goals.shape[1]
        steps = train.goals[: int(train.starts.max()) + train.lookback + train.horizon]
        return target.first(channels).inverse(steps).nanmean(0).repeat(train.horizon)
    return target.inverse(_targets(train)).mean(0)


# Series and texts: the step before


def _is_seen(task: Task, dataset: Dataset, train: Windows) -> bool:
    """Whether what is predicted is among what is seen."""
    first = task.targets[: train.goals.shape[1]]
    return {name.removesuffix("+1") for name in first} <= set(dataset.input_names)


def _last(rows: Rows) -> Tensor:
    """(N, horizon x G) the last known value of each channel, in the network's units."""
    assert isinstance(rows, Windows)
    steps = torch.arange(len(rows.goals)).unsqueeze(1)
    known = torch.where(rows.goals.isnan(), -1, steps).cummax(0).values
    filled = rows.goals.gather(0, known.clamp(min=0)).nan_to_num(0.0)
    return filled[rows.starts + rows.lookback - 1].repeat(1, rows.horizon)


def _following(task: Task, train: Contexts) -> Answers:
    """Chances by the token before alone: how often each followed it in training, plus one."""
    size = len(task.classes)
    pairs = torch.zeros(size, size)
    for batch in replace(train, context=1).in_order(CHUNK):
        places = (batch.inputs[:, 0], batch.target)
        pairs.index_put_(places, torch.ones(()), accumulate=True)
    pairs += 1
    pairs /= pairs.sum(1, keepdim=True)

    def answers(rows: Rows) -> Tensor:
        assert isinstance(rows, Contexts)
        return pairs[replace(rows, context=1).taken(slice(None)).inputs[:, 0]]

    return answers


# Linear models of the inputs


def _linear(task: Task, dataset: Dataset) -> tuple[str, Answers] | None:
    """A linear model of the network's inputs, and what of the data it was fitted to."""
    train, target, inputs = dataset.parts["train"], dataset.preprocess.target, dataset.inputs
    width = linear.width(inputs)
    if isinstance(train, Windows) and width > MOST_INPUTS:
        return None  # some of its steps would make it worse than it is
    used = min(width, MOST_INPUTS)
    most = MOST_ROWS
    if task.kind != "regression":
        most = min(most, max(1000, int(WORK / (used * len(task.counts)))))
    few = _some(train, most)
    flat = linear.flattening(inputs, evenly(width, used))
    predict = linear.fitted(task, flat(few.inputs), few.target)
    if predict is None:
        return None

    def answers(rows: Rows) -> Tensor:
        made = torch.cat([predict(flat(batch.inputs)) for batch in rows.in_order(CHUNK)])
        return target.inverse(made) if task.kind == "regression" else made

    drawn = [f"{most:,} of {len(train):,} rows"] if len(train) > most else []
    drawn += [f"{used:,} of {width:,} inputs"] if used < width else []
    return f"linear model ({', '.join(drawn)})" if drawn else "linear model", answers


# Rows of any kind


def evenly(count: int, most: int) -> Tensor:
    """At most `most` of the numbers below `count`, as far from one another as can be.

    >>> evenly(10, 4).tolist(), evenly(3, 4).tolist()
    ([0, 2, 5, 7], [0, 1, 2])
    """
    taken = min(count, most)
    return torch.arange(taken) * count // max(taken, 1)


def _some(rows: Rows, most: int) -> Batch:
    """At most `most` rows from all over the part, ready for the network."""
    if isinstance(rows, Streamed):
        if len(rows) > most:
            starts = evenly(len(rows) - STRETCH, most // STRETCH).unsqueeze(1)
            places = (starts + torch.arange(STRETCH)).flatten()
            rows = replace(rows, chosen=rows.chosen[places], target=rows.target[places])
        return next(rows.in_order(len(rows)))
    assert isinstance(rows, Indexed)
    batch = rows.taken(evenly(len(rows), most))
    return replace(batch, inputs=rows.prepare(batch.inputs))


def _measured(task: Task, rows: Rows) -> Rows:
    """All rows; of tokens so many as their probabilities leave room for."""
    if isinstance(rows, Contexts):
        most = MOST_CHANCES // len(task.classes)
        return replace(rows, places=rows.places[evenly(len(rows), most)])
    return rows


def _targets(rows: Rows) -> Tensor:
    """What is to be predicted from each row, in the network's units."""
    if isinstance(rows, Contexts):
        return rows.ids[rows.places]
    if isinstance(rows, Windows):
        return torch.cat([batch.target for batch in rows.in_order(CHUNK)])
    assert isinstance(rows, Matrix | Pixels | Streamed)
    return rows.target
