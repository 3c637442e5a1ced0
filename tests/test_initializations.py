"""The initializations against their formulas, and the contract that every registered one keeps."""

import math
from typing import Any

import pytest
import torch

from nnarch.registry import initializations
from nnarch.validate import fill_component

OUT, IN = 300, 200
NEEDED: dict[str, dict[str, Any]] = {"constant": {"value": 0.5}}
NAMES = initializations.names()


def begun(name: str, *shape: int, seed: int = 0, **options: object) -> torch.Tensor:
    """A parameter that `name` has filled."""
    spec, faults = fill_component(
        "initialization", {"name": name, **NEEDED.get(name, {}), **options}, ()
    )
    assert not faults
    weight = torch.nn.Parameter(torch.full(shape or (OUT, IN), 7.0))
    torch.manual_seed(seed)
    initializations.build(spec, weight)
    return weight.detach()


def kaiming(fan: int, gain: float = math.sqrt(2)) -> float:
    return gain / math.sqrt(fan)


def xavier(gain: float = 1.0) -> float:
    return gain * math.sqrt(2 / (OUT + IN))


CUT_AT_1 = math.sqrt(1 - 2 * math.exp(-0.5) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(0.5)))
NORMAL = [
    ("kaiming_normal", {}, kaiming(IN)),
    ("kaiming_normal", {"mode": "fan_out"}, kaiming(OUT)),
    ("kaiming_normal", {"nonlinearity": "tanh"}, kaiming(IN, 5 / 3)),
    ("kaiming_normal", {"nonlinearity": "leaky_relu", "slope": 1.0}, kaiming(IN, 1)),
    ("xavier_normal", {}, xavier()),
    ("xavier_normal", {"gain": 3.0}, xavier(3)),
    ("lecun_normal", {}, kaiming(IN, 1)),
    ("normal", {}, 0.02),
    ("normal", {"std": 2.0}, 2.0),
    ("orthogonal", {"gain": 2.0}, 2 / math.sqrt(OUT)),
    ("trunc_normal", {"std": 0.1, "cut": 1.0}, 0.1 * CUT_AT_1),
]
UNIFORM = [
    ("kaiming_uniform", {}, math.sqrt(3) * kaiming(IN)),
    ("kaiming_uniform", {"mode": "fan_out", "nonlinearity": "linear"}, math.sqrt(3 / OUT)),
    ("xavier_uniform", {"gain": 2.0}, math.sqrt(3) * xavier(2)),
    ("uniform", {}, 0.05),
    ("uniform", {"bound": 3.0}, 3.0),
]


@pytest.mark.parametrize(("name", "options", "deviation"), NORMAL)
def test_mean_and_deviation_are_those_of_the_formula(
    name: str, options: dict[str, Any], deviation: float
):
    weight = begun(name, **options)
    assert weight.std().item() == pytest.approx(deviation, rel=0.02)
    assert abs(weight.mean().item()) < 0.02 * deviation


@pytest.mark.parametrize(("name", "options", "bound"), UNIFORM)
def test_a_uniform_one_fills_its_bounds(name: str, options: dict[str, Any], bound: float):
    weight = begun(name, **options)
    assert weight.abs().max().item() <= bound * (1 + 1e-6)
    assert weight.max().item() == pytest.approx(bound, rel=0.01)
    assert weight.min().item() == pytest.approx(-bound, rel=0.01)
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)


def test_trunc_normal_cuts_at_deviations():
    weight = begun("trunc_normal", std=0.1, cut=1.5)
    assert 0.145 < weight.abs().max().item() <= 0.15


def test_orthogonal_keeps_lengths():
    weight = begun("orthogonal", 30, 20)
    torch.testing.assert_close(weight.T @ weight, torch.eye(20), atol=1e-5, rtol=0)


def test_fans_of_a_convolution_count_its_window():
    weight = begun("kaiming_normal", 64, 32, 3, 3)
    assert weight.std().item() == pytest.approx(kaiming(32 * 9), rel=0.02)


def test_fixed_values():
    assert (begun("constant", value=0.5) == 0.5).all()
    assert (begun("zeros") == 0).all()
    assert (begun("default") == 7).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(6, 4), (6, 4, 3), (6, 4, 3, 3)])
def test_a_seed_decides_every_weight(name: str, shape: tuple[int, ...]):
    weight = begun(name, *shape, seed=1)
    assert weight.shape == shape
    assert weight.isfinite().all()
    assert torch.equal(weight, begun(name, *shape, seed=1))
    if weight.unique().numel() > 1:
        assert not torch.equal(weight, begun(name, *shape, seed=2))


@pytest.mark.parametrize("component", list(initializations), ids=lambda component: component.name)
def test_every_option_has_a_sentence(component):
    assert component.summary.endswith(".")
    for name, field in component.schema.model_fields.items():
        assert field.description, name
