"""Writing files so that a reader never meets half of one.

The bytes are made first, in memory, then written beside their goal and renamed over it: a kill
or a full disk at any instant leaves the old file or the new one. What grows by lines is added to,
and never through a link, which in a directory of a stranger's may lead anywhere.
"""

import contextlib
import errno
import json
import math
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from nnarch.errors import MachineError, reason

FEW_FILES = 100  # of which a disk may have too few left, however many bytes are free
BLOCK = 1 << 16  # bytes that a line's end is looked for in at once
TEMPORARY = re.compile(r"\..+\.([0-9a-f]{8}|new)")  # a name that whoever was killed left behind


@contextlib.contextmanager
def machine_faults(path: Path) -> Iterator[None]:
    """What the operating system refuses about `path`, as one line."""
    try:
        yield
    except OSError as error:
        raise MachineError(f"{path}: {reason(error)}{_room(path, error)}") from error


def _room(path: Path, error: OSError) -> str:
    """How much room is left where there was too little, of whichever kind."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return ""
    place = next(above for above in (path, *path.parents) if above.is_dir())
    room = os.statvfs(place)
    short = room.f_files and room.f_favail < FEW_FILES
    files = f", for {room.f_favail:,} more files" if short else ""
    return f"; {room.f_bavail * room.f_frsize:,} bytes are free there{files}"


def write(path: Path, content: str | bytes) -> None:
    """Replace `path` by `content` at once, and see that it has reached the disk.

    Raises: MachineError where the disk is full or may not be written.
    """
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to, which takes the place of `path` at the end, and reaches the disk.

    Raises: MachineError where the disk is full or may not be written.
    """
    temporary = temporary_beside(path)
    with machine_faults(path):
        try:
            with _new(temporary) as file:
                yield file
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_directory(path.parent)


def write_all(directory: Path, contents: Mapping[str, bytes]) -> None:
    """Write new files into a directory that nobody looks into yet.

    Raises: OSError.
    """
    for name, data in contents.items():
        with _new(directory / name) as file:
            file.write(data)
    sync_directory(directory)


@contextlib.contextmanager
def _new(path: Path) -> Iterator[IO[bytes]]:
    """A new file, of which all has reached the disk at the end."""
    with open(path, "xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def temporary_beside(path: Path) -> Path:
    """A new name in the directory of `path`."""
    return path.with_name(f".{path.name}.{os.urandom(4).hex()}")


def link(path: Path, target: str) -> None:
    """Make `path` a link to its neighbour `target`, at once, whatever was there.

    Raises: OSError.
    """
    temporary = temporary_beside(path)
    if path.is_dir() and not path.is_symlink():  # a copy that someone made of what was linked
        shutil.rmtree(path)
    os.symlink(target, temporary)
    os.replace(temporary, path)
    sync_directory(path.parent)


def opened_to_append(path: Path) -> IO[str]:
    """A plain file, to be read and added to; made if there is none.

    Raises: OSError; so too where `path` is a link, a pipe or a device.
    """
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return open(handle, "a+", newline="", encoding="utf-8", errors="backslashreplace")


def append(path: Path, text: str) -> None:
    """Add `text` to the end of a file.

    Raises: MachineError where the disk is full or may not be written.
    """
    with machine_faults(path), opened_to_append(path) as file:
        file.write(text)


def append_lines(path: Path, lines: str) -> None:
    """Add whole lines to the end of a file: all of them reach the disk, or none stays there.

    What a kill has left of a line is cut off first.

    Raises: MachineError where the disk is full or may not be written.
    """
    data = memoryview(lines.encode(errors="backslashreplace"))
    with machine_faults(path), opened_to_append(path) as file:
        handle = file.fileno()
        end = _end_of_lines(handle)
        os.ftruncate(handle, end)
        try:
            while data:
                data = data[os.write(handle, data) :]
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, end)
            raise


def _end_of_lines(handle: int) -> int:
    """Where the last whole line of a file ends."""
    end = os.fstat(handle).st_size
    while end:
        start = max(0, end - BLOCK)
        if (at := os.pread(handle, end - start, start).rfind(b"\n")) >= 0:
            return start + at + 1
        end = start
    return 0


def tidy(directory: Path) -> None:
    """Remove what a process that was killed while it wrote has left in `directory`."""
    with os.scandir(directory) as entries:
        left = [Path(entry) for entry in entries if TEMPORARY.fullmatch(entry.name)]
    for path in left:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def read(path: str | Path) -> bytes:
    """The content of a plain file; a pipe or a device, which may never end, is not opened.

    Raises: OSError.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(f"{path}: not a plain file")
    with open(path, "rb", buffering=0) as file:
        return file.read()


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON that every reader takes: a number that is none or not finite is null.

    What a file name holds beside characters stands in it as an escape.

    >>> to_json({"f1": float("nan"), "loss": 0.5})
    '{"f1": null, "loss": 0.5}'
    """
    text = json.dumps(_finite(value), indent=indent, ensure_ascii=False)
    return text.encode(errors="backslashreplace").decode()


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def sync_directory(path: Path) -> None:
    """See that renames within `path` have reached the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
