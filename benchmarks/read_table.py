"""How long a table takes from its file to batches, against polars reading the same file.

`python benchmarks/read_table.py [ROWS]` writes a CSV file of so many rows and 20 columns of
numbers, then takes turns: `polars.read_csv` and `to_numpy`, and what nnarch does before a network
is built (find the columns' kinds, check every cell, split, fit, scale, count shared rows, take a
fingerprint). It prints medians and the median ratio.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from nnarch.config import load
from nnarch.data import dataset
from nnarch.registry import sources

REPEATS = 7


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def write(path: Path, rows: int) -> None:
    """A file of `rows` rows of 20 features and a target."""
    values = np.random.default_rng(0).standard_normal((rows, 21)).round(4)
    names = [*(f"x{place}" for place in range(20)), "y"]
    pl.DataFrame(values, schema=names).write_csv(path)


def main(rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        write(path, rows)
        config = load({"data": {"source": "csv", "path": str(path), "target": "y"}})
        made = []
        works = {
            "polars": lambda: pl.read_csv(path).to_numpy(),
            "read": lambda: made.append(sources.build(config.data)),
            "prepare": lambda: dataset.make(made.pop(), config.data, None),
        }
        turns = [{name: seconds(work) for name, work in works.items()} for _ in range(REPEATS + 1)]
    for name in works:
        print(f"{name:9}{statistics.median(turn[name] for turn in turns[1:]):8.3f} s")
    for what, names in (("read", ["read"]), ("all", ["read", "prepare"])):
        ratios = [sum(turn[name] for name in names) / turn["polars"] for turn in turns[1:]]
        print(f"{what} / polars: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
