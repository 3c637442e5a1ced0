"""The best of a search, over seeds, held against plain statistics and scipy's tests."""

import math
import statistics
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nnarch.findings.ranking import best, compared, front
from nnarch.trial import Trial


def trial(number: int, loss: float, seed: int = 0, **changes: Any) -> Trial:
    told = {"status": "finished", "figures": {"val_loss": loss, **changes.pop("figures", {})}}
    return Trial(f"{number}-{seed}", number, seed, {}, {}, {}, **{**told, **changes})


VALUES = st.dictionaries(st.integers(0, 5), st.floats(-1e6, 1e6), min_size=1)


@settings(max_examples=50)
@given(st.dictionaries(st.integers(0, 9), VALUES, max_size=6), st.booleans())
def test_points_are_ranked_by_the_mean_over_their_seeds(
    points: dict[int, dict[int, float]], higher: bool
) -> None:
    trials = [trial(n, loss, seed) for n, seeds in points.items() for seed, loss in seeds.items()]
    found = best(trials, ["val_loss"], {"val_loss"} if higher else ())
    assert {row.number for row in found} == set(points)
    means = [row.means[0] for row in found]
    assert means == sorted(means, reverse=higher)
    for row in found:
        values = [*points[row.number].values()]
        assert row.count == len(values)
        assert row.missing == 0
        assert row.values("val_loss") == points[row.number]
        assert row.means[0] == pytest.approx(statistics.mean(values), abs=1e-6)
        spread = statistics.stdev(values) if len(values) > 1 else None
        assert row.deviations[0] == (None if spread is None else pytest.approx(spread, abs=1e-6))


def test_what_has_not_finished_with_a_number_is_never_best() -> None:
    trials = [
        trial(0, 1.0),
        trial(1, math.nan),
        trial(2, -math.inf),
        trial(3, 0.0, status="failed"),
        trial(4, 0.1, status="pruned"),
        trial(5, 0.2, figures={"val_loss": None}),
        trial(6, 2.0),
    ]
    assert [row.number for row in best(trials, ["val_loss"])] == [0, 6]
    assert best(trials[1:6], ["val_loss"]) == []
    assert best(trials, ["parameters"]) == []


def test_a_point_that_a_seed_failed_of_stands_behind_those_that_are_whole() -> None:
    trials = [
        trial(0, 0.1), trial(0, math.nan, 1), trial(0, 0.3, 2, status="failed"),
        trial(1, 5.0), trial(1, 6.0, 1),
        trial(2, 0.2), trial(2, 0.0, 1, status="pruned"),
    ]  # fmt: skip
    found = best(trials, ["val_loss"])
    assert [(row.number, row.count, row.missing) for row in found] == [(1, 2, 0), (0, 1, 2),
                                                                        (2, 1, 1)]  # fmt: skip


def test_equally_good_points_keep_their_order() -> None:
    trials = [trial(number, 1.0) for number in (3, 1, 2)]
    assert [row.number for row in best(trials, ["val_loss"])] == [1, 2, 3]


def test_of_several_objectives_the_front_comes_first() -> None:
    sizes = {0: (0.5, 10), 1: (0.4, 20), 2: (0.6, 20), 3: (0.4, 30), 4: (0.9, 5)}
    trials = [trial(number, -loss, parameters=size) for number, (loss, size) in sizes.items()]
    objectives, higher = ["val_loss", "parameters"], {"val_loss"}
    found = best(trials, objectives, higher)
    assert [row.number for row in front(found, objectives, higher)] == [1, 0, 4]
    assert {row.number for row in found[:3]} == {0, 1, 4}
    assert front([], objectives, higher) == []


SAMPLE = st.dictionaries(st.integers(0, 6), st.floats(-100, 100), min_size=2)


@settings(max_examples=50)
@given(SAMPLE, SAMPLE)
def test_two_are_compared_as_scipy_compares_them(a: dict[int, float], b: dict[int, float]) -> None:
    test = compared(a, b)
    assert test
    assert test.paired == (a.keys() == b.keys())
    assert test.difference == pytest.approx(
        statistics.mean(a.values()) - statistics.mean(b.values())
    )
    spread = [a[s] - b[s] for s in a] if test.paired else [*a.values(), *b.values()]
    if statistics.stdev(spread) < 1e-3 or min(map(_stdev, (a, b))) < 1e-3:
        return  # which scipy warns of
    expected: Any
    if test.paired:
        expected = stats.ttest_rel([a[s] for s in a], [b[s] for s in a])
    else:
        expected = stats.ttest_ind([*a.values()], [*b.values()], equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert test.p == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)
    assert (test.low, test.high) == pytest.approx((interval.low, interval.high), rel=1e-6, abs=1e-9)


def _stdev(values: dict[int, float]) -> float:
    return statistics.stdev(values.values())


def test_where_nothing_varies_a_difference_is_certain() -> None:
    same, other = {0: 1.0, 1: 1.0}, {0: 2.0, 1: 2.0, 2: 2.0}
    equal, apart = compared(same, dict(same)), compared(same, other)
    assert equal
    assert apart
    assert (equal.difference, equal.p) == (0.0, 1.0)
    assert (apart.difference, apart.low, apart.high, apart.p) == (-1.0, -1.0, -1.0, 0.0)


def test_a_single_value_tells_nothing_of_chance() -> None:
    assert compared({0: 1.0}, {0: 1.0, 1: 2.0}) is None
