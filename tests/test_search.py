"""A search from the command line: what it leaves, what it survives, what it refuses.

Networks are tiny, so what is tested is the search; that a stack trains what would be trained
alone is tested in `test_stacked.py`.
"""

import json
import math
import re
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conftest import Command, error_lines
from harness import Start
from nnarch.errors import ConfigError
from nnarch.exploration import load
from nnarch.rundir import RunDir
from nnarch.searchdir import SearchDir
from nnarch.searching.earlier import told
from nnarch.searching.exploring import prepare
from nnarch.searching.proposals import Proposals
from nnarch.trial import Trial

TRIALS = 12
OPEN = """
name: small
data: {source: synthetic, rows: 120, features: 3}
model: {widths: {repeat: {int: [1, 2]}, of: {int: [2, 9]}}, activation: {choice: [relu, tanh]}}
optimizer: {name: adamw, lr: {float: [1e-3, 1e-1], log: true, default: 0.01}}
epochs: 3
search: {trials: 12, keep: 1, workers: 1, sampler: random}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "open.yaml"
    path.write_text(OPEN)
    return path


def only_search(home: Path) -> SearchDir:
    [path] = [each for each in (home / "runs").iterdir() if each.name[:1] != "."]
    return SearchDir.open(path)


def of(search: SearchDir) -> list[Trial]:
    return sorted(search.trials.read(), key=lambda trial: (trial.number, trial.seed))


def untimed(trials: list[Trial]) -> list[Any]:
    return [(each.id, each.status, each.epochs, dict(each.shown)) for each in trials]


def test_a_search_leaves_its_trials_and_the_best_as_a_run(
    child: Start, config: Path, tmp_path: Path
) -> None:
    done = child("search", config)
    assert done.wait() == 0, done.stderr
    search = only_search(tmp_path)
    assert done.stdout.strip() == f"runs/{search.path.name}"
    trials = of(search)
    assert [trial.number for trial in trials] == list(range(TRIALS))
    assert len({trial.id for trial in trials}) == TRIALS
    assert {trial.status for trial in trials} == {"finished"}
    assert all(len(trial.history["val_loss"]) == trial.epochs == 3 for trial in trials)
    best = min(trials, key=lambda trial: trial.figures["val_loss"])
    assert best.figures["val_loss"] == min(best.history["val_loss"])
    assert {"val_loss", "val_rmse", "val_r2"} <= set(best.figures)
    about = search.about
    assert (about["status"], about["exit_code"]) == ("finished", 0)
    assert about["results"]["best_trial"] == best.id
    [kept] = search.kept()
    assert kept.about["trial"] == best.id
    assert kept.about["parameters"] == best.parameters
    assert kept.about["results"]["best"] == dict(best.figures)
    assert [row["val_loss"] for row in kept.history] == list(best.history["val_loss"])
    measured = child("eval", kept.path, "--json", "--quiet")
    assert measured.wait() == 0
    assert json.loads(measured.stdout)["loss"] == kept.about["results"]["test"]["loss"]


def test_a_run_that_is_kept_goes_on_as_its_trial_would(
    child: Start, config: Path, tmp_path: Path
) -> None:
    changes = "metrics=[mae, r2]", "model={widths: [{int: [2, 9]}]}"  # of one kind: a stack
    assert child("search", config, "-q", "search.trials=4", *changes).wait() == 0
    search = only_search(tmp_path)
    [kept] = search.kept()
    assert math.isnan(kept.history[0]["val_mae"]) != (kept.about["results"]["best_epoch"] == 1)
    assert child("resume", kept.path, "-q", "epochs=6").wait() == 0
    id = kept.about["trial"]
    alone = "train", search.path, "--trial", id, "-q", "--runs-dir", "alone", "epochs=6"
    assert child(*alone).wait() == 0
    [run] = (tmp_path / "alone").iterdir()
    for one, other in zip(kept.history, RunDir(run).history, strict=True):
        assert one["val_loss"] == pytest.approx(other["val_loss"], rel=1e-4)


def test_a_run_that_was_broken_off_when_it_was_kept_is_finished(
    child: Start, config: Path, tmp_path: Path
) -> None:
    assert child("search", config, "-q", "search.trials=2").wait() == 0
    search = only_search(tmp_path)
    [kept] = search.kept()
    before = kept.about
    kept.write_about({**before, "status": "interrupted", "results": None})
    assert child("resume", search.path, "-q").wait() == 0
    assert [run.path for run in search.kept()] == [kept.path]
    assert kept.about["status"] == "finished"
    assert kept.about["results"] == before["results"]


def test_the_same_command_again_has_nothing_to_do(
    child: Start, config: Path, tmp_path: Path
) -> None:
    assert child("search", config, "-q", "search.trials=4").wait() == 0
    before = only_search(tmp_path).trials.read()
    assert child("search", config, "-q", "search.trials=4").wait() == 0
    assert only_search(tmp_path).trials.read() == before


def test_a_search_that_goes_on_tries_what_is_missing(
    child: Start, config: Path, tmp_path: Path
) -> None:
    assert child("search", config, "-q", "search.trials=5").wait() == 0
    path = only_search(tmp_path).path
    assert child("resume", path, "-q", "search.trials=12").wait() == 0
    assert child("search", config, "-q", "--runs-dir", "whole").wait() == 0
    [whole] = (tmp_path / "whole").iterdir()
    ids = {trial.id for trial in of(SearchDir.open(path))}
    assert ids == {trial.id for trial in of(SearchDir.open(whole))}


def test_exact_gives_the_bits_of_training_alone(child: Start, config: Path, tmp_path: Path) -> None:
    assert child("search", config, "-q", "--exact", "search.trials=3").wait() == 0
    search = only_search(tmp_path)
    trial = of(search)[1]
    alone = child("train", search.path, "--trial", trial.id, "-q", "--runs-dir", "alone")
    assert alone.wait() == 0, alone.stderr
    [run] = (tmp_path / "alone").iterdir()
    lines = (run / "history.csv").read_text().splitlines()
    column = lines[0].split(",").index("val_loss")
    history = [float(line.split(",")[column]) for line in lines[1:]]
    assert history == list(trial.history["val_loss"])


def test_a_stack_gives_what_training_alone_gives(
    child: Start, config: Path, tmp_path: Path
) -> None:
    assert child("search", config, "-q", "--exact", "--runs-dir", "exact").wait() == 0
    assert child("search", config, "-q").wait() == 0
    [exact] = (tmp_path / "exact").iterdir()
    for one, other in zip(of(SearchDir.open(exact)), of(only_search(tmp_path)), strict=True):
        assert one.id == other.id
        assert one.how.startswith("alone")
        assert dict(one.figures) == pytest.approx(dict(other.figures), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_ends_a_search_that_goes_on_later(
    child: Start, config: Path, tmp_path: Path, workers: int
) -> None:
    few = f"search={{trials: 3, keep: 0, workers: {workers}}}"
    begun = child("search", config, few, "epochs=1000000")
    end = time.monotonic() + 60
    while not list((tmp_path / "runs").glob("*/run.json")) and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.1)
    began = begun.children
    begun.kill(signal.SIGTERM)
    assert begun.wait() == 143, begun.stderr
    search = only_search(tmp_path)
    last = begun.stderr.splitlines()[-1]
    assert last.endswith(f"go on with: nnarch resume runs/{search.path.name}")
    assert (search.about["status"], search.about["exit_code"]) == ("interrupted", 143)
    assert not [pid for pid in began if Path(f"/proc/{pid}").exists()]


def test_trials_that_diverge_are_told_and_never_best(
    child: Start, config: Path, tmp_path: Path
) -> None:
    rates = "optimizer={name: sgd, lr: {choice: [1e-3, 1e-2, 1e+30]}}"
    done = child("search", config, rates, "search.trials=16")
    assert done.wait() == 9
    search = only_search(tmp_path)
    failed = [trial for trial in of(search) if trial.status == "failed"]
    assert failed
    assert all(trial.shown["optimizer.lr"] == 1e30 for trial in failed)
    assert all("diverged" in (trial.reason or "") for trial in failed)
    best = search.about["results"]["best_trial"]
    assert best not in {trial.id for trial in failed}
    assert f"{len(failed)} of 16 trials failed" in done.stderr.splitlines()[-1]


def test_a_failed_trial_is_over_and_a_search_with_one_fails_again(
    child: Start, config: Path, tmp_path: Path
) -> None:
    rates = "optimizer={name: sgd, lr: {choice: [1e-2, 1e+30]}}"
    small = "search={trials: 6, keep: 0, workers: 1}"
    assert child("search", config, "-q", rates, small).wait() == 9
    search = only_search(tmp_path)
    before = search.trials.path.read_bytes()
    again = child("resume", search.path, "-q")
    assert again.wait() == 9
    assert search.trials.path.read_bytes() == before


def test_bounds_that_nothing_keeps_end_the_search(
    child: Start, config: Path, tmp_path: Path
) -> None:
    done = child("search", config, "-q", "search={trials: 4, constraints: [params < 2]}")
    assert done.wait() == 9
    [line] = done.stderr.splitlines()
    assert line.startswith("error: no trial finished: 80 refused; 80 times: params ")
    assert line.endswith(": not params < 2")


def test_a_bound_has_no_part_in_the_rank_of_those_that_keep_it(
    child: Start, config: Path, tmp_path: Path
) -> None:
    small = "search={trials: 8, keep: 0, workers: 1, constraints: [params < 40]}"
    assert child("search", config, "-q", small).wait() == 0
    search = only_search(tmp_path)
    trials = of(search)
    assert len({trial.number for trial in trials}) == len(trials)
    best = min(t.figures["val_loss"] for t in trials if t.status == "finished")
    assert search.about["results"]["best"]["val_loss"] == best


def test_what_the_end_of_its_time_broke_off_is_tried_again(
    child: Start, config: Path, tmp_path: Path
) -> None:
    short = "search={trials: 3, seconds: 1.5, keep: 0, workers: 1}"
    done = child("search", config, "--json", short, "epochs=100000")
    assert done.wait() == 9
    search = only_search(tmp_path)
    broken_off = of(search)
    told = json.loads(done.stdout)["results"]
    assert (told["time_over"], told["broken_off"]) == (True, len(broken_off))
    assert {trial.reason for trial in broken_off} == {"the search's time was over"}
    assert child("resume", search.path, "-q").wait() == 9  # that time is spent
    assert of(search) == broken_off
    lines = len(search.trials.path.read_bytes().splitlines())
    [command] = [line for line in done.stderr.splitlines() if "seconds were over" in line]
    assert child(*command.split("nnarch ")[1].split(), "-q").wait() == 9
    assert [(t.id, t.number) for t in of(search)] == [(t.id, t.number) for t in broken_off]
    assert len(search.trials.path.read_bytes().splitlines()) > lines


def test_what_cannot_be_is_said_before_anything_is_written(
    child: Start, config: Path, tmp_path: Path
) -> None:
    for option, said in [
        ("search.objectives=[val_accuracy]", "search.objectives[0]: 'val_accuracy' is not"),
        ("search.warm_start=nowhere", "search.warm_start: "),
        ("search={workers: 2}", "search.workers: got 2 with threads: 2"),
    ]:
        done = child("search", config, option, *(["threads=2"] if "workers" in option else []))
        assert done.wait() == 3
        assert f"command line: {said}" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "runs").exists()


def test_a_run_that_none_can_begin_with_is_refused_before_anything_is_written(
    nnarch_here: Command, config: Path, tmp_path: Path, finished: Path
) -> None:
    closed = re.sub("model: .*", "model: {widths: [7, 3]}", OPEN)
    for text, run, said, code in [
        (OPEN, tmp_path / "nowhere", f"got {tmp_path / 'nowhere'}, where there is no run.json", 5),
        (closed, finished, f"no tensor of {finished.name} (", 3),
    ]:
        config.write_text(f"{text}init_from: {run}\n")
        place = f"{config}:{text.count(chr(10)) + 1}"
        for words in ("--runs-dir=new", "--dry-run"):
            done = nnarch_here("search", config, "data.features=5", words)
            assert done.returncode == code
            assert done.stderr.startswith(f"error: {place}: init_from: {said}")
    assert not (tmp_path / "new").exists()


def test_a_preview_tells_at_which_points_nothing_fits(
    nnarch_here: Command, config: Path, finished: Path
) -> None:
    model = "model={widths: [5], bias: {choice: [true, false]}}"
    words = (model, "data.features=5", f"init_from={finished}")
    done = nnarch_here("search", config, "--dry-run", "search.trials=9", *words)
    assert done.returncode == 0, done.stderr
    [refused] = [line for line in done.stdout.splitlines() if "init_from" in line]
    assert f" refused: command line: init_from: no tensor of {finished.name}" in refused
    count = int(refused.split()[0])
    assert 0 < count < 9
    assert f"of 9 points drawn, {count} would be refused" in done.stdout


def test_an_earlier_search_is_understood_by_what_its_values_were(
    child: Start, config: Path, tmp_path: Path
) -> None:
    assert child("search", config, "-q", "search.trials=8", "search.keep=0").wait() == 0
    earlier = only_search(tmp_path)
    turned = "model.activation={choice: [tanh, gelu]}"
    found = told(load(config, [turned, f"search.warm_start={earlier.path}"]))
    known = {trial.id: trial for trial in of(earlier) if trial.shown["model.activation"] == "tanh"}
    assert {trial.id for trial in found} == set(known)
    assert {trial.point["model.activation"] for trial in found} == {0}
    with pytest.raises(ConfigError, match=r"no trial of .* at a point of this space"):
        told(load(config, ["model.widths=[4]", f"search.warm_start={earlier.path}"]))


def test_a_point_that_lacks_a_seed_gets_it_first(config: Path) -> None:
    explored = load(config, ["search.seeds=2", "search.trials=3"])
    datasets = prepare(explored).datasets
    planned, _ = Proposals(explored, datasets).ask(3)
    ended = [replace(each.trial, status="finished", figures={"val_loss": 1.0}) for each in planned]
    again = Proposals(explored, datasets, [ended[0], *ended[3:]])
    assert again.begun == 2
    missing, _ = again.ask(3)
    lacked = [(each.trial.number, each.trial.seed) for each in missing]
    assert lacked == [(0, 1), (1, 0), (3, 0), (3, 1)]


def test_bounds_hold_before_training(child: Start, config: Path, tmp_path: Path) -> None:
    done = child("search", config, "-q", "search={trials: 8, keep: 0, constraints: [params < 40]}")
    assert done.wait() == 0, done.stderr
    trials = of(only_search(tmp_path))
    trained = [trial for trial in trials if trial.status == "finished"]
    refused = [trial for trial in trials if trial.status == "refused"]
    assert len(trained) == 8
    assert all((trial.parameters or 0) < 40 for trial in trained)
    assert all("not params < 40" in (trial.reason or "") for trial in refused)


def test_halving_trains_the_best_on(child: Start, config: Path, tmp_path: Path) -> None:
    pruned = "search={trials: 9, keep: 0, pruner: halving, workers: 2}"
    done = child("search", config, "-q", pruned, "epochs=9")
    assert done.wait() == 0, done.stderr
    trials = of(only_search(tmp_path))
    lengths = sorted(trial.epochs for trial in trials)
    assert lengths == [1] * 6 + [3] * 2 + [9]
    last = next(trial for trial in trials if trial.status == "finished")
    first = [trial.history["val_loss"][0] for trial in trials]
    assert last.history["val_loss"][0] in sorted(first)[:3]


def test_seeds_are_trials_of_their_own(child: Start, config: Path, tmp_path: Path) -> None:
    done = child("search", config, "-q", "search={trials: 3, seeds: 2, keep: 1, workers: 1}")
    assert done.wait() == 0, done.stderr
    trials = of(only_search(tmp_path))
    assert [(trial.number, trial.seed) for trial in trials] == [
        (number, seed) for number in range(3) for seed in range(2)
    ]
    means = {n: sum(t.figures["val_loss"] for t in trials if t.number == n) / 2 for n in range(3)}
    best = only_search(tmp_path).about["results"]["best"]["val_loss"]
    assert best == pytest.approx(min(means.values()))


def test_a_preview_writes_nothing(child: Start, config: Path, tmp_path: Path) -> None:
    done = child("search", config, "--dry-run", "search.constraints=[params < 40]")
    assert done.wait() == 0, done.stderr
    assert not (tmp_path / "runs").exists()
    assert "optimizer.lr: numbers from 0.001 to 0.1, on a log scale" in done.stdout
    assert "would be refused" in done.stdout
    assert "not params < 40" in done.stdout


def test_another_space_is_another_search(child: Start, config: Path, tmp_path: Path) -> None:
    assert child("search", config, "-q", "search.trials=2").wait() == 0
    done = child("resume", only_search(tmp_path).path, "epochs=5")
    assert done.wait() == 3
    assert "epochs: would be another search" in done.stderr


def test_train_refuses_what_is_open_unless_told_to_take_defaults(
    child: Start, config: Path, tmp_path: Path
) -> None:
    done = child("train", config, "--defaults", "model.widths=[4]", "model.activation=relu")
    assert done.wait() == 0, done.stderr
    done = child("train", config)
    assert done.wait() == 3
    assert len(error_lines(done)) == 3  # type: ignore[arg-type]


def test_an_ensemble_of_the_best_is_a_run(child: Start, config: Path, tmp_path: Path) -> None:
    done = child("search", config, "-q", "search.trials=4", "--ensemble", "2")
    assert done.wait() == 0, done.stderr
    *runs, averaged = only_search(tmp_path).kept()
    assert averaged.about["members"] == [run.path.name for run in runs[:2]]
    measured = child("eval", averaged.path, "--json", "-q")
    assert measured.wait() == 0
    assert json.loads(measured.stdout)["loss"] == averaged.about["results"]["test"]["loss"]
