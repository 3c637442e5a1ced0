"""`nnarch resume`: what it goes on with, what it refuses, and what it says of it."""

import subprocess
from pathlib import Path

import pytest
import torch
import yaml

import nnarch
from bits import differences
from conftest import TINY, Command, error_lines
from harness import Start
from nnarch.errors import ConfigError, Diverged
from nnarch.listing import runlist
from nnarch.rundir import RunDir
from test_exact_resume import BASE, left_after


@pytest.fixture
def left(tmp_path: Path) -> RunDir:
    """A run of four epochs that was left after two."""
    return left_after(2, BASE, tmp_path / "runs")


def files(run: RunDir) -> dict[str, bytes]:
    """All that lies in the directory but the name of who held it last."""
    paths = [path for path in run.path.rglob("*") if path.is_file() and path.name != "run.lock"]
    return {str(path.relative_to(run.path)): path.read_bytes() for path in paths}


def refused(code: int, done: subprocess.CompletedProcess[str]) -> str:
    (line,) = error_lines(done)
    assert done.returncode == code, line
    return line


def test_what_a_process_that_was_killed_left_is_put_in_order(left: RunDir, tmp_path: Path):
    """Rows of epochs that were not saved, the last half-written, and files beside their places."""
    whole = nnarch.train(BASE, runs_dir=tmp_path / "whole")
    row = left.history_text.splitlines()[-1]
    left.append_history(f"3{row[1:]}\n4{row[1:-3]}")
    (left.path / "checkpoints" / ".epoch-0003.new").mkdir()
    (left.path / "checkpoints" / ".epoch-0003.new" / "meta.json").write_text("{")
    (left.path / "checkpoints" / ".last.0123abcd").symlink_to("epoch-0003")
    (left.path / ".run.json.0123abcd").write_text("{")
    (left.path / ".run.json").write_text("a file of the user's own")
    assert differences(nnarch.resume(left), whole) == []
    hidden = [path.name for path in left.path.rglob(".*")]
    assert hidden == [".run.json"]


def test_a_first_save_that_was_broken_off_is_no_damage(left: RunDir, nnarch_here: Command):
    """The state was there, and the links to it were not yet."""
    for name in ("last", "best"):
        (left.path / "checkpoints" / name).unlink()
    line = refused(5, nnarch_here("eval", left))
    assert line == f"{left}: no checkpoint yet; its first was broken off: nnarch resume {left}"
    assert f"{left} goes on after epoch 2 of 4" in nnarch_here("resume", left).stderr
    assert nnarch_here("eval", left).returncode == 0


# How long, and what may be changed


def test_a_run_of_a_constant_rate_that_gets_more_epochs_is_the_longer_run(tmp_path: Path):
    run = nnarch.train({**BASE, "epochs": 3}, runs_dir=tmp_path / "short")
    assert nnarch.resume(run, "epochs=6").about["status"] == "finished"
    whole = nnarch.train({**BASE, "epochs": 6}, runs_dir=tmp_path / "long")
    assert differences(run, whole) == []
    assert "epochs: 6\n" in run.config.read_text()
    assert yaml.safe_load(run.config.read_text()) == yaml.safe_load(whole.config.read_text())


def test_a_schedule_that_follows_the_length_says_that_its_curve_changes(
    left: RunDir, nnarch_here: Command, tmp_path: Path
):
    curved = left_after(2, {**BASE, "schedule": "cosine"}, tmp_path / "runs")
    done = nnarch_here("resume", curved, "epochs=8")
    assert done.returncode == 0
    assert "cosine now runs over 8 epochs instead of 4" in done.stderr
    assert "cosine now runs over 8 epochs instead of 4" in (curved.path / "log.txt").read_text()
    done = nnarch_here("resume", left, "epochs=8")
    assert "now runs over" not in done.stderr


def test_a_finished_run_has_nothing_to_do(finished: Path, nnarch_light: Command):
    """It does not even import torch."""
    before = files(RunDir(finished))
    done = nnarch_light("resume", finished)
    assert done.returncode == 0
    assert done.stdout == f"{finished}\n"
    assert f"{finished} is finished: nothing to do (epochs=N trains it longer)" in done.stderr
    assert files(RunDir(finished)) == before
    assert nnarch.resume(finished).path == finished
    assert files(RunDir(finished)) == before


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "optimizer.lr=1",
            "optimizer.lr: is as it was when the run began; expected one of",
        ),
        ("seed=1", "seed: is as it was when the run began"),
        ("batch_size=7", "batch_size: is as it was when the run began"),
        ("data.rows=90", "data.rows: is as it was when the run began"),
        ("optimiser.lr=1", "optimiser: unknown key; did you mean 'optimizer'?"),
        ("epochs=1", "epochs: got 1; "),
        ("epochs=0", "epochs: got 0; expected"),
    ],
)
def test_what_a_run_cannot_go_on_with_is_refused_and_leaves_it_as_it_is(
    override: str, said: str, left: RunDir, nnarch_here: Command
):
    before = files(left)
    line = refused(3, nnarch_here("resume", left, override))
    assert said in line
    assert files(left) == before


def test_early_stopping_that_ended_a_run_can_be_lifted(tmp_path: Path, nnarch_here: Command):
    stopping = {"early_stopping": {"patience": 2, "min_delta": 1e6}, "epochs": 9}
    run = nnarch.train({**BASE, **stopping}, runs_dir=tmp_path / "runs")
    ended = len(run.history)
    assert ended < 9
    done = nnarch_here("resume", run, "threads=1")
    assert "early stopping ended it there; early_stopping=null trains on" in done.stderr
    assert len(run.history) == ended
    assert nnarch_here("resume", run, "early_stopping=null").returncode == 0
    whole = nnarch.train({**BASE, "epochs": 9}, runs_dir=tmp_path / "whole")
    rows = [[row[key] for key in row if key != "seconds"] for row in run.history]
    assert rows == [[row[key] for key in row if key != "seconds"] for row in whole.history]


def test_a_run_says_when_and_how_it_was_resumed(left: RunDir, nnarch_here: Command):
    nnarch_here("resume", left, "epochs=3", "-q")
    nnarch_here("resume", left, "epochs=5", "-q")
    first, second = left.about["resumed"]
    assert (first["after_epoch"], second["after_epoch"]) == (2, 3)
    assert first["command"] == ["nnarch", "resume", str(left), "epochs=3", "-q"]
    assert second["overrides"] == ["epochs=5"]
    assert (first["threads"], first["device"]) == (1, "cpu")
    assert left.about["started"] < first["started"] < second["started"] < left.about["ended"]
    assert left.about["results"]["epochs"] == 5
    assert f"{left} goes on after epoch 3 of 5" in (left.path / "log.txt").read_text()


def test_other_threads_than_before_are_warned_of(left: RunDir, nnarch_here: Command):
    done = nnarch_here("resume", left, "threads=2")
    assert done.returncode == 0
    assert "warning: threads is 2, was 1: the last bits may differ" in " ".join(done.stderr.split())


# The config as it lies there


def test_a_config_that_was_edited_is_refused_with_what_differs(left: RunDir, nnarch_here: Command):
    text = left.config.read_text()
    left.config.write_text(text.replace("batch_size: 20", "batch_size: 10").replace("0.2", "0.3"))
    before = files(left)
    line = refused(5, nnarch_here("resume", left))
    assert f"{left.config}: was edited since the run was trained by it: " in line
    assert "batch_size is 10, was 20" in line
    assert "model.dropout is 0.3, was 0.2" in line
    assert files(left) == before


def test_a_length_that_was_edited_is_followed(left: RunDir, nnarch_here: Command):
    left.config.write_text(left.config.read_text().replace("epochs: 4", "epochs: 5"))
    assert nnarch_here("resume", left).returncode == 0
    assert len(left.history) == 5


PLUGIN = """\
import torch
from nnarch import register


@register("activation")
def bend():
    return torch.nn.Tanh()
"""


def test_a_run_made_with_a_plugin_needs_it_again(child: Start, tmp_path: Path):
    (tmp_path / "plugin.py").write_text(PLUGIN)
    (tmp_path / "tiny.yaml").write_text(TINY.replace("[4]", "[4], activation: bend"))
    train = child("train", "tiny.yaml", "--plugin", "plugin.py", "-q")
    assert train.wait() == 0, train.stderr
    (run,) = runlist.runs(tmp_path / "runs")
    without = child("resume", run, "epochs=3")
    assert without.wait() == 5
    assert without.stderr.startswith(f"error: {run}: ")
    assert "--plugin" in without.stderr
    resume = child("resume", run, "epochs=3", "--plugin", "plugin.py")
    assert resume.wait() == 0, resume.stderr
    assert len(run.history) == 3


# What has gone wrong before goes wrong again


def test_a_run_that_diverged_diverges_again_and_keeps_what_was_good(
    tmp_path: Path, nnarch_here: Command
):
    data = {"source": "synthetic", "rows": 200, "features": 4}
    config = {"name": "steep", "data": data, "model": {"widths": [8]}, "epochs": 2000}
    config |= {"optimizer": {"name": "sgd", "lr": 1.5}, "batch_size": "all", "threads": 1}
    with pytest.raises(Diverged) as first:
        nnarch.train(config, runs_dir=tmp_path / "runs")
    (run,) = runlist.runs(tmp_path / "runs")
    rows, last = run.history, run.load_checkpoint("last", state=True)
    line = refused(8, nnarch_here("resume", run, "-q"))
    assert line == first.value.lines[0]
    assert run.about["status"] == "diverged"
    assert run.about["error"] == line
    assert run.history == rows
    again = run.load_checkpoint("last", state=True)
    assert again.meta["epoch"] == last.meta["epoch"] == len(rows) > 1
    assert all(torch.equal(again.tensors[name], value) for name, value in last.tensors.items())


def test_an_override_that_is_refused_in_python_raises(left: RunDir):
    with pytest.raises(ConfigError, match="got 1; "):
        nnarch.resume(left, "epochs=1")
    seen: list[int] = []
    nnarch.resume(left, each=lambda record: seen.append(record.epoch))
    assert seen == [3, 4]


def test_a_run_that_was_saved_nowhere_begins_anew(tmp_path: Path, nnarch_here: Command):
    run = left_after(0, BASE, tmp_path / "runs")
    done = nnarch_here("resume", run)
    assert done.returncode == 0
    assert f"{run} had saved no epoch yet: begins with epoch 1 of 4" in done.stderr
    whole = nnarch.train(BASE, runs_dir=tmp_path / "whole")
    assert differences(run, whole) == []
