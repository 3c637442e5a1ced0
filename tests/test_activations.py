"""The activations against torch's own, and the contract that every registered one keeps."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.func import functional_call, vmap

from nnarch.errors import ConfigError
from nnarch.registry import activations
from nnarch.validate import fill_component

NAMES = activations.names()


def build(name: str, **options: object) -> nn.Module:
    spec, faults = fill_component("activation", {"name": name, **options}, ())
    assert not faults
    return activations.build(spec)


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)) * 3


REFERENCES: dict[str, tuple[dict[str, Any], nn.Module]] = {
    "celu": ({"alpha": 0.7}, nn.CELU(alpha=0.7)),
    "elu": ({"alpha": 0.7}, nn.ELU(alpha=0.7)),
    "gelu": ({"approximate": "tanh"}, nn.GELU(approximate="tanh")),
    "hardshrink": ({"lambd": 0.8}, nn.Hardshrink(lambd=0.8)),
    "hardsigmoid": ({}, nn.Hardsigmoid()),
    "hardswish": ({}, nn.Hardswish()),
    "hardtanh": ({"min_val": -0.5, "max_val": 2}, nn.Hardtanh(min_val=-0.5, max_val=2)),
    "identity": ({}, nn.Identity()),
    "leaky_relu": ({"slope": 0.2}, nn.LeakyReLU(negative_slope=0.2)),
    "log_sigmoid": ({}, nn.LogSigmoid()),
    "mish": ({}, nn.Mish()),
    "prelu": ({"init": 0.1}, nn.PReLU(init=0.1)),
    "relu": ({}, nn.ReLU()),
    "relu6": ({}, nn.ReLU6()),
    "rrelu": ({"lower": 0.1, "upper": 0.5}, nn.RReLU(lower=0.1, upper=0.5)),
    "selu": ({}, nn.SELU()),
    "sigmoid": ({}, nn.Sigmoid()),
    "silu": ({}, nn.SiLU()),
    "softplus": ({"beta": 2, "threshold": 5}, nn.Softplus(beta=2, threshold=5)),
    "softshrink": ({"lambd": 0.8}, nn.Softshrink(lambd=0.8)),
    "softsign": ({}, nn.Softsign()),
    "tanh": ({}, nn.Tanh()),
    "tanhshrink": ({}, nn.Tanhshrink()),
    "threshold": ({"threshold": 0.5, "value": -1}, nn.Threshold(0.5, -1)),
}


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("training", [False, True])
def test_an_activation_is_that_of_torch(name: str, training: bool):
    options, reference = REFERENCES[name]
    ours, inputs = build(name, **options), numbers(50)
    outputs = []
    for module in (ours, reference):
        torch.manual_seed(0)  # rrelu draws its slopes in training
        outputs.append(module.train(training)(inputs))
    assert torch.equal(*outputs)


def test_every_activation_has_a_reference():
    home = "nnarch.models.activations"
    ours = {each.name for each in activations if each.builder.__module__ == home}
    assert ours == set(REFERENCES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(5,), (4, 3), (2, 3, 4, 5)])
def test_the_shape_is_kept_and_the_input_left_alone(name: str, shape: tuple[int, ...]):
    inputs = numbers(*shape)
    before = inputs.clone()
    assert build(name)(inputs).shape == shape
    assert torch.equal(inputs, before)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [0.0, 1.0, 1e4])
def test_values_and_gradients_are_finite(name: str, size: float):
    inputs = torch.tensor([-size, size], requires_grad=True)
    outputs = build(name)(inputs)
    outputs.sum().backward()
    assert outputs.isfinite().all()
    assert inputs.grad is not None
    assert inputs.grad.isfinite().all()


@pytest.mark.parametrize(
    "name", [each.name for each in activations if each.facts.get("stacks", True)]
)
def test_many_networks_at_once_give_what_each_gives_alone(name: str):
    module = build(name).eval()
    state = {key: torch.stack([value, 2 * value]) for key, value in module.state_dict().items()}
    inputs = numbers(2, 6, 3)

    def apply(state: dict[str, torch.Tensor], inputs: torch.Tensor) -> torch.Tensor:
        return functional_call(module, state, (inputs,))

    alone = [apply({key: value[i] for key, value in state.items()}, inputs[i]) for i in range(2)]
    torch.testing.assert_close(vmap(apply)(state, inputs), torch.stack(alone))


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("rrelu", {"lower": 0.5, "upper": 0.1}, "expected lower <= upper"),
        ("hardtanh", {"min_val": 1, "max_val": 1}, "expected min_val < max_val"),
    ],
)
def test_limits_the_wrong_way_round_are_refused(name: str, options: dict[str, Any], expected: str):
    with pytest.raises(ConfigError, match=expected):
        build(name, **options)


@pytest.mark.parametrize("component", list(activations), ids=lambda component: component.name)
def test_every_option_has_a_sentence(component):
    assert component.summary.endswith(".")
    for name, field in component.schema.model_fields.items():
        assert field.description, name
