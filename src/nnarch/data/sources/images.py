"""The data source `images`: files in a folder a class, or files that a CSV file names."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from nnarch.data.array import Array
from nnarch.data.formats import imagefolder, wordcolumn
from nnarch.data.formats.imagefolder import ImageFolder
from nnarch.data.formats.paths import check, shown
from nnarch.data.formats.pictures import EXPECTED, Channels, Size, decoded, is_image
from nnarch.data.table import Table
from nnarch.errors import ConfigError, DataError
from nnarch.lazy import LazyModule
from nnarch.options import Count, FilePath
from nnarch.registry import sources

if TYPE_CHECKING:
    import torch
else:
    torch = LazyModule("torch")

HeightAndWidth = Annotated[list[Count], Field(min_length=2, max_length=2)]
CLASS = ("class",)  # what the folders tell


@sources.register
def images(
    *,
    path: FilePath,
    target: str | None = None,
    image: str | None = None,
    size: Count | HeightAndWidth | None = None,
    channels: Channels = "auto",
    cache: bool = True,
) -> Array:
    """Image files: a folder with a folder for each class, or a CSV file that names them.

    Pixels are taken as they are stored, whichever way up a camera says that they are.

    Options:
        path: The folder, whose folders are the classes; these may stand in folders called train,
            val and test. Or a CSV file.
        target: The column to predict, if `path` is a CSV file.
        image: The column of file names, meant from the CSV file's folder on; the first whose
            names end as those of images do unless given.
        size: What to resize images to, a side or [height, width]; needed if they differ.
        channels: 1 for grey, 3 for colours; `auto` takes 1 if no image has colours.
        cache: Keep the decoded images below ~/.cache/nnarch.
    """
    if os.path.isdir(path):
        for key, given in (("target", target), ("image", image)):
            if given is not None:
                raise ConfigError(
                    f"data.{key}: got {given!r}; expected none, {shown(path)} is a folder"
                )
        found = imagefolder.classes_in(path)
        pixels, notes = decoded(path, found.names, _pair(size), channels, cache)
        parts = torch.tensor(found.parts) if found.parts else None
        inputs = torch.from_numpy(pixels)
        return Array(inputs, found.labels, CLASS, parts, (*found.notes, *notes))
    check(path, "a folder of images, or a CSV file that names them")
    if target is None:
        raise ConfigError("data.target: missing; expected the column to predict, of the CSV file")
    table, names = _listed(path, image, target)
    folder = os.path.dirname(path) or os.curdir
    pixels, notes = decoded(folder, names, _pair(size), channels, cache)
    inputs = torch.from_numpy(pixels)
    return Array(inputs, table.target, table.target_names, None, (*table.notes, *notes))


def read(
    path: str | os.PathLike[str],
    *,
    size: Size | None = None,
    channels: Channels = "auto",
    image: str | None = None,
) -> tuple[Array, list[str]]:
    """Other images, and their names: one file, all of a folder, or those that a CSV file names.

    Args:
        size: height and width to resize to.
        image: the column of a CSV file.

    Raises: DataError where there are none.
    """
    path, notes = os.fspath(path), ()
    folder, name = os.path.split(path)
    if os.path.isdir(path):
        found = ImageFolder(path)
        if not found.add():
            raise DataError(f"{shown(path)}: holds no images; expected some, each {EXPECTED}")
        folder, names, notes = path, found.names, found.notes
    elif is_image(path):
        names = [name]
    else:
        _, names = _listed(path, image, None)
    pixels, _ = decoded(folder or os.curdir, names, size, channels)
    return Array(torch.from_numpy(pixels), None, CLASS, None, notes), names


def _pair(size: int | list[int] | None) -> Size | None:
    if size is None:
        return None
    height, width = size if isinstance(size, list) else (size, size)
    return height, width


def _listed(path: str, image: str | None, target: str | None) -> tuple[Table, list[str]]:
    """The rows of a CSV file, and the name of a file in each."""
    table = wordcolumn.read(path, image, target, _looks_like_images, "data.image")
    (column,), codes = table.columns, table.inputs[:, 0]
    if missing := codes.isnan().nonzero().flatten().tolist():
        raise DataError(
            f"{shown(path)}: column {column.name!r}: row {missing[0] + 1} is empty (one of "
            f"{len(missing)}); expected the name of {EXPECTED}"
        )
    return table, [column.words[code] for code in codes.long().tolist()]


def _looks_like_images(words: Sequence[str]) -> float:
    return float(all(map(is_image, words)))
