"""The data source `idx`: images and labels in the files that MNIST and its relatives come in.

An IDX file says the type and the sizes of its array in a few bytes, then gives the numbers, the
highest byte first (LeCun, Cortes and Burges, The MNIST database). What goes with a file of images
is found by its name, since the four files of a data set always stand together.
"""

import math
import os
import re
from typing import IO, TYPE_CHECKING, Literal

from nnarch.data.array import Array
from nnarch.data.formats.datafile import decompressed, fill, opened, require_memory
from nnarch.data.formats.pairs import Pair, record
from nnarch.data.formats.paths import check, shown
from nnarch.data.split import PARTS
from nnarch.data.table import Table
from nnarch.errors import ConfigError, DataError
from nnarch.lazy import LazyModule
from nnarch.options import FilePath
from nnarch.registry import sources

if TYPE_CHECKING:
    import numpy as np
else:
    np = LazyModule("numpy")

EXPECTED = "an IDX file, such as train-images-idx3-ubyte.gz"
TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
MOST = 8  # dimensions
IMAGES = re.compile(r"images([-.])idx\d")
NAMES = ("images", "label")


@sources.register
def idx(
    *,
    path: FilePath,
    labels: FilePath | None = None,
    val: FilePath | None = None,
    val_labels: FilePath | None = None,
    test: FilePath | Literal["none"] | None = None,
    test_labels: FilePath | None = None,
) -> Table | Array:
    """Images and labels in IDX files, as MNIST comes in, gzipped or not.

    Options:
        path: The file of images to learn from, or the folder that holds it.
        labels: The file of their labels; found beside it by its name unless given.
        val: Images to validate with; a share of those to learn from unless given.
        val_labels: Their labels.
        test: Images to test with; found beside `path` unless given, by the name t10k-images or
            test-images; `none` leaves them out.
        test_labels: Their labels.
    """
    for part, images, of_images in (("val", val, val_labels), ("test", test, test_labels)):
        if of_images and images in (None, "none"):
            raise ConfigError(f"data.{part}_labels: given without data.{part}; expected both")
    path = _images_in(path) if os.path.isdir(path) else path
    found = _test_beside(path) if test is None else None
    files = [(path, labels), (val, val_labels), (found or test, test_labels)]
    pairs = [
        _pair(images, of_images, needs_target=True, part=part)
        for part, (images, of_images) in enumerate(files)
        if images not in (None, "none")
    ]
    notes = []
    if found:
        notes = [f"test rows from {shown(found)}, found beside; data.test: none leaves them out"]
    return record(pairs, parted=len(pairs) > 1, notes=notes)


def read(path: str | os.PathLike[str], *, needs_target: bool = False) -> Table | Array:
    """The images of another file, with their labels where these stand beside it."""
    path = os.fspath(path)
    path = _images_in(path) if os.path.isdir(path) else path
    return record([_pair(path, None, needs_target)], parted=False)


def _pair(path: str | None, labels: str | None, needs_target: bool, part: int = 0) -> Pair:
    assert path is not None
    check(path, EXPECTED)
    labels = labels or _labels_beside(path)
    if labels is None and needs_target:
        raise DataError(
            f"{shown(path)}: no file of labels stands beside it; name one with "
            f"data.{'' if part == 0 else f'{PARTS[part]}_'}labels"
        )
    inputs = _array(path)
    if inputs.ndim < 2:
        raise DataError(
            f"{shown(path)}: holds {inputs.ndim} dimension; expected images, as idx3 files hold"
        )
    target = None if labels is None else _array(labels)
    if target is not None and len(target) != len(inputs):
        assert labels is not None
        raise DataError(
            f"{shown(labels)}: holds {len(target)} labels for {len(inputs)} images in "
            f"{shown(path)}; expected as many of both"
        )
    if target is not None and target.ndim == 1 and target.dtype.kind in "iu":
        target = target.astype(str)  # a class's number is a name
    return Pair(shown(path), NAMES, inputs, target, part)


def _array(path: str) -> "np.ndarray":
    """All numbers of an IDX file, in its own shape and in this machine's order of bytes."""
    with opened(path, EXPECTED) as file:
        stream = decompressed(file)
        dtype, shape = _header(shown(path), stream)
        size = math.prod(shape) * dtype.itemsize
        require_memory(shown(path), size if dtype == np.uint8 else 3 * size)
        declared = f"declares {' x '.join(map(str, shape))} numbers in {size:,} bytes"
        if stream is file and size > os.fstat(file.fileno()).st_size:
            raise DataError(f"{shown(path)}: is truncated: it {declared}, more than it has")
        room = np.empty(size, np.uint8)
        if (done := fill(room.data, stream)) < size:
            raise DataError(f"{shown(path)}: is truncated: it {declared}, and has {done:,}")
        if stream.read(1):
            raise DataError(f"{shown(path)}: {declared}, and has more")
    return room.view(dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _header(name: str, stream: IO[bytes]) -> "tuple[np.dtype, tuple[int, ...]]":
    start = stream.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in TYPES or not 0 < start[3] <= MOST:
        begins = " ".join(map(str, start)) or "nothing"
        raise DataError(
            f"{name}: is no IDX file; it begins with the bytes {begins}; expected 0 0, a type "
            f"({', '.join(map(str, TYPES))}) and 1 to {MOST} dimensions"
        )
    sizes = stream.read(4 * start[3])
    if len(sizes) < 4 * start[3]:
        raise DataError(f"{name}: is truncated within its header")
    shape = tuple(np.frombuffer(sizes, ">u4").tolist())
    if 0 in shape:
        raise DataError(f"{name}: declares {' x '.join(map(str, shape))} numbers; expected some")
    return np.dtype(TYPES[start[2]]), shape


def _labels_beside(path: str) -> str | None:
    return _beside(path, IMAGES.sub(r"labels\1idx1", os.path.basename(path)))


def _test_beside(path: str) -> str | None:
    name = os.path.basename(path)
    return _beside(path, name.replace("train", "t10k")) or _beside(
        path, name.replace("train", "test")
    )


def _beside(path: str, name: str) -> str | None:
    """The file called `name`, gzipped or not, in the folder of `path`, if it is another."""
    plain = os.path.join(os.path.dirname(path), name.removesuffix(".gz"))
    for candidate in (plain, f"{plain}.gz"):
        if name != os.path.basename(path) and os.path.isfile(candidate):
            return candidate
    return None


def _images_in(folder: str) -> str:
    """The file to learn from in a folder."""
    found = sorted(name for name in os.listdir(folder) if IMAGES.search(name))
    training = [name for name in found if "train" in name] or found
    plain = {name.removesuffix(".gz"): name for name in reversed(training)}
    if len(plain) != 1:
        there = ", ".join(found) or "none"
        raise DataError(
            f"{shown(folder)}: expected one file of images to learn from, such as "
            f"train-images-idx3-ubyte.gz; there are: {there}"
        )
    return os.path.join(folder, *plain.values())
