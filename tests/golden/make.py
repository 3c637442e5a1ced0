"""Runs of this release, kept for ever, so that later ones are seen to open them.

`python tests/golden/make.py` writes `tests/golden/VERSION/`, once a release: of each case below
its data, its run directory, and in `expected.json` what was measured and predicted then. What is
there is never made anew. Runs hold the absolute path of their data, so all is made in a directory
of a name that is the same everywhere; `eval` is then given `--data`, and `resume` `data.path=`.
What tells the machine, and no test needs, is taken out.
"""

import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nnarch
from nnarch import config as configs
from nnarch import experiment, framefile, keeper, rundir, trained
from nnarch import run as runs
from nnarch.listing import runlist

HERE = Path("/tmp/nnarch-golden")  # where the data lies, as the runs will say for ever
KEPT = Path(__file__).parent / nnarch.__version__
KILLED_AFTER = 4  # epochs

TABLE = """\
name: table
data: {source: csv, path: table.csv, target: kind}
model: {widths: [8], dropout: 0.1, normalization: batch}
schedule: {name: cosine, warmup: 1}
metrics: [accuracy, f1]
epochs: 4
batch_size: 16
threads: 1
"""
SERIES = """\
name: series
data: {source: series, path: series.csv, target: level, lookback: 12, horizon: 2}
model:
  layers:
  - Flatten
  - Linear: 8
    as: wide
  - residual: [LayerNorm, {Linear: same}, relu]
  - {Linear: out}
epochs: 3
threads: 1
"""
KILLED = """\
name: killed
data: {source: csv, path: killed.csv, target: y}
model: {widths: [6], activation: tanh}
optimizer: {name: lbfgs, max_iter: 3}
schedule: {name: plateau, patience: 1, factor: 0.5}
average: {decay: 0.8}
batch_size: all
epochs: 9
threads: 1
"""


def table(chance: random.Random) -> Iterator[str]:
    """Numbers with gaps, words with gaps, and three kinds that follow from them."""
    yield "width,colour,length,kind"
    for _ in range(90):
        width, colour = chance.gauss(5, 2), chance.choice(["red", "green", "größer"])
        length = chance.gauss(0, 1)
        score = width / 5 + length + {"red": 0, "green": 1, "größer": 2}[colour]
        kind = "small" if score < 1.5 else "middle" if score < 2.5 else "large"
        cells = [f"{width:.2f}", colour, f"{length:.2f}"]
        yield ",".join([*("" if chance.random() < 0.08 else cell for cell in cells), kind])


def series(chance: random.Random) -> Iterator[str]:
    yield "level"
    for step in range(120):
        yield f"{math.sin(step / 4) + chance.gauss(0, 0.1):.3f}"


def killed(chance: random.Random) -> Iterator[str]:
    yield "a,b,y"
    for _ in range(60):
        a, b = chance.gauss(0, 1), chance.gauss(0, 1)
        yield f"{a:.3f},{b:.3f},{math.sin(a) + b * b / 2:.3f}"


CASES = {"table": (TABLE, table), "series": (SERIES, series), "killed": (KILLED, killed)}


def main() -> None:
    for place in (HERE, KEPT):
        if place.exists():
            raise SystemExit(f"{place} is there already; golden runs are made once")
    HERE.mkdir()
    os.chdir(HERE)
    keeper.SAVE_EVERY = 0.0
    try:
        for name, (config, rows) in CASES.items():
            Path(f"{name}.csv").write_text("\n".join(rows(random.Random(name))) + "\n")
            Path(f"{name}.yaml").write_text(config)
            keep(name, train(name))
    finally:
        shutil.rmtree(HERE)


def train(name: str) -> rundir.RunDir:
    if name != "killed":
        return nnarch.train(f"{name}.yaml")
    subprocess.run([sys.executable, Path(__file__).resolve(), "killed"], timeout=120)
    return runlist.find("@last", Path("runs"))


def train_and_die() -> None:
    """Train in a process of its own, which is killed with half of the epochs done."""
    keeper.SAVE_EVERY = 0.0
    ready = experiment.prepare(configs.load("killed.yaml"))
    with runs.start(ready, Path("runs"), nnarch.COMMAND) as run:
        for record in runs.train(ready, run):
            if record.epoch == KILLED_AFTER:
                os.kill(os.getpid(), signal.SIGKILL)


def keep(name: str, run: rundir.RunDir) -> None:
    """Copy a run beside its data, with what it measures and predicts."""
    data, home = Path(f"{name}.csv"), KEPT / name
    frames = list(trained.predict(run, data))
    expected: dict[str, Any] = {
        "figures": nnarch.evaluate(run, data=data),
        "predictions": "".join(
            framefile.as_csv(frame, header=number == 0) for number, frame in enumerate(frames)
        ),
        "epochs": len(run.history),
    }
    home.mkdir(parents=True)
    shutil.copy(data, home / "data.csv")
    shutil.copytree(run, home / "run", symlinks=True)
    about = home / "run" / "run.json"
    told = json.loads(about.read_text()) | {"machine": None}
    about.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    (home / "run" / "run.lock").unlink()
    text = json.dumps(expected, indent=1, ensure_ascii=False)
    (home / "expected.json").write_text(text + "\n")


if __name__ == "__main__":
    main() if sys.argv[1:] == [] else train_and_die()
