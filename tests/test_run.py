"""A run: what training leaves in its directory, however it ends."""

import contextlib
import math
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from nnarch import config as configs
from nnarch import experiment, opening
from nnarch import run as runs
from nnarch.errors import Diverged, Interrupted, RunBusy, RunError
from nnarch.experiment import Experiment
from nnarch.interrupts import Stop
from nnarch.rundir import RunDir

SMALL = {"source": "synthetic", "rows": 200, "features": 4}


Started = Callable[..., tuple[Experiment, RunDir]]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    """Makes a run, which is held until the test is over."""
    base = {"name": "small", "data": SMALL, "model": {"widths": [8]}, "epochs": 5, "threads": 1}
    command = ["nnarch", "train", "small.yaml"]
    with contextlib.ExitStack() as held:

        def start(**changes: Any) -> tuple[Experiment, RunDir]:
            ready = experiment.prepare(configs.load({**base, **changes}))
            return ready, held.enter_context(runs.start(ready, tmp_path, command, ["epochs=5"]))

        yield start


def test_a_finished_run_says_everything(started: Started) -> None:
    ready, run = started()
    records = list(runs.train(ready, run))
    about = run.about
    assert about["status"] == "finished"
    assert about["exit_code"] == 0
    assert about["command"] == ["nnarch", "train", "small.yaml"]
    assert about["overrides"] == ["epochs=5"]
    assert (about["seed"], about["device"], about["threads"]) == (0, "cpu", 1)
    assert about["versions"]["torch"] == torch.__version__
    assert about["parameters"] == 4 * 8 + 8 + 8 + 1
    assert about["flops"] == 2 * (4 * 8 + 8)
    assert about["data"]["rows"] == {"train": 160, "val": 20, "test": 20}
    assert about["data"]["fingerprint"] == ready.dataset.fingerprint
    assert about["started"] < about["ended"]
    best = min(records, key=lambda record: record.val_loss)
    assert about["results"]["best_epoch"] == best.epoch
    assert about["results"]["best"]["val_loss"] == best.val_loss
    assert [path.name for path in sorted(run.path.iterdir())] == [
        "checkpoints", "config.yaml", "history.csv", "log.txt", "resolved.yaml", "run.json",
        "run.lock",
    ]  # fmt: skip
    log = (run.path / "log.txt").read_text()
    assert [line.split(" ", 1)[1] for line in log.splitlines()[:-1]] == opening.sentences(ready)
    assert "finished after 5 epochs" in log
    kept = {f"epoch-{epoch:04}" for epoch in (best.epoch, 5)}
    assert {path.name for path in (run.path / "checkpoints").iterdir()} == {"best", "last", *kept}


def test_history_is_what_was_yielded(started: Started) -> None:
    ready, run = started()
    records = list(runs.train(ready, run))
    header = (run.path / "history.csv").read_text().splitlines()[0]
    assert header == "epoch,train_loss,val_loss,val_rmse,val_mae,val_r2,lr,seconds"
    for row, record in zip(run.history, records, strict=True):
        assert row["epoch"] == record.epoch
        assert row["train_loss"] == record.train_loss
        assert row["val_loss"] == record.val_loss
        assert row["val_r2"] == record.metrics["r2"]
        assert row["lr"] == 1e-3


def test_the_best_checkpoint_is_of_the_best_epoch(started: Started) -> None:
    """A rate that is far too large at the end makes the last epoch worse than the best."""
    schedule = {"name": "multistep", "milestones": [3], "gamma": 1.0}
    ready, run = started(optimizer={"name": "sgd", "lr": 0.3}, schedule=schedule)
    weights: dict[int, dict[str, torch.Tensor]] = {}
    for record in runs.train(ready, run):
        state = ready.training.network.state_dict()
        weights[record.epoch] = {name: value.clone() for name, value in state.items()}
    best, last = run.load_checkpoint("best"), run.load_checkpoint("last", state=True)
    assert best.meta["epoch"] == run.about["results"]["best_epoch"]
    assert last.meta["epoch"] == 5
    for saved in (best, last):
        for name, value in weights[saved.meta["epoch"]].items():
            assert torch.equal(saved.tensors[f"network.{name}"], value)
    assert last.state is not None
    assert last.state["epoch"] == 5
    assert last.state["best_epoch"] == best.meta["epoch"]


def test_a_run_that_diverges_keeps_what_was_good(started: Started) -> None:
    """A rate just too large: some epochs end well before the loss overflows."""
    ready, run = started(optimizer={"name": "sgd", "lr": 1.5}, batch_size="all", epochs=2000)
    with pytest.raises(Diverged) as caught:
        list(runs.train(ready, run))
    about = run.about
    assert caught.value.exit_code == about["exit_code"] == 8
    assert about["status"] == "diverged"
    assert about["error"] in caught.value.lines
    assert "diverged" in (run.path / "log.txt").read_text()
    for row in run.history:
        assert all(math.isfinite(row[key]) for key in ("train_loss", "val_loss"))
    saved = run.load_checkpoint("last")
    assert saved.meta["epoch"] == len(run.history) > 1
    for tensors in (saved.tensors, run.load_checkpoint("best").tensors):
        assert all(tensor.isfinite().all() for tensor in tensors.values())


def test_a_run_that_diverges_at_once_has_no_checkpoint(started: Started) -> None:
    ready, run = started(optimizer={"name": "sgd", "lr": 1e30})
    with pytest.raises(Diverged, match="epoch 1"):
        list(runs.train(ready, run))
    with pytest.raises(RunError, match="no checkpoint yet"):
        run.load_checkpoint()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_keeps_the_epoch_that_ended(
    number: signal.Signals, code: int, started: Started
) -> None:
    ready, run = started(epochs=1000)
    stop = Stop()
    training = runs.train(ready, run, stop)
    assert [next(training).epoch for _ in range(3)] == [1, 2, 3]
    stop.ask(number)
    with pytest.raises(Interrupted, match="interrupted after epoch 3") as caught:
        next(training)
    assert caught.value.exit_code == run.about["exit_code"] == code
    assert run.about["status"] == "interrupted"
    assert run.load_checkpoint("last").meta["epoch"] == 3


def test_a_run_that_is_worked_on_is_busy(started: Started) -> None:
    ready, run = started()
    training = runs.train(ready, run)
    next(training)
    assert run.about["status"] == "running"
    with pytest.raises(RunBusy), run.lock():
        pass
    list(training)
    assert run.about["status"] == "finished"


def test_a_walk_away_from_the_records_leaves_an_interrupted_run(started: Started) -> None:
    ready, run = started()
    training = runs.train(ready, run)
    next(training)
    training.close()
    assert run.about["status"] == "interrupted"
    assert run.load_checkpoint("last").meta["epoch"] == 1


def test_a_checkpoint_of_another_run_is_refused(started: Started, tmp_path: Path) -> None:
    first, second = (started(seed=seed) for seed in (0, 1))
    for ready, run in (first, second):
        list(runs.train(ready, run))
    stolen = second[1].path / "checkpoints" / "best"
    shutil.copytree(stolen, first[1].path / "checkpoints" / "epoch-0005", dirs_exist_ok=True)
    with pytest.raises(RunError, match="is of another run"):
        first[1].load_checkpoint("best")
    renamed = RunDir(second[1].path.rename(tmp_path / "renamed"))
    assert renamed.load_checkpoint("best").meta["run"] == renamed.about["id"]
