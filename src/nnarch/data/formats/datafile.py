"""A data file as bytes: there, plain, and no larger than memory, or refused in one line.

A small file can declare any size, and a small gzip file can hold any; so sizes are compared with
the machine's memory before room is made for them, and a file is read into room of a known size.
"""

import contextlib
import gzip
import io
import os
import zlib
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, cast

from nnarch import machine
from nnarch.data.formats.paths import check, shown
from nnarch.errors import DataError, MachineError, cause, reason

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

GZIP = b"\x1f\x8b"
LONGEST = 1 << 24  # bytes of a line


@contextlib.contextmanager
def opened(path: str | os.PathLike[str], expected: str) -> Iterator[IO[bytes]]:
    """The bytes of the plain file `path`, which should be `expected`.

    Raises: DataError where it cannot be opened, or cannot be read on in the `with` block.
    """
    name = os.fspath(path)
    check(name, expected)
    try:
        with open(name, "rb") as file:
            yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{shown(name)}: is truncated or damaged ({cause(error)})") from None
    except OSError as error:
        raise DataError(f"{shown(name)}: cannot be read: {reason(error)}") from None


def decompressed(file: IO[bytes]) -> IO[bytes]:
    """What `file` holds, whether it is gzipped or not."""
    start = file.read(len(GZIP))
    file.seek(0)
    return gzip.GzipFile(fileobj=file) if start == GZIP else file  # type: ignore[return-value]


class Lines(io.RawIOBase):
    """A stream of text's bytes that refuses a line longer than `LONGEST`.

    Whoever reads a line keeps it in memory, and a packed file of a few megabytes may hold one of
    gigabytes.
    """

    def __init__(self, name: str, stream: IO[bytes]):
        self._name, self._stream = name, cast(io.BufferedIOBase, stream)
        self._length = 0  # of the line that is being read

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        self._length = 0
        return self._stream.seek(offset, whence)

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        room = memoryview(buffer).cast("B")
        count = self._stream.readinto(room)
        last = bytes(room[:count]).rfind(b"\n")
        self._length = self._length + count if last < 0 else count - last - 1
        if self._length > LONGEST:
            raise DataError(
                f"{self._name}: a line is longer than {LONGEST:,} bytes; expected a line for each "
                "row"
            )
        return count


def fill(room: memoryview, file: IO[bytes]) -> int:
    """Read into `room`, a piece at a time, until it is full or `file` ends; how much was read."""
    done = 0
    while done < len(room):
        piece = file.read(min(1 << 20, len(room) - done))
        if not piece:
            break
        room[done : done + len(piece)] = piece
        done += len(piece)
    return done


def require_memory(name: str, needed: float) -> None:
    """Refuse what the machine cannot hold, instead of being killed for it.

    Raises: MachineError with both sizes.
    """
    if needed > (there := machine.memory()):
        raise MachineError(
            f"{name}: takes {needed / 2**30:,.1f} GiB of memory; this machine has "
            f"{there / 2**30:,.1f}"
        )


def content(path: str | os.PathLike[str], expected: str, room: int) -> bytes:
    """All bytes of a file, decompressed where it is gzipped.

    Args:
        room: bytes of memory that it will take to work on each.

    Raises: DataError where it cannot be read, MachineError where memory does not hold it.
    """
    with opened(path, expected) as file:
        require_memory(shown(os.fspath(path)), room * os.fstat(file.fileno()).st_size)
        stream, held = decompressed(file), io.BytesIO()
        while piece := stream.read(1 << 20):
            held.write(piece)
            require_memory(shown(os.fspath(path)), room * held.tell())
    return held.getvalue()
