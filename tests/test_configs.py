"""Every file in configs/ trains, and those with a promised figure reach it."""

from pathlib import Path

import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

import nnarch
from nnarch import config as configs
from nnarch import experiment
from nnarch import exploration as explorations
from nnarch.data import dataset as datasets
from nnarch.registry import sources
from nnarch.sections import Search

ROOT = Path(__file__).parents[1]
CONFIGS = [path for path in sorted(ROOT.glob("configs/*.yaml")) if "search" not in path.stem]
OPEN = sorted(ROOT.glob("configs/search_*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_trains(path: Path, tmp_path: Path) -> None:
    run = nnarch.train(path, runs_dir=tmp_path, epochs=2)
    assert run.about["status"] == "finished"
    assert [row["epoch"] for row in run.history] == [1, 2]
    assert run.path.name.split("-", 2)[2].startswith(path.stem)


@pytest.mark.parametrize("path", OPEN, ids=lambda path: path.stem)
def test_every_open_config_can_be_searched_and_trains_with_its_defaults(path: Path) -> None:
    explored = explorations.load(path)
    for point in explored.space.corners():
        complete = explored.config(point)
        assert configs.load(complete.model_dump()).model_dump() == complete.model_dump()
    defaults = configs.load(path, defaults=True)
    ready = experiment.prepare(defaults)
    assert ready.size.parameters > 0


def test_the_reference_config_shows_every_key_with_its_default() -> None:
    shown = configs.load(ROOT / "configs/reference.yaml")
    data = {"source": "sklearn", "dataset": "wine"}
    plain = configs.load({"data": data, "loss": "cross_entropy", "schedule": "cosine"})
    assert shown.data == plain.data
    assert shown.model == plain.model
    assert shown.loss == plain.loss
    assert shown.optimizer == plain.optimizer
    assert shown.schedule == plain.schedule
    text = (ROOT / "configs/reference.yaml").read_text()
    parts = shown.data["split"]
    for key in [
        *Search.model_fields,
        *configs.Config.model_fields,
        *shown.data,
        *parts,
        *shown.model,
        *shown.optimizer,
    ]:
        assert f"{key}:" in text, key


@pytest.mark.parametrize(
    ("name", "metric", "least"), [("digits", "accuracy", 0.97), ("spirals", "accuracy", 0.98)]
)
def test_a_promised_accuracy_is_reached(
    name: str, metric: str, least: float, tmp_path: Path
) -> None:
    run = nnarch.train(ROOT / f"configs/{name}.yaml", runs_dir=tmp_path)
    assert run.about["results"]["test"][metric] >= least


def test_diabetes_is_predicted_as_well_as_ridge_regression_does(tmp_path: Path) -> None:
    path = ROOT / "configs/diabetes.yaml"
    run = nnarch.train(path, runs_dir=tmp_path)
    config = configs.load(path)
    table = sources.build(config.data)
    parts = datasets.make(table, config.data, None).parts
    batches = {name: next(part.in_order(len(part))) for name, part in parts.items()}
    rows = {name: (batch.inputs.numpy(), batch.target.numpy()) for name, batch in batches.items()}
    ridge = Ridge().fit(*rows["train"])
    score = r2_score(rows["test"][1], ridge.predict(rows["test"][0]))
    assert run.about["results"]["test"]["r2"] >= score - 0.02


def test_the_complete_config_of_a_run_gives_the_same_bits(tmp_path: Path) -> None:
    first = nnarch.train(ROOT / "configs/mlp.yaml", runs_dir=tmp_path, epochs=2)
    again = nnarch.train(first.config, runs_dir=tmp_path)
    assert again.config.read_text() == first.config.read_text()
    weights = [run.load_checkpoint("last").tensors for run in (first, again)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    columns = [[{**row, "seconds": 0} for row in run.history] for run in (first, again)]
    assert columns[0] == columns[1]
