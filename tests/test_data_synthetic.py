"""Made-up data: what each kind promises, that chance comes from the seed alone, and refusals."""

import inspect
import math
from collections import Counter
from typing import Any, get_args

import pytest
import torch
from torch import nn

from nnarch.data.sources.synthetic import RECIPES, Kind, synthetic
from nnarch.data.table import Table
from nnarch.errors import ConfigError, MachineError
from nnarch.registry import sources

KINDS: tuple[Kind, ...] = get_args(Kind)
SHAPES: tuple[Kind, ...] = ("blobs", "moons", "circles", "spirals", "xor")
CLASSED: tuple[Kind, ...] = (*SHAPES, "levels")
FUNCTIONS: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind not in CLASSED)


def numbers(table: Table) -> torch.Tensor:
    assert isinstance(table.target, torch.Tensor)
    return table.target[:, 0]


def labels(table: Table) -> list[str]:
    assert isinstance(table.target, list)
    return table.target


def classes(table: Table) -> torch.Tensor:
    return torch.tensor([int(label) for label in labels(table)])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_a_table(kind: Kind):
    table = synthetic(kind=kind, rows=60)
    features = {"sine": 1}.get(kind, 2 if kind in SHAPES else 10)
    assert table.inputs.shape == (60, features)
    assert table.inputs.dtype == torch.float64
    assert table.inputs.isfinite().all()
    assert table.input_names == tuple(f"x{place}" for place in range(1, features + 1))
    assert table.target_names == ("y",)
    if kind in CLASSED:
        assert set(labels(table)) == {"0", "1"}
    else:
        assert numbers(table).isfinite().all()
        assert numbers(table).dtype == torch.float64
        assert isinstance(table.target, torch.Tensor)
        assert table.target.shape == (60, 1)


def test_every_kind_has_a_recipe():
    assert set(RECIPES) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_bits(kind: Kind):
    once, again, other = (synthetic(kind=kind, rows=333, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(once.inputs, again.inputs)
    assert not torch.equal(once.inputs, other.inputs)
    if kind in CLASSED:
        assert once.target == again.target
    else:
        assert torch.equal(numbers(once), numbers(again))


def test_the_run_s_own_chance_is_neither_used_nor_disturbed():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = synthetic(rows=20).inputs
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(synthetic(rows=20).inputs, first)


def test_kinds_do_not_share_their_draws():
    assert not torch.equal(synthetic(kind="linear").inputs, synthetic(kind="nonlinear").inputs)


def test_one_row_is_enough():
    for kind in FUNCTIONS:
        assert numbers(synthetic(kind=kind, rows=1)).isfinite().all()


def residual(table: Table) -> float:
    """Share of the target's variance that the best straight line leaves."""
    inputs = torch.cat([table.inputs, torch.ones(len(table), 1, dtype=torch.float64)], dim=1)
    fit = inputs @ torch.linalg.lstsq(inputs, numbers(table)[:, None]).solution
    return float((fit[:, 0] - numbers(table)).var() / numbers(table).var())


@pytest.mark.parametrize("features", [1, 3, 10])
def test_linear_is_a_line_and_noise(features: int):
    table = synthetic(kind="linear", rows=20_000, features=features, noise=0.5)
    assert numbers(table).var().item() == pytest.approx(1.25, rel=0.05)
    assert residual(table) == pytest.approx(0.25 / 1.25, rel=0.05)
    assert residual(synthetic(kind="linear", features=features, noise=0)) < 1e-12


@pytest.mark.parametrize("seed", range(3))
def test_nonlinear_is_learnt_by_a_small_network_and_not_by_a_line(seed: int):
    """10 -> 20 -> 1 with plain SGD, as in the first config that people try."""
    table = synthetic(rows=5000, seed=seed)
    assert numbers(table).std().item() == pytest.approx(1, abs=0.15)
    torch.manual_seed(0)
    inputs, target = table.inputs.float(), numbers(table).float()
    model = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(10):
        for rows in torch.randperm(4000).split(32):
            optimizer.zero_grad()
            (model(inputs[rows])[:, 0] - target[rows]).square().mean().backward()
            optimizer.step()
    with torch.no_grad():
        left = (model(inputs[4000:])[:, 0] - target[4000:]).square().mean() / target.var()
    assert left < 0.15
    assert residual(table) > 0.25


def test_friedman1_is_the_published_formula():
    table = synthetic(kind="friedman1", rows=50, features=7, noise=0)
    for x, y in zip(table.inputs.tolist(), numbers(table).tolist(), strict=True):
        expected = (
            10 * math.sin(math.pi * x[0] * x[1]) + 20 * (x[2] - 0.5) ** 2 + 10 * x[3] + 5 * x[4]
        )
        assert y == pytest.approx(expected)
        assert all(0 <= value <= 1 for value in x)


def test_sine_is_the_sine_of_the_first_feature():
    table = synthetic(kind="sine", rows=50, features=3, noise=0)
    assert torch.allclose(numbers(table), table.inputs[:, 0].sin())


@pytest.mark.parametrize(
    ("kind", "count"),
    [(kind, 2) for kind in CLASSED]
    + [(kind, count) for kind in CLASSED if kind not in ("moons", "xor") for count in (3, 12)],
)
def test_classes_are_as_many_and_as_large_as_said(kind: Kind, count: int):
    found = Counter(labels(synthetic(kind=kind, rows=3000, classes=count)))
    assert set(found) == {str(label) for label in range(count)}
    if kind != "xor":
        assert max(found.values()) - min(found.values()) <= 1


def test_levels_are_equal_shares_of_the_nonlinear_function():
    table = synthetic(kind="levels", rows=400, classes=4, features=1, noise=0)
    assert Counter(labels(table)) == {"0": 100, "1": 100, "2": 100, "3": 100}
    order = table.inputs[:, 0].argsort()
    changes = (classes(table)[order].diff() != 0).sum()
    assert changes < 12  # along a single feature the levels are bands


def test_blobs_are_spots_1_apart():
    table = synthetic(kind="blobs", rows=12, classes=4, noise=0)
    spots = table.inputs.unique(dim=0)
    assert len(spots.round(decimals=9).unique(dim=0)) == 4
    apart = torch.cdist(spots, spots)
    assert apart[apart > 1e-6].min().item() == pytest.approx(1)


def test_moons_are_half_circles():
    table = synthetic(kind="moons", rows=200, noise=0)
    for (x, y), label in zip(table.inputs.tolist(), labels(table), strict=True):
        if label == "0":
            assert math.hypot(x, y) == pytest.approx(1)
            assert y >= 0
        else:
            assert math.hypot(x - 1, y - 0.5) == pytest.approx(1)
            assert y <= 0.5


def test_circles_have_their_class_s_radius():
    table = synthetic(kind="circles", rows=100, classes=3, noise=0)
    assert torch.allclose(table.inputs.norm(dim=1), classes(table).double() + 1)


def test_spirals_turn_once_from_the_centre():
    table = synthetic(kind="spirals", rows=200, classes=3, noise=0)
    for (x, y), label in zip(table.inputs.tolist(), labels(table), strict=True):
        radius = math.hypot(x, y)
        turns = radius / 3 + int(label) / 3
        assert x == pytest.approx(radius * math.cos(2 * math.pi * turns), abs=1e-9)
        assert y == pytest.approx(radius * math.sin(2 * math.pi * turns), abs=1e-9)


def test_xor_is_a_matter_of_signs():
    table = synthetic(kind="xor", rows=100, noise=0)
    for (x, y), label in zip(table.inputs.tolist(), labels(table), strict=True):
        assert label == str(int((x > 0) != (y > 0)))


@pytest.mark.parametrize("kind", SHAPES)
def test_further_features_of_a_shape_are_noise(kind: Kind):
    table = synthetic(kind=kind, rows=20_000, features=5, noise=0.1)
    assert torch.allclose(table.inputs[:, 2:].std(dim=0), torch.ones(3).double(), atol=0.05)
    both = torch.cat([table.inputs[:, 2:], classes(table)[:, None]], dim=1)
    assert both.T.corrcoef().fill_diagonal_(0).abs().max() < 0.05


@pytest.mark.parametrize("kind", SHAPES)
def test_noise_is_the_deviation_of_a_position(kind: Kind):
    still, moved = (synthetic(kind=kind, rows=20_000, noise=noise).inputs for noise in (0, 0.3))
    assert (moved - still).std().item() == pytest.approx(0.3, rel=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "moons", "classes": 3}, "data.classes: got 3; expected 2, as 'moons' has"),
        ({"kind": "xor", "classes": 4}, "data.classes: got 4; expected 2, as 'xor' has"),
        (
            {"kind": "linear", "classes": 2},
            "data.classes: got 2; expected none, 'linear' is a regression",
        ),
        (
            {"kind": "blobs", "classes": 9, "rows": 5},
            "data.classes: got 9; expected at most one a row, 5",
        ),
        (
            {"kind": "friedman1", "features": 4},
            "data.features: got 4; expected at least 5 for 'friedman1'",
        ),
        (
            {"kind": "circles", "features": 1},
            "data.features: got 1; expected at least 2 for 'circles'",
        ),
    ],
)
def test_options_that_do_not_fit_the_kind_are_refused(options: dict[str, Any], message: str):
    with pytest.raises(ConfigError) as caught:
        synthetic(**options)
    assert caught.value.lines == [message]


def test_the_number_of_classes_that_a_kind_has_may_be_said():
    assert synthetic(kind="moons", classes=2).target == synthetic(kind="moons").target


@pytest.mark.parametrize(("rows", "features"), [(10**9, 10**6), (10, 10**9)])
def test_what_the_memory_cannot_hold_is_refused_before_it_is_drawn(rows: int, features: int):
    with pytest.raises(MachineError, match=f"data.rows: {rows} rows of {features} features take"):
        synthetic(rows=rows, features=features)


def test_every_option_is_explained():
    schema = sources.get("synthetic").schema
    options = inspect.signature(synthetic).parameters
    assert all(schema.model_fields[name].description for name in options)
