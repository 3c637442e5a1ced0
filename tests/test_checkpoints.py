"""The checkpoints of a run: the right ones are kept, and none is ever lost on the way."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from nnarch.checkpoint import Checkpoint
from nnarch.checkpoints import Checkpoints
from nnarch.errors import RunError


def of(epoch: int, best: int, state: bool = True) -> Checkpoint:
    """What epoch `epoch` left, in a run whose best was then `best`."""
    return Checkpoint(
        {"weight": torch.full((2,), float(epoch))},
        {"epoch": epoch, "best_epoch": best},
        {"epoch": epoch} if state else None,
        f"epoch\n{epoch}\n",
    )


@pytest.fixture
def kept(tmp_path: Path) -> Checkpoints:
    """Saved at 2 (the best till then), at 5 (of which 4 was) and at 7 (of which it still is)."""
    those = Checkpoints(tmp_path)
    those.save(of(2, best=2), of(2, best=2, state=False))
    those.save(of(5, best=4), of(4, best=4, state=False))
    those.save(of(7, best=4), None)
    return those


def names(kept: Checkpoints) -> list[str]:
    return sorted(os.listdir(kept.home))


def damage(kept: Checkpoints, epoch: int, name: str = "model.safetensors") -> None:
    path = kept.home / f"epoch-{epoch:04}" / name
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_the_two_last_and_the_best_are_kept(kept: Checkpoints):
    assert names(kept) == ["best", "epoch-0004", "epoch-0005", "epoch-0007", "last"]
    assert kept.load("best").meta["epoch"] == 4
    last = kept.load("last", state=True)
    assert (last.meta["epoch"], last.state, last.history) == (7, {"epoch": 7}, "epoch\n7\n")


def test_a_best_epoch_that_is_the_last_is_kept_once(tmp_path: Path):
    kept = Checkpoints(tmp_path)
    for epoch in (1, 2, 3):
        kept.save(of(epoch, best=epoch), of(epoch, best=epoch, state=False))
    assert names(kept) == ["best", "epoch-0002", "epoch-0003", "last"]
    assert kept.load("best", state=True).state == {"epoch": 3}


def test_the_best_that_the_one_before_the_last_knew_is_kept_with_it(kept: Checkpoints):
    """Whichever of the two training goes on from, its best is there."""
    kept.save(of(9, best=9), of(9, best=9, state=False))
    assert names(kept) == ["best", "epoch-0004", "epoch-0007", "epoch-0009", "last"]
    damage(kept, 9)
    found = kept.resumable()
    assert found is not None
    assert (found.checkpoint.meta["epoch"], found.best) == (7, True)
    kept.go_back_to(found)
    assert kept.load("best").meta["epoch"] == 4


def test_the_newest_intact_state_is_gone_on_from(kept: Checkpoints):
    found = kept.resumable()
    assert found is not None
    assert (found.checkpoint.meta["epoch"], found.best, found.faults) == (7, True, [])
    damage(kept, 7, "state.pt")
    found = kept.resumable()
    assert found is not None
    assert (found.checkpoint.meta["epoch"], found.best) == (5, True)
    assert len(found.faults) == 1
    assert "epoch-0007/state.pt: damaged" in found.faults[0]


def test_where_the_best_is_lost_the_last_is_not(kept: Checkpoints):
    damage(kept, 4)
    found = kept.resumable()
    assert found is not None
    assert (found.checkpoint.meta["epoch"], found.best) == (7, False)
    assert "epoch-0004/model.safetensors: damaged" in found.faults[0]


def test_where_none_is_intact_it_is_said_so(kept: Checkpoints):
    for epoch in (5, 7):
        damage(kept, epoch, "manifest.json")
        shutil.rmtree(kept.home / f"epoch-{epoch:04}" / "state.pt", ignore_errors=True)
    with pytest.raises(RunError, match="no checkpoint of the run is intact"):
        kept.resumable()


def test_where_there_is_none_training_begins_anew(tmp_path: Path):
    assert Checkpoints(tmp_path).resumable() is None
    assert Checkpoints(tmp_path / "nothing").resumable() is None


def test_a_copy_by_a_tool_that_knows_no_links_is_as_good(kept: Checkpoints, tmp_path: Path):
    copy = Checkpoints(Path(shutil.copytree(kept.home, tmp_path / "copy", symlinks=False)))
    assert not (copy.home / "last").is_symlink()
    assert copy.load("best").meta["epoch"] == 4
    copy.save(of(8, best=8), of(8, best=8, state=False))
    assert os.readlink(copy.home / "last") == os.readlink(copy.home / "best") == "epoch-0008"


@pytest.mark.parametrize("target", ["..", "/etc", "epoch-0007/..", "../checkpoints", "nowhere"])
def test_a_link_that_leads_elsewhere_is_not_followed(target: str, kept: Checkpoints):
    (kept.home / "best").unlink()
    (kept.home / "best").symlink_to(target)
    with pytest.raises(RunError, match="best: damaged: expected a link to a neighbour"):
        kept.load("best")


def test_a_checkpoint_that_is_a_link_is_refused(kept: Checkpoints, tmp_path: Path):
    away = (kept.home / "epoch-0004").rename(tmp_path / "away")
    (kept.home / "epoch-0004").symlink_to(away)
    with pytest.raises(RunError, match="epoch-0004: is a link"):
        kept.load("best")


def test_a_checkpoint_under_the_name_of_another_epoch_is_refused(kept: Checkpoints):
    shutil.rmtree(kept.home / "epoch-0007")
    shutil.copytree(kept.home / "epoch-0005", kept.home / "epoch-0007")
    with pytest.raises(RunError, match="is of another epoch, 5"):
        kept.load("last")
    found = kept.resumable()
    assert found is not None
    assert found.checkpoint.meta["epoch"] == 5


def test_what_was_never_ours_is_left_alone(kept: Checkpoints):
    for name in ("epoch-x", "notes.txt"):
        (kept.home / name).write_text("mine")
    (kept.home / "epoch-0001x").mkdir()
    kept.save(of(8, best=4), None)
    assert {"epoch-x", "notes.txt", "epoch-0001x"} <= set(names(kept))


def test_one_who_reads_while_another_saves_gets_a_whole_one(tmp_path: Path):
    kept = Checkpoints(tmp_path)
    kept.save(of(1, best=1), of(1, best=1, state=False))
    done = threading.Event()

    def training() -> None:
        for epoch in range(2, 60):
            kept.save(of(epoch, best=epoch), of(epoch, best=epoch, state=False))
        done.set()

    thread = threading.Thread(target=training)
    thread.start()
    epochs = []
    while not done.is_set():
        loaded = kept.load("best")
        epochs.append(loaded.meta["epoch"])
        assert (loaded.tensors["weight"] == epochs[-1]).all()
    thread.join()
    assert epochs == sorted(epochs)


KILLED_WHILE_SAVING = """
import os, random, signal, sys, time
from pathlib import Path

import torch

from nnarch.checkpoint import Checkpoint
from nnarch.checkpoints import Checkpoints

kept, chance = Checkpoints(Path(sys.argv[1])), random.Random(0)


def save(epoch):
    best = epoch - epoch % 3 or 1
    weight = torch.full((300, 300), float(epoch))
    last = Checkpoint({"weight": weight}, {"epoch": epoch, "best_epoch": best}, {"epoch": epoch})
    kept.save(last, last if best == epoch else None)


def save_for_ever(epoch):
    while True:
        epoch += 1
        save(epoch)


reached = reached_best = 0
for kill in range(10):
    last = kept.home / "last"
    before = last.resolve()
    child = os.fork()
    if not child:
        save_for_ever(reached)
    while last.resolve() == before:  # however busy the machine is
        time.sleep(0.001)
    time.sleep(chance.uniform(0, 0.05))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    linked, best, found = kept.load("last", state=True), kept.load("best"), kept.resumable()
    assert found.best and not found.faults, found.faults
    now = found.checkpoint.meta["epoch"]
    assert linked.meta["epoch"] <= now <= linked.meta["epoch"] + 1, (kill, now)
    assert (found.checkpoint.tensors["weight"] == now).all()
    assert found.checkpoint.state == {"epoch": now}
    assert now >= reached and best.meta["epoch"] >= reached_best, (kill, now, reached)
    reached, reached_best = now, best.meta["epoch"]
    kept.go_back_to(found)
save(reached + 1)
print(reached, len(list(kept.home.iterdir())))
"""


def test_a_kill_at_any_moment_leaves_whole_checkpoints(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_SAVING, tmp_path],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    reached, entries = map(int, done.stdout.split())
    assert reached >= 10
    assert entries in (4, 5, 6)  # two links, the two last, and the best of each
