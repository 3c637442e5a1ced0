"""Data made ready for training: its task known, its samples parted, its numbers scaled.

Whatever a source gives (a table, an array, a series, running text) goes the same way: what is to
be learnt is inferred, the samples are parted, preprocessing is fitted on the training part alone,
and every part becomes rows that the network takes. Evaluation goes it again, with the
preprocessing that the network was trained under.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from nnarch.data import identity
from nnarch.data import task as tasks
from nnarch.data.array import Array
from nnarch.data.batches import Contexts, Matrix, Pixels, Rows, Windows
from nnarch.data.inputs import Inputs
from nnarch.data.parting import Samples, complete, divide, keys
from nnarch.data.passages import Passages
from nnarch.data.preprocessing import features
from nnarch.data.preprocessing.arrayinputs import ArrayInputs
from nnarch.data.preprocessing.preprocess import Columns, Preprocess
from nnarch.data.preprocessing.sequenceinputs import SeriesInputs, TokenInputs
from nnarch.data.preprocessing.statistics import gather, sample_rows
from nnarch.data.preprocessing.tableinputs import TableInputs
from nnarch.data.preprocessing.target import Target
from nnarch.data.preprocessing.textinputs import TextInputs
from nnarch.data.sources.series import Series
from nnarch.data.split import Parts
from nnarch.data.spool import Spool, blocks, take
from nnarch.data.streamed import Streamed, prepared
from nnarch.data.table import Table
from nnarch.data.task import Task, TaskKind
from nnarch.data.tokens import PADDING, Tokens
from nnarch.errors import ConfigError, DataError
from nnarch.sections import DataOptions, Split

NOUNS = {Table: "rows", Array: "samples", Series: "windows", Tokens: "tokens"}


@dataclass(frozen=True)
class Dataset:
    """What an experiment trains and is measured on.

    Attributes:
        parts: `train`, `val` and `test`.
        chosen: the sample numbers of each.
        fingerprint: SHA-256 of the data, to know the same again.
        lowest: the least number of a regression's target.
        shared: how many test rows are training rows as well.
        notes: what was inferred or left out, for the user to know.
        noun: what the samples are.
    """

    task: Task
    preprocess: Preprocess
    parts: Mapping[str, Rows]
    chosen: Parts
    fingerprint: str
    lowest: float = 0.0
    shared: int = 0
    notes: tuple[str, ...] = ()
    noun: str = "rows"

    @property
    def inputs(self) -> Inputs:
        """What one sample is to the network."""
        return inputs_of(self.preprocess)

    @property
    def input_names(self) -> tuple[str, ...]:
        """The raw columns that the network learns from."""
        return self.preprocess.inputs.names


def inputs_of(preprocess: Preprocess) -> Inputs:
    """What a preprocessed sample is to the network."""
    made = preprocess.inputs
    return Inputs(made.shape, made.cardinalities, made.vocabulary)


def make(
    data: Samples,
    spec: Mapping[str, Any],
    fitting: tuple[TaskKind, ...] | None,
    dtype: torch.dtype = torch.float32,
    every: bool = False,
) -> Dataset:
    """Part and scale `data` as the config's `data` says.

    Args:
        spec: the filled `data` of a config.
        fitting: kinds of task that the config's loss is for, or None where it names no loss.
        dtype: what the network computes in.
        every: whether it answers to every token of a text at once.

    Raises: DataError or ConfigError where the data cannot be learnt so.
    """
    _check(data, spec)
    _check_text(data, spec)
    data = whole(data, spec)
    task = _task(data, spec, fitting)
    chosen = divide(data, spec, task)
    task = _counted(data, task, chosen["train"])
    preprocess, notes = _fitted(data, spec, task, chosen["train"], every)
    numbers = identity.numbers_of(data) if isinstance(data, Table | Array) else None
    parts = rows(data, task, preprocess, chosen, dtype)
    return Dataset(
        task,
        preprocess,
        parts,
        chosen,
        identity.fingerprint(data, numbers),
        _lowest(data),
        identity.shared(data, task, preprocess.inputs.names, chosen, "test", numbers),
        (*data.notes, *notes, *_cut(parts)),
        NOUNS[type(data)],
    )


def _cut(parts: Mapping[str, Rows]) -> list[str]:
    """What a step goes through, where that is not what samples are counted in."""
    passages = [rows for rows in parts.values() if isinstance(rows, Passages)]
    if not passages:
        return []
    longest = passages[0].each.context
    return [f"read in {sum(map(len, passages)):,} passages of up to {longest} tokens each"]


def whole(data: Samples, spec: Mapping[str, Any]) -> Samples:
    """`data` without the samples that have no target."""
    return complete(data, spec["missing_target"]) if isinstance(data, Table | Array) else data


def rows(
    data: Samples,
    task: Task,
    preprocess: Preprocess,
    chosen: Mapping[str, Tensor],
    dtype: torch.dtype = torch.float32,
) -> dict[str, Rows]:
    """The samples of each part as a network that was trained under `preprocess` takes them."""
    made, target = preprocess.inputs, preprocess.target
    if isinstance(data, Series):
        assert isinstance(made, SeriesInputs)
        window = (data.lookback, data.horizon)
        seen, goals = made(data.inputs), target.first(len(data.channels))(data.goals)
        seen, goals = seen.to(dtype), goals.to(dtype)
        return {part: Windows(seen, goals, data.starts[those], *window)
                for part, those in chosen.items()}  # fmt: skip
    if isinstance(data, Tokens):
        lengths = data.documents.diff()
        begins = data.documents[:-1].repeat_interleave(lengths)
        each = {part: Contexts(data.ids, those, begins, data.context, PADDING)
                for part, those in chosen.items()}  # fmt: skip
        assert isinstance(made, TokenInputs)
        return {part: Passages.of(some) if made.every else some for part, some in each.items()}
    truth = tasks.encode(data, task)
    truth = target(truth) if task.kind == "regression" else truth
    truth = truth.to(dtype) if truth.is_floating_point() else truth
    if isinstance(data, Array):
        assert isinstance(made, ArrayInputs)
        return {part: Pixels(data.inputs[those], truth[those], made, dtype)
                for part, those in chosen.items()}  # fmt: skip
    assert isinstance(made, Columns)
    if isinstance(made, TextInputs):
        dtype = torch.int64
    elif isinstance(data.inputs, Spool):
        return {part: Streamed(data, those, truth[those], made, dtype=dtype)
                for part, those in chosen.items()}  # fmt: skip
    return {part: Matrix(prepared(data, made, those, dtype), truth[those])
            for part, those in chosen.items()}  # fmt: skip


def _check(data: Samples, spec: Mapping[str, Any]) -> None:
    """Options that only a table can answer to, with its inputs."""
    for key in ("columns", "ignore", "types"):
        if spec[key] and not isinstance(data, Table):
            raise ConfigError(f"data.{key}: got columns; this data has none of its own")
        if among := [name for name in data.target_names if name in (spec[key] or ())]:
            raise ConfigError(f"data.{key}: {among[0]!r} is the target; expected other columns")
    if isinstance(data, Array) and spec["scaling"] in ("robust", "quantile"):
        raise ConfigError(
            f"data.scaling: got {spec['scaling']!r}; arrays are scaled by 'standard', 'minmax' or "
            "'none'"
        )


def _check_text(data: Samples, spec: Mapping[str, Any]) -> None:
    if spec["text"] == "bag_of_words":
        if spec["text_length"] != DataOptions().text_length:
            raise ConfigError(
                f"data.text_length: got {spec['text_length']} for a bag of words, which is of the "
                "whole text; expected data.text: tokens"
            )
    elif not isinstance(data, Table):
        raise ConfigError("data.text: got 'tokens'; this data has no column of texts")
    elif isinstance(data.inputs, Spool):
        raise ConfigError(
            "data.text: got 'tokens' for a table that stays on disk; expected bag_of_words, or "
            "data.stream: never where memory holds it"
        )


def _task(data: Samples, spec: Mapping[str, Any], fitting: tuple[TaskKind, ...] | None) -> Task:
    if isinstance(data, Tokens):
        return Task("multiclass", data.target_names, data.vocabulary)
    if isinstance(data, Series):
        return Task("regression", data.target_names)
    return tasks.infer(data, spec["task"], fitting)


def _counted(data: Samples, task: Task, train: Tensor) -> Task:
    """`task` with the training rows of each class."""
    if isinstance(data, Tokens):
        counts = data.ids[train].bincount(minlength=len(task.classes))
        return replace(task, counts=tuple(counts.tolist()))
    if isinstance(data, Series) or task.kind == "regression":
        return task
    truth = tasks.encode(data, task)[train]
    if task.kind == "multilabel":
        return replace(task, counts=tuple(truth.long().sum(0).tolist()))
    counts = truth.bincount(minlength=len(task.classes)).tolist()
    if 0 in counts:
        missing = task.classes[counts.index(0)]
        raise DataError(
            f"data: no training row is of class {missing!r}; expected some of every class, as "
            "data.split.stratify=true or a larger data.split.train gives where rows are drawn"
        )
    return replace(task, counts=tuple(counts))


def _fitted(
    data: Samples, spec: Mapping[str, Any], task: Task, train: Tensor, every: bool
) -> tuple[Preprocess, list[str]]:
    """The preprocessing, fitted on training samples alone, and what is to be said of it."""
    notes: list[str] = []
    if isinstance(data, Tokens):
        return Preprocess(TokenInputs(data.vocabulary, data.context, every), Target(1)), notes
    if isinstance(data, Series):
        return _fitted_to_series(data, spec, train), notes
    if isinstance(data, Array):
        made: Any = ArrayInputs.fit(take(data.inputs, train), spec["scaling"])
    else:
        made, notes = _fitted_to_table(data, spec, train)
    target = Target(len(data.target_names))
    if task.kind == "regression":
        assert isinstance(data.target, Tensor)
        target.fit(data.target[train], spec["target_scaling"], spec["target_transform"])
    return Preprocess(made, target), notes


def _fitted_to_table(
    data: Table, spec: Mapping[str, Any], train: Tensor
) -> tuple[Columns, list[str]]:
    sampled = sample_rows(len(train), spec["split"]["seed"])
    statistics = gather(blocks(data.inputs, train), data.columns, sampled)
    excluded = keys(Split(**spec["split"]))
    found, notes = features.choose(data.columns, statistics, spec, excluded)
    if spec["text"] == "tokens":
        texts, said = TextInputs.fit(found, statistics, spec["text_length"])
        return texts, [*notes, said]
    return TableInputs.fit(found, statistics, spec), notes


def _fitted_to_series(data: Series, spec: Mapping[str, Any], train: Tensor) -> Preprocess:
    """Scaling by the steps that training windows cover."""
    steps = slice(0, int(data.starts[train].max()) + data.lookback + data.horizon)
    made = SeriesInputs.fit(data.inputs[steps], data.input_names, data.lookback, spec["scaling"])
    channels = Target(len(data.channels))
    goals = data.goals[steps]
    channels.fit(goals[~goals.isnan().any(1)], spec["target_scaling"], spec["target_transform"])
    return Preprocess(made, channels.repeated(data.horizon))


def _lowest(data: Samples) -> float:
    target = data.goals if isinstance(data, Series) else getattr(data, "target", None)
    return float(target.nan_to_num(0.0).min()) if isinstance(target, Tensor) else 0.0
