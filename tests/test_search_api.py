"""A search from Python: what it gives back, how it goes on, and in which processes it works."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nnarch
from nnarch.errors import ConfigError, DataError, RunError, SearchFailed
from nnarch.findings import ranking
from nnarch.progress import Progress
from nnarch.searchdir import SearchDir

OPEN: dict[str, Any] = {
    "name": "open",
    "data": {"source": "synthetic", "rows": 60, "features": 3},
    "model": {"widths": [{"int": [1, 9]}]},
    "optimizer": {"name": "adamw", "lr": {"float": [1e-3, 1e-1], "log": True}},
    "epochs": 1,
    "search": {"trials": 3, "keep": 1, "workers": 1},
}


@pytest.fixture
def several_threads() -> Iterator[None]:
    """As a notebook has computed with before."""
    torch.set_num_threads(2)
    _ = torch.randn(500, 500) @ torch.randn(500, 500)
    yield
    torch.set_num_threads(1)


def rates(search: SearchDir) -> list[float]:
    return [trial.point["optimizer.lr"] for trial in search.trials.read()]


def test_a_search_gives_its_trials_and_the_best_as_a_run(tmp_path: Path) -> None:
    seen: list[Progress] = []
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    search = nnarch.search(OPEN, runs_dir=tmp_path, each=seen.append)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)
    assert (seen[0].over, seen[-1].over, seen[-1].total) == (0, 3, 3)
    trials = search.trials.read()
    assert {trial.id for trial in trials} == {t.id for each in seen for t in each.ended}
    best = min(trials, key=lambda trial: trial.figures["val_loss"])
    assert search.best == best == seen[-1].best
    rows = ranking.best(trials, search.objectives, search.higher)
    assert [row.means for row in rows] == sorted((t.figures["val_loss"],) for t in trials)
    [run] = search.kept()
    assert nnarch.evaluate(run, "val")["loss"] == pytest.approx(best.figures["val_loss"], rel=1e-3)
    assert nnarch.load(run).predict(np.zeros((2, 3))).shape == (2,)


def test_the_same_search_has_nothing_to_do_and_another_is_of_its_own(tmp_path: Path) -> None:
    first = nnarch.search(OPEN, "search.keep=0", runs_dir=tmp_path)
    before = first.trials.read()
    again = nnarch.search(OPEN, "search.keep=0", runs_dir=tmp_path)
    assert (again.path, again.trials.read()) == (first.path, before)
    assert nnarch.search(OPEN, "search.keep=0", runs_dir=tmp_path, seed=1).path != first.path


def test_a_search_is_resumed_by_the_words_of_the_command_line(tmp_path: Path) -> None:
    begun = nnarch.search(OPEN, "search.keep=0", runs_dir=tmp_path)
    few, old = begun.trials.read(), begun.config.read_text()
    search = nnarch.resume("@last", "search.trials=5", runs_dir=tmp_path)
    assert isinstance(search, SearchDir)
    assert search.path == begun.path
    assert len(rates(search)) == len(set(rates(search))) == 5
    assert search.trials.read()[:3] == few
    begun.config.write_text(old)  # as of a process that was killed before it had written the new
    assert len(nnarch.resume(begun).trials.read()) == 5


def test_what_would_be_another_search_is_refused(tmp_path: Path) -> None:
    search = nnarch.search(OPEN, "search.keep=0", runs_dir=tmp_path)
    about = search.about
    expected = r"command line: epochs: would be another search; expected one of search\.keep, "
    with pytest.raises(ConfigError, match=expected):
        nnarch.resume(search, "epochs=2")
    search.config.write_text(search.config.read_text().replace("epochs: 1", "epochs: 2"))
    with pytest.raises(RunError, match=r"resolved\.yaml: was edited since the search began"):
        nnarch.resume(search)
    assert search.about == about


def test_a_stranger_s_words_are_told_as_far_as_they_are_of_their_kind(tmp_path: Path) -> None:
    search = SearchDir(tmp_path)
    for told in ({}, {"search": [], "data": 1, "results": 2}, {"search": {"identity": 3}}):
        search.write_about(told)
        assert (search.identities, search.objectives, search.higher) == ([], [], [])
        assert (search.fingerprint, search.is_exact, search.best) == (None, False, None)
        with pytest.raises(RunError, match=r"damaged: run\.json does not say plugins"):
            nnarch.resume(search)
    search.write_about({"search": {"objectives": [1, "val_loss"]}, "results": {"best_trial": []}})
    assert (search.objectives, search.best) == (["val_loss"], None)


def test_data_that_has_changed_is_of_another_search(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    rows = [f"{x},{x / 7}" for x in range(60)]
    path.write_text("\n".join(["x,y", *rows]))
    config = {**OPEN, "data": {"source": "csv", "path": str(path), "target": "y"}}
    first = nnarch.search(config, "search.keep=0", runs_dir=tmp_path)
    path.write_text("\n".join(["x,y", *rows[::-1]]))
    with pytest.raises(DataError, match="the data has changed since the search began"):
        nnarch.resume(first)
    second = nnarch.search(config, "search.keep=0", runs_dir=tmp_path)
    assert second.path != first.path
    assert nnarch.resume(first, changed_data=True).about["status"] == "finished"


def test_failed_trials_are_told_after_all_else_is_done(tmp_path: Path) -> None:
    diverging = "optimizer={name: sgd, lr: {choice: [1e-3, 1e+30]}}"
    with pytest.raises(
        SearchFailed, match=r"of 8 trials failed; \d times: training diverged"
    ) as failed:
        nnarch.search(OPEN, diverging, "search.trials=8", "epochs=2", runs_dir=tmp_path)
    [path] = [each for each in tmp_path.iterdir() if each.name[:1] != "."]
    assert failed.value.__notes__ == [f"what came of the others is in {path}"]
    search = SearchDir.open(path)
    [run] = search.kept()
    assert search.best
    assert run.about["trial"] == search.best.id
    assert search.best.point["optimizer.lr"] == 0


def test_a_search_that_was_broken_off_goes_on(tmp_path: Path) -> None:
    def each(state: Progress) -> None:
        if state.over:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as raised:
        nnarch.search(OPEN, runs_dir=tmp_path, each=each)
    assert raised.traceback  # which a notebook keeps
    [path] = [each for each in tmp_path.iterdir() if each.name[:1] != "."]
    assert SearchDir.open(path).about["status"] == "interrupted"
    search = nnarch.search(OPEN, runs_dir=tmp_path)
    assert search.path == path
    assert search.about["status"] == "finished"
    assert len(search.trials.read()) == 3


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_processes_compute_where_this_one_has_with_several_threads(
    tmp_path: Path, several_threads: None
) -> None:
    bounds = "search={trials: 4, keep: 0, workers: 2, trial_seconds: 2}"  # a worker that hangs ends
    search = nnarch.search(OPEN, bounds, "model.widths=[{int: [100, 400]}]", runs_dir=tmp_path)
    assert [trial.status for trial in search.trials.read()] == ["finished"] * 4
    assert torch.get_num_threads() == 2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_a_stack_gives_what_training_alone_gives(tmp_path: Path) -> None:
    model = {"widths": [{"int": [1, 9]}, 5], "dropout": {"choice": [0.0, 0.3]}}
    of_each = []
    for exact in (False, True):
        home = tmp_path / str(exact)
        search = nnarch.search(
            OPEN, "search.trials=6", model=model, device="cuda", runs_dir=home, exact=exact
        )
        of_each.append({trial.id: dict(trial.figures) for trial in search.trials.read()})
    stacked, alone = of_each
    assert stacked.keys() == alone.keys()
    for id, figures in alone.items():
        assert stacked[id] == pytest.approx(figures, rel=1e-3)
