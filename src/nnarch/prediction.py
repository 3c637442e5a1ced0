"""Predictions for new data: a file in, frames of predictions out, in the user's words and units.

Rows of a table are read, answered and given back a chunk at a time, so that a file larger than
memory passes. A frame is columns by name: the target's own name holds the answer, `p_` and a
class's name its probability.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nnarch.data import newdata
from nnarch.data.array import Array
from nnarch.data.formats import vocabulary
from nnarch.data.preprocessing.conversion import as_kind
from nnarch.data.preprocessing.preprocess import Columns
from nnarch.data.preprocessing.sequenceinputs import SeriesInputs, TokenInputs
from nnarch.data.sources.series import Series
from nnarch.data.table import Column, Table
from nnarch.errors import DataError, UsageError
from nnarch.predictor import Predictor
from nnarch.registry import suggestion

Frame = dict[str, Any]  # a list or a numpy array for each column, all of one length
CHUNK = 1 << 13  # samples at once


class Piece(NamedTuple):
    """What a network made of some samples, and what is to stand beside it."""

    beside: Frame
    made: Tensor


def frames(
    predictor: Predictor, spec: dict[str, Any], path: Path, keep: Sequence[str] = ()
) -> Iterator[Frame]:
    """What the network says of the samples in a file, a chunk at a time.

    Each member of several reads the file by itself, as the words and columns that it knows ask.

    Args:
        spec: the `data` of the config that the network was trained by.
        keep: columns of the file to be given back beside the answers.

    Raises: DataError where the file is not what the network takes.
    """
    if keep and not isinstance(predictor.preprocess.inputs, Columns):
        raise UsageError("--keep: only a table has columns to keep")
    of_each = [_pieces(one, spec, path, keep) for one in predictor.members]
    for pieces in zip(*of_each, strict=True):
        made = predictor.mean([piece.made for piece in pieces])
        held, answered = pieces[0].beside, _named(predictor, made)
        if both := held.keys() & answered.keys():
            raise UsageError(f"--keep: {min(both)!r} is a column of the predictions")
        yield held | answered


def _pieces(
    predictor: Predictor, spec: dict[str, Any], path: Path, keep: Sequence[str]
) -> Iterator[Piece]:
    made, task = predictor.preprocess.inputs, predictor.task
    if isinstance(made, Columns):
        for table in newdata.chunks(str(path), spec, made, task):
            for rows in torch.arange(len(table)).split(CHUNK):
                part = Table(table.inputs[rows], table.columns, None, ())
                with newdata.faults_of(path):
                    raw = made.raw(part)
                yield Piece(kept(part, keep), predictor(raw))
        return
    if isinstance(made, TokenInputs):
        yield from _next_tokens(predictor, spec, path)
        return
    if spec["source"] == "images" and path.suffix.lower() not in newdata.ARRAYS:
        data, names = newdata.pictures(str(path), spec)
    else:
        data, names = newdata.read(str(path), spec, predictor.preprocess, task, False), None
    if isinstance(data, Series):
        assert isinstance(made, SeriesInputs)
        yield Piece({}, predictor(data.inputs[-data.lookback :].unsqueeze(0)))
        return
    assert isinstance(data, Array)
    _check_shape(predictor, data, path)
    for places in torch.arange(len(data)).split(CHUNK):
        named = {"file": [names[place] for place in places.tolist()]} if names else {}
        yield Piece(named, predictor(data.inputs[places]))


def _named(predictor: Predictor, made: Tensor) -> Frame:
    """What was made of some samples, in columns as its kind of data asks for."""
    if isinstance(predictor.preprocess.inputs, SeriesInputs):
        return _steps(predictor, made)
    if isinstance(predictor.preprocess.inputs, TokenInputs):
        return _likeliest(predictor, made)
    return answers(predictor, made)


def answers(predictor: Predictor, made: Tensor) -> Frame:
    """What a network made of some samples, (N, T) numbers or (N, K) probabilities, by name."""
    task = predictor.task
    if task.kind == "regression":
        numbers = _rounded(predictor, made)
        return {name: numbers[:, place].numpy() for place, name in enumerate(task.targets)}
    names = task.classes or task.targets
    chances = {f"p_{name}": made[:, place].numpy() for place, name in enumerate(names)}
    if task.kind == "multilabel":
        yes = (made > 0.5).long()
        return {n: yes[:, i].numpy() for i, n in enumerate(task.targets)} | chances
    labels = [task.classes[place] for place in made.argmax(1).tolist()]
    return {task.targets[0]: labels} | chances


def kept(table: Table, names: Sequence[str]) -> Frame:
    """Columns of the file as they were."""
    held: Frame = {}
    for name in names:
        if name not in table.input_names:
            known = suggestion(name, list(table.input_names))
            raise DataError(f"--keep: the file has no column {name!r}; {known}")
        place = table.input_names.index(name)
        held[name] = _cells(table.columns[place], table.inputs[:, place])
    return held


def _cells(column: Column, values: Tensor) -> Any:
    if column.fault:
        raise DataError(column.fault)
    if column.kind in ("boolean", "datetime"):
        column, values = as_kind(column, values, "categorical")
    if column.words:
        return [None if code != code else column.words[int(code)] for code in values.tolist()]
    filled = values[~values.isnan()]
    if bool((filled == filled.round()).all()):
        return [None if value != value else int(value) for value in values.tolist()]
    return [None if value != value else value for value in values.tolist()]


def _rounded(predictor: Predictor, made: Tensor) -> Tensor:
    """As many digits as the network computes with."""
    weight = next(predictor.network.parameters())
    return made if weight.dtype == torch.float64 else made.float()


def _steps(predictor: Predictor, made: Tensor) -> Frame:
    """The steps after the end of a series: a row a step, a column a channel."""
    channels = [name.removesuffix("+1") for name in predictor.task.targets if name.endswith("+1")]
    ahead = _rounded(predictor, made).view(-1, len(channels))
    named = {name: ahead[:, place].numpy() for place, name in enumerate(channels)}
    return {"step": list(range(1, len(ahead) + 1))} | named


def _next_tokens(predictor: Predictor, spec: dict[str, Any], path: Path) -> Iterator[Piece]:
    """Of each line of a file, how likely each token is to come after it."""
    made = predictor.preprocess.inputs
    assert isinstance(made, TokenInputs)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    for start in range(0, len(lines), CHUNK):
        some = lines[start : start + CHUNK]
        seen = vocabulary.encode(some, predictor.task.classes, spec["tokens"], made.shape[0])
        yield Piece({"text": some}, predictor(seen))


def _likeliest(predictor: Predictor, made: Tensor) -> Frame:
    """The likeliest token, with its probability."""
    chances, best = made.max(1)
    words = [predictor.task.classes[place] for place in best.tolist()]
    return {predictor.task.targets[0]: words, "probability": chances.numpy()}


def _check_shape(predictor: Predictor, data: Array, path: Path) -> None:
    expected = predictor.preprocess.inputs.shape
    if tuple(data.inputs.shape[1:]) != tuple(expected):
        raise DataError(
            f"{path}: holds samples of shape {tuple(data.inputs.shape[1:])}; the network expects "
            f"{tuple(expected)}"
        )
