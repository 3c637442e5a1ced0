"""Runs and data that have moved: a run goes on wherever it lies, on the rows that it knows."""

import os
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

import nnarch
from bits import differences
from conftest import Command
from nnarch.rundir import RunDir
from test_exact_resume import BASE, left_after
from test_resumption import files, refused


@pytest.fixture
def table(tmp_path: Path) -> Path:
    chance = random.Random(0)
    lines = (f"{(a := chance.random())},{(b := chance.random())},{a * b}" for _ in range(80))
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["a,b,y", *lines]) + "\n")
    return path


def of_table(path: Path) -> dict[str, Any]:
    return {**BASE, "data": {"source": "csv", "path": str(path), "target": "y"}}


def test_data_that_changed_is_refused_unless_it_is_wanted(
    table: Path, tmp_path: Path, nnarch_here: Command
):
    run = left_after(2, of_table(table), tmp_path / "runs")
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines[:-1], "0.5,0.5,9"]) + "\n")
    before = files(run)
    line = refused(4, nnarch_here("resume", run))
    assert line == (
        f"{run}: the data has changed since the run was trained on it; expected the same rows, "
        "or --changed-data to go on with these"
    )
    assert files(run) == before
    assert nnarch_here("resume", run, "--changed-data").returncode == 0
    assert len(run.history) == BASE["epochs"]


def test_data_that_moved_is_told_where(table: Path, tmp_path: Path, nnarch_here: Command):
    whole = nnarch.train(of_table(table), runs_dir=tmp_path / "whole")
    run = left_after(2, of_table(table), tmp_path / "runs")
    moved = table.rename(tmp_path / "moved.csv")
    line = refused(4, nnarch_here("resume", run))
    assert line.startswith(f"{table.name}: no such file")
    assert nnarch_here("resume", run, f"data.path={moved}").returncode == 0
    assert differences(run, whole) == []
    assert nnarch.evaluate(run) == run.about["results"]["test"]


def test_a_run_may_be_moved_and_copied(tmp_path: Path, nnarch_here: Command):
    """By tools that keep links and by those that follow them."""
    left = left_after(2, BASE, tmp_path / "runs")
    whole = nnarch.train(BASE, runs_dir=tmp_path / "whole")
    copies = [tmp_path / name for name in ("links-kept", "links-followed", "moved")]
    subprocess.run(["cp", "-r", left.path, copies[0]], check=True)
    subprocess.run(["cp", "-rL", left.path, copies[1]], check=True)
    left.path.rename(copies[2])
    for path in copies:
        assert nnarch_here("resume", path, "-q").returncode == 0
        run = RunDir(path)
        assert differences(run, whole) == []
        assert sorted(os.listdir(path / "checkpoints")) == sorted(
            os.listdir(copies[0] / "checkpoints")
        )
        assert nnarch.evaluate(run) == run.about["results"]["test"]


def test_a_run_that_is_only_a_copy_with_links_followed_can_be_measured(
    finished: Path, tmp_path: Path
):
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-rL", finished, copy], check=True)
    assert nnarch.evaluate(copy) == nnarch.evaluate(finished)
