"""Signals at any moment: the run keeps what it has, says how to go on, and does.

The three that ask a process to stop come while it starts, trains, saves or measures, in a new run
as in one that goes on. What came of the run in the end is compared with a run that nobody
disturbed.
"""

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nnarch
from harness import Child, Start, Tally
from nnarch import interrupts
from nnarch.listing import runlist
from nnarch.rundir import RunDir
from outcome import halfway, outcome

CONFIG = """\
name: long
data: {source: synthetic, rows: 16000, features: 3, split: {train: 0.02, val: 0.01, test: 0.97}}
model: {widths: [128, 128], dropout: 0.2}
schedule: cosine
epochs: 40
threads: 1
"""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MOMENTS = ("startup", "epoch", "saving", "testing")
BEGUN = 15  # epochs of a run that is to go on
PROMISED = 10.0  # seconds from a signal to the end

# A plugin whose network waits, once a file is there: an epoch may be made as long as is wanted.
SLOW = """\
import os
import time

import torch
from nnarch import register


@register("activation")
class patient(torch.nn.Module):
    \"\"\"A rectifier that waits, in training or in evaluation, while a file says so.\"\"\"

    def forward(self, x):
        if os.path.exists("slow-training" if self.training else "slow-evaluation"):
            time.sleep(0.5 if self.training else 1.5)
        return torch.relu(x)
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What comes of `CONFIG`."""
    root = tmp_path_factory.mktemp("undisturbed")
    (root / "long.yaml").write_text(CONFIG)
    return outcome(nnarch.train(root / "long.yaml", runs_dir=root).path)


@pytest.fixture(scope="module")
def _begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("begun")
    (root / "long.yaml").write_text(CONFIG)
    halfway(root / "long.yaml", BEGUN, root / "runs")
    return root


@pytest.fixture
def begun(_begun: Path, tmp_path: Path) -> Path:
    """A run of `CONFIG` of which some epochs are done, to go on with."""
    shutil.copytree(_begun, tmp_path, symlinks=True, dirs_exist_ok=True)
    return only_run(tmp_path).path


def only_run(folder: Path) -> RunDir:
    (run,) = runlist.runs(folder / "runs")
    return run


def has(folder: Path, moment: str) -> bool:
    """Whether the command that runs in `folder` has come to `moment`."""
    if moment == "epoch":
        return any(path.read_text().count("\n") > BEGUN + 2 for path in found(folder, HISTORY))
    if moment == "saving":
        return any(found(folder, "checkpoints/.*.new"))
    last = found(folder, "checkpoints/last")
    return any(os.path.basename(os.readlink(path)) == "epoch-0040" for path in last)


HISTORY = "history.csv"


def found(folder: Path, pattern: str) -> list[Path]:
    return list(folder.glob(f"runs/*/{pattern}"))


def hears(child: Child) -> bool:
    """Whether it is so far that a signal is its own matter, and no longer the interpreter's."""
    with open(f"/proc/{child.pid}/status") as status:
        (caught,) = (line.split()[1] for line in status if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def wait_for(happens: Callable[[], bool], child: Child) -> None:
    end = time.monotonic() + 60
    while not child.ended() and not happens():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.001)


def is_alone(pid: int) -> bool:
    """Whether no process is left of the session that `pid` led."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[3]) == pid:
                return False
    return True


def end_by(child: Child, number: signal.Signals, wait: float = 0.0) -> float:
    """Send the signal after so many seconds; how many more it took to end."""
    time.sleep(wait)
    began = time.monotonic()
    child.kill(number)
    child.wait()
    return time.monotonic() - began


def errors(child: Child) -> list[str]:
    lines = child.stderr.splitlines()
    assert all(line.startswith("error: ") for line in lines), lines
    return lines


def check_ending(child: Child, number: signal.Signals, folder: Path) -> str:
    """That it ended as it should have; what became of the run."""
    code, lines, made = child.wait(), errors(child), runlist.runs(folder / "runs")
    assert is_alone(child.pid)
    if not made:
        assert (code, lines) == (128 + number, ["error: interrupted"])
        assert not (folder / "runs").exists() or not os.listdir(folder / "runs")
        return "before the run existed"
    (run,) = made
    status = run.about["status"]
    if status == "finished":
        assert code in (0, 128 + number)
        assert lines in ([], ["error: interrupted"])
        return "after the run had finished"
    assert (status, code, child.stdout) == ("interrupted", 128 + number, "")
    (line,) = lines
    if line != "error: interrupted":  # which is all to be said before anything was touched
        pattern = r"error: interrupted (after epoch \d+, which is saved|in epoch 1); go on with: "
        assert re.fullmatch(pattern + re.escape(f"nnarch resume runs/{run.path.name}"), line)
        assert run.about["exit_code"] == 128 + number
    assert not list(run.path.rglob(".*")), "something half-written"
    return "while the run went on"


def disturb(
    child: Child, folder: Path, chance: random.Random, number: signal.Signals, moment: str
) -> None:
    """Send it a signal at an instant of `moment`."""
    wait_for(lambda: hears(child), child)
    if moment == "startup":
        wait = chance.uniform(0, 0.15)
    else:
        wait_for(lambda: has(folder, moment), child)
        wait = chance.uniform(0, {"epoch": 0.1, "saving": 0.005, "testing": 0.03}[moment])
    assert end_by(child, number, wait) < PROMISED


@pytest.mark.share(3, 90)
@pytest.mark.parametrize("command", ["train", "resume"])
def test_a_signal_at_any_moment_loses_nothing(
    command: str,
    child: Start,
    begun: Path,
    undisturbed: dict[str, Any],
    tmp_path: Path,
    tally: Tally,
    seed: int,
) -> None:
    chance, words = random.Random(seed), [f"runs/{begun.name}"]
    number, moment = SIGNALS[seed % 3], MOMENTS[(seed + (command == "resume")) % 4]
    if command == "train":
        shutil.rmtree(tmp_path / "runs")
        words = ["long.yaml"]
    disturbed = child(command, *words, "--quiet")
    disturb(disturbed, tmp_path, chance, number, moment)
    tally(f"signals {check_ending(disturbed, number, tmp_path)}")
    if runlist.runs(tmp_path / "runs"):
        again = child("resume", "@last", "--quiet")
        assert again.wait() == 0, again.stderr
        tally(
            "mismatches after a signal",
            mismatches := outcome(only_run(tmp_path).path) != undisturbed,
        )
        assert not mismatches


@pytest.mark.share(2, 15)
def test_a_second_signal_ends_it_at_once(
    child: Start,
    begun: Path,
    undisturbed: dict[str, Any],
    tmp_path: Path,
    tally: Tally,
    seed: int,
) -> None:
    """Both kinds of moment: while an epoch goes on, and while the first is being obeyed."""
    chance, before = random.Random(seed), outcome(begun)
    disturbed = child("resume", begun, "--quiet")
    wait_for(lambda: RunDir(begun).about["status"] == "running", disturbed)
    disturbed.kill(SIGNALS[seed % 3])
    assert end_by(disturbed, SIGNALS[chance.randrange(3)], chance.uniform(0, 0.02)) < 1
    code = disturbed.wait()  # of a signal that nobody hears, the shell adds 128 to its number
    assert (128 - code if code < 0 else code) in (129, 130, 143), disturbed.stderr
    assert outcome(begun)["epochs"] >= before["epochs"]
    again = child("resume", begun, "--quiet")
    assert again.wait() == 0, again.stderr
    assert outcome(begun) == undisturbed
    tally("second signals")


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A folder whose config trains slowly while a file `slow-...` is there."""
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "slow.yaml").write_text(
        CONFIG.replace("[128, 128]", "[8], activation: patient")
        .replace("16000", "40000")
        .replace("{train: 0.02, val: 0.01, test: 0.97}", "{train: 0.02, val: 0.96, test: 0.02}")
        .replace("epochs: 40", "epochs: 4000")
    )
    return tmp_path


@pytest.mark.share(1, 4)
def test_an_epoch_that_does_not_end_soon_is_broken_off(
    child: Start, slow: Path, tally: Tally, seed: int
) -> None:
    number, what = SIGNALS[seed % 3], ("training", "evaluation")[seed % 2]
    disturbed = child("train", "slow.yaml", "--quiet", "--plugin", "slow.py")
    wait_for(lambda: has(slow, "epoch"), disturbed)
    (slow / f"slow-{what}").touch()
    took = end_by(disturbed, number, wait=0.5)
    assert interrupts.GRACE <= took < PROMISED
    assert check_ending(disturbed, number, slow) == "while the run went on"
    run = only_run(slow)
    ended = len(run.history)
    assert f" after epoch {ended}, which is saved" in errors(disturbed)[0]
    assert run.load_checkpoint("last").meta["epoch"] == ended
    (slow / f"slow-{what}").unlink()
    again = child("resume", run, f"epochs={ended + 2}", "--quiet", "--plugin", "slow.py")
    assert again.wait() == 0, again.stderr
    assert [row["epoch"] for row in run.history] == list(range(1, ended + 3))
    tally("slow epochs broken off")


def test_no_other_fold_begins(child: Start, tmp_path: Path) -> None:
    (tmp_path / "folds.yaml").write_text(
        "data: {source: synthetic, rows: 2000, split: {folds: 3}}\nepochs: 300\nthreads: 1\n"
    )
    disturbed = child("train", "folds.yaml", "--quiet")
    wait_for(lambda: has(tmp_path, "epoch"), disturbed)
    end_by(disturbed, signal.SIGTERM)
    assert check_ending(disturbed, signal.SIGTERM, tmp_path) == "while the run went on"


def test_an_interrupt_in_a_program_of_the_user_s_own(tmp_path: Path) -> None:
    """As in a notebook, where Python makes an exception of the signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.1, signal.raise_signal, [signal.SIGINT])
    with pytest.raises(KeyboardInterrupt):
        nnarch.train(
            {"data": "synthetic", "epochs": 1000000, "threads": 1},
            runs_dir=tmp_path / "runs",
            each=lambda record: timer.start() if record.epoch == 3 else None,
        )
    signal.signal(signal.SIGINT, before)
    run = only_run(tmp_path)
    assert run.about["status"] == "interrupted"
    assert len(run.history) - run.load_checkpoint("last").meta["epoch"] in (0, 1)


def test_what_the_caller_ignores_stays_ignored(begun: Path, tmp_path: Path) -> None:
    """A script's background job does not hear of a Ctrl-C, nor what nohup started of a hang-up."""
    script = (
        f'nohup "{sys.executable}" -m nnarch resume {begun} >out 2>err & echo $!; wait $!; echo $?'
    )
    with subprocess.Popen(
        ["bash", "-c", script], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as shell:
        assert shell.stdout
        pid = int(shell.stdout.readline())
        while not has(tmp_path, "epoch"):
            assert shell.poll() is None
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGHUP)
        assert shell.stdout.readline() == "0\n", (tmp_path / "err").read_text()
    assert RunDir(begun).about["status"] == "finished"
