"""A table from a file of any format that holds one, known by the file's name."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

from nnarch.data.sources import csv, parquet
from nnarch.data.table import Table

PARQUET = (".parquet", ".pq")
DIALECT = {  # how a text file is read, and what a config calls it
    "separator": "separator",
    "decimal": "decimal",
    "header": "header",
    "missing": "na_values",
}


def is_parquet(path: str | Sequence[str]) -> bool:
    """Whether a file, a pattern or the first of several is called Parquet, or a folder of them."""
    first = path if isinstance(path, str) else path[0]
    folder = os.path.isdir(first) and any(name.endswith(PARQUET) for name in os.listdir(first))
    return folder or first.lower().endswith(PARQUET)


def read(path: str | Sequence[str], **how: Any) -> Table:
    """The table in a CSV or Parquet file; `how` as of `csv.read`."""
    return parquet.read(path, **_fitting(how)) if is_parquet(path) else csv.read(path, **how)


def chunks(path: str | Sequence[str], **how: Any) -> Iterator[Table]:
    """The same, a chunk at a time."""
    if is_parquet(path):
        return parquet.chunks(path, **_fitting(how))
    return csv.chunks(path, **how)


def is_large(path: str | Sequence[str]) -> bool:
    """Whether the table would take too much of the memory."""
    return parquet.is_large(path) if is_parquet(path) else csv.is_large(path)


def _fitting(how: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in how.items() if key not in DIALECT}
