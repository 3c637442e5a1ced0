"""The data source `npz`: arrays that numpy saved, in an .npz archive or as one matrix in .npy.

Most archives name their arrays in one of a few ways, which are known here; any other is named in
the config. Those of the test set may stand in the same archive (`x_test`) or in a file of their
own.
"""

import os
from itertools import product

from nnarch.data.array import Array
from nnarch.data.formats.npy import Header, arrays, headers
from nnarch.data.formats.pairs import NUMBERS, WORDS, Pair, check_kind, record
from nnarch.data.formats.paths import shown
from nnarch.data.table import Table
from nnarch.errors import ConfigError, DataError
from nnarch.options import FilePath, Natural
from nnarch.registry import sources

PAIRS = (
    ("X", "y"),
    ("x", "y"),
    ("data", "target"),
    ("inputs", "targets"),
    ("inputs", "target"),
    ("images", "labels"),
)
PARTED = (("x_train", "y_train"), ("x_val", "y_val"), ("x_test", "y_test"))  # as split.PARTS
MATRIX = ("x", "y")  # what messages and results call the columns of an .npy file

Chosen = list[tuple[str, str | None, int]]  # names of inputs and target, and the part


@sources.register
def npz(
    *,
    path: FilePath,
    inputs: str | None = None,
    target: str | Natural | None = None,
    val: FilePath | None = None,
    test: FilePath | None = None,
) -> Table | Array:
    """Arrays that numpy saved: an .npz archive of inputs and targets, or a matrix in an .npy file.

    Options:
        path: The file.
        inputs: The array of inputs; found unless given, as are X, x, data, inputs, images, and
            x_train with x_val and x_test.
        target: The array of what to predict; found unless given, as are y, target, targets,
            labels, y_train. In an .npy file, the number of its column, counted from 0; the last
            unless given.
        val: A file like `path` with rows to validate with; a share of `path` unless given.
        test: A file like `path` with rows to test with.
    """
    pairs = _read(path, inputs, target, needs_target=True)
    for part, other in enumerate((val, test), 1):
        if other is None:
            continue
        if any(one.part == part for one in pairs):
            raise ConfigError(
                f"data.{'val' if part == 1 else 'test'}: {shown(path)} holds "
                f"{PARTED[part][0]!r} already; expected it in one place"
            )
        more = _read(other, inputs, target, needs_target=True)
        if len(more) > 1:
            raise DataError(f"{shown(other)}: holds several parts itself; expected one")
        pairs.append(_in_part(more[0], part))
    return record(pairs, parted=len(pairs) > 1)


def read(
    path: str | os.PathLike[str],
    *,
    inputs: str | None = None,
    target: str | int | None = None,
    features: int | None = None,
    needs_target: bool = False,
) -> Table | Array:
    """The arrays of another file, without a target where there is none.

    Args:
        features: how many columns of an .npy file are inputs; if it has no more, it has no target.

    Raises: DataError where the file has no target, if it `needs_target`.
    """
    pairs = _read(os.fspath(path), inputs, target, needs_target, features)
    return record(pairs, parted=len(pairs) > 1)


def _read(
    path: str,
    inputs: str | None,
    target: str | int | None,
    needs_target: bool,
    features: int | None = None,
) -> list[Pair]:
    there = headers(path)
    if "" in there:
        if inputs is not None or isinstance(target, str):
            raise ConfigError(
                f"data: {shown(path)} is one matrix; expected no data.inputs, and as data.target "
                "the number of a column"
            )
        return [_matrix(path, there[""], target, needs_target, features)]
    if isinstance(target, int):
        raise ConfigError(
            f"data.target: got {target}; expected the name of an array; {_listed(there)}"
        )
    chosen = _named(path, there, inputs, target, needs_target)
    for name, of_name, _ in chosen:
        check_kind(shown(path), name, there[name].dtype, NUMBERS)
        if of_name:
            check_kind(shown(path), of_name, there[of_name].dtype, NUMBERS + WORDS)
    names = [name for pair in chosen for name in pair[:2] if name]
    values = dict(zip(names, arrays(path, [(name, there[name]) for name in names]), strict=True))
    return [
        Pair(shown(path), (name, of_name or "y"), values[name], values.get(of_name or ""), part)
        for name, of_name, part in chosen
    ]


def _named(
    path: str, there: dict[str, Header], inputs: str | None, target: str | None, needs_target: bool
) -> Chosen:
    """Which arrays are inputs and targets: those asked for, or else those of known names."""
    fault = f"{shown(path)}: {_listed(there)}"
    for key, name, needed in (("inputs", inputs, True), ("target", target, needs_target)):
        if needed and name is not None and name not in there:
            raise DataError(f"{fault}; expected {name!r}, as data.{key} says")
    if inputs is None and target is None and set(PARTED[0]) <= there.keys():
        return [(*pair, part) for part, pair in enumerate(PARTED) if set(pair) <= there.keys()]
    firsts = [inputs] if inputs else list(dict.fromkeys(pair[0] for pair in PAIRS))
    seconds = [target] if target else list(dict.fromkeys(pair[1] for pair in PAIRS))
    pairs = PAIRS if not (inputs or target) else product(firsts, seconds)
    found: Chosen = [(*pair, 0) for pair in pairs if set(pair) <= there.keys()]
    if not found and not needs_target:
        alone = list(there) if len(there) == 1 else [name for name in firsts if name in there]
        found = [(name, None, 0) for name in alone]
    if len(found) != 1:
        raise DataError(f"{fault}; name data.inputs and data.target")
    return found


def _matrix(
    path: str, header: Header, target: int | None, needs_target: bool, features: int | None
) -> Pair:
    """The columns of an .npy file: one to predict, the others to learn from."""
    check_kind(shown(path), "the matrix", header.dtype, NUMBERS)
    if len(header.shape) != 2:
        raise DataError(
            f"{shown(path)}: has the shape {header.shape}; expected a matrix, rows by columns; "
            "save arrays of other shapes by name, in .npz"
        )
    width = header.shape[1]
    has_target = needs_target or (features is not None and width > features)
    place = width - 1 if target is None else target
    if has_target and (width < 2 or place >= width):
        raise DataError(
            f"{shown(path)}: has {width} columns, counted from 0; expected column {place} to "
            "predict, and others to learn from"
            if width > 1
            else f"{shown(path)}: has one column; expected inputs and a target"
        )
    (values,) = arrays(path, [("", header)])
    if not has_target:
        return Pair(shown(path), MATRIX, values, None)
    others = [column for column in range(width) if column != place]
    return Pair(shown(path), MATRIX, values[:, others], values[:, place])


def _in_part(one: Pair, part: int) -> Pair:
    return Pair(one.where, one.names, one.inputs, one.target, part)


def _listed(there: dict[str, Header]) -> str:
    held = ", ".join(
        f"{name!r} {' x '.join(map(str, header.shape)) or 'one value'} of {header.dtype}"
        for name, header in sorted(there.items())
    )
    return f"the file holds {held or 'no arrays'}"
