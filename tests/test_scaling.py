"""Scalings: scikit-learn's numbers, from training rows alone, finite and with gaps left alone."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.preprocessing import (
    MinMaxScaler,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from nnarch.data.preprocessing.scaling import SCALINGS, Standardize, build, quantiles_for
from nnarch.data.preprocessing.statistics import describe

VALUES = st.floats(-1e12, 1e12, allow_subnormal=False)
NAMES = sorted(SCALINGS)


def column(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


def fitted(rows: torch.Tensor, name: str = "standard") -> Any:
    statistics = describe(rows)
    scaling = build(name, rows.shape[1], quantiles_for(statistics))
    scaling.fit(statistics)
    return scaling


def mixed(count: int, seed: int = 0) -> torch.Tensor:
    """Columns of a smooth kind, whole numbers, many zeros, and a long tail."""
    generator = torch.Generator().manual_seed(seed)
    made = torch.randn(count, 4, generator=generator, dtype=torch.float64)
    return torch.stack(
        [made[:, 0] * 1e6 + 5, (made[:, 1] * 3).round(), made[:, 2].clamp(min=0), made[:, 3].exp()],
        1,
    )


def by_quantiles(count: int) -> Any:
    everything: Any = None
    return QuantileTransformer(
        n_quantiles=count, output_distribution="normal", subsample=everything
    )


REFERENCES = {
    "standard": lambda count: StandardScaler(),
    "robust": lambda count: RobustScaler(),
    "minmax": lambda count: MinMaxScaler(),
    "quantile": lambda count: by_quantiles(min(max(count // 30, 10), 1000)),
}


@pytest.mark.parametrize("count", [50, 3000, 40_000])
@pytest.mark.parametrize("name", REFERENCES)
def test_it_is_scikit_learns(name: str, count: int):
    train, other = mixed(count), torch.cat([mixed(500, 1) * 3, mixed(count)[:50]])
    reference = REFERENCES[name](count).fit(train.numpy())
    expected = reference.transform(other.numpy())
    np.testing.assert_allclose(fitted(train, name)(other), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", REFERENCES)
def test_it_is_scikit_learns_with_gaps(name: str):
    train = mixed(3000)
    gaps = torch.rand(3000, 4, generator=torch.Generator().manual_seed(2)) < 0.2
    gaps[:, 0] = False  # the fullest column says how many quantiles there are
    train[gaps] = torch.nan
    expected = REFERENCES[name](3000).fit(train.numpy()).transform(train.numpy())
    made = fitted(train, name)(train)
    assert torch.equal(made.isnan(), gaps)
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-6)


@given(st.lists(st.integers(-3, 3), min_size=10, max_size=60), st.floats(-4, 4))
def test_quantiles_of_many_equal_values_are_scikit_learns(values: list[int], other: float):
    train = column([float(value) for value in values])
    assume(len(set(values)) > 1)  # scikit-learn puts a constant at the lower end, we in the middle
    assume(min(abs(other - value) for value in set(values)) > 1e-6 or other in values)
    rows = torch.cat([train, column([other])])
    reference = by_quantiles(10).fit(train.numpy())
    reference.quantiles_ = reference.quantiles_.round(9)  # equal values, equal but for rounding
    scaling = fitted(train, "quantile")
    expected = np.asarray(reference.transform(rows.numpy()))
    np.testing.assert_allclose(scaling(rows), expected, rtol=0, atol=1e-6)
    assert (scaling(rows.sort(0).values).diff(dim=0) >= 0).all()


def test_how_many_quantiles():
    def of(count: int) -> int:
        return quantiles_for(describe(torch.rand(count, 1, dtype=torch.float64)))

    assert [of(count) for count in (5, 299, 400, 3000, 29_999, 30_000, 90_000)] == [
        10, 10, 13, 100, 999, 1000, 1000,
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_constant_column_becomes_zero(name: str):
    if name == "none":
        return
    constant = column([2020.1] * 48)
    assert (fitted(constant, name)(constant) == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_gaps_are_left_alone_and_the_rest_is_finite(name: str):
    scaling = fitted(mixed(100), name)
    rows = torch.tensor([[torch.nan, 1e30, -1e30, 0.0]], dtype=torch.float64)
    made = scaling(rows)
    assert made.isnan().tolist() == [[True, False, False, False]]
    assert made[0, 1:].isfinite().all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(0, 4), (3, 0)])
def test_no_rows_and_no_columns(name: str, shape: tuple[int, int]):
    scaling = fitted(mixed(50)[:, : shape[1]], name)
    assert scaling(torch.zeros(shape, dtype=torch.float64)).shape == shape


@pytest.mark.parametrize("name", NAMES)
def test_the_state_says_all(name: str):
    scaling, rows = fitted(mixed(2000), name), mixed(100, 1)
    other = build(name, 4, getattr(scaling, "count", 1))
    other.load_state_dict(scaling.state_dict())
    assert torch.equal(other(rows), scaling(rows))
    assert list(scaling.parameters()) == []
    assert all(buffer.dtype == torch.float64 for buffer in scaling.buffers())


@pytest.mark.parametrize("name", NAMES)
def test_a_row_does_not_depend_on_the_others(name: str):
    scaling, rows = fitted(mixed(500), name), mixed(100, 1)
    made = torch.cat([scaling(row) for row in rows.split(1)])
    assert torch.equal(made, scaling(rows))


def test_more_quantiles_than_any_fit_makes_are_refused():
    with pytest.raises(ValueError, match="too many"):
        build("quantile", 10**9, 1000)


def test_half_of_the_values_equal_leaves_the_deviation():
    rows = column([0.0] * 80 + [10.0] * 20)
    assert fitted(rows, "robust").scale.tolist() == [4.0]


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


@given(st.floats(-3.4e38, 3.4e38), st.integers(1, 300))
def test_a_constant_column_becomes_exactly_zero(value: float, rows: int):
    constant = column([value] * rows)
    assert (fitted(constant)(constant) == 0).all()


def test_a_value_that_training_saw_as_constant_stays_finite():
    scaling = fitted(column([2020.0] * 48))
    assert scaling(column([2021.0])).tolist() == [[1.0]]
    assert scaling.inverse(column([0.0])).tolist() == [[2020.0]]


@given(st.lists(VALUES, min_size=1, max_size=50))
def test_scaling_can_be_undone(values: list[float]):
    rows = column(values)
    scaling = fitted(rows)
    scaled = scaling(rows)
    assert scaled.isfinite().all()
    size = max(map(abs, values))
    torch.testing.assert_close(scaling.inverse(scaled), rows, rtol=0, atol=4e-16 * size)


@given(st.lists(VALUES, min_size=2, max_size=50), st.floats(1e-3, 1e3), VALUES)
def test_a_change_of_units_makes_no_difference(values: list[float], factor: float, shift: float):
    rows = column(values)
    moved = rows * factor + shift
    noise = 1e-9 * max(float(moved.abs().max()), abs(shift), factor * float(rows.abs().max()))
    smallest = 1e-140  # whose square still has all of its digits
    if float(rows.std(correction=0)) * factor > max(1e3 * noise, smallest):
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
