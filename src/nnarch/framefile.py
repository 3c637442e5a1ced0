"""Frames of columns written to a file, in the format that its name says.

A text file is written a frame at a time, so that it may grow beyond memory. The file appears
under its name when it is whole.
"""

import io
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

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
    with files.replacing(path) as file:
        return _written(frames, file, path.suffix.lower())


def as_csv(frame: Frame, header: bool) -> str:
    """A frame as lines of text."""
    return _frame(frame).write_csv(include_header=header)


def _written(frames: Iterable[Frame], file: IO[bytes], suffix: str) -> int:
    """Write here what polars makes, since of a full disk it tells in ways of its own."""
    import polars as pl

    if suffix == ".parquet":
        whole = pl.concat([_frame(frame) for frame in frames], how="vertical_relaxed")
        whole.write_parquet(content := io.BytesIO())
        file.write(content.getbuffer())
        return len(whole)
    rows = 0
    for frame in map(_frame, frames):
        file.write(AS_TEXT[suffix](frame, rows == 0).encode())
        rows += len(frame)
    return rows


def _frame(columns: Frame) -> "pl.DataFrame":
    import polars as pl

    return pl.DataFrame(dict(columns), strict=False)


AS_TEXT: dict[str, Callable[[Any, bool], str]] = {
    ".csv": lambda frame, first: frame.write_csv(include_header=first),
    ".tsv": lambda frame, first: frame.write_csv(include_header=first, separator="\t"),
    ".jsonl": lambda frame, first: frame.write_ndjson(),
}
