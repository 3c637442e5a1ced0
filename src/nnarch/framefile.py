"""Frames of columns written to a file, in the format that its name says.

A text file is written a frame at a time, so that it may grow beyond memory. The file appears
under its name when it is whole.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnarch import files
from nnarch.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

Frame = Mapping[str, Any]
FORMATS = (".csv", ".tsv", ".parquet", ".jsonl")


def check(path: Path, force: bool) -> None:
    """Raises: UsageError where `path` is no format of ours, or is there and is not to go."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(
            f"{path}: got {path.suffix!r}; expected a name that ends in {', '.join(FORMATS)}"
        )
    if path.exists() and not force:
        raise UsageError(f"{path}: is there already; --force replaces it")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: no such directory")


def write(frames: Iterable[Frame], path: Path) -> int:
    """Write all frames to `path`; how many rows that were.

    Raises: MachineError where the disk is full or may not be written.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    with files.machine_faults(path):
        try:
            rows = _written(frames, temporary, path.suffix.lower())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    return rows


def as_csv(frame: Frame, header: bool) -> str:
    """A frame as lines of text."""
    return _frame(frame).write_csv(include_header=header)


def _written(frames: Iterable[Frame], path: Path, suffix: str) -> int:
    import polars as pl

    if suffix == ".parquet":
        whole = pl.concat([_frame(frame) for frame in frames], how="vertical_relaxed")
        whole.write_parquet(path)
        return len(whole)
    rows = 0
    with open(path, "xb") as file:
        for frame in map(_frame, frames):
            WRITERS[suffix](frame, file, rows == 0)
            rows += len(frame)
        file.flush()
        os.fsync(file.fileno())
    return rows


def _frame(columns: Frame) -> "pl.DataFrame":
    import polars as pl

    return pl.DataFrame(dict(columns), strict=False)


WRITERS: dict[str, Callable[[Any, Any, bool], Any]] = {
    ".csv": lambda frame, file, first: frame.write_csv(file, include_header=first),
    ".tsv": lambda frame, file, first: frame.write_csv(file, include_header=first, separator="\t"),
    ".jsonl": lambda frame, file, first: frame.write_ndjson(file),
}
