"""From Python, the same things in the same words as on the command line."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import nnarch
from nnarch.errors import ConfigError, NnarchError, RunError


def test_build_gives_a_plain_network_with_the_weights_that_training_begins_from(
    tiny: Path,
) -> None:
    model = nnarch.build(tiny)
    assert [type(layer) for layer in model.children()] == [nn.Linear, nn.ReLU, nn.Linear]
    assert model(torch.zeros(1, 3)).shape == (1, 1)
    torch.manual_seed(0)
    expected = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    for mine, theirs in zip(model.parameters(), expected.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_build_leaves_the_caller_s_random_numbers_alone(tiny: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    nnarch.build(tiny)
    assert torch.equal(torch.rand(3), expected)


def test_train_evaluate_load(tiny: Path, tmp_path: Path) -> None:
    seen = []
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    run = nnarch.train(tiny, runs_dir=tmp_path / "runs", each=seen.append, epochs=3)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)
    assert [record.epoch for record in seen] == [1, 2, 3]
    assert run.history[-1]["train_loss"] == pytest.approx(seen[-1].train_loss)

    figures = nnarch.evaluate(run)
    assert figures == pytest.approx(run.about["results"]["test"])
    assert nnarch.evaluate("@last", "val", runs_dir=tmp_path / "runs")["loss"] == pytest.approx(
        run.about["results"]["best"]["val_loss"]
    )

    predictor = nnarch.load(run)
    rows = np.random.default_rng(0).normal(size=(5, 3))
    made = predictor.predict(rows)
    scaling = predictor.preprocess
    with torch.no_grad():
        inputs = scaling.inputs(torch.from_numpy(rows)).float()
        expected = scaling.target.inverse(predictor.network(inputs))
    np.testing.assert_allclose(made, expected[:, 0].numpy(), rtol=1e-6)
    columns = {name: rows[:, i] for i, name in enumerate(predictor.input_names)}
    reordered = dict(sorted(columns.items(), reverse=True))
    np.testing.assert_array_equal(predictor.predict(reordered), made)


def test_classes_keep_the_words_of_the_user(tmp_path: Path) -> None:
    iris = {"data": {"source": "sklearn", "dataset": "iris"}, "epochs": 30, "threads": 1}
    run = nnarch.train(iris, runs_dir=tmp_path)
    predictor = nnarch.load(run)
    assert predictor.task.classes == ("setosa", "versicolor", "virginica")
    said = predictor.predict([[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]])
    assert said.tolist() == ["setosa", "virginica"]
    shares = predictor.predict_proba([[5.1, 3.5, 1.4, 0.2]])
    assert shares.sum() == pytest.approx(1.0, abs=1e-6)
    assert shares.argmax() == 0


def test_changes_reach_nested_keys(tiny: Path) -> None:
    model = nnarch.build(tiny, "model.activation=tanh", "model.widths=[7,5]", seed=3)
    shapes = [tuple(parameter.shape) for parameter in model.parameters()]
    assert shapes == [(7, 3), (7,), (5, 7), (5,), (1, 5), (1,)]


def test_a_mapping_is_a_config_too() -> None:
    model = nnarch.build({"data": {"source": "sklearn", "dataset": "iris"}})
    assert model(torch.zeros(2, 4)).shape == (2, 3)


def test_mistakes_are_exceptions_with_one_root(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"argument: epochs: got -1; expected an integer from 1"):
        nnarch.train(tiny, epochs=-1)
    with pytest.raises(
        ConfigError, match=r"command line: optimizer\.lr: got -1; expected a number"
    ):
        nnarch.train(tiny, "optimizer.lr=-1")
    with pytest.raises(RunError, match="no such run"):
        nnarch.load(tmp_path / "nothing")
    assert issubclass(RunError, NnarchError)
