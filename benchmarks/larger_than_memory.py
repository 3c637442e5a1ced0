"""Whether a table that is larger than memory trains, and in how much of it.

`python benchmarks/larger_than_memory.py [ROWS] [GIGABYTES]` writes a CSV file of so many rows and
100 columns, then trains on it for an epoch in a process whose address space is limited, once from
disk and once in memory, and prints how each ended, its largest resident size and its time.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

FEATURES = 100
BLOCK = 100_000
CONFIG = """\
data: {{source: csv, path: {path}, target: y, stream: {stream}}}
model: {{widths: [32]}}
batch_size: 2048
epochs: 1
threads: 1
"""


def write(path: Path, rows: int) -> None:
    """A file of which the first two features tell the target."""
    chance = np.random.default_rng(0)
    names = [*(f"x{place}" for place in range(FEATURES)), "y"]
    with open(path, "wb") as file:
        for start in range(0, rows, BLOCK):
            x = chance.standard_normal((min(BLOCK, rows - start), FEATURES))
            y = 2 * x[:, 0] + np.sin(2 * x[:, 1])
            table = pl.DataFrame(np.column_stack([x, y]).round(4), schema=names)
            table.write_csv(file, include_header=start == 0)


def train(folder: Path, path: Path, stream: str, limit: int) -> str:
    """How a training in `limit` bytes of address space ended."""
    config = folder / f"{stream}.yaml"
    config.write_text(CONFIG.format(path=path, stream=stream))
    command = [sys.executable, "-m", "nnarch", "train", str(config), "--quiet"]
    began = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    seconds = time.perf_counter() - began
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    ended = "trained" if done.returncode == 0 else f"ended with {done.returncode}"
    return f"{ended} after {seconds:.0f} s, at most {largest / 2**30:.2f} GiB resident"


def main(rows: int, gigabytes: float) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, limit = Path(name), int(gigabytes * 2**30)
        path = folder / "table.csv"
        write(path, rows)
        size = path.stat().st_size / 2**30
        print(f"{size:.2f} GiB of text, {rows:,} rows; {gigabytes:g} GiB of address space")
        for stream in ("always", "never"):
            print(f"stream: {stream:7}{train(folder, path, stream, limit)}")


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 5_000_000,
        float(sys.argv[2]) if len(sys.argv) > 2 else 2.5,
    )
