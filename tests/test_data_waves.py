"""Made-up series: what their options promise, and that chance comes from the seed alone."""

import pytest
import torch

from nnarch.data.sources.waves import waves
from nnarch.errors import DataError


def test_windows_of_every_channel_are_seen_and_predicted():
    made = waves(steps=60, channels=2, lookback=10, horizon=3, stride=4)
    assert made.inputs.shape == made.goals.shape == (60, 2)
    assert made.input_names == made.channels == ("x1", "x2")
    assert made.target_names == ("x1+1", "x2+1", "x1+2", "x2+2", "x1+3", "x2+3")
    assert made.starts.tolist() == list(range(0, 48, 4))


def test_the_seed_alone_decides():
    torch.manual_seed(1)
    one = waves(seed=3)
    torch.manual_seed(2)
    assert torch.equal(waves(seed=3).inputs, one.inputs)
    assert not torch.equal(waves(seed=4).inputs, one.inputs)


@pytest.mark.parametrize("count", [1, 5])
def test_its_deviation_is_1_whatever_the_number_of_waves(count: int):
    made = waves(steps=50_000, channels=3, waves=count, noise=0.0)
    torch.testing.assert_close(
        made.inputs.std(0), torch.ones(3, dtype=torch.float64), rtol=0.02, atol=0
    )


def test_without_noise_a_linear_recurrence_foretells_it():
    """A sum of w waves follows from its last 2 w values."""
    values = waves(steps=400, waves=2, noise=0.0).inputs[:, 0]
    seen = values.unfold(0, 4, 1)[:-1]
    weights = torch.linalg.lstsq(seen, values[4:].unsqueeze(1)).solution
    torch.testing.assert_close((seen @ weights)[:, 0], values[4:], rtol=0, atol=1e-8)


def test_noise_is_of_the_deviation_that_is_asked_for():
    plain, noisy = waves(steps=20_000, noise=0.0), waves(steps=20_000, noise=0.5)
    assert float((noisy.inputs - plain.inputs).std()) == pytest.approx(0.5, rel=0.05)


def test_a_series_too_short_for_a_window_is_refused():
    with pytest.raises(DataError, match="too few for one window"):
        waves(steps=20, lookback=20)
