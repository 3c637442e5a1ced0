"""How long the command takes that lists ten thousand runs, Python's start included.

`python benchmarks/listing.py` makes the run directories of a search of learning rates and widths
below a temporary directory, with a run.json and a config of the size that runs have, then lets
each command have its turns.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from nnarch import config as configs
from nnarch import rundir
from nnarch.provenance import provenance

CONFIG = "data: {source: synthetic, rows: 1000, features: 8}\nmodel: {widths: [64, 64]}\n"
COMMANDS = {
    "the best 20 by validation loss": "--sort val_loss --limit 20",
    "those of small learning rates": "--where optimizer.lr<1e-4 --sort -val_loss --limit 20",
    "all of them, as CSV": "--format csv",
}


def make(root: Path, count: int) -> None:
    """`count` finished runs below `root`, no two alike."""
    (root / "open.yaml").write_text(CONFIG)
    resolved = configs.load([str(root / "open.yaml")]).to_yaml()
    about = {"format": rundir.FORMAT, "status": "finished", **provenance(["nnarch", "train"])}
    draw = random.Random(0)
    for number in range(count):
        day, second = divmod(number, 86_400)
        clock = time.strftime("%H%M%S", time.gmtime(second))
        path = root / "runs" / f"202601{day + 1:02}-{clock}-net-{draw.randrange(16**6):06x}"
        path.mkdir(parents=True)
        told = {**about, "id": path.name, **_told(draw)}
        (path / rundir.ABOUT).write_text(json.dumps(told, indent=1) + "\n")
        text = resolved.replace("lr: 0.001", f"lr: {10 ** draw.uniform(-5, -1):.12f}")
        widths = [2 ** draw.randrange(8), draw.randrange(1, 300)]
        (path / rundir.RESOLVED).write_text(text.replace("[64, 64]", str(widths)))


def _told(draw: random.Random) -> dict[str, Any]:
    """What a training adds to run.json."""
    figures = {name: draw.random() for name in ("loss", "rmse", "mae", "r2")}
    return {
        "seed": 0,
        "device": "cpu",
        "engine": {"name": "recorded", "why": "28 operations a gradient"},
        "data": {"fingerprint": draw.randbytes(32).hex(), "rows": {"train": 800, "val": 100}},
        "model": "mlp",
        "parameters": draw.randrange(100_000),
        "flops": draw.randrange(200_000),
        "started": "2026-01-01T00:00:00.000+00:00",
        "results": {
            "epochs": 50,
            "best_epoch": draw.randrange(1, 51),
            "best": {f"val_{name}": value for name, value in figures.items()},
            "test": figures,
            "higher": ["val_r2"],
        },
        "ended": "2026-01-01T00:00:01.000+00:00",
        "seconds": draw.random(),
    }


def seconds(words: list[str], root: Path) -> float:
    """Wall time of one `nnarch runs`."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "nnarch", "runs", *words]
    subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=7)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make(root, given.runs)
        words = {name: line.split() for name, line in COMMANDS.items()}
        times: dict[str, list[float]] = {name: [] for name in words}
        for _ in range(given.turns + 1):
            for name in words:
                times[name].append(seconds(words[name], root))
    print(f"{given.runs:,} runs; median and fastest of {given.turns} turns, in seconds")
    for name, taken in times.items():  # the first turn warms up
        print(f"{name:32}{statistics.median(taken[1:]):6.2f}{min(taken[1:]):6.2f}")


if __name__ == "__main__":
    main()
