"""Baselines: simple predictors, held against scikit-learn's own or counted by hand."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import linear_model as sk
from sklearn import metrics as measures

from nnarch import baselines as module
from nnarch.baselines import Baseline, baselines
from nnarch.data import dataset as datasets
from nnarch.data.array import Array
from nnarch.data.dataset import Dataset
from nnarch.data.parting import Samples
from nnarch.data.sources.series import windows
from nnarch.data.spool import spooled
from nnarch.data.streamed import Streamed
from nnarch.data.table import Column, Table, numeric
from nnarch.data.tokens import Tokens
from nnarch.metrics import DEFAULTS
from nnarch.validate import fill_component

GENERATOR = np.random.default_rng


def options(**given: Any) -> dict[str, Any]:
    spec, faults = fill_component("data", {"source": "synthetic", **given}, ())
    assert not faults
    return spec


def made(data: Samples, **given: Any) -> Dataset:
    return datasets.make(data, options(**given), None)


def measured(dataset: Dataset, *names: str, part: str = "test") -> dict[str, Baseline]:
    wanted = [
        fill_component("metric", name, ())[0] for name in names or DEFAULTS[dataset.task.kind]
    ]
    found = baselines(dataset.task, dataset, wanted, part)
    assert len({one.name for one in found}) == len(found)
    return {one.name: one for one in found}


def figures(dataset: Dataset, name: str, *metrics: str) -> dict[str, float]:
    return dict(measured(dataset, *metrics)[name].figures)


def table(rows: int = 200, target: str = "numbers", seed: int = 0) -> Table:
    """Two numbers and a word in each row, which say something of the target."""
    chance = GENERATOR(seed)
    numbers = chance.normal(size=(rows, 2)) * [3.0, 100.0] + [1.0, 50.0]
    codes = chance.integers(0, 3, rows)
    value = numbers[:, 0] + numbers[:, 1] / 50 + codes + chance.normal(size=rows)
    inputs = torch.from_numpy(np.column_stack([numbers, codes]).astype(float))
    columns = (*numeric(["a", "b"]), Column("c", "categorical", ("x", "y", "z")))
    truths: dict[str, Any] = {
        "numbers": torch.from_numpy(value).unsqueeze(1),
        "positive": torch.from_numpy(np.exp(value / 4)).unsqueeze(1),
        "classes": [("low", "mid", "high")[int(v > 1) + int(v > 5)] for v in value],
        "labels": torch.from_numpy(np.column_stack([value > 1, codes == 1]).astype(float)),
    }
    names = ("p", "q") if target == "labels" else ("y",)
    return Table(inputs, columns, truths[target], names)


def both(dataset: Dataset) -> tuple[np.ndarray, Any, np.ndarray, Any]:
    """Inputs and targets of training and test rows, as the network gets them."""
    pieces: list[Any] = []
    for part in ("train", "test"):
        (batch,) = dataset.parts[part].in_order(10**6)
        pieces += [batch.inputs.flatten(1).double().numpy(), batch.target.numpy()]
    return pieces[0], pieces[1], pieces[2], pieces[3]


class TestClasses:
    def test_the_majority_is_told_by_the_shares_of_training_rows(self) -> None:
        dataset = made(table(target="classes"))
        _, train, _, test = both(dataset)
        shares = np.bincount(train) / len(train)
        found = figures(dataset, "majority class", "accuracy", "log_loss")
        assert found["accuracy"] == pytest.approx((test == shares.argmax()).mean())
        assert found["log_loss"] == pytest.approx(-np.log(shares[test]).mean())

    def test_the_linear_model_is_a_logistic_regression(self) -> None:
        dataset = made(table(target="classes"))
        inputs, truth, others, test = both(dataset)
        chances = sk.LogisticRegression(max_iter=1000).fit(inputs, truth).predict_proba(others)
        found = figures(dataset, "linear model", "accuracy", "log_loss")
        assert found["accuracy"] == (chances.argmax(1) == test).mean()
        assert found["log_loss"] == pytest.approx(measures.log_loss(test, chances), rel=1e-3)
        assert found["accuracy"] > figures(dataset, "majority class")["accuracy"]

    def test_embedded_categories_count_as_much_as_one_hot_ones(self) -> None:
        plain, embedded = (
            made(table(target="classes"), categories=how) for how in ("one_hot", "embedding")
        )
        assert embedded.inputs.cardinalities == (5,)
        expected = figures(plain, "linear model", "log_loss")["log_loss"]
        found = figures(embedded, "linear model", "log_loss")["log_loss"]
        assert found == pytest.approx(expected, rel=1e-4)

    def test_a_class_that_a_sample_does_not_hold_has_no_chance(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MOST_ROWS", 20)
        given = table(300, "classes")
        assert isinstance(given.target, list)
        given.target[10], given.target[11], given.target[12] = "rare", "rare", "rare"
        dataset = made(given)
        assert dataset.task.classes[-1] == "rare"
        few = module._some(dataset.parts["train"], 20)
        assert 3 not in few.target
        assert figures(dataset, "linear model (20 of 240 rows)")["accuracy"] > 0.3

    def test_a_sample_of_one_class_has_no_linear_model(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MOST_ROWS", 2)
        given = replace(table(300), target=["usual"] * 290 + ["odd"] * 10)
        assert list(measured(made(given))) == ["majority class"]

    def test_labels(self) -> None:
        dataset = made(table(target="labels"))
        inputs, truth, others, test = both(dataset)
        found = measured(dataset, "accuracy", "roc_auc")
        usual = truth.mean(0) > 0.5
        assert found["label shares"].figures["accuracy"] == pytest.approx((test == usual).mean())
        areas = []
        for place in range(2):
            model = sk.LogisticRegression(max_iter=1000).fit(inputs, truth[:, place])
            chances = model.predict_proba(others)[:, 1]
            areas.append(measures.roc_auc_score(test[:, place], chances))
        assert found["linear model"].figures["roc_auc"] == pytest.approx(np.mean(areas), abs=1e-3)

    def test_a_label_that_all_rows_have_is_told_of_all(self) -> None:
        given = table(target="labels")
        assert isinstance(given.target, torch.Tensor)
        given.target[:, 1] = 1
        assert figures(made(given, task="multilabel"), "linear model")["accuracy"] > 0.8


class TestNumbers:
    def test_the_mean_is_that_of_training_rows_in_the_users_units(self) -> None:
        given = table(target="positive")
        dataset = made(given, target_transform="log1p")
        _, train, _, test = both(dataset)
        train, test = (
            dataset.preprocess.target.inverse(torch.from_numpy(part)).numpy()
            for part in (train, test)
        )
        found = figures(dataset, "mean", "rmse", "mae")
        assert found["rmse"] == pytest.approx(np.sqrt(((test - train.mean()) ** 2).mean()))
        assert found["mae"] == pytest.approx(np.abs(test - train.mean()).mean())

    @pytest.mark.parametrize("transform", ["none", "log1p"])
    def test_the_linear_model_is_a_ridge_regression(self, transform: str) -> None:
        dataset = made(table(target="positive"), target_transform=transform)
        inputs, truth, others, test = both(dataset)
        told = sk.Ridge(alpha=1.0).fit(inputs, truth).predict(others).reshape(test.shape)
        inverse = dataset.preprocess.target.inverse
        told, test = (inverse(torch.from_numpy(one).double()).numpy() for one in (told, test))
        found = figures(dataset, "linear model", "mae", "r2")
        assert found["mae"] == pytest.approx(measures.mean_absolute_error(test, told), rel=1e-5)
        assert found["r2"] == pytest.approx(measures.r2_score(test, told), rel=1e-5)

    def test_the_logarithm_helps_where_the_target_is_an_exponential(self) -> None:
        plain, logarithm = (
            figures(made(table(400, "positive"), target_transform=how), "linear model")["r2"]
            for how in ("none", "log1p")
        )
        assert logarithm > plain

    def test_another_part_is_measured_on_its_own_rows(self) -> None:
        dataset = made(table())
        found = measured(dataset, part="train")["mean"].figures
        assert found["r2"] == pytest.approx(0, abs=1e-6)

    def test_figures_are_the_same_every_time(self) -> None:
        dataset = made(table(target="classes"))
        assert measured(dataset, "log_loss") == measured(dataset, "log_loss")


class TestSamples:
    def test_many_rows_are_thinned_evenly_and_it_is_said(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MOST_ROWS", 40)
        dataset = made(table(200))
        inputs, truth, others, test = both(dataset)
        model = sk.Ridge(alpha=1.0).fit(inputs[::4], truth[::4])
        found = figures(dataset, "linear model (40 of 160 rows)", "r2")["r2"]
        told = model.predict(others).reshape(test.shape)
        assert found == pytest.approx(measures.r2_score(test, told), rel=1e-5)

    def test_a_table_on_disk_has_the_baselines_of_one_in_memory(self) -> None:
        given = table(500, "classes")
        streamed = made(spooled([given]))
        assert isinstance(streamed.parts["train"], Streamed)
        expected, found = (measured(one, "log_loss") for one in (made(given), streamed))
        assert found.keys() == expected.keys()
        for name, one in found.items():
            assert one.figures["log_loss"] == pytest.approx(expected[name].figures["log_loss"])

    def test_of_a_table_on_disk_stretches_are_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MOST_ROWS", 100)
        monkeypatch.setattr(module, "STRETCH", 10)
        dataset = made(spooled([table(500)]))
        assert figures(dataset, "linear model (100 of 400 rows)", "r2")["r2"] > 0.5

    def test_pixels_are_taken_as_the_network_takes_them(self) -> None:
        chance = GENERATOR(0)
        classes = chance.integers(0, 2, 120)
        pixels = chance.integers(0, 256, (120, 1, 4, 4)) * 0.5 + classes[:, None, None, None] * 60
        images = torch.from_numpy(pixels.astype(np.uint8))
        dataset = made(Array(images, [str(c) for c in classes], ("y",)))
        inputs, truth, others, test = both(dataset)
        model = sk.LogisticRegression(max_iter=1000).fit(inputs, truth)
        assert inputs.mean() == pytest.approx(0, abs=1e-4)
        found = figures(dataset, "linear model")["accuracy"]
        assert found == (model.predict(others) == test).mean()

    def test_many_inputs_are_thinned_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MOST_INPUTS", 6)
        chance = torch.Generator().manual_seed(0)
        samples = torch.randn(100, 3, 4, generator=chance)
        target = samples[:, 0, :1].double()  # the first number is one of those that are kept
        dataset = made(Array(samples, target, ("y",)))
        assert figures(dataset, "linear model (6 of 12 inputs)", "r2")["r2"] > 0.99


class TestSeries:
    def series(self, rows: int = 300, features: list[str] | None = None, **given: int) -> Dataset:
        chance = GENERATOR(0)
        steps = np.column_stack([chance.normal(size=rows).cumsum(), chance.normal(size=rows)])
        steps[100, 0] = np.nan
        given = {"lookback": 5, "horizon": 2, **given}
        columns = Table(torch.from_numpy(steps), numeric(["a", "b"]), None, ())
        return made(windows(columns, ["a"], None, features, **given))

    @pytest.mark.parametrize("scaling", ["standard", "robust", "quantile", "none"])
    def test_the_last_value_is_repeated_whatever_the_scaling(self, scaling: str) -> None:
        values = np.arange(100.0) ** 1.5
        columns = Table(torch.from_numpy(values[:, None].copy()), numeric(["a"]), None, ())
        dataset = made(windows(columns, None, None, None, 4, 3), scaling=scaling)
        found = figures(dataset, "last value", "mae")["mae"]
        parts = dataset.parts["test"]
        starts = parts.starts.numpy()  # type: ignore[attr-defined]
        errors = [values[s + 4 + i] - values[s + 3] for s in starts for i in range(3)]
        assert found == pytest.approx(np.mean(errors), rel=1e-5)

    def test_a_gap_is_answered_with_the_value_before_it(self) -> None:
        dataset = self.series()
        known = dataset.parts["train"]
        rows = replace(known, starts=torch.tensor([95, 96]))  # type: ignore[type-var]
        before, at = module._last(rows).tolist()
        assert before == at

    def test_it_is_offered_only_where_the_channel_is_seen(self) -> None:
        assert set(measured(self.series())) == {"mean", "last value", "linear model"}
        assert set(measured(self.series(features=["b"]))) == {"mean", "linear model"}

    def test_the_linear_model_sees_all_of_the_window_or_is_left_out(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dataset = self.series()
        inputs, truth, others, test = both(dataset)
        told = sk.Ridge(alpha=1.0).fit(inputs, truth).predict(others)
        inverse = dataset.preprocess.target.inverse
        told, test = (inverse(torch.from_numpy(one).double()).numpy() for one in (told, test))
        found = figures(dataset, "linear model", "mae")["mae"]
        assert found == pytest.approx(np.abs(told - test).mean(), rel=1e-5)
        monkeypatch.setattr(module, "MOST_INPUTS", 4)
        assert set(measured(dataset)) == {"mean", "last value"}


class TestTokens:
    def tokens(self) -> tuple[Tokens, Dataset]:
        chance = GENERATOR(0)
        texts = [[*chance.choice([2, 2, 3, 4], chance.integers(1, 9)), 1] for _ in range(60)]
        ids = torch.tensor([token for text in texts for token in text])
        ends = torch.tensor([0, *np.cumsum([len(text) for text in texts])])
        data = Tokens(ids, ends, ("<pad>", "<end>", "a", "b", "c"), 4)
        return data, made(data)

    def pairs(self, dataset: Dataset, part: str) -> list[tuple[int, int]]:
        (batch,) = dataset.parts[part].in_order(10**6)
        return list(zip(batch.inputs[:, -1].tolist(), batch.target.tolist(), strict=True))

    def test_the_majority_is_the_commonest_token_of_training(self) -> None:
        _, dataset = self.tokens()
        train = Counter(token for _, token in self.pairs(dataset, "train"))
        test = [token for _, token in self.pairs(dataset, "test")]
        commonest = train.most_common(1)[0][0]
        found = figures(dataset, "majority token")["accuracy"]
        assert found == pytest.approx(test.count(commonest) / len(test))

    def test_the_previous_token_tells_the_next_with_one_more_for_each(self) -> None:
        _, dataset = self.tokens()
        counts = np.ones((5, 5))
        for before, token in self.pairs(dataset, "train"):
            counts[before, token] += 1
        chances = counts / counts.sum(1, keepdims=True)
        test = self.pairs(dataset, "test")
        found = figures(dataset, "previous token", "log_loss")["log_loss"]
        expected = -np.mean([np.log(chances[before, token]) for before, token in test])
        assert found == pytest.approx(expected, rel=1e-5)

    def test_so_many_tokens_as_their_probabilities_leave_room_for(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MOST_CHANCES", 5 * 7)
        _, dataset = self.tokens()
        found = figures(dataset, "majority token")["accuracy"]
        assert found * 7 == pytest.approx(round(found * 7))
