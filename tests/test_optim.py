"""The optimizers against torch's own, and the contract that every registered one keeps."""

import copy
import io
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim
from torch.fx.experimental.proxy_tensor import make_fx

from nnarch.errors import ConfigError
from nnarch.optim.rules import State
from nnarch.optim.stepper import PIECE, SMALL, Stepper
from nnarch.registry import optimizers
from nnarch.validate import fill_component

NAMES = optimizers.names()


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))


def build(name: str, parameters: Any, **options: object) -> Any:
    spec, faults = fill_component("optimizer", {"name": name, **options}, ())
    assert not faults
    return optimizers.build(spec, parameters)


def closure(net: nn.Module, optimizer: Any) -> Callable[[], Any]:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(32, 4, generator=generator)
    targets = inputs[:, :1] - 0.5 * inputs[:, 1:2] * inputs[:, 2:3]

    def evaluate() -> Any:
        optimizer.zero_grad()
        loss = (net(inputs) - targets).square().mean()
        loss.backward()
        return loss.detach()

    return evaluate


def take(steps: int, net: nn.Module, optimizer: Any) -> list[float]:
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


STRUCTURES: list[tuple[str, dict[str, Any], Callable[..., optim.Optimizer]]] = [
    *((name, *reference) for name, reference in REFERENCES.items()),
    ("sgd", {"lr": 0.1}, lambda p: optim.SGD(p, lr=0.1)),
    ("sgd", {"momentum": 0.9}, lambda p: optim.SGD(p, lr=0.01, momentum=0.9)),
    ("sgd", {"weight_decay": 0.1}, lambda p: optim.SGD(p, lr=0.01, weight_decay=0.1)),
    (
        "adagrad",
        {"lr_decay": 0.1, "weight_decay": 0.1},
        lambda p: optim.Adagrad(p, lr_decay=0.1, weight_decay=0.1),
    ),
    (
        "sgd",
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.3},
        lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.3),
    ),
    ("adam", {"weight_decay": 0.1}, lambda p: optim.Adam(p, weight_decay=0.1)),
    ("adamw", {}, lambda p: optim.AdamW(p)),
    ("nadam", {"weight_decay": 0.1}, lambda p: optim.NAdam(p, weight_decay=0.1)),
    (
        "radam",
        {"weight_decay": 0.1, "betas": [0.9, 0.5]},
        lambda p: optim.RAdam(p, weight_decay=0.1, betas=(0.9, 0.5)),
    ),
    ("rmsprop", {}, lambda p: optim.RMSprop(p)),
    ("adafactor", {}, lambda p: optim.Adafactor(p)),
]
RULES = [each for each in STRUCTURES if each[0] != "lbfgs"]


def identified(value: Any) -> str:
    return value if isinstance(value, str) else ""


SHAPES = [(3, 4), (5,), (2, 3, 2), (1, 6), ()]


def parameters(dtype: torch.dtype = torch.float64, seed: int = 0) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(s, generator=generator, dtype=dtype)) for s in SHAPES]


@pytest.fixture
def exact():
    """torch keeps some of its counts in the default dtype."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def random_steps(optimizer: Any, steps: range) -> None:
    """Steps along gradients that depend on the step's number alone, as does the rate."""
    (group,) = optimizer.param_groups
    base = group["lr"]
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        for each in group["params"]:
            gradient = torch.randn(each.shape, generator=generator, dtype=torch.float64)
            each.grad = (gradient + 0.5).to(each.dtype) * (step % 7 != 3)
        group["lr"] = base / (1 + step % 4)
        optimizer.step()
    group["lr"] = base


@pytest.mark.parametrize(("name", "options", "reference"), RULES, ids=identified)
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-10), (torch.float32, 2e-4)])
@pytest.mark.usefixtures("exact")
def test_every_rule_is_torchs(name: str, options: dict, reference: Any, dtype: Any, rtol: float):
    ours, theirs = parameters(dtype), parameters(dtype)
    random_steps(build(name, ours, **options), range(30))
    random_steps(reference(theirs), range(30))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=rtol, atol=rtol / 10)


def grouped(params: list[nn.Parameter]) -> list[dict[str, Any]]:
    """Three groups, of which one has a rate and one a decay of its own."""
    first, *others, last = params
    return [{"params": others}, {"params": [first], "lr": 0.3}, {"params": [last]}]


@pytest.mark.parametrize(("name", "options", "reference"), RULES, ids=identified)
@pytest.mark.usefixtures("exact")
def test_every_rule_has_groups_as_torch_has(name: str, options: dict, reference: Any):
    ours, theirs = parameters(), parameters()
    groups = grouped(ours), grouped(theirs)
    for made in groups if name != "rprop" else ():
        made[0]["weight_decay"] = 0.4
    mine, other = build(name, groups[0], **options), reference(groups[1])
    for step in range(20):
        for params, optimizer in ((ours, mine), (theirs, other)):
            generator = torch.Generator().manual_seed(step)
            for each in params:
                each.grad = torch.randn(each.shape, generator=generator, dtype=each.dtype)
            optimizer.step()
        if step == 9:
            state = copy.deepcopy(mine.state_dict())
            mine = build(name, grouped(ours), **options)
            mine.load_state_dict(state)
    for one, another in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, another, rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("exact")
def test_muon_has_groups_of_matrices_and_of_others():
    ours, theirs = parameters(), parameters()
    mine = build("muon", [{"params": ours[:2]}, {"params": ours[2:], "lr": 0.2}], lr=0.1)
    muon = {"weight_decay": 0.1, "adjust_lr_fn": "match_rms_adamw"}
    others = [
        optim.Muon([theirs[0]], lr=0.1, **muon),
        optim.AdamW([theirs[1]], lr=0.1, weight_decay=0.1),
        optim.Muon([theirs[3]], lr=0.2, **muon),
        optim.AdamW([theirs[2], theirs[4]], lr=0.2, weight_decay=0.1),
    ]
    for step in range(5):
        for params, optimizers_ in ((ours, [mine]), (theirs, others)):
            generator = torch.Generator().manual_seed(step)
            for each in params:
                each.grad = torch.randn(each.shape, generator=generator, dtype=each.dtype)
            for optimizer in optimizers_:
                optimizer.step()
    for one, another in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, another, rtol=1e-10, atol=1e-12)


def test_a_state_of_other_groups_is_refused():
    params = parameters()
    state = build("adamw", grouped(params)).state_dict()
    with pytest.raises(ValueError, match=r"a state of 3 \+ 1 \+ 1 parameters is not one of 5"):
        build("adamw", params).load_state_dict(state)


def test_settled_parameters_stay_where_they_are():
    net = network()
    optimizer = build("adamw", net.parameters())
    closure(net, optimizer)()
    before = weights(net)
    optimizer.settle()
    assert torch.equal(weights(net), before)
    places = [each.data_ptr() for each in net.parameters()]
    again = network()
    take(3, net, optimizer)
    take(3, again, build("adamw", again.parameters()))
    assert [each.data_ptr() for each in net.parameters()] == places
    assert torch.equal(weights(net), weights(again))


def gradients_of(step: int, params: list[nn.Parameter], missing: Any = ()) -> list[Tensor | None]:
    generator = torch.Generator().manual_seed(step)
    drawn = [torch.randn(each.shape, generator=generator, dtype=each.dtype) for each in params]
    return [None if number in missing else each for number, each in enumerate(drawn)]


@pytest.mark.parametrize(("name", "options", "_"), RULES, ids=identified)
def test_a_step_is_to_settle_to_join_and_to_advance(name: str, options: dict, _: Any):
    """With gradients that are handed over, and no parameter need have."""
    whole, cut = parameters(torch.float32), parameters(torch.float32)
    optimizer, other = build(name, whole, **options), build(name, cut, **options)
    for step, missing in enumerate([(), (), (1,), (1, 4), (0, 1, 2, 3, 4), (), ()]):
        gradients = gradients_of(step, whole, missing)
        for each, gradient in zip(whole, gradients, strict=True):
            each.grad = gradient
        optimizer.step()
        other.settle(gradients)
        other.advance(other.joined(gradients))
    assert all(torch.equal(a, b) for a, b in zip(whole, cut, strict=True))
    torch.testing.assert_close(optimizer.state_dict(), other.state_dict(), rtol=0, atol=0)


def test_gradients_are_joined_as_the_parts_that_have_some_lie_in_memory():
    params = parameters()
    optimizer = build("adamw", grouped(params))
    assert optimizer.parts == []
    assert list(map(id, optimizer.parameters)) == list(
        map(id, [*params[1:4], params[0], *params[4:]])
    )
    gradients = gradients_of(0, optimizer.parameters, missing=(1, 3))
    optimizer.settle(gradients)
    first, second = optimizer.parts
    assert [len(first.parameters), len(second.parameters)] == [2, 1]
    assert second.hyper is optimizer.param_groups[2]

    present = [each for each in gradients if each is not None]

    def join(vector: Tensor, cube: Tensor, number: Tensor) -> list[Tensor]:
        return optimizer.joined([vector, None, cube, None, number])

    for joined in (join(*present), make_fx(join)(*present)(*present)):
        vector, cube, number = present
        assert torch.equal(joined[0], torch.cat([vector, cube.flatten()]))
        assert torch.equal(joined[1], number.view(1))
        assert [each.shape for each in joined] == [first.weight.shape, second.weight.shape]


def test_a_copy_steps_with_its_own_memory_wherever_that_comes_to_lie():
    (original,) = params = [nn.Parameter(torch.ones(3))]
    optimizer = build("sgd", params)
    original.grad = torch.ones(3)
    optimizer.step()
    copied = copy.deepcopy(optimizer)
    (parameter,) = copied.parameters
    parameter.data = original.data
    parameter.grad = torch.ones(3)
    before = parameter.detach().clone()
    copied.step()
    assert (parameter < before).all()


@pytest.mark.parametrize("name", REFERENCES)
def test_options_reach_torch(name: str):
    options, reference = REFERENCES[name]
    ours, theirs = network(), network()
    take(20, ours, build(name, ours.parameters(), **options))
    take(20, theirs, reference(theirs.parameters()))
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-4, atol=1e-6)


def rule_of(name: str, options: dict[str, Any]) -> tuple[Any, dict[str, float]]:
    stepper = build(name, [nn.Parameter(torch.ones(1))], **options)
    assert isinstance(stepper, Stepper)
    return stepper.rule, {k: v for k, v in stepper.param_groups[0].items() if k != "params"}


def follow(update: Any, weight: Tensor, state: State, hyper: Any, steps: int = 8) -> Tensor:
    for step in range(steps):
        generator = torch.Generator().manual_seed(step)
        gradient = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        weight, state = update(weight, gradient.to(weight.dtype), state, hyper)
    return weight


@pytest.mark.parametrize(("name", "options", "_"), RULES, ids=identified)
@pytest.mark.parametrize("shape", [(3, 2, 4), (3, 5)])
@pytest.mark.parametrize("way", ["vmap", "broadcast"])
def test_stacked_members_go_where_each_goes_alone(
    name: str, options: dict, _: Any, shape: tuple[int, ...], way: str
):
    rule, hyper = rule_of(name, options)
    members = [{key: value * (1 - 0.1 * i) for key, value in hyper.items()} for i in range(3)]
    stack = torch.randn(shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    together = {
        key: torch.tensor([member[key] for member in members], dtype=torch.float64) for key in hyper
    }
    if way == "vmap":
        state = torch.func.vmap(rule.init)(stack)
        ours = follow(torch.func.vmap(rule.update), stack, state, together)
    elif rule.elementwise:
        spread = {key: value.view(3, *[1] * (len(shape) - 1)) for key, value in together.items()}
        ours = follow(rule.update, stack, rule.init(stack), spread)
    else:
        return

    for i, member in enumerate(members):
        weight, state = stack[i], rule.init(stack[i])
        for step in range(8):
            generator = torch.Generator().manual_seed(step)
            gradient = torch.randn(shape, generator=generator, dtype=torch.float64)[i]
            weight, state = rule.update(weight, gradient, state, member)
        torch.testing.assert_close(ours[i], weight, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("name", "options", "_"), RULES, ids=identified)
def test_stacked_members_keep_single_precision(name: str, options: dict, _: Any):
    rule, hyper = rule_of(name, options)
    stack = torch.ones(3, 2, 4)
    members = {key: torch.full((3,), value, dtype=torch.float64) for key, value in hyper.items()}
    state = torch.func.vmap(rule.init)(stack)
    weight, new = torch.func.vmap(rule.update)(stack, stack, state, members)
    assert weight.dtype == torch.float32
    assert {key: value.dtype for key, value in new.items()} == {
        key: value.dtype for key, value in state.items()
    }
    assert {key: value.shape for key, value in new.items()} == {
        key: value.shape for key, value in state.items()
    }


@pytest.mark.parametrize(("name", "options", "_"), RULES, ids=identified)
def test_a_rule_changes_nothing_that_it_is_given(name: str, options: dict, _: Any):
    rule, hyper = rule_of(name, options)
    weight, gradient = torch.randn(3, 4), torch.randn(3, 4)
    _, state = rule.update(weight, gradient, rule.init(weight), hyper)
    given = (weight, gradient, state, hyper)
    before = copy.deepcopy(given)
    rule.update(*given)
    torch.testing.assert_close(given, before, rtol=0, atol=0)


@pytest.mark.parametrize(("name", "options", "_"), RULES, ids=identified)
def test_a_traced_step_goes_where_the_rule_goes(name: str, options: dict, _: Any):
    rule, numbers = rule_of(name, options)
    hyper = {key: torch.tensor(value, dtype=torch.float64) for key, value in numbers.items()}
    weight = torch.linspace(-1, 1, 12, dtype=torch.float64).view(3, 4)
    traced = make_fx(rule.update)(weight, torch.ones_like(weight), rule.init(weight), hyper)
    ours = follow(traced, weight, rule.init(weight), hyper)
    torch.testing.assert_close(ours, follow(rule.update, weight, rule.init(weight), hyper))
    torch.testing.assert_close(ours, follow(rule.update, weight, rule.init(weight), numbers))


KERNELS = [each for each in RULES if rule_of(*each[:2])[0].in_place]


def random(step: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(step)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def test_the_usual_optimizers_have_kernels():
    assert {name for name, *_ in KERNELS} == {"sgd", "adam", "adamw", "adagrad"}
    rules = {rule_of(*each[:2])[0] for each in KERNELS}
    assert len(rules) == 9  # momentum, dampening and nesterov; amsgrad; from zero


@pytest.mark.parametrize(("name", "options", "_"), KERNELS, ids=identified)
@pytest.mark.parametrize("shape", [(1,), (241,), (7, 33), (0,)])
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-11), (torch.float32, 1e-5)])
def test_a_kernel_goes_where_its_rule_goes(
    name: str, options: dict, _: Any, shape: tuple[int, ...], dtype: torch.dtype, rtol: float
):
    """Each for itself, and one from where the other ended."""
    rule, hyper = rule_of(name, options)
    weight = random(99, shape, dtype)
    expected, state = weight, plain(rule.init(weight))
    ways = {way: (weight.clone(), plain(rule.init(weight))) for way in ("kernel", "turns")}
    for step in range(100):
        gradient = random(step, shape, dtype)
        hyper["lr"] = 0.02 / (1 + step % 3)
        expected, state = rule.update(expected, gradient, state, hyper)
        for way, (own, its) in ways.items():
            if way == "turns" and step // 10 % 2:
                ways[way] = rule.update(own, gradient, its, hyper)
            else:
                rule.in_place(own, gradient, its, hyper)
    for own, its in ways.values():
        torch.testing.assert_close(own, expected, rtol=rtol, atol=rtol)
        torch.testing.assert_close(its, state, rtol=rtol, atol=rtol)


def plain(state: State) -> dict[str, Any]:
    """As a `Stepper` keeps it, in memory of its own."""
    return {name: each.clone() if each.dim() else float(each) for name, each in state.items()}


@pytest.mark.parametrize(("name", "options", "reference"), KERNELS, ids=identified)
def test_weights_gradients_and_states_may_lie_in_memory_in_any_order(
    name: str, options: dict, reference: Any
):
    """Kernels do not ask how a tensor is strided."""
    straight = nn.Parameter(random(1, (3, 4), torch.float64))
    turned = nn.Parameter(random(1, (3, 4), torch.float64).t().contiguous().t())
    theirs = nn.Parameter(straight.detach().clone())
    optimizers_ = build(name, [straight], **options), build(name, [turned], **options)
    expected = reference([theirs])
    for step in range(6):
        gradient = random(step, (3, 4), torch.float64)
        for each, other in ((straight, gradient.t().contiguous().t()), (turned, gradient)):
            each.grad = other
        theirs.grad = gradient.clone()
        for each in (*optimizers_, expected):
            each.step()
        if step == 2:
            states = [each.state_dict() for each in reversed(optimizers_)]
            for each, state in zip(optimizers_, states, strict=True):
                each.load_state_dict(turned_over(state))
    for each in (straight, turned):
        torch.testing.assert_close(each, theirs, rtol=1e-6, atol=1e-8)


def turned_over(state: dict[str, Any]) -> dict[str, Any]:
    """The same state with its tensors in memory column by column."""
    states = {
        number: {
            name: value.t().contiguous().t() if isinstance(value, Tensor) else value
            for name, value in each.items()
        }
        for number, each in state["state"].items()
    }
    return state | {"state": states}


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_weights_of_less_precision_go_by_the_rule(name: str):
    parameter = nn.Parameter(random(0, (3, 4), torch.bfloat16))
    optimizer = build(name, [parameter], weight_decay=0.1)
    rule, hyper = optimizer.rule, optimizer.param_groups[0]
    weight, state = parameter.detach().clone(), plain(rule.init(parameter.detach()))
    for step in range(3):
        parameter.grad = random(step, (3, 4), torch.bfloat16)
        optimizer.step()
        weight, state = rule.update(weight, parameter.grad, state, hyper)
    assert torch.equal(parameter, weight)


def test_the_same_structure_is_the_same_rule():
    first, _ = rule_of("adamw", {"lr": 0.1, "weight_decay": 0.5})
    second, _ = rule_of("adamw", {"betas": [0.5, 0.9]})
    assert first is second
    assert first is not rule_of("adamw", {"amsgrad": True})[0]


def test_every_optimizer_has_a_reference():
    assert {*REFERENCES, "muon"} >= {name for name in NAMES if optimizers.get(name).is_ours}


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
    kept = copy.deepcopy(net)
    torch.save(optimizer.state_dict(), file := io.BytesIO())
    take(5, net, optimizer)

    file.seek(0)
    resumed = build(name, kept.parameters(), lr=0.123)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    take(5, kept, resumed)
    assert torch.equal(weights(net), weights(kept))


@pytest.mark.parametrize(("name", "options", "_"), RULES, ids=identified)
def test_every_structure_goes_on_bit_for_bit(name: str, options: dict, _: Any):
    straight, cut = parameters(), parameters()
    random_steps(build(name, straight, **options), range(10))
    first = build(name, cut, **options)
    random_steps(first, range(4))
    torch.save(first.state_dict(), file := io.BytesIO())
    file.seek(0)
    second = build(name, cut, **options)
    second.load_state_dict(torch.load(file, weights_only=True))
    random_steps(second, range(4, 10))
    assert all(torch.equal(a, b) for a, b in zip(straight, cut, strict=True))


@pytest.mark.parametrize(("name", "options", "_"), RULES, ids=identified)
def test_gradients_that_come_and_go_leave_no_trace_in_the_bits(name: str, options: dict, _: Any):
    """What lies beside a number in memory may decide its last bit."""
    straight, cut = parameters(torch.float32), parameters(torch.float32)
    optimizer = build(name, straight, **options)
    state = optimizer.state_dict()
    for step, missing in enumerate([(0,), (), (), (2, 3), (2, 3), (), (0, 1), (4,), ()]):
        resumed = build(name, cut, **options)
        resumed.load_state_dict(state)
        gradients = gradients_of(step, straight, missing)
        for each in (optimizer, resumed):
            each.settle(gradients)
            each.advance(each.joined(gradients))
        state = resumed.state_dict()
        assert all(torch.equal(a, b) for a, b in zip(straight, cut, strict=True))
        torch.testing.assert_close(state, optimizer.state_dict(), rtol=0, atol=0)


def test_a_state_of_other_parameters_is_refused():
    state = build("adamw", parameters()).state_dict()
    with pytest.raises(ValueError, match="a state of 5 parameters is not one of 2"):
        build("adamw", parameters()[:2]).load_state_dict(state)


def test_a_saved_state_is_not_changed_by_later_steps():
    net = network()
    optimizer = build("adamw", net.parameters())
    take(2, net, optimizer)
    state = optimizer.state_dict()
    before = copy.deepcopy(state)
    take(2, net, optimizer)
    torch.testing.assert_close(state, before, rtol=0, atol=0)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("name", ["sgd", "adamw", "asgd", "adafactor"])
def test_a_parameter_without_a_gradient_is_left_alone_and_its_steps_are_not_counted(name: str):
    options, reference = REFERENCES[name]
    ours, theirs = parameters(), parameters()
    for params, optimizer in (
        (ours, build(name, ours, **options)),
        (theirs, reference(theirs)),
    ):
        for step, missing in enumerate([(0,), (0,), (), (2, 3), (0, 1, 2, 3, 4), (), ()]):
            generator = torch.Generator().manual_seed(step)
            for number, each in enumerate(params):
                gradient = torch.randn(each.shape, generator=generator, dtype=each.dtype)
                each.grad = None if number in missing else gradient
            optimizer.step()
            if step == 3:
                optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("name", ["sgd", "adamw", "nadam"])
def test_large_parameters_and_small_ones_in_one_network(name: str):
    options, reference = REFERENCES[name]
    shapes = [(SMALL + 1,), (3,), (2, SMALL), (4, 2), (7, PIECE // 3), (2, PIECE + 1)]
    ours = [nn.Parameter(torch.ones(shape)) for shape in shapes]
    theirs = copy.deepcopy(ours)
    first, second = (build(name, ours, **options) for _ in range(2))
    random_steps(first, range(3))
    state = first.state_dict()
    before = copy.deepcopy(state)
    second.load_state_dict(state)
    random_steps(second, range(3, 5))
    torch.testing.assert_close(state, before, rtol=0, atol=0)
    random_steps(reference(theirs), range(5))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_parameters_may_be_given_other_memory(name: str):
    """As a conversion, a deep copy or the loading of weights does."""
    options, reference = REFERENCES[name]
    ours, theirs = network(), network()
    optimizer, expected = build(name, ours.parameters(), **options), reference(theirs.parameters())
    take(3, ours, optimizer)
    take(3, theirs, expected)
    for parameter in ours.parameters():
        parameter.data = parameter.data.clone()
    take(3, ours, optimizer)
    take(3, theirs, expected)
    copied, going_on = copy.deepcopy((ours, optimizer))
    take(3, copied, going_on)
    take(3, theirs, expected)
    torch.testing.assert_close(weights(copied), weights(theirs), rtol=1e-4, atol=1e-6)
    ours.load_state_dict(copied.state_dict())
    assert torch.equal(weights(ours), weights(copied))
    take(1, ours, optimizer)
    assert not torch.equal(weights(ours), weights(copied))


def test_weights_in_double_precision_after_the_optimizer_was_built():
    net = network()
    optimizer = build("adamw", net.parameters())
    take(2, net, optimizer)
    net.double()
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = weights(net)
    optimizer.step()
    assert (weights(net) < before).all()
    assert weights(net).dtype == torch.float64


def test_gradients_are_let_go_of_or_zeroed():
    params = parameters()
    optimizer = build("sgd", params)
    random_steps(optimizer, range(1))
    optimizer.zero_grad(set_to_none=False)
    assert all(each.grad is not None and not each.grad.any() for each in params)
    optimizer.zero_grad()
    assert all(each.grad is None for each in params)


def test_the_same_steps_give_the_same_bits():
    first, second = network(), network()
    take(20, first, build("adamw", first.parameters()))
    take(20, second, build("adamw", second.parameters()))
    assert torch.equal(weights(first), weights(second))


def test_no_rule_imports_torchs_compiler():
    """It takes a second, which is a good part of a short run."""
    program = """
import sys, torch
from nnarch.registry import optimizers
from nnarch.validate import fill_component
for name in optimizers.names():
    if name in ("lbfgs", "muon"):
        continue
    weight = torch.nn.Parameter(torch.ones(3, 2))
    spec, faults = fill_component("optimizer", {"name": name}, ())
    optimizer = optimizers.build(spec, [weight])
    for _ in range(2):
        weight.grad = torch.ones(3, 2)
        optimizer.step()
    assert "torch._dynamo" not in sys.modules, name
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_optimizers_are_listed_without_torch():
    program = "import sys, nnarch.optim; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


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
