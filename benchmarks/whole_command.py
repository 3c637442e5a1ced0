"""How long a whole command takes, against the hand-written script on as many rows.

`python benchmarks/whole_command.py [REPEATS]` runs both in turn, each in a process of its own
with one thread, and prints the medians and the median of the ratios taken pair by pair.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
CONFIG = HERE.parent / "configs" / "mlp.yaml"
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def seconds(command: list[str], folder: str) -> float:
    """Wall time of one run of `command`, started in `folder`."""
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=folder, env=ENVIRONMENT)
    return time.perf_counter() - began


def compare(ours: list[str], theirs: list[str], repeats: int) -> tuple[float, float, float]:
    """Median seconds of both, and the median ratio theirs / ours of `repeats` pairs."""
    with tempfile.TemporaryDirectory() as folder:
        for command in (ours, theirs):
            seconds(command, folder)
        pairs = [(seconds(ours, folder), seconds(theirs, folder)) for _ in range(repeats)]
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(b / a for a, b in pairs),
    )


def main(repeats: int) -> None:
    train = [sys.executable, "-m", "nnarch", "train", str(CONFIG)]
    script = [sys.executable, str(HERE / "seed_loop.py")]
    cases = {
        "10,000 rows in all": (train, [*script, "10000"]),
        "10,000 rows to train on": ([*train, "data.rows=12500"], [*script, "10000"]),
    }
    print(f"{'':26}{'nnarch':>9}{'script':>9}{'ratio':>8}")
    for name, (ours, theirs) in cases.items():
        a, b, ratio = compare(ours, theirs, repeats)
        print(f"{name:26}{a:8.2f}s{b:8.2f}s{ratio:8.2f}")
    help_seconds, import_seconds, _ = compare(
        [sys.executable, "-m", "nnarch", "--help"], [sys.executable, "-c", "import torch"], repeats
    )
    print(f"nnarch --help {help_seconds:.2f}s; import torch {import_seconds:.2f}s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
