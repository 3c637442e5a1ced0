"""Cross-validation: a run for each fold, which stands by itself, and their figures as one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import nnarch
from conftest import Command, error_lines
from nnarch import config as configs
from nnarch import experiment, folds
from nnarch.data.table import Table
from nnarch.errors import ConfigError
from nnarch.rundir import RunDir

ROWS, FOLDS = 62, 3


def config(home: Path, **split: Any) -> dict[str, Any]:
    """Of a table whose rows are numbered in `x`."""
    rows = range(ROWS)
    answers = [("no", "yes")[row % 2] for row in rows]
    frame = pl.DataFrame({"x": np.arange(ROWS) / 2, "y": answers, "g": [row // 4 for row in rows]})
    frame.write_csv(home / "rows.csv")
    data = {"source": "csv", "path": str(home / "rows.csv"), "target": "y", "split": split}
    data["scaling"], data["ignore"] = "none", ["g"]
    return {"data": data, "model": {"widths": [4]}, "epochs": 2, "threads": 1}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("folds")


@pytest.fixture(scope="module")
def runs(home: Path) -> list[RunDir]:
    return nnarch.cross_validate(config(home, folds=FOLDS), runs_dir=home / "runs")


def test_each_fold_has_a_run_of_its_own(runs: list[RunDir]):
    assert [run.about["status"] for run in runs] == ["finished"] * FOLDS
    for number, run in enumerate(runs, 1):
        own = configs.load(run.config)
        assert own.data["split"]["fold"] == number
        assert own.name.endswith(f"-fold{number}")
        assert f"fold{number}-" in run.path.name


def test_each_run_is_evaluated_by_itself(runs: list[RunDir]):
    for run in runs:
        assert nnarch.evaluate(run) == run.about["results"]["test"]


def parts(config: dict[str, Any], *overrides: str) -> dict[str, list[float]]:
    """The numbers of the rows in each part."""
    _, data, made = experiment.data_of(configs.load(config, overrides))
    assert isinstance(data, Table)
    assert isinstance(data.inputs, torch.Tensor)
    return {
        part: (2 * data.inputs[rows, 0]).sort().values.tolist()
        for part, rows in made.chosen.items()
    }


def test_every_row_is_tested_once(home: Path):
    given = config(home, folds=FOLDS)
    found = [parts(given, f"data.split.fold={fold}") for fold in range(1, FOLDS + 1)]
    assert sorted(row for one in found for row in one["test"]) == list(range(ROWS))
    for one in found:
        assert sorted(row for part in one.values() for row in part) == list(range(ROWS))
        share = [row % 2 for row in one["test"]].count(0) / len(one["test"])
        assert share == pytest.approx(0.5, abs=1 / len(one["test"]))


def test_a_group_is_in_one_fold(home: Path):
    given = config(home, folds=FOLDS, group="g")
    found = [parts(given, f"data.split.fold={fold}")["test"] for fold in range(1, FOLDS + 1)]
    assert sorted(row for test in found for row in test) == list(range(ROWS))
    groups = [{row // 4 for row in test} for test in found]
    assert sum(map(len, groups)) == len(set.union(*groups))


def test_a_config_without_folds_or_of_one_is_itself(home: Path):
    for split in ({}, {"folds": 3, "fold": 2}):
        one = configs.load(config(home, **split))
        assert folds.configs(one) == [one]


def test_a_long_name_is_still_a_name(home: Path):
    long = configs.load({**config(home, folds=12), "name": "n" * 80})
    names = [one.name for one in folds.configs(long)]
    assert len(set(names)) == 12
    assert all(configs.load({"data": "synthetic", "name": name}).name == name for name in names)


@pytest.mark.parametrize("call", [nnarch.train, nnarch.build])
def test_one_network_cannot_be_of_all_folds(call: Any, home: Path):
    with pytest.raises(ConfigError) as refused:
        call(config(home, folds=3))
    (line,) = refused.value.lines
    assert "data.split.folds: got 3 folds for one network; expected data.split.fold" in line


def test_one_fold_can_be_trained_alone(home: Path, runs: list[RunDir]):
    """It is the very network that cross-validation makes."""
    given = config(home, folds=FOLDS, fold=2)
    run = nnarch.train(given, runs_dir=home / "alone")
    assert run.about["results"] == runs[1].about["results"]


FIGURES = st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(FIGURES, FIGURES), min_size=2, max_size=20))
def test_mean_and_deviation_are_numpy_s(figures: list[tuple[float, float]]):
    found = folds.summary([{"loss": loss, "r2": r2} for loss, r2 in figures])
    for place, name in enumerate(("loss", "r2")):
        column = np.array(figures)[:, place]
        assert found["mean"][name] == pytest.approx(column.mean(), rel=1e-9, abs=1e-9)
        assert found["sd"][name] == pytest.approx(column.std(ddof=1), rel=1e-6, abs=1e-6)


# The command line


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "c.yaml").write_text(json.dumps(config(tmp_path, folds=FOLDS)))
    return "c.yaml"


def test_train_prints_a_run_for_each_fold(nnarch_here: Command, file: str, tmp_path: Path):
    done = nnarch_here("train", file, "data.split.folds=4")
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    assert len(printed) == 4
    for number, path in enumerate(printed, 1):
        assert f"-c-fold{number}-" in path
        measured = nnarch_here("eval", path, "--json")
        assert measured.returncode == 0, measured.stderr
        results = json.loads((tmp_path / path / "run.json").read_text())["results"]["test"]
        told = json.loads(measured.stdout)
        assert {name: told[name] for name in results} == results
    assert [f"fold {number} of 4" in done.stderr for number in range(1, 5)] == [True] * 4
    head, *rows = done.stderr.rpartition("4 folds\n")[2].split("\n")[1:-1]
    assert head.split() == ["test", "rows", "mean", "sd"]
    assert [row.split()[0] for row in rows] == ["loss", "accuracy"]


def test_train_tells_mean_and_deviation_as_json(nnarch_here: Command, file: str):
    done = nnarch_here("train", file, "--json", "-q")
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert len(told["folds"]) == FOLDS
    for name in ("loss", "accuracy"):
        figures = [one["results"]["test"][name] for one in told["folds"]]
        assert told["mean"][name] == pytest.approx(np.mean(figures))
        assert told["sd"][name] == pytest.approx(np.std(figures, ddof=1))


def test_one_fold_is_one_run(nnarch_here: Command, file: str):
    done = nnarch_here("train", file, "data.split.fold=2", "--json")
    assert done.returncode == 0, done.stderr
    assert "results" in json.loads(done.stdout)
    assert "folds" not in done.stderr


def test_more_folds_than_rows(nnarch_here: Command, file: str):
    last = ["data.split={folds: 61, fold: 61, stratify: false}", "-q"]
    assert nnarch_here("train", file, *last).returncode == 0
    refused = nnarch_here("train", file, f"data.split.folds={ROWS}", "data.split.stratify=false")
    assert refused.returncode == 4
    assert f"{ROWS} rows for {ROWS} folds; expected more" in refused.stderr
    classes = nnarch_here("train", file, "data.split.folds=32", "-q")
    assert classes.returncode == 4
    (line,) = error_lines(classes)
    assert "class 'no' has 31 rows for 32 folds; expected at least one each" in line
