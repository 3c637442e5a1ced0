"""Writing files so that a reader never meets half of one.

The bytes are made first, in memory, then written beside their goal and renamed over it: a kill
or a full disk at any instant leaves the old file or the new one.
"""

import contextlib
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nnarch.errors import MachineError


@contextlib.contextmanager
def machine_faults(path: Path) -> Iterator[None]:
    """What the operating system refuses about `path`, as one line."""
    try:
        yield
    except OSError as error:
        raise MachineError(f"{path}: {(error.strerror or str(error)).lower()}") from error


def write(path: Path, content: str | bytes) -> None:
    """Replace `path` by `content` at once, and see that it has reached the disk.

    Raises: MachineError where the disk is full or may not be written.
    """
    data = content.encode() if isinstance(content, str) else content
    with machine_faults(path):
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with open(handle, "wb") as file:
                os.fchmod(file.fileno(), 0o644)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        sync_directory(path.parent)


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON that every reader takes: a number that is none or not finite is null.

    >>> to_json({"f1": float("nan"), "loss": 0.5})
    '{"f1": null, "loss": 0.5}'
    """
    return json.dumps(_finite(value), indent=indent, ensure_ascii=False)


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
