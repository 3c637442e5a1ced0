"""How long a whole command takes, against the hand-written script on as many rows.

    python benchmarks/whole_command.py [--turns 7]

Both run in turn, each in a process of its own with one thread. The script is `seed_loop.py`; a
last line sets `nnarch --help`, which has no use for torch, against importing torch.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from tables import digits, seconds, table
from turns import fix_threads

HERE = Path(__file__).parent
CONFIG = HERE.parent / "configs" / "mlp.yaml"
NNARCH = [sys.executable, "-m", "nnarch"]
TRAIN = [*NNARCH, "train", str(CONFIG)]
SCRIPT = [sys.executable, str(HERE / "seed_loop.py"), "10000"]
CASES = {
    "10,000 rows in all": (TRAIN, SCRIPT),
    "10,000 rows to train on": ([*TRAIN, "data.rows=12500"], SCRIPT),
    "`--help`, `import torch`": ([*NNARCH, "--help"], [sys.executable, "-c", "import torch"]),
}


def timed(command: list[str], folder: str) -> float:
    """Wall time of one run of `command`, started in `folder`."""
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    return time.perf_counter() - began


def compare(ours: list[str], theirs: list[str], turns: int) -> list[str]:
    """Median seconds of both, and the median ratio theirs / ours of `turns` pairs."""
    with tempfile.TemporaryDirectory() as folder:
        for command in (ours, theirs):
            timed(command, folder)
        pairs = [(timed(ours, folder), timed(theirs, folder)) for _ in range(turns)]
    return [
        seconds(median(mine for mine, _ in pairs)),
        seconds(median(other for _, other in pairs)),
        digits(median(other / mine for mine, other in pairs)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="How long a whole command takes.")
    parser.add_argument("--turns", type=int, default=7, help="that are counted (7)")
    given = parser.parse_args()
    fix_threads(1)
    rows = []
    for name, (ours, theirs) in CASES.items():
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows.append([name, *compare(ours, theirs, given.turns)])
    print(table(["", "nnarch", "script", "script / nnarch"], rows))


if __name__ == "__main__":
    main()
