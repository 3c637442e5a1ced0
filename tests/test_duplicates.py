"""Rows that stand in two parts: counted as python's sets of tuples would count them."""

import math
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from nnarch.data import duplicates

VALUES = st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, math.nan, 3.0, 1e300, 5e-324]) | st.integers(
    -3, 3
).map(float)
TWO = st.integers(1, 4).flatmap(
    lambda width: st.tuples(*[st.lists(st.tuples(*[VALUES] * width), min_size=1, max_size=40)] * 2)
)


def naive(first: list[tuple[float, ...]], second: list[tuple[float, ...]]) -> int:
    """-0 is 0, and a gap is a gap."""

    def known(row: tuple[float, ...]) -> tuple[Any, ...]:
        return tuple("gap" if value != value else value + 0.0 for value in row)

    there = {known(row) for row in first}
    return sum(known(row) in there for row in second)


def count(first: Any, second: Any, dtype: torch.dtype = torch.float64) -> int:
    one, other = (torch.tensor(rows, dtype=dtype) for rows in (first, second))
    return duplicates.shared(duplicates.numbers([one]), duplicates.numbers([other]))


@given(TWO)
@example(([(0.0, 1.0)], [(-0.0, 1.0), (1.0, 0.0)]))  # zeros are equal, places are not
@example(([(math.nan,)], [(-math.nan,)]))
def test_rows_are_counted_as_sets_count_them(two: Any):
    first, second = two
    assert count(first, second) == naive(first, second)


@given(st.tuples(*[st.lists(st.binary(min_size=3, max_size=3), min_size=1, max_size=60)] * 2))
def test_pixels_are_counted_as_sets_count_them(two: Any):
    first, second = ([tuple(row) for row in rows] for rows in two)
    assert count(first, second, torch.uint8) == naive(first, second)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.uint8, torch.int64])
def test_no_two_rows_of_a_grid_of_small_numbers_are_taken_for_one(dtype: torch.dtype):
    side = torch.arange(50).to(dtype)
    grid = torch.cartesian_prod(side, side, side)
    assert len(duplicates.numbers([grid]).unique()) == 50**3


def test_many_yes_or_no_are_told_apart():
    bits = torch.arange(1 << 16).unsqueeze(1) >> torch.arange(16) & 1
    assert len(duplicates.numbers([bits.double()]).unique()) == 1 << 16


@given(st.integers(1, 29))
def test_how_rows_are_cut_into_blocks_makes_no_difference(size: int):
    rows = torch.randn(30, 2, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(duplicates.numbers(rows.split(size)), duplicates.numbers([rows]))


def test_a_row_that_stands_twice_counts_twice():
    assert count([[1, 2]], [[1, 2], [1, 2], [2, 1]]) == 2
    assert count([[1, 2], [1, 2]], [[1, 2]]) == 1


@pytest.mark.parametrize("value", [1e-300, 0.1, 1.0, 1e300])
def test_the_last_bit_of_a_value_counts(value: float):
    assert count([[value]], [[math.nextafter(value, math.inf)]]) == 0
