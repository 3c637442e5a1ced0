"""What mattered is what was made to matter, by as much as it was made to."""

import dataclasses
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from nnarch.findings import contrasts
from nnarch.findings.effects import Effects, Influence, measured
from nnarch.findings.ranking import Row
from nnarch.trial import Trial

ACTIVATIONS = {"relu": 0.0, "gelu": -0.3, "tanh": 0.5}
MOMENTA = {0.0: 0.4, 0.5: 0.1, 0.9: -0.14}


def row(number: int, value: float, shown: dict[str, Any], parameters: int | None = None) -> Row:
    trial = Trial(str(number), number, 0, {}, shown, {}, "finished", parameters=parameters)
    return Row(number, (trial,), (value,), (None,))


def rows(count: int, seed: int, value: Callable[[float], float] = lambda y: y) -> list[Row]:
    """Points of a space whose truth is known.

    Activations act alone but for gelu with depth 4; momentum there is with sgd only; the learning
    rate is best in the middle; junk does nothing.
    """
    draw = np.random.default_rng(seed)
    made = []
    for number in range(count):
        activation, depth = str(draw.choice([*ACTIVATIONS])), int(draw.integers(1, 5))
        rate, optimizer = float(10 ** draw.uniform(-4, -1)), str(draw.choice(["sgd", "adamw"]))
        shown = {"activation": activation, "depth": depth, "lr": rate, "optimizer": optimizer,
                 "junk": float(draw.uniform()), "noise": str(draw.choice(["a", "b"]))}  # fmt: skip
        y = ACTIVATIONS[activation] + 0.2 * depth + 0.5 * (math.log10(rate) + 2.5) ** 2
        y += 0.3 * (activation == "gelu" and depth == 4)
        if optimizer == "sgd":
            shown["optimizer.momentum"] = float(draw.choice([*MOMENTA]))
            y += MOMENTA[shown["optimizer.momentum"]]
        y += draw.normal() * 0.1
        made.append(row(number, value(y), shown, int(10 ** draw.uniform(2, 5))))
    return made


def by_name(effects: Effects) -> dict[str, Influence]:
    return {one.name: one for one in effects.influences}


def difference(one: Influence, level: str, base: str | None = None) -> float:
    told = {level.name: level.difference for level in one.levels}
    assert base is None or one.best == base
    found = told[level]
    assert found is not None
    return found.value


@pytest.fixture(scope="module")
def known() -> Effects:
    return measured(rows(400, 0), "val_loss")


def test_importance_is_the_share_of_the_variance(known: Effects) -> None:
    found = by_name(known)
    assert [one.name for one in known.influences][:3] == ["lr", "activation", "depth"]
    variance = {"activation": np.var([0, -0.3 + 0.3 / 4, 0.5]), "lr": 0.5**2 * 0.45}
    total = np.var([row.means[0] for row in rows(400, 0)])
    assert found["activation"].importance == pytest.approx(variance["activation"] / total, rel=0.35)
    for name in ("junk", "noise"):
        assert found[name].importance < 0.01
        assert found[name].importance < found["optimizer.momentum"].importance / 5
    assert known.explained > 0.8
    assert known.scale == "linear"


def test_a_choice_that_others_hang_on_matters_with_them(known: Effects) -> None:
    found = by_name(known)
    assert 0.01 < found["optimizer"].importance < found["activation"].importance


def test_what_is_in_use_at_times_is_compared_where_it_is(known: Effects) -> None:
    momentum = by_name(known)["optimizer.momentum"]
    assert momentum.kind == "ordered"
    assert momentum.active == sum(level.count for level in momentum.levels) < 300
    assert [level.name for level in momentum.levels] == ["0", "0.5", "0.9"]
    assert difference(momentum, "0", "0.9") == pytest.approx(0.54, abs=0.06)


def test_numbers_are_told_by_thirds_and_the_best_may_be_the_middle(known: Effects) -> None:
    rate = by_name(known)["lr"]
    assert rate.kind == "number"
    low, middle, high = rate.levels
    assert rate.best == middle.name
    assert {level.count for level in rate.levels} == {133, 134}
    for level in (low, high):  # a third is of width 1: E (x - 1)^2 / 2 there, and in the middle
        assert difference(rate, level.name) == pytest.approx(0.5 * (13 / 12 - 1 / 12), abs=0.12)
    assert rate.trend
    assert rate.trend.value == pytest.approx(0, abs=0.15)
    assert rate.trend.low < rate.trend.value < rate.trend.high


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """For all levels of a variable at once, so at most one variable in twenty misses."""
    truth = {
        "activation": {"gelu": -0.3 + 0.3 / 4, "relu": 0.0, "tanh": 0.5},
        "depth": {str(depth): 0.2 * depth + 0.1 * (depth == 4) for depth in range(1, 5)},
        "optimizer": {"adamw": 0.0, "sgd": 0.12},
        "noise": {"a": 0.0, "b": 0.0},
        "optimizer.momentum": {f"{value:g}": effect for value, effect in MOMENTA.items()},
    }
    held = []
    for seed in range(1, 9):
        found = by_name(measured(rows(120, seed, lambda y: y + 10), "val_loss"))
        for name, levels in truth.items():
            one, misses = found[name], 0
            for level in one.levels:
                if level.difference and one.best:
                    expected = levels[level.name] - levels[one.best]
                    misses += not level.difference.low <= expected <= level.difference.high
            held.append(misses == 0)
    assert np.mean(held) >= 0.9


def test_losses_over_decades_are_told_in_factors(known: Effects) -> None:
    decades = measured(rows(400, 0, lambda y: 10**y), "val_loss")
    assert decades.scale == "log"
    assert [one.name for one in decades.influences] == [one.name for one in known.influences]
    for one, other in zip(known.influences, decades.influences, strict=True):
        assert other.importance == pytest.approx(one.importance, abs=0.01)
        for level, factor in zip(one.levels, other.levels, strict=True):
            assert level.difference
            assert factor.difference
            expected = tuple(10.0**end for end in dataclasses.astuple(level.difference))
            assert dataclasses.astuple(factor.difference) == pytest.approx(expected)


def test_what_is_to_be_large_is_the_same_turned_round(known: Effects) -> None:
    turned = measured(rows(400, 0, lambda y: -y), "val_r2", higher=True)
    for one, other in zip(known.influences, turned.influences, strict=True):
        assert (other.name, other.best) == (one.name, one.best)
        assert other.importance == pytest.approx(one.importance, abs=0.01)
        for level, mirrored in zip(one.levels, other.levels, strict=True):
            assert level.difference
            assert mirrored.difference
            assert mirrored.difference.value == pytest.approx(-level.difference.value)
            assert mirrored.difference.high == pytest.approx(-level.difference.low)
    assert [size.median for size in turned.sizes] == [-size.median for size in known.sizes]
    assert [size.best for size in turned.sizes] == [-size.best for size in known.sizes]


def test_a_few_that_went_astray_do_not_decide_everything() -> None:
    points = rows(200, 3)
    astray = [dataclasses.replace(one, means=(1e9,)) for one in points[:4]]
    found = measured([*astray, *points[4:]], "val_loss")
    assert found.fenced == 4
    assert found.scale == "linear"
    names = [one.name for one in found.influences]
    assert {"lr", "activation"} <= {*names[:3]}
    assert {"junk", "noise"} <= {*names[-3:]}


def test_of_too_few_points_nothing_is_told() -> None:
    found = measured(rows(19, 0), "val_loss")
    assert (found.points, found.influences, found.sizes) == (19, (), ())
    assert len(measured(rows(20, 0), "val_loss").influences) > 5
    assert measured([], "val_loss").points == 0


def test_of_rare_options_and_of_nothing_open_nothing_is_told() -> None:
    points = rows(60, 0)
    options = ["a"] * 40 + ["b"] * 18 + ["c"] * 2
    points = [row(i, one.means[0], {"x": options[i], "one": 3}) for i, one in enumerate(points)]
    (only,) = measured(points, "val_loss").influences
    told = {level.name: (level.count, level.difference is not None) for level in only.levels}
    assert told == {"a": (40, True), "b": (18, True), "c": (2, False)}
    assert measured([row(i, i, {"one": 3}) for i in range(30)], "val_loss").influences == ()


def test_a_value_that_follows_another_takes_nothing_from_it() -> None:
    points = rows(100, 0)
    for one in points:
        shown: Any = one.trials[0].shown
        shown["twin"] = shown["activation"] + "!"
    found = by_name(measured(points, "val_loss"))
    alone = difference(by_name(measured(rows(100, 0), "val_loss"))["activation"], "tanh")
    assert difference(found["activation"], "tanh") == pytest.approx(alone, abs=0.05)
    assert difference(found["twin"], "tanh!") == pytest.approx(alone, abs=0.05)


def test_sizes_are_in_decades_or_in_thirds(known: Effects) -> None:
    assert [size.count for size in known.sizes] == [
        sum(low <= (one.trials[0].parameters or 0) < 10 * low for one in rows(400, 0))
        for low in (100, 1000, 10_000)
    ]
    points = [row(i, float(-i), {"x": i % 2}, 50 + i) for i in range(30)]
    thirds = measured([*points, row(30, 0.0, {"x": 1})], "val_loss").sizes
    told = [(size.low, size.high, size.count, size.best, size.median) for size in thirds]
    assert told == [(50, 59, 10, -9.0, -4.5), (60, 69, 10, -19.0, -14.5),
                    (70, 79, 10, -29.0, -24.5)]  # fmt: skip


def test_it_is_plain_data_and_the_same_each_time(known: Effects) -> None:
    told = dataclasses.asdict(known)
    assert json.loads(json.dumps(told, allow_nan=False))["points"] == 400
    assert dataclasses.asdict(measured(rows(400, 0), "val_loss")) == told


def test_adjusted_means_are_those_of_least_squares() -> None:
    draw = np.random.default_rng(0)
    group, covariates = np.arange(50) % 3, draw.normal(size=(50, 4))
    y = np.array([1.0, 2.0, 4.0])[group] + covariates @ [1, -1, 2, 0] + draw.normal(size=50)
    doubled = np.concatenate([covariates, covariates[:, :1] + 1, np.ones((50, 1))], 1)
    found = contrasts.adjusted(group, y, doubled)
    assert found
    x = np.concatenate([np.eye(3)[group], covariates - covariates.mean(0)], 1)
    model = LinearRegression(fit_intercept=False).fit(x, y)
    assert found.means == pytest.approx(model.coef_[:3])
    assert found.freedom == 50 - 7
    # HC3 by its definition: leave one out, and weigh each row by how far it is from what it says.
    hat = x @ np.linalg.inv(x.T @ x) @ x.T
    away = (y - hat @ y) / (1 - np.diag(hat))
    inverse = np.linalg.inv(x.T @ x)
    expected = inverse @ (x.T * away**2) @ x @ inverse
    assert found.covariance == pytest.approx(expected[:3, :3])
