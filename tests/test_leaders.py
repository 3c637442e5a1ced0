"""What the best trials of a search came to, kept on disk until runs are made of it."""

from pathlib import Path

import pytest
import torch

from nnarch import checkpoint
from nnarch.checkpoint import Checkpoint
from nnarch.errors import RunError
from nnarch.leaders import Contents, Leaders

ONE, TWO, THREE = (f"{number:012x}" for number in range(3))


def contents(value: float) -> Contents:
    tensors = {"network.weight": torch.tensor([value])}
    last = Checkpoint(tensors, {"epoch": 2, "best_epoch": 1}, {"epoch": 2}, "epoch\n1\n2\n")
    best = Checkpoint(tensors, {"epoch": 1, "best_epoch": 1})
    return {"last": checkpoint.contents(last), "best": checkpoint.contents(best)}


def test_those_that_lead_are_kept_and_no_others(tmp_path: Path):
    leaders = Leaders(tmp_path / "leaders")
    leaders.keep([ONE, TWO], {ONE: contents(1.0), TWO: contents(2.0), THREE: contents(3.0)})
    leaders.keep([THREE, TWO], {THREE: contents(4.0)})
    assert leaders.load(ONE) is None
    for id, value in ((TWO, 2.0), (THREE, 4.0)):
        found = leaders.load(id)
        assert found
        assert float(found.best.tensors["network.weight"]) == value
        assert (found.last.history, found.last.state) == ("epoch\n1\n2\n", {"epoch": 2})
    leaders.clear()
    assert not leaders.home.exists()


def test_one_that_is_damaged_is_as_none(tmp_path: Path):
    leaders = Leaders(tmp_path / "leaders")
    leaders.keep([ONE], {ONE: contents(1.0)})
    weights = leaders.home / ONE / "best" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert leaders.load(ONE) is None


def test_nothing_but_leaders_is_ever_removed(tmp_path: Path):
    (tmp_path / "own" / ONE).mkdir(parents=True)
    (tmp_path / "leaders").symlink_to(tmp_path / "own")
    with pytest.raises(RunError, match="is a link; expected a directory"):
        Leaders(tmp_path / "leaders").clear()
    other = tmp_path / "other" / "letters"
    other.mkdir(parents=True)
    Leaders(other.parent).clear()
    assert (tmp_path / "own" / ONE).exists()
    assert other.exists()
