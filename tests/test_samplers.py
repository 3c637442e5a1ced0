"""Samplers: a contract that every one of them enters, and what each is for."""

import math
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import combinations, islice
from random import Random
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import qmc
from sklearn.gaussian_process import GaussianProcessRegressor

from nnarch.errors import MachineError
from nnarch.registry import samplers
from nnarch.samplers import features, process, study
from nnarch.samplers.gp import levelled
from nnarch.samplers.mutation import mutated
from nnarch.samplers.sampler import Sampler
from nnarch.samplers.unseen import Unseen, drawn, key
from nnarch.space.space import Point, Space

RATE = {"float": [1e-3, 1.0], "log": True}
OPEN: dict[str, Any] = {
    "optimizer": {
        "choice": [
            {"name": "sgd", "lr": RATE, "nesterov": {"choice": [True, False]}},
            {"name": "adamw", "weight_decay": {"float": [0.0, 0.5]}},
            "adam",
        ]
    },
    "batch_size": {"choice": [64, 16, 32]},
    "epochs": {"int": [1, 1000], "log": True},
    "depth": {"int": [2, 10], "step": 2},
}  # fmt: skip
FEW = {"model": {"widths": {"choice": [[8], [8, 8]]}}, "epochs": {"int": [1, 5]}}
SQUARE = {"x": {"choice": list(range(30))}, "y": {"choice": list(range(30))}}


def built(name: str, space: Space, objectives: int = 1, seed: int = 0, **options: Any) -> Sampler:
    return samplers.build({"name": name, **options}, space, objectives, seed)


def lies_in(space: Space, point: Point) -> bool:
    """Whether a point has its active variables, no others, each with a value of its domain."""
    known = {variable.key: variable.domain for variable in space.variables}
    again = space.walk(lambda variable: point[variable.key])[1]
    return again == point and all(known[key].contains(point[key]) for key in point)


def loss(point: Point) -> float:
    """Any function of a point of `OPEN`."""
    return math.log(point["epochs"]) - point["depth"] + 3 * point["optimizer"]


def play(sampler: Sampler, result: Callable[[Point], Sequence[float] | None], count: int,
         batch: int = 1) -> list[Point]:  # fmt: skip
    """The points that a sampler asks for, each told what became of it."""
    points: list[Point] = []
    while len(points) < count and (asked := sampler.ask(min(batch, count - len(points)))):
        points += asked
        for point in asked:
            sampler.tell(point, result(point))
    return points


@pytest.mark.parametrize("name", samplers.names())
class TestEverySampler:
    def test_what_it_proposes_lies_in_the_space(self, name: str) -> None:
        space = Space(OPEN)
        points = play(built(name, space), lambda point: [loss(point)], 24, batch=4)
        assert len(points) == 24
        assert all(lies_in(space, point) for point in points)

    def test_many_at_a_time_are_as_many_and_all_different(self, name: str) -> None:
        space = Space(OPEN)
        points = play(built(name, space), lambda point: [loss(point)], 96, batch=64)
        assert len({key(point) for point in points}) == 96
        assert all(lies_in(space, point) for point in points)

    def test_the_same_seed_proposes_the_same(self, name: str) -> None:
        space = Space(OPEN)
        one, same, other = (
            play(built(name, space, seed=seed), lambda point: [loss(point)], 24, batch=8)
            for seed in (1, 1, 2)
        )
        assert one == same
        assert (one != other) == (name != "grid")

    def test_failures_and_points_never_asked_for_are_heard(self, name: str) -> None:
        space = Space(OPEN)
        sampler, warm = built(name, space), list(islice(drawn(space, 7), 20))
        for place, point in enumerate(warm):
            sampler.tell(point, None if place % 3 == 0 else [loss(point)])
        failing = play(sampler, lambda point: None, 6, batch=3)
        points = play(sampler, lambda point: [loss(point)], 6)
        assert len(failing + points) == 12
        assert all(lies_in(space, point) for point in failing + points)
        if name != "grid":
            assert not {key(point) for point in warm} & {key(point) for point in failing + points}

    def test_all_may_fail(self, name: str) -> None:
        assert len(play(built(name, Space(OPEN)), lambda point: None, 24, batch=6)) == 24

    def test_all_may_come_out_the_same(self, name: str) -> None:
        assert len(play(built(name, Space(OPEN)), lambda point: [1.0], 24, batch=6)) == 24

    @pytest.mark.parametrize("batch", [1, 64])
    def test_a_small_space_is_gone_through_once(self, name: str, batch: int) -> None:
        space = Space(FEW)
        points = play(built(name, space), lambda point: [float(point["epochs"])], 100, batch)
        assert len(points) == len({key(point) for point in points}) == space.size == 10
        assert built(name, space).ask(64) != []

    def test_a_space_without_gaps_is_one_point(self, name: str) -> None:
        assert play(built(name, Space({"epochs": 3})), lambda point: [1.0], 5) == [{}]

    def test_several_objectives(self, name: str) -> None:
        space = Space(OPEN)
        points = play(
            built(name, space, 2), lambda point: [loss(point), float(point["depth"])], 20, batch=10
        )
        assert len({key(point) for point in points}) == 20

    def test_nothing_is_warned_of_or_printed(
        self, name: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            play(built(name, Space(OPEN)), lambda point: [loss(point)], 12, batch=4)
        assert capfd.readouterr() == ("", "")


class TestDraws:
    def test_options_are_equally_likely_and_log_scales_uniform(self) -> None:
        points = list(islice(drawn(Space(OPEN), 3), 3000))
        counts = Counter(point["optimizer"] for point in points)
        assert all(abs(count - 1000) < 4 * math.sqrt(3000 * 2 / 9) for count in counts.values())
        rates = [point["optimizer:sgd.lr"] for point in points if point["optimizer"] == 0]
        share = sum(rate < 10**-1.5 for rate in rates) / len(rates)
        assert abs(share - 0.5) < 4 * 0.5 / math.sqrt(len(rates))

    def test_the_nth_follows_from_seed_and_n(self) -> None:
        space = Space(OPEN)
        whole = built("random", space, seed=5).ask(12)
        assert built("random", space, seed=5).ask(3) == whole[:3]
        resumed = built("random", space, seed=5)
        for point in (whole[3], whole[0], whole[1]):  # of four that were asked for, one was lost
            resumed.tell(point, [0.0])
        assert resumed.ask(9) == [whole[2], *whole[4:]]

    def test_a_space_is_exhausted_however_rare_its_last_point(self) -> None:
        rare = Space({"a": {"choice": [1, {"b": {"choice": [1, {"c": {"int": [1, 400]}}]}}]}})
        unseen = Unseen(rare, 0)
        assert len(unseen.take(1000)) == rare.size == 402
        assert unseen.draw() is None


class TestGrid:
    def test_goes_through_in_order(self) -> None:
        space = Space(OPEN)
        assert built("grid", space, steps=3).ask(10_000) == list(space.points(3))


class TestQuasirandom:
    @pytest.mark.parametrize("sequence", ["sobol", "halton"])
    def test_is_more_even_than_chance(self, sequence: str) -> None:
        space = Space({name: {"float": [0.0, 1.0]} for name in "abc"})
        even = built("quasirandom", space, sequence=sequence).ask(128)
        chance = built("random", space).ask(128)
        of = [qmc.discrepancy([list(point.values()) for point in some]) for some in (even, chance)]
        assert of[0] < of[1] / 5

    def test_every_option_is_taken_as_often(self) -> None:
        space = Space({"a": {"choice": [1, 2, 4, 8]}, "b": {"float": [0.0, 1.0]}})
        counts = Counter(point["a"] for point in built("quasirandom", space).ask(64))
        assert counts == dict.fromkeys(range(4), 16)


class TestMutation:
    @given(st.integers(0, 10_000), st.integers(1, 5))
    def test_changes_so_many_active_values_and_draws_what_becomes_active(
        self, seed: int, changes: int
    ) -> None:
        space = Space(OPEN)
        parent = next(drawn(space, seed))
        child = mutated(space, parent, Random(seed), changes)
        assert lies_in(space, child)
        kept = [key for key in parent if key in child]
        different = [key for key in kept if parent[key] != child[key]]
        gone = len(parent) - len(kept)
        assert 1 <= len(different) <= min(changes, len(parent)) <= len(different) + gone

    def test_a_number_mostly_moves_a_little(self) -> None:
        space = Space({"width": {"int": [1, 100]}})
        moves = [
            abs(mutated(space, {"width": 50}, Random(seed))["width"] - 50) for seed in range(400)
        ]
        assert min(moves) == 1
        assert 0.6 < sum(move <= 20 for move in moves) / 400 < 0.95

    def test_an_option_becomes_any_other(self) -> None:
        space = Space({"activation": {"choice": ["relu", "gelu", "silu", "tanh"]}})
        found = Counter(
            mutated(space, {"activation": 1}, Random(seed))["activation"] for seed in range(300)
        )
        assert found.keys() == {0, 2, 3}
        assert min(found.values()) > 60


class TestFeatures:
    def test_shares_one_hot_options_and_what_is_inactive(self) -> None:
        space = Space({
            "rate": {"float": [1e-4, 1.0], "log": True},
            "act": {"choice": ["relu", "gelu", {"name": "elu", "alpha": {"float": [0.0, 2.0]}}]},
            "fixed": {"choice": ["one"]},
        })  # fmt: skip
        points = [
            {"rate": 1e-2, "act": 0, "fixed": 0},
            {"rate": 1.0, "act": 2, "act:elu.alpha": 0.5, "fixed": 0},
        ]
        half = math.sqrt(0.5)
        rows = features.rows(space, points)
        assert rows == pytest.approx(np.array([[0.5, half, 0, 0, 0.5], [1, 0, 0, half, 0.25]]))


class TestProcess:
    def test_improvement_is_the_mean_of_what_is_gained(self) -> None:
        draws = np.random.default_rng(0).normal(0.3, 0.7, 400_000)
        gained = np.maximum(0.1 - draws, 0).mean()
        found = process.improvement(np.array([0.3]), np.array([0.7]), 0.1)
        assert found == pytest.approx([gained], abs=0.003)

    def test_several_are_chosen_as_if_each_came_out_at_its_mean(self) -> None:
        """By another way: a process is fitted again after each, and knows the mean there."""
        chance = np.random.default_rng(1)
        known, rows = chance.random((12, 2)), chance.random((40, 2))
        values = np.sin(5 * known[:, 0]) + known[:, 1] ** 2
        values = (values - values.mean()) / values.std()
        model = process.fitted(known, values)
        found = process.chosen(model, values.min(), rows, 2, 5)
        seen, told, expected = known, values, []
        for place in [0, 1, *found]:
            again: Any = GaussianProcessRegressor(
                model.kernel_, optimizer=cast(Any, None), alpha=1e-8
            )
            mean, deviation = again.fit(seen, told).predict(rows, return_std=True)
            gain = process.improvement(mean, deviation, told.min())
            gain[[0, 1, *expected]] = -1
            if len(seen) >= len(known) + 2:
                expected.append(int(np.argmax(gain)))
            seen, told = np.vstack([seen, rows[place]]), np.append(told, mean[place])
        assert found == expected

    def test_many_rows_are_the_best_and_some_of_all_others(self) -> None:
        values = np.random.default_rng(0).permutation(1000).astype(float)
        rows = values[:, None] / 1000
        model = process.fitted(rows, (values - 500) / 300)
        kept = sorted(model.X_train_[:, 0] * 1000)
        assert len(kept) <= 300
        assert kept[:150] == pytest.approx(range(150))
        assert max(kept) > 985


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=20))
def test_levelled_values_keep_their_order_and_are_finite(values: list[float]) -> None:
    told = levelled(np.array(values))
    assert np.isfinite(told).all()
    for one, other in combinations(range(len(values)), 2):
        if values[one] < values[other]:
            assert told[one] <= told[other]


class TestStudy:
    def test_what_has_an_order_is_never_categorical(self) -> None:
        space = Space(OPEN)
        sampler = built("tpe", space)
        assert isinstance(sampler, study.Study)
        play(sampler, lambda point: [loss(point)], 40)
        kinds = {
            name: type(kind).__name__
            for trial in sampler._study.trials
            for name, kind in trial.distributions.items()
        }
        assert kinds == {
            "optimizer": "CategoricalDistribution", "optimizer:sgd.lr": "FloatDistribution",
            "optimizer:sgd.nesterov": "CategoricalDistribution",
            "optimizer:adamw.weight_decay": "FloatDistribution",
            "batch_size": "IntDistribution", "depth": "IntDistribution",
            "epochs": "FloatDistribution",
        }  # fmt: skip

    @pytest.mark.parametrize("name", ["tpe", "nsga2"])
    def test_a_value_is_found_again(self, name: str) -> None:
        """What is told of points that were never asked for is told of these very points."""
        space = Space(OPEN)
        sampler = built(name, space)
        assert isinstance(sampler, study.Study)
        points = list(islice(drawn(space, 0), 30))
        for point in points:
            sampler.tell(point, [loss(point)])
        past = sampler._study.trials
        again = [space.walk(lambda one: study.suggested(trial, one))[1] for trial in past]  # noqa: B023
        assert [loss(point) for point in points] == [trial.value for trial in past]
        for point, found in zip(points, again, strict=True):
            assert found.keys() == point.keys()
            assert found == pytest.approx(point)

    @pytest.mark.parametrize("name", ["tpe", "nsga2"])
    def test_a_missing_package_is_one_line(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delattr(study.optuna, "logging", raising=False)
        monkeypatch.setitem(sys.modules, "optuna", None)
        with pytest.raises(MachineError) as caught:
            built(name, Space(OPEN))
        assert caught.value.lines == [
            "search.sampler: tpe and nsga2 need optuna; pip install optuna"
        ]


class TestListening:
    @pytest.mark.parametrize("name", ["evolution", "gp", "tpe"])
    def test_finds_the_bottom_of_a_bowl(self, name: str) -> None:
        """37 of the 900 points have at most 10, so chance finds 3.3 of them in 80."""

        def result(point: Point) -> list[float]:
            return [float((point["x"] - 11) ** 2 + (point["y"] - 23) ** 2)]

        found = [result(each)[0] for each in play(built(name, Space(SQUARE)), result, 80, batch=8)]
        assert min(found) <= 1
        assert sum(one <= 10 for one in found) >= 10

    @pytest.mark.parametrize("name", ["evolution", "gp", "nsga2", "tpe"])
    def test_finds_the_front_of_two_objectives(self, name: str) -> None:
        """It lies where y is 12; chance finds 16 of 160 points within 1 of that."""

        def results(point: Point) -> list[float]:
            x, away = point["x"] / 29, (point["y"] - 12) ** 2 / 100
            return [x + away, 1 - x + away]

        points = [
            point
            for seed in (1, 2)
            for point in play(built(name, Space(SQUARE), 2, seed), results, 80, batch=8)
        ]
        near = [point["x"] for point in points if abs(point["y"] - 12) <= 1]
        assert len(near) > 24
        assert max(near) - min(near) > 20  # all along it
