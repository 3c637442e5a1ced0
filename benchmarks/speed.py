"""How fast one network trains: every benchmark of it, as Markdown.

    pip install . -r benchmarks/requirements.txt && python benchmarks/speed.py [--threads 1]

It takes about twenty minutes. Each part is a script of its own that can be asked for less, as its
`--help` tells; `--turns 1` tries them all.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from tables import machine

HERE = Path(__file__).parent
PARTS = {
    "The training loop": ["training_loop.py"],
    "Arithmetic": ["arithmetic.py"],
    "Growth": ["growth.py"],
    "The whole command": ["whole_command.py"],
    "Threads": ["threads.py"],
    "Threads, beside other work": ["threads.py", "--busy"],
}
FIXED = ["training_loop.py", "arithmetic.py", "growth.py"]  # take a number of threads


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast one network trains.")
    parser.add_argument("--threads", type=int, default=1, help="of every side (1)")
    parser.add_argument("--turns", type=int, help="fewer, or more, than each part takes")
    given = parser.parse_args()
    print(f"{machine()}\n", flush=True)
    for title, (script, *arguments) in PARTS.items():
        began = time.monotonic()
        print(f"### {title}\n", flush=True)
        options = ["--threads", str(given.threads)] if script in FIXED else []
        options += ["--turns", str(given.turns)] if given.turns else []
        subprocess.run([sys.executable, str(HERE / script), *arguments, *options], check=True)
        print(f"\n({time.monotonic() - began:.0f} s)\n", flush=True)


if __name__ == "__main__":
    main()
