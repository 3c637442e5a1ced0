"""Fronts and ranks, held against the definition and against sorting."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnarch.findings import pareto

SMALL = st.integers(0, 4).map(float)  # so that many are equal
NUMBERS = SMALL | st.floats(-1e300, 1e300) | st.sampled_from([math.nan, math.inf, -math.inf])


def tables(numbers: st.SearchStrategy[float], least: int = 1) -> st.SearchStrategy[np.ndarray]:
    """(n, d) of up to 12 rows and from `least` to 3 columns."""

    def of(columns: int) -> st.SearchStrategy[np.ndarray]:
        rows = st.lists(st.lists(numbers, min_size=columns, max_size=columns), max_size=12)
        return rows.map(lambda rows: np.array(rows, float).reshape(-1, columns))

    return st.integers(least, 3).flatmap(of)


def dominates(one: Any, other: Any) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and any(
        a < b for a, b in zip(one, other, strict=True)
    )


def dominated(values: np.ndarray, place: int) -> bool:
    return any(dominates(row, values[place]) for row in values if not np.isnan(row).any())


@given(tables(NUMBERS))
def test_the_front_is_what_nothing_dominates(values: np.ndarray) -> None:
    numbers = [place for place, row in enumerate(values) if not np.isnan(row).any()]
    expected = [place for place in numbers if not dominated(values, place)]
    assert pareto.front(values).tolist() == expected


@given(tables(NUMBERS))
def test_ranks_hold_every_row_once_and_nothing_comes_before_its_better(values: np.ndarray) -> None:
    order = pareto.ranked(values).tolist()
    assert sorted(order) == list(range(len(values)))
    for rank, place in enumerate(order):
        assert not any(dominates(values[later], values[place]) for later in order[rank:])
    broken = [place for place in order if np.isnan(values[place]).any()]
    assert broken == order[len(order) - len(broken) :]


@given(st.lists(NUMBERS, max_size=12))
def test_ranks_of_one_objective_are_its_order(values: list[float]) -> None:
    places = range(len(values))
    numbers = [place for place in places if not math.isnan(values[place])]
    broken = [place for place in places if math.isnan(values[place])]
    expected = sorted(numbers, key=lambda place: values[place]) + broken
    assert pareto.ranked(np.array(values, float).reshape(-1, 1)).tolist() == expected


@given(tables(SMALL, least=2))
def test_ranks_go_front_by_front(values: np.ndarray) -> None:
    order, left = pareto.ranked(values).tolist(), list(range(len(values)))
    while left:
        here = {left[place] for place in pareto.front(values[left])}
        assert here == set(order[: len(here)])
        order, left = order[len(here) :], [place for place in left if place not in here]


def test_within_a_front_the_ends_come_first_and_the_crowded_last() -> None:
    values = np.array([[0, 10], [1, 8], [2, 7.5], [7, 1], [10, 0]], float)
    # Neighbours of 1 are 2/10 and 2.5/10 apart, of 2 6/10 and 7/10, of 3 8/10 and 7.5/10.
    assert pareto.crowding(values)[1:4] == pytest.approx([0.45, 1.3, 1.55])
    assert pareto.ranked(values).tolist() == [0, 4, 3, 2, 1]


def test_nothing_has_an_empty_front() -> None:
    assert pareto.front(np.empty((0, 2))).tolist() == []
    assert pareto.ranked(np.empty((0, 2))).tolist() == []
