"""Writing files so that a reader never meets half of one.

The bytes are made first, in memory, then written beside their goal and renamed over it: a kill
or a full disk at any instant leaves the old file or the new one.
"""

import contextlib
import json
import math
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nnarch.errors import MachineError, reason


@contextlib.contextmanager
def machine_faults(path: Path) -> Iterator[None]:
    """What the operating system refuses about `path`, as one line."""
    try:
        yield
    except OSError as error:
        raise MachineError(f"{path}: {reason(error)}") from error


def write(path: Path, content: str | bytes) -> None:
    """Replace `path` by `content` at once, and see that it has reached the disk.

    Raises: MachineError where the disk is full or may not be written.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    with machine_faults(path):
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)


def read(path: Path) -> bytes:
    """The content of a plain file; a pipe or a device, which may never end, is not opened.

    Raises: OSError.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(f"{path}: not a plain file")
    return path.read_bytes()


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
