"""Recipes: settings that every config takes, and networks and trainings that grow with the data."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnarch import config as configs
from nnarch import recipes
from nnarch.data import dataset as datasets
from nnarch.registry import sources


def training(**data: Any) -> dict[str, Any]:
    config = configs.load({"data": data})
    made = datasets.make(sources.build(config.data), config.data, None)
    return recipes.training(made)


def synthetic(rows: int) -> dict[str, Any]:
    return training(source="synthetic", rows=rows, features=2)


@pytest.mark.parametrize("rows", [10, 300, 1_300, 15_000, 30_000])
def test_what_is_advised_is_right_and_has_ended_in_minutes(rows: int):
    made = synthetic(rows)
    config = configs.load({"data": "synthetic", **made})
    assert config.schedule["warmup"] < config.epochs
    steps = config.epochs * 0.8 * rows / made["batch_size"]
    assert steps <= 13_000
    assert config.early_stopping is not None
    assert config.early_stopping.patience >= 10


def test_more_rows_allow_a_larger_network_and_ask_for_fewer_epochs():
    few, some, many = map(synthetic, (300, 5_000, 40_000))
    assert sum(few["model"]["widths"]) < sum(some["model"]["widths"])
    dropped = [made["model"]["dropout"] for made in (few, some, many)]
    assert dropped == sorted(dropped, reverse=True)
    batches = [made["batch_size"] for made in (few, some, many)]
    assert batches == sorted(batches)
    assert few["epochs"] >= some["epochs"] >= many["epochs"]


@given(st.integers(1, 10**9), st.sampled_from([16, 128, 256]), st.sampled_from([3000, 12_000]))
def test_epochs_are_of_about_so_many_steps_within_reason(rows: int, batch: int, steps: int):
    epochs = recipes._epochs(rows, batch, steps)
    assert 3 <= epochs <= 200
    if 3 < epochs < 200:
        assert epochs * rows / batch == pytest.approx(steps, abs=rows / batch)


def test_a_series_is_told_by_a_linear_network_as_published(tmp_path: Path):
    np.savetxt(tmp_path / "s.csv", np.random.default_rng(0).normal(size=(200, 2)), delimiter=",",
               header="a,b", comments="")  # fmt: skip
    made = training(source="series", path=str(tmp_path / "s.csv"), lookback=8, horizon=3)
    assert made["model"] == {"name": "nlinear"}
    assert (made["loss"], made["metrics"][:2]) == ("mse", ["scaled_mse", "scaled_mae"])


def test_images_and_text_have_a_wider_network(tmp_path: Path):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 4, 4)).astype(np.uint8)
    np.savez(tmp_path / "i.npz", x=pixels, y=np.arange(60) % 3)
    (tmp_path / "t.txt").write_text("the lazy dog. " * 60)
    for source, name in (("npz", "i.npz"), ("text", "t.txt")):
        made = training(source=source, path=str(tmp_path / name))
        assert made["model"]["widths"] == [256, 128]
        assert configs.load({"data": "synthetic", **made}).epochs == made["epochs"]
