"""The optimizers against torch's own, and the contract that every registered one keeps."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn, optim

from nnarch.errors import ConfigError
from nnarch.registry import optimizers
from nnarch.validate import fill_component

NAMES = optimizers.names()


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))


def build(name: str, parameters: Any, **options: object) -> optim.Optimizer:
    spec, faults = fill_component("optimizer", {"name": name, **options}, ())
    assert not faults
    return optimizers.build(spec, parameters)


def closure(net: nn.Module, optimizer: optim.Optimizer) -> Callable[[], Any]:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(32, 4, generator=generator)
    targets = inputs[:, :1] - 0.5 * inputs[:, 1:2] * inputs[:, 2:3]

    def evaluate() -> Any:
        optimizer.zero_grad()
        loss = (net(inputs) - targets).square().mean()
        loss.backward()
        return loss.detach()

    return evaluate


def take(steps: int, net: nn.Module, optimizer: optim.Optimizer) -> list[float]:
    """The loss before each of so many steps."""
    evaluate = closure(net, optimizer)
    return [float(optimizer.step(evaluate)) for _ in range(steps)]


def weights(net: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])


REFERENCES: dict[str, tuple[dict[str, Any], Callable[..., optim.Optimizer]]] = {
    "sgd": (
        {"lr": 0.02, "momentum": 0.8, "weight_decay": 0.01, "nesterov": True},
        lambda p: optim.SGD(p, lr=0.02, momentum=0.8, weight_decay=0.01, nesterov=True),
    ),
    "adam": (
        {"lr": 0.02, "betas": [0.8, 0.95], "eps": 1e-4, "weight_decay": 0.1, "amsgrad": True},
        lambda p: optim.Adam(
            p, lr=0.02, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.1, amsgrad=True
        ),
    ),
    "adamw": (
        {"lr": 0.02, "betas": [0.8, 0.95], "eps": 1e-4, "weight_decay": 0.1, "amsgrad": True},
        lambda p: optim.AdamW(
            p, lr=0.02, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.1, amsgrad=True
        ),
    ),
    "adamax": (
        {"lr": 0.02, "betas": [0.8, 0.95], "eps": 1e-4, "weight_decay": 0.1},
        lambda p: optim.Adamax(p, lr=0.02, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.1),
    ),
    "nadam": (
        {"betas": [0.8, 0.95], "weight_decay": 0.1, "momentum_decay": 0.02}
        | {"eps": 1e-4, "decoupled_weight_decay": True},
        lambda p: optim.NAdam(
            p,
            betas=(0.8, 0.95),
            eps=1e-4,
            weight_decay=0.1,
            momentum_decay=0.02,
            decoupled_weight_decay=True,
        ),
    ),
    "radam": (
        {"betas": [0.8, 0.95], "eps": 1e-4, "weight_decay": 0.1, "decoupled_weight_decay": True},
        lambda p: optim.RAdam(
            p, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.1, decoupled_weight_decay=True
        ),
    ),
    "adafactor": (
        {"lr": 0.05, "beta2_decay": -0.5, "eps": 1e-5, "least_scale": 0.01}
        | {"clip": 2.0, "weight_decay": 0.1},
        lambda p: optim.Adafactor(
            p, lr=0.05, beta2_decay=-0.5, eps=(1e-5, 0.01), d=2.0, weight_decay=0.1
        ),
    ),
    "adagrad": (
        {"lr": 0.05, "lr_decay": 0.1, "weight_decay": 0.1}
        | {"initial_accumulator_value": 0.2, "eps": 1e-4},
        lambda p: optim.Adagrad(
            p,
            lr=0.05,
            lr_decay=0.1,
            weight_decay=0.1,
            initial_accumulator_value=0.2,
            eps=1e-4,
        ),
    ),
    "adadelta": (
        {"lr": 0.5, "rho": 0.8, "eps": 1e-4, "weight_decay": 0.1},
        lambda p: optim.Adadelta(p, lr=0.5, rho=0.8, eps=1e-4, weight_decay=0.1),
    ),
    "rmsprop": (
        {"lr": 0.02, "alpha": 0.9, "eps": 1e-4, "weight_decay": 0.1}
        | {"momentum": 0.5, "centered": True},
        lambda p: optim.RMSprop(
            p, lr=0.02, alpha=0.9, eps=1e-4, weight_decay=0.1, momentum=0.5, centered=True
        ),
    ),
    "rprop": (
        {"lr": 0.02, "shrink": 0.4, "grow": 1.3, "least_step": 1e-4, "largest_step": 0.05},
        lambda p: optim.Rprop(p, lr=0.02, etas=(0.4, 1.3), step_sizes=(1e-4, 0.05)),
    ),
    "asgd": (
        {"lr": 0.02, "lambd": 0.01, "alpha": 0.5, "t0": 5, "weight_decay": 0.1},
        lambda p: optim.ASGD(p, lr=0.02, lambd=0.01, alpha=0.5, t0=5, weight_decay=0.1),
    ),
    "lbfgs": (
        {"lr": 0.5, "max_iter": 4, "max_eval": 3, "tolerance_grad": 1e-3}
        | {"tolerance_change": 1e-4, "history_size": 3, "line_search": "none"},
        lambda p: optim.LBFGS(
            p,
            lr=0.5,
            max_iter=4,
            max_eval=3,
            tolerance_grad=1e-3,
            tolerance_change=1e-4,
            history_size=3,
        ),
    ),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_options_reach_torch(name: str):
    options, reference = REFERENCES[name]
    ours, theirs = network(), network()
    take(20, ours, build(name, ours.parameters(), **options))
    take(20, theirs, reference(theirs.parameters()))
    assert torch.equal(weights(ours), weights(theirs))


def test_every_optimizer_has_a_reference():
    assert {*REFERENCES, "muon"} >= {
        name for name in NAMES if optimizers.get(name).builder.__module__ == "nnarch.optim"
    }


def test_muon_is_muon_on_matrices_and_adamw_on_the_rest():
    ours, theirs = network(), network()
    options = {"lr": 0.02, "momentum": 0.9, "nesterov": False, "weight_decay": 0.05}
    adamw = {"betas": [0.8, 0.95], "eps": 1e-4}
    take(20, ours, build("muon", ours.parameters(), ns_steps=3, **options, **adamw))

    matrices = [parameter for parameter in theirs.parameters() if parameter.dim() == 2]
    muon = optim.Muon(matrices, **options, ns_steps=3, adjust_lr_fn="match_rms_adamw")
    biases = [parameter for parameter in theirs.parameters() if parameter.dim() == 1]
    rest = optim.AdamW(biases, lr=0.02, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.05)
    for _ in range(20):
        rest.zero_grad()
        closure(theirs, muon)()
        muon.step()
        rest.step()
    assert torch.equal(weights(ours), weights(theirs))


@pytest.mark.parametrize("shape", [(3, 4), (3,)])
def test_muon_takes_matrices_alone_and_vectors_alone(shape: tuple[int, ...]):
    parameter = nn.Parameter(torch.ones(shape))
    optimizer = build("muon", [parameter])
    parameter.square().sum().backward()
    optimizer.step()
    assert (parameter < 1).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_small_regression_is_learnt(name: str):
    net = network()
    losses = take(40, net, build(name, net.parameters()))
    assert losses[-1] < 0.99 * losses[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_state_goes_on_bit_for_bit(name: str):
    net = network()
    optimizer = build(name, net.parameters())
    take(5, net, optimizer)
    kept, state = copy.deepcopy(net), copy.deepcopy(optimizer.state_dict())
    take(5, net, optimizer)

    resumed = build(name, kept.parameters())
    resumed.load_state_dict(state)
    take(5, kept, resumed)
    assert torch.equal(weights(net), weights(kept))


@pytest.mark.parametrize("name", NAMES)
def test_every_group_has_a_learning_rate_to_be_scheduled(name: str):
    net = network()
    optimizer = build(name, net.parameters(), lr=0.5)
    assert {group["lr"] for group in optimizer.param_groups} == {0.5}
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert {id(parameter) for parameter in held} == {id(each) for each in net.parameters()}


def test_a_rate_set_after_a_restart_moves_both_parts_of_muon():
    net = network()
    optimizer = build("muon", net.parameters())
    optimizer.load_state_dict(optimizer.state_dict())
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    before = weights(net)
    take(1, net, optimizer)
    assert torch.equal(weights(net), before)


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9, "dampening": 0.1}])
def test_nesterov_needs_momentum_without_dampening(options: dict[str, float]):
    with pytest.raises(ConfigError, match="expected momentum > 0 and dampening 0"):
        build("sgd", network().parameters(), nesterov=True, **options)


@pytest.mark.parametrize("component", list(optimizers), ids=lambda component: component.name)
def test_every_option_has_a_sentence(component):
    assert component.summary.endswith(".")
    for name, field in component.schema.model_fields.items():
        assert field.description, name
