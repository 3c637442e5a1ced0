"""Domains: shares of the unit interval to values and back, for samplers that know only shares."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnarch.space.domains import Choice, Domain, Float, Int

SHARES = st.floats(0, 1, exclude_max=True)


def _ints(low: int, width: int, step: int, log: bool) -> Int:
    return Int(low + 200 if log else low, (low + 200 if log else low) + width, step, log)


INTS = st.builds(
    _ints, st.integers(-199, 10**9), st.integers(0, 10**9), st.integers(1, 99), st.booleans()
)
SHORT = st.builds(
    _ints, st.integers(-199, 50), st.integers(0, 60), st.integers(1, 9), st.booleans()
)
CHOICES = st.lists(st.integers() | st.text(max_size=3), min_size=1, max_size=9).map(Choice.among)
FLOATS = st.tuples(st.floats(1e-8, 1e6), st.floats(1e-8, 1e6), st.booleans()).map(
    lambda drawn: Float(min(drawn[:2]), max(drawn[:2]), drawn[2])
)
STEPPED = st.builds(
    lambda low, steps, step: Float(low, low + steps * step, step=step),
    st.floats(-1e3, 1e3),
    st.integers(0, 500),
    st.sampled_from([0.1, 0.25, 0.003, 7.0]),
)


@given(INTS | CHOICES | FLOATS | STEPPED, SHARES)
def test_what_a_share_means_lies_in_the_domain(domain: Domain, share: float) -> None:
    value = domain.at(share)
    assert domain.contains(value)
    assert 0 <= domain.share(value) <= 1


@given(INTS | CHOICES | STEPPED, SHARES)
def test_a_value_comes_back_from_its_share(domain: Domain, share: float) -> None:
    value = domain.at(share)
    assert domain.at(domain.share(value)) == value


@given(FLOATS, SHARES)
def test_a_float_comes_back_from_its_share(domain: Float, share: float) -> None:
    value = domain.at(share)
    assert domain.at(domain.share(value)) == pytest.approx(value, rel=1e-9)


@given(SHORT, st.integers(1, 80))
def test_a_grid_of_integers(domain: Int, count: int) -> None:
    grid = domain.grid(count)
    assert grid == sorted(set(grid))
    assert all(map(domain.contains, grid))
    assert len(grid) == domain.size if count >= domain.size else len(grid) <= count
    whole = list(range(domain.low, domain.high + 1, domain.step))
    assert domain.grid(domain.size) == whole
    if count > 1:
        assert (grid[0], grid[-1]) == (whole[0], whole[-1])


@given(FLOATS | STEPPED, st.integers(2, 9))
def test_a_grid_of_floats(domain: Float, count: int) -> None:
    grid = domain.grid(count)
    assert grid == sorted(grid)
    assert all(map(domain.contains, grid))
    assert len(grid) == min(count, domain.size)
    assert grid[0] == domain.at(0.0)


def test_each_integer_has_its_share() -> None:
    counts = [0] * 4
    for place in range(4000):
        counts[Int(3, 6).at(place / 4000) - 3] += 1
    assert counts == [1000] * 4


def test_shares_are_log_uniform_on_a_log_scale() -> None:
    rate = Float(1e-4, 1e-1, log=True)
    assert [rate.at(share / 3) for share in range(4)] == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1])
    width = Int(1, 7, log=True)  # a value takes log((value + 1) / value) of log(8)
    for value in range(1, 8):
        begins = math.log(value) / math.log(8)
        assert width.at(begins + 1e-9) == value
        assert value == 1 or width.at(begins - 1e-9) == value - 1


def test_steps_of_a_float_are_written_short() -> None:
    assert Float(0.0, 0.5, step=0.1).grid(9) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert Float(0.0, 0.55, step=0.1).size == 6
    assert not Float(0.0, 0.5, step=0.1).contains(0.25)


def test_numbers_of_a_choice_stand_in_order() -> None:
    assert Choice.among([64, 8, 0.5]).options == (0.5, 8, 64)
    assert Choice.among([64, 8]).ordered
    assert Choice.among(["b", "a"]).options == ("b", "a")
    assert not Choice.among([True, False]).ordered
    assert Choice.among(["b", "a"]).grid(1) == [0, 1]


@pytest.mark.parametrize(
    ("domain", "value"),
    [
        (Int(1, 4), 5),
        (Int(1, 4), 2.0),
        (Int(0, 8, 4), 6),
        (Int(0, 1), True),
        (Float(0.0, 1.0), 1.5),
        (Float(0.0, 1.0), "0.5"),
        (Float(0.0, 1.0), math.nan),
        (Choice.among(["a"]), 1),
        (Choice.among(["a"]), "a"),
        (Choice.among(["a", "b"]), True),
    ],
    ids=str,
)
def test_what_lies_outside(domain: Domain, value: object) -> None:
    assert not domain.contains(value)
