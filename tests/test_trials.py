"""trials.jsonl: whatever ends a search, all that was added is there, once, and nothing else."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnarch.errors import MachineError, RunError
from nnarch.trial import Status, Trial
from nnarch.trials import Trials
from test_files import files_limited_to


def trial(number: int, status: Status = "finished", **changes: Any) -> Trial:
    return Trial(f"id{number}", number, 0, {}, {"lr": 0.1}, {"name": "ä"}, status, **changes)


def test_what_was_added_is_read(tmp_path: Path) -> None:
    trials = Trials(tmp_path / "trials.jsonl")
    assert trials.read() == []
    trials.append([])
    assert not trials.path.exists()
    trials.append([trial(0), trial(2, "failed", reason="no\nway")])
    trials.append([trial(1)])
    assert trials.read() == [trial(0), trial(2, "failed", reason="no\nway"), trial(1)]
    assert len(trials.path.read_text().splitlines()) == 3


@settings(max_examples=40)
@given(cut=st.integers(1, 400), size=st.sampled_from([1, 300, 100_000]))
def test_a_kill_loses_the_lines_that_it_cuts_and_the_next_are_whole(
    cut: int, size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    trials = Trials(tmp_path_factory.mktemp("cut") / "trials.jsonl")
    before = [trial(0), trial(1, reason="x" * size)]
    trials.append(before)
    whole = trials.path.stat().st_size
    os.truncate(trials.path, max(0, whole - cut))
    left = trials.read()
    assert left == before[: len(left)]
    trials.append([trial(2)])
    assert trials.read() == [*left, trial(2)]
    assert trials.path.read_bytes().count(b"\n") == len(left) + 1


def test_a_trial_that_is_tried_again_is_as_it_ended_last(tmp_path: Path) -> None:
    trials = Trials(tmp_path / "trials.jsonl")
    trials.append([trial(0, "failed"), trial(1, "pruned"), trial(2)])
    trials.append([trial(1), trial(0, "failed", reason="again"), trial(2, "failed")])
    trials.append([trial(2, seconds=9.0)])
    assert trials.read() == [trial(0, "failed", reason="again"), trial(1), trial(2)]


@pytest.mark.parametrize("damage", ["{}", "", '{"id": 1', "\0\0", "[1]", "null"])
def test_a_damaged_line_is_named(damage: str, tmp_path: Path) -> None:
    trials = Trials(tmp_path / "trials.jsonl")
    lines = [trial(0).to_json(), damage, trial(2).to_json(), ""]
    trials.path.write_text("\n".join(lines))
    with pytest.raises(RunError) as failed:
        trials.read()
    (said,) = failed.value.lines
    assert said.startswith(f"{trials.path}: line 2: damaged: ")


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    trials = Trials(tmp_path / "trials.jsonl")
    trials.append([trial(0)])
    with files_limited_to(10_000), pytest.raises(MachineError, match="file too large"):
        trials.append([trial(number, reason="x" * 900) for number in range(1, 30)])
    assert trials.read() == [trial(0)]
    assert trials.path.read_text() == trial(0).to_json() + "\n"
    trials.append([trial(1)])
    assert trials.read() == [trial(0), trial(1)]


def test_neither_a_link_nor_a_directory_is_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine\n")
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    with pytest.raises(MachineError):
        Trials(tmp_path / "link").append([trial(0)])
    assert (tmp_path / "precious").read_text() == "mine\n"
    with pytest.raises(RunError, match=str(tmp_path)):
        Trials(tmp_path).read()
