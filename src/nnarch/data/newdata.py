"""Another file, read as a trained network's own data was: to measure it, or to predict from it.

Which kind of file it may be follows from what the network takes. Columns are matched by name;
what the network does not know is left alone.
"""

import contextlib
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

from nnarch.data import reading
from nnarch.data.array import Array
from nnarch.data.parting import Samples
from nnarch.data.preprocessing.preprocess import Columns, Preprocess
from nnarch.data.preprocessing.sequenceinputs import SeriesInputs
from nnarch.data.sources import idx, images, npz
from nnarch.data.sources.series import windows
from nnarch.data.table import Table
from nnarch.data.task import Task
from nnarch.errors import DataError

ARRAYS = (".npz", ".npy")


@contextlib.contextmanager
def faults_of(path: str | os.PathLike[str]) -> Iterator[None]:
    """What is said of the data is said of this file."""
    try:
        yield
    except DataError as error:
        said = str(error)
        if not said.startswith("data: "):
            raise
        raise DataError(f"{path}: {said.removeprefix('data: ')}") from error


def read(
    path: str, spec: Mapping[str, Any], preprocess: Preprocess, task: Task, needs_target: bool
) -> Samples:
    """All of a file.

    Args:
        spec: the `data` of the config that the network was trained by.
        needs_target: whether what is to be predicted has to be there too.
    """
    made = preprocess.inputs
    if isinstance(made, SeriesInputs):
        table = reading.read(path, **_dialect(spec))
        horizon = spec["horizon"] if needs_target else 0
        count = len(task.targets) // spec["horizon"]
        channels = [name.removesuffix("+1") for name in task.targets[:count]]
        return windows(
            table, channels, spec["time"], list(made.names), spec["lookback"], horizon, 1
        )
    if isinstance(made, Columns):
        if path.lower().endswith(ARRAYS):
            found = npz.read(
                path, **_named(spec), features=len(made.names), needs_target=needs_target
            )
            if not isinstance(found, Table):
                raise DataError(f"{path}: holds arrays; the network expects rows of a table")
            return found
        return reading.read(path, **_columns(spec, made, task, needs_target))
    return _array(path, spec, needs_target)


def chunks(path: str, spec: Mapping[str, Any], made: Columns, task: Task) -> Iterator[Table]:
    """The rows of a file to predict from, a chunk at a time."""
    if path.lower().endswith(ARRAYS):
        yield npz.read(path, **_named(spec), features=len(made.names))  # pyright: ignore
        return
    how = _columns(spec, made, task, needs_target=False)
    yield from reading.chunks(path, **{**how, "target": ()})  # whatever may stand there


def _array(path: str, spec: Mapping[str, Any], needs_target: bool) -> Array:
    if path.lower().endswith(ARRAYS):
        found = npz.read(path, **_named(spec), needs_target=needs_target)
    elif spec["source"] == "images":
        if not needs_target:
            return pictures(path, spec)[0]
        keys = ("target", "image", "size", "channels", "cache")
        found = images.images(path=path, **{key: spec[key] for key in keys})
    else:
        found = idx.read(path, needs_target=needs_target)
    assert isinstance(found, Array)
    return found


def pictures(path: str, spec: Mapping[str, Any]) -> tuple[Array, list[str]]:
    """Images to predict from, and their names, resized as those of the training were."""
    size = spec["size"]
    both = (size, size) if isinstance(size, int) else size and (size[0], size[1])
    return images.read(path, size=both, channels=spec["channels"])


def _columns(
    spec: Mapping[str, Any], made: Columns, task: Task, needs_target: bool
) -> dict[str, Any]:
    words = [one.name for one in made.features if one.kind in ("categorical", "text")]
    labels = bool(task.classes) and not all(map(_is_number, task.classes))
    return {
        "target": task.targets,
        "needs_target": needs_target,
        "labels": labels,
        "words": words,
        **_dialect(spec),
    }


def _dialect(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {key: spec[name] for key, name in reading.DIALECT.items() if name in spec}


def _named(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {key: spec.get(key) for key in ("inputs", "target")} if spec["source"] == "npz" else {}


def _is_number(label: str) -> bool:
    """Whether a class is written like a number; a file may write the same one as 3 or as 3.0."""
    try:
        return math.isfinite(float(label))
    except ValueError:
        return False
