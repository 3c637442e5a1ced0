"""Scaling: by the training rows alone, exact for large values, undone without a trace."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnarch.data.preprocess import Preprocess, Standardize

VALUES = st.floats(-1e12, 1e12, allow_subnormal=False)


def column(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


def fitted(rows: torch.Tensor) -> Standardize:
    scaling = Standardize(rows.shape[1])
    scaling.fit(rows)
    return scaling


def test_training_rows_come_out_with_mean_0_and_deviation_1():
    generator = torch.Generator().manual_seed(0)
    sizes = torch.tensor([1e-6, 1.0, 1e9])
    rows = torch.randn(500, 3, dtype=torch.float64, generator=generator) * sizes + 5
    scaled = fitted(rows)(rows)
    torch.testing.assert_close(scaled.mean(0), torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(scaled.square().mean(0), torch.ones(3, dtype=torch.float64))


def test_a_column_by_hand():
    scaling = fitted(column([1.0, 3.0, 5.0, 7.0]))
    assert scaling.mean.tolist() == [4.0]
    assert scaling.scale.tolist() == [5**0.5]  # of the population: (9 + 1 + 1 + 9) / 4
    assert scaling(column([4.0, 4 + 5**0.5])).flatten().tolist() == [0.0, 1.0]


def test_what_was_never_fitted_leaves_numbers_as_they_are():
    rows = column([1e300, -0.1, 0.0])
    assert torch.equal(Standardize(1)(rows), rows)
    assert torch.equal(Standardize(1).inverse(rows), rows)


@settings(deadline=None)
@given(st.floats(-3.4e38, 3.4e38), st.integers(1, 300))
def test_a_constant_column_becomes_exactly_zero(value: float, rows: int):
    constant = column([value] * rows)
    assert (fitted(constant)(constant) == 0).all()


def test_a_value_that_training_saw_as_constant_stays_finite():
    scaling = fitted(column([2020.0] * 48))
    assert scaling(column([2021.0])).tolist() == [[1.0]]
    assert scaling.inverse(column([0.0])).tolist() == [[2020.0]]


@settings(deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=50))
def test_scaling_can_be_undone(values: list[float]):
    rows = column(values)
    scaling = fitted(rows)
    scaled = scaling(rows)
    assert scaled.isfinite().all()
    size = max(map(abs, values))
    torch.testing.assert_close(scaling.inverse(scaled), rows, rtol=0, atol=4e-16 * size)


@settings(deadline=None)
@given(st.lists(VALUES, min_size=2, max_size=50), st.floats(1e-3, 1e3), VALUES)
def test_a_change_of_units_makes_no_difference(values: list[float], factor: float, shift: float):
    rows = column(values)
    moved = rows * factor + shift
    noise = 1e-9 * max(float(moved.abs().max()), abs(shift), factor * float(rows.abs().max()))
    if float(rows.std(correction=0)) * factor > 1e3 * noise:
        torch.testing.assert_close(fitted(moved)(moved), fitted(rows)(rows), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("start", "step"),
    [(2020.0, 1e-3), (1_900_000.25, 0.01), (1.7e9, 1.0), (123_456_789.0, 1e-4)],
    ids=["years", "prices", "seconds since 1970", "identifiers"],
)
def test_large_values_that_differ_little_keep_their_differences(start: float, step: float):
    """In float32 all of these would be one number, or a few."""
    rows = start + step * torch.arange(100, dtype=torch.float64).unsqueeze(1)
    scaled = fitted(rows)(rows).flatten()
    exact = (torch.arange(100, dtype=torch.float64) - 49.5) / (100**2 / 12 - 1 / 12) ** 0.5
    torch.testing.assert_close(scaled, exact, rtol=0, atol=1e-3)
    assert (scaled.float().diff() > 0).all()


def test_float32_rows_are_fitted_in_float64():
    rows = torch.tensor([[16777216.0], [16777218.0]])
    scaling = fitted(rows)
    assert scaling.mean.dtype == scaling.scale.dtype == torch.float64
    assert scaling.mean.tolist() == [16777217.0]  # which float32 does not have


def make() -> Preprocess:
    preprocess = Preprocess(3, 2)
    generator = torch.Generator().manual_seed(0)
    preprocess.inputs.fit(torch.rand(50, 3, generator=generator, dtype=torch.float64) * 1e9)
    preprocess.target.fit(torch.rand(50, 2, generator=generator, dtype=torch.float64) / 3)
    return preprocess


def test_the_state_says_all():
    preprocess, other = make(), Preprocess(3, 2)
    state = copy.deepcopy(preprocess.state_dict())
    assert sorted(state) == ["inputs.mean", "inputs.scale", "target.mean", "target.scale"]
    other.load_state_dict(state)
    for name, value in other.state_dict().items():
        assert torch.equal(value, preprocess.state_dict()[name]), name
    rows = torch.rand(5, 3, dtype=torch.float64)
    assert torch.equal(other.inputs(rows), preprocess.inputs(rows))


@pytest.mark.parametrize("move", [torch.nn.Module.float, torch.nn.Module.half])
def test_a_module_around_it_cannot_make_it_coarser(move):
    """Whoever moves a loaded model to another number type means the network."""
    preprocess = make()
    before = copy.deepcopy(preprocess.state_dict())
    around = move(torch.nn.Sequential(torch.nn.Linear(3, 2), preprocess))
    assert around[0].weight.dtype != torch.float64
    for name, value in around[1].state_dict().items():
        assert torch.equal(value, before[name]), name


def test_nothing_of_it_is_learnt():
    assert list(make().parameters()) == []
