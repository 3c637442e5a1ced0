"""Arrays that numpy saved, one in a .npy file or several in a .npz archive, read with suspicion.

An array's header is a few words that may declare any size and any type; so all headers are read
first, and room is made only for arrays that are wanted, hold plain values, are as long as what
is there to read, and fit into memory. Nothing is ever unpickled.
"""

import math
import os
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, cast

from nnarch.data.formats.datafile import fill, opened, require_memory
from nnarch.data.formats.paths import shown
from nnarch.errors import DataError, cause
from nnarch.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    from numpy.lib import format as npy_format
else:
    np = LazyModule("numpy")
    npy_format = LazyModule("numpy.lib.format")

EXPECTED = "an .npz or .npy file, as numpy saves them"
MOST_SAID = 200  # characters of a message that may hold all of a header
NPY = b"\x93NUMPY"
ZIP = b"PK"
ENCRYPTED = 1  # a flag of an entry in a zip archive


@dataclass(frozen=True)
class Header:
    """What an array says of itself: `start` is where its values begin, `there` how many bytes."""

    dtype: "np.dtype"
    shape: tuple[int, ...]
    fortran: bool
    start: int
    there: int

    @property
    def size(self) -> int:
        """In bytes, as declared."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def room(self) -> int:
        """The bytes that it takes to read the array and to turn it into a tensor."""
        return self.size + (0 if self.dtype == np.uint8 else 8 * math.prod(self.shape))


def headers(path: str) -> dict[str, Header]:
    """The arrays of a file by name; that of an .npy file has none, "".

    Raises: DataError where the file is neither, or one of its headers cannot be understood.
    """
    with opened(path, EXPECTED) as file:
        if _is_archive(path, file):
            with _archive(path, file) as archive:
                entries = [info for info in archive.infolist() if info.filename.endswith(".npy")]
                return {
                    info.filename.removesuffix(".npy"): _entry_header(path, archive, info)
                    for info in entries
                }
        return {"": _header(path, file, os.fstat(file.fileno()).st_size)}


def arrays(path: str, wanted: Sequence[tuple[str, Header]]) -> "list[np.ndarray]":
    """The values of those arrays of a file whose headers are `wanted`.

    Raises: DataError where there are fewer than declared, or the file is damaged; MachineError
    where memory does not hold them.
    """
    for name, header in wanted:
        assert not header.dtype.hasobject, "pickled objects are refused by whoever chooses"
        if header.size != header.there:
            raise DataError(
                f"{_where(path, name)}: declares {header.size:,} bytes of values, but there are "
                f"{header.there:,}"
            )
    require_memory(shown(path), sum(header.room for _, header in wanted))
    with opened(path, EXPECTED) as file:
        if not _is_archive(path, file):
            return [_values(path, name, file, header) for name, header in wanted]
        found = []
        with _archive(path, file) as archive:
            for name, header in wanted:
                with archive.open(f"{name}.npy") as stream:
                    found.append(_values(path, name, stream, header))
        return found


def _is_archive(path: str, file: IO[bytes]) -> bool:
    start = file.read(len(NPY))
    file.seek(0)
    if start != NPY and not start.startswith(ZIP):
        raise DataError(f"{shown(path)}: is neither .npz nor .npy; expected {EXPECTED}")
    return start != NPY


@contextmanager
def _archive(path: str, file: IO[bytes]) -> Iterator[zipfile.ZipFile]:
    """A zip archive; whatever is wrong with it, as a DataError."""
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except (DataError, OSError, EOFError):
        raise
    except Exception as error:  # zipfile and the decompressors below it raise a dozen kinds
        raise DataError(f"{shown(path)}: is truncated or damaged ({cause(error)})") from None


def _entry_header(path: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Header:
    if info.flag_bits & ENCRYPTED:
        raise DataError(f"{shown(path)}: is encrypted; expected {EXPECTED}")
    with archive.open(info) as stream:
        return _header(_where(path, info.filename.removesuffix(".npy")), stream, info.file_size)


def _header(where: str, stream: IO[bytes], size: int) -> Header:
    try:
        version = npy_format.read_magic(stream)
        readers = {
            (1, 0): npy_format.read_array_header_1_0,
            (2, 0): npy_format.read_array_header_2_0,
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a header that Python 2 wrote
            shape, fortran, dtype = readers[version](stream)
    except OSError:
        raise
    except Exception as error:  # a header is a Python literal, which fails in many ways
        said = cause(error).partition(". ")[0]  # what follows is advice to trust the file
        raise DataError(f"{shown(where)}: has no readable header ({said[:MOST_SAID]})") from None
    if min(shape, default=0) < 0:
        raise DataError(f"{shown(where)}: declares the shape {shape}; expected sizes from 0 on")
    return Header(dtype, shape, fortran, stream.tell(), size - stream.tell())


def _values(path: str, name: str, stream: IO[bytes], header: Header) -> "np.ndarray":
    stream.read(header.start)
    room = np.empty(header.size, np.uint8)
    if (done := fill(room.data, stream)) < header.size or stream.read(1):
        raise DataError(
            f"{_where(path, name)}: is truncated: declares {header.size:,} bytes of values, and "
            f"has {done:,}"
        )
    if not header.size:
        return np.empty(header.shape, header.dtype)
    values = room.view(header.dtype)
    if header.fortran:
        return cast("np.ndarray", values.reshape(header.shape[::-1]).transpose())
    return values.reshape(header.shape)


def _where(path: str, name: str) -> str:
    return f"{shown(path)}: {name!r}" if name else shown(path)
