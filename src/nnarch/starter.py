"""A first config for a file of data: what it is, and a network and training that suit its size.

All that is inferred is found by the functions that training uses, and said: in the sentences
that come with the config and in its comments. The settings are rules of thumb for networks that
train in minutes on a small machine; each is a line that a user can change.
"""

import math
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from nnarch import recipes, yamlfile
from nnarch.config import load
from nnarch.data import dataset as datasets
from nnarch.data import newdata, parting, reading
from nnarch.data.dataset import Dataset
from nnarch.data.formats.pictures import is_image
from nnarch.data.preprocessing.features import Feature
from nnarch.data.preprocessing.tableinputs import TableInputs
from nnarch.data.sources.series import LONG_STEP, Series, windows
from nnarch.data.table import Column, Table
from nnarch.data.targetreport import skewness
from nnarch.data.task import shown
from nnarch.errors import DataError, UsageError
from nnarch.printable import printable
from nnarch.registry import sources, suggestion

TEXTS = (".txt", ".md", ".text")
SKEWED = 1.2  # of a target: beyond, its logarithm is learnt if that is more even
HOURS = 3600.0
# step in seconds up to which a horizon is usual: minutes and hours, days, weeks, months, longer
HORIZONS = ((2 * HOURS, 96), (36 * HOURS, 30), (10 * 24 * HOURS, 13), (40 * 24 * HOURS, 12))


@dataclass
class Starter:
    """A config to begin with.

    Attributes:
        data: the `data` of it.
        training: the rest of it.
        comments: what to say beside a key, by dotted path.
        said: what was inferred, in sentences.
    """

    data: dict[str, Any]
    training: dict[str, Any] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def text(self, command: Sequence[str]) -> str:
        """The config as a file, which says the command that it was written by."""
        words = printable(shlex.join(command)).replace("\n", "\\n")
        lines = [f"# Written by: {words}", ""]
        lines += _lines({"data": self.data, **self.training}, self.comments)
        return "\n".join(lines) + "\n"


def start(
    path: Path,
    target: Sequence[str] = (),
    time: str | None = None,
    horizon: int | None = None,
) -> Starter:
    """A config for the data at `path`.

    Args:
        target: the columns to predict.
        time: a column of dates: the rows are a series, or at least come in an order.
        horizon: how many steps of a series to predict.

    Raises: UsageError where something has to be told, DataError where the data cannot be used.
    """
    if not os.path.exists(path):  # which says so of a name that no file can have, too
        raise DataError(f"{path}: no such file or directory")
    if source := _of_samples(path):
        return _finished(source)
    if path.suffix.lower() in TEXTS and not target:
        return _text(path)
    table = _look(path)
    names = [_name(table, one, "--target") for one in target]
    time = _name(table, time, "--time") if time else None
    if horizon or (time and not names) or (time and _is_series(table, time, names)):
        return _series(path, table, names, time, horizon)
    if not names:
        columns = ", ".join(table.input_names[-20:])
        raise UsageError(f"missing --target, the column to predict; the last ones are {columns}")
    return _table(path, table, names, time)


def _look(path: Path) -> Table:
    """The rows of a file; of a large one those at its beginning."""
    large = reading.is_large(str(path))
    return next(reading.chunks(str(path))) if large else reading.read(str(path))


def _of_samples(path: Path) -> Starter | None:
    """Data that needs no column to be named, known by the files' names."""
    if path.suffix.lower() in newdata.ARRAYS:
        return Starter({"source": "npz", "path": str(path)}, said=["arrays of numpy"])
    names = sorted(one.name for one in path.iterdir()) if path.is_dir() else [path.name]
    if any("-idx3-ubyte" in name or "-idx3" in name for name in names):
        return Starter({"source": "idx", "path": str(path)}, said=["images in the idx format"])
    if path.is_dir() and not any(name.endswith(reading.PARQUET) for name in names):
        images = (one for one in path.rglob("*") if is_image(one.name))
        if next(images, None) is None:
            raise DataError(f"{path}: holds no data that is known here; expected images in a "
                            "folder a class, idx or Parquet files")  # fmt: skip
        return Starter({"source": "images", "path": str(path)}, said=["images, a folder a class"])
    return None


def _name(table: Table, given: str, flag: str) -> str:
    """A column by its name or its number, negative from the end."""
    names = table.input_names
    if given in names:
        return given
    digits = given.removeprefix("-")
    if digits.isdigit() and 1 <= int(digits) <= len(names):
        return names[int(given) - (not given.startswith("-"))]
    raise UsageError(f"{flag}: no column {given!r}; {suggestion(given, list(names)[:60])}")


def _table(path: Path, table: Table, names: list[str], time: str | None) -> Starter:
    starter = Starter({"source": "parquet" if reading.is_parquet(str(path)) else "csv"})
    data, comments = starter.data, starter.comments
    data |= {"path": str(path), "target": names[0] if len(names) == 1 else names}
    places = [table.input_names.index(name) for name in names]
    if bool(table.inputs[:, places].isnan().any()):
        data["missing_target"] = "drop"
    part = [column.name for column in table.columns if _parts_rows(column, names)]
    beside = path.with_name(path.name.replace("train", "test"))
    if time:
        data["split"] = {"time": time}
        comments["data.split.time"] = "the first rows train, the last test"
    elif part:
        data["split"] = {"column": part[0]}
        comments["data.split.column"] = "says train, val or test of each row"
    elif beside != path and beside.is_file() and "train" in path.stem:
        data["test"] = str(beside)
        comments["data.test"] = "stands beside the training file"
    elif len(table) < 1.5 * recipes.FEW:
        data["split"] = {"train": 0.6, "val": 0.2, "test": 0.2}
        comments["data.split"] = "of few rows, more are needed to judge by"
    return _finished(starter)


def _parts_rows(column: Column, targets: list[str]) -> bool:
    """Whether a column says which part a row belongs to."""
    parts = {parting.WORDS.get(word.lower()) for word in column.words}
    return column.name not in targets and {"train", "test"} <= parts and None not in parts


def _is_series(table: Table, time: str, targets: list[str]) -> bool:
    """Whether rows are steps of equal length, and what is predicted are numbers."""
    columns = {column.name: place for place, column in enumerate(table.columns)}
    times = table.inputs[:, columns[time]].sort().values
    if table.columns[columns[time]].kind not in ("datetime", "numeric") or times.isnan().any():
        return False
    steps = times.diff()
    regular = (steps > 0).all() and (steps <= LONG_STEP * steps.median()).double().mean() > 0.99
    return bool(regular) and all(table.columns[columns[t]].kind == "numeric" for t in targets)


def _series(
    path: Path, table: Table, names: list[str], time: str | None, horizon: int | None
) -> Starter:
    rows, seconds = len(table), 0.0
    if time:
        place = table.input_names.index(time)
        if table.columns[place].kind == "datetime":
            seconds = float(table.inputs[:, place].sort().values.diff().median())
    usual = next((steps for most, steps in HORIZONS if 0 < seconds <= most), 4 if seconds else 24)
    ahead = horizon or max(1, min(usual, rows // 20))
    lookback = max(1, min(math.ceil(3.5 * ahead), rows // 10, 1000))
    starter = Starter({"source": "series", "path": str(path)})
    data, comments = starter.data, starter.comments
    if names:
        data["target"] = names[0] if len(names) == 1 else names
    if time:
        data["time"] = time
    data |= {"lookback": lookback, "horizon": ahead}
    data["split"] = {"train": 0.7, "val": 0.1, "test": 0.2}
    comments["data.split"] = "in the order of time"
    comments["data.lookback"] = "steps that are seen"
    comments["data.horizon"] = "steps that are predicted" + (
        "" if horizon else "; usual for steps of this length"
    )
    made = windows(table, names or None, time, None, lookback, ahead)
    starter.said.append(
        f"a series of {rows:,} steps; {lookback} steps of {shown(made.channels)} tell the next "
        f"{ahead}"
    )
    return _finished(starter)


def _text(path: Path) -> Starter:
    starter = Starter({"source": "text", "path": str(path), "tokens": "characters", "context": 16})
    starter.said.append("running text, read by characters: each is told from the 16 before it")
    return _finished(starter)


def _finished(starter: Starter) -> Starter:
    """The starter with the training that suits its data, after a look at all of it."""
    config = load({"data": starter.data})
    data = sources.build(config.data)
    ready = datasets.make(data, config.data, None)
    task = ready.task
    if not isinstance(data, Series):
        starter.data["task"] = task.kind
    if isinstance(data, Table):
        _prepare_columns(starter, data, ready)
    starter.training = recipes.training(ready)
    counts = ", ".join(f"{len(part):,} {name}" for name, part in ready.parts.items())
    starter.said += [f"{task}", f"{counts} {ready.noun}", *ready.notes]
    load({"data": starter.data, **starter.training})  # what is written is right
    return starter


def _prepare_columns(starter: Starter, table: Table, ready: Dataset) -> None:
    data = starter.data
    if any(feature.kind == "numeric" for feature in _features(ready)):
        data["scaling"] = recipes.scaling(len(ready.parts["train"]))
        if data["scaling"] == "quantile":
            starter.comments["data.scaling"] = "numbers by rank, to a normal distribution"
    if (
        isinstance(table.target, Tensor)
        and ready.task.kind == "regression"
        and _skewed(table.target)
    ):
        data["target_transform"] = "log1p"
        starter.comments["data.target_transform"] = "the target is of many sizes"
        starter.said.append("the target is skewed: its logarithm is learnt")


def _features(ready: Dataset) -> Sequence[Feature]:
    made = ready.preprocess.inputs
    return made.features if isinstance(made, TableInputs) else ()


def _skewed(target: Tensor) -> bool:
    """Whether the logarithm of a target is more evenly spread than the target."""
    known = target[~target.isnan().any(1)]
    if float(known.min()) < 0:
        return False
    before, after = skewness(known), skewness(known.log1p())
    return before > SKEWED and abs(after) < before / 2


def _lines(
    value: dict[str, Any], comments: dict[str, str], at: str = "", indent: int = 0
) -> list[str]:
    lines = []
    for key, inner in value.items():
        path = f"{at}.{key}" if at else key
        said = f"  # {comments[path]}" if path in comments else ""
        space = " " * indent
        opened = key == "data" or any(commented.startswith(f"{path}.") for commented in comments)
        if isinstance(inner, dict) and opened:
            lines += [f"{space}{key}:{said}", *_lines(inner, comments, path, indent + 2)]
        elif isinstance(inner, dict):
            lines.append(f"{space}{key}: {_written(inner)}{said}")
        else:
            first, *rest = yamlfile.dump({key: inner}).splitlines()
            lines += [f"{space}{first}{said}", *(f"{space}{line}" for line in rest)]
    return lines


def _written(value: Any) -> str:
    """A setting of ours on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_written(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    if isinstance(value, float):
        return f"{value:g}"
    return yamlfile.dump({"x": value}).removeprefix("x: ").strip()
