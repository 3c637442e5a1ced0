"""Statistics of rows: numpy's numbers, and the same to the last bit however the rows arrive."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nnarch.data.preprocessing import statistics
from nnarch.data.preprocessing.statistics import Statistics, describe, gather, sample_rows
from nnarch.data.table import Column, numeric

FIELDS = ("missing", "mean", "deviation", "minimum", "maximum", "integral", "sample")
COLUMNS = (*numeric(["x", "y"]), Column("c", "categorical", ("u", "v", "w")))


def rows(count: int, gaps: float = 0.2, seed: int = 0) -> torch.Tensor:
    """Of `COLUMNS`."""
    generator = torch.Generator().manual_seed(seed)
    made = torch.randn(count, 3, generator=generator, dtype=torch.float64) * 100
    made[:, 2] = torch.randint(0, 3, (count,), generator=generator)
    made[torch.rand(count, 3, generator=generator) < gaps] = torch.nan
    return made


def assert_same(one: Statistics, other: Statistics) -> None:
    assert one.rows == other.rows
    for name in FIELDS:
        assert getattr(one, name).equal(getattr(other, name)) or torch.equal(
            getattr(one, name).nan_to_num(-1e300), getattr(other, name).nan_to_num(-1e300)
        ), name
    for mine, others in zip(one.counts, other.counts, strict=True):
        assert (mine is None) == (others is None)
        assert mine is None or others is None or torch.equal(mine, others)


@pytest.mark.parametrize("gaps", [0.0, 0.3])
def test_it_is_numpys(gaps: float):
    made = rows(5000, gaps)
    found, array = describe(made, COLUMNS), made.numpy()
    assert found.rows == 5000
    assert found.missing.tolist() == np.isnan(array).sum(0).tolist()
    assert found.filled.tolist() == (~np.isnan(array)).sum(0).tolist()
    np.testing.assert_allclose(found.mean, np.nanmean(array, 0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.deviation, np.nanstd(array, 0), rtol=1e-12)
    assert found.minimum.tolist() == np.nanmin(array, 0).tolist()
    assert found.maximum.tolist() == np.nanmax(array, 0).tolist()
    assert found.integral.tolist() == [False, False, True]
    assert found.counts[:2] == (None, None)
    assert found.counts[2] is not None
    assert found.counts[2].tolist() == [int((array[:, 2] == code).sum()) for code in range(3)]


@given(st.integers(1, 600), st.integers(0, 5), st.lists(st.integers(0, 600), max_size=6))
def test_blocks_are_as_good_as_the_whole(count: int, seed: int, cuts: list[int]):
    """With a small block size, so that a few hundred rows are many blocks."""
    made = rows(count, 0.1 * (seed % 2), seed)
    sample = torch.arange(0, count, 3)
    ends = sorted(min(cut, count) for cut in cuts)
    parts = [made[a:b] for a, b in zip([0, *ends], [*ends, count], strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "BLOCK", 3 * 64)
        whole = gather([made], COLUMNS, sample)
        assert_same(gather(parts, COLUMNS, sample), whole)
        assert_same(gather([part.clone() for part in parts], COLUMNS, sample), whole)
        strided = torch.cat([made, made], 1)[:, :3]
        assert_same(gather([strided], COLUMNS, sample), whole)
    np.testing.assert_allclose(whole.mean.nan_to_num(), describe(made, COLUMNS).mean.nan_to_num())
    assert torch.equal(whole.sample.nan_to_num(-1), made[::3].nan_to_num(-1))


def test_large_blocks_too():
    made = rows(200_000)
    sample = sample_rows(len(made), 0)
    assert_same(gather(made.split(65_537), COLUMNS, sample), gather([made], COLUMNS, sample))


@pytest.mark.parametrize("offset", [1e9, -1.7e9, 1e12])
def test_values_that_are_large_and_differ_little(offset: float):
    generator = torch.Generator().manual_seed(1)
    small = torch.randn(100_000, 1, generator=generator, dtype=torch.float64).round(decimals=2)
    found = describe(small + offset)
    exact = np.std(((small + offset) - offset).numpy())
    assert float(found.deviation) == pytest.approx(exact, rel=1e-9)
    assert float(found.mean) - offset == pytest.approx(float(small.mean()), abs=2e-16 * abs(offset))


@pytest.mark.parametrize("value", [0.1, 1e38, -2020.0, 1.7e9 + 0.1])
def test_a_constant_is_its_own_mean(value: float):
    found = describe(torch.full((50_000, 2), value, dtype=torch.float64))
    assert found.mean.tolist() == [value, value]
    assert found.deviation.tolist() == [0.0, 0.0]


def test_a_column_of_nothing():
    made = torch.full((10, 2), torch.nan, dtype=torch.float64)
    made[:, 1] = torch.arange(10)
    found = describe(made)
    assert found.missing.tolist() == [10, 0]
    for name in ("mean", "deviation", "minimum", "maximum"):
        assert getattr(found, name).isnan().tolist() == [True, False], name
    assert found.quantiles(torch.tensor([0.5]))[0].isnan().tolist() == [True, False]


def test_float32_rows_are_counted_in_float64():
    found = describe(torch.tensor([[16777216.0], [16777218.0]]))
    assert found.mean.tolist() == [16777217.0]  # which float32 does not have


@given(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=40))
def test_quantiles_are_numpys(values: list[float]):
    at = torch.linspace(0, 1, 7, dtype=torch.float64)
    found = describe(torch.tensor(values, dtype=torch.float64).unsqueeze(1)).quantiles(at)
    filled = [value for value in values if value == value]
    if filled:
        near = 1e-9 * (1 + np.ptp(filled))
        np.testing.assert_allclose(found[:, 0], np.quantile(filled, at.numpy()), atol=near)
    else:
        assert found.isnan().all()


def test_columns_can_be_taken():
    whole = describe(rows(100), COLUMNS)
    taken = whole.take([2, 0])
    assert [column.name for column in taken.columns] == ["c", "x"]
    assert_same(taken, describe(rows(100)[:, [2, 0]], (COLUMNS[2], COLUMNS[0])))


def test_pooled_columns_are_one():
    made = rows(400, 0.0)
    pooled = describe(made).pooled(1)
    flat = describe(made.reshape(-1, 1))
    for name in FIELDS[:-1]:
        torch.testing.assert_close(getattr(pooled, name), getattr(flat, name), msg=name)
    assert pooled.rows == 1200


def test_a_sample_of_few_rows_is_all_of_them():
    assert sample_rows(5, 0).tolist() == [0, 1, 2, 3, 4]
    assert len(sample_rows(statistics.SAMPLE, 1)) == statistics.SAMPLE


@given(st.integers(1, 10**7), st.integers(0, 100))
def test_a_sample_is_of_different_rows_from_everywhere(rows: int, seed: int):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "SAMPLE", 1000)
        chosen = sample_rows(rows, seed)
        assert torch.equal(chosen, sample_rows(rows, seed))
    assert len(chosen) == min(rows, 1000)
    assert (chosen.diff() > 0).all()
    assert 0 <= int(chosen[0]) <= int(chosen[-1]) < rows
    assert int(chosen.diff().max() if len(chosen) > 1 else 0) <= 2 * (rows // 1000 + 1)


def test_another_seed_is_another_sample():
    assert not torch.equal(sample_rows(10**6, 0), sample_rows(10**6, 1))
