"""Training in a stack: each member comes to what it comes to alone.

What a stack is made of is drawn at random; what has a part in it by being registered (a rule, a
loss, a family) is taken from the registry.
"""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from nnarch.registry import activations, losses, models, optimizers
from nnarch.stacked import chance
from nnarch.stacked.activation import KNOWN, Run, activation
from nnarch.stacked.grouping import Kind, kind
from nnarch.stacked.outline import Unstackable
from nnarch.stacked.stack import Stack
from stacks import (
    CLASSES,
    DIGITS,
    NUMBERS,
    TWO,
    WAVES,
    alone,
    check,
    check_history,
    check_outputs,
    ground,
    member,
    together,
)

RULES: dict[str, dict[str, Any]] = {
    "sgd": {"lr": 0.05},
    "momentum": {"name": "sgd", "lr": 0.02, "momentum": 0.9, "nesterov": True},
    "adamw": {"lr": 0.01},
    "adam": {"lr": 0.01, "amsgrad": True},
    "rmsprop": {"lr": 0.002, "momentum": 0.5},
    "nadam": {"lr": 0.01},
}
FORMS: list[dict[str, Any]] = [{"name": each.name} for each in activations]
KNOWN_FORMS: list[dict[str, Any]] = [
    *(form for form in FORMS if type(activations.build(form)) in KNOWN),
    {"name": "elu", "alpha": 0.5},
    {"name": "gelu", "approximate": "tanh"},
    {"name": "leaky_relu", "slope": 0.2},
]
SCHEDULES = [
    "constant",
    {"name": "cosine", "warmup": 1},
    {"name": "plateau", "patience": 1, "factor": 0.5},
    {"name": "step", "every": 1, "gamma": 0.5},
]


@st.composite
def stackable(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Configs of one stack, each with what a member may have of its own."""
    data, loss, metric = draw(
        st.sampled_from(
            [
                (NUMBERS, "mse", "mae"),
                (NUMBERS, "gaussian_nll", "rmse"),
                (CLASSES, "cross_entropy", "accuracy"),
                (TWO, "bce_with_logits", "roc_auc"),
            ]
        )
    )
    rule = draw(st.sampled_from(sorted(RULES)))
    normalization = draw(st.sampled_from(["none", "batch", "layer"]))
    residual, dropout = draw(st.booleans()), draw(st.booleans())
    average, grouped = draw(st.booleans()), draw(st.booleans())
    shared = {
        "data": data,
        "loss": loss,
        "metrics": [metric],
        "batch_size": draw(st.sampled_from([16, 48, 70, "all"])),
        "last_batch": draw(st.sampled_from(["keep", "drop"])),
        "sampling": draw(
            st.sampled_from(["shuffled", "sequential", *["balanced"] * (data is not NUMBERS)])
        ),
        "clip": draw(st.sampled_from([None, {"norm": 0.3}, {"value": 0.05}])),
    }

    def one() -> dict[str, Any]:
        least = 3 if normalization == "layer" else 1  # what is less, it makes nearly constant
        widths = draw(st.lists(st.integers(least, 9), min_size=2, max_size=2))
        model = {"name": "mlp", "widths": [4 + widths[0]] * 2 if residual else widths}
        model |= {"normalization": normalization, "residual": residual}
        model["bias"] = normalization != "batch"  # which takes all effect from it
        model["activation"] = draw(st.sampled_from([*KNOWN_FORMS, "softplus"]))
        model["dropout"] = draw(st.sampled_from([0.1, 0.5])) if dropout else 0.0
        optimizer = {"name": rule, **RULES[rule]}
        optimizer["lr"] *= draw(st.sampled_from([0.3, 1.0, 2.0]))
        optimizer["weight_decay"] = draw(st.sampled_from([0.0, 0.1]))
        if grouped:
            optimizer["groups"] = [{"match": "biases", "lr": draw(st.sampled_from([0.001, 0.02]))}]
        stopping = draw(st.sampled_from([None, {"patience": 1}]))
        return shared | {
            "model": model,
            "optimizer": optimizer,
            "seed": draw(st.integers(0, 1)),
            "schedule": draw(st.sampled_from(SCHEDULES)),
            "average": {"decay": draw(st.sampled_from([0.5, 0.9]))} if average else None,
            "early_stopping": stopping,
            "monitor": draw(st.sampled_from(["val_loss", f"val_{metric}", "train_loss"])),
        }

    return [one() for _ in range(draw(st.integers(2, 4)))]


@settings(max_examples=12)
@given(stackable())
def test_a_member_comes_to_what_it_comes_to_alone(changes: list[dict[str, Any]]):
    members, stack = together(changes)
    # of a scale that batch normalization takes the effect from, the gradient is near zero
    tolerance = 1e-7 if changes[0]["model"]["normalization"] == "batch" else 1e-9
    for each, config, evaluation in zip(members, changes, stack.evaluations(), strict=True):
        reference = alone(config)
        check(reference, each, tolerance)
        if reference.evaluation is None or evaluation is None:
            assert reference.evaluation is evaluation
        else:
            assert evaluation.loss == pytest.approx(reference.evaluation.loss, rel=1e-7)
            assert evaluation.metrics == pytest.approx(reference.evaluation.metrics, rel=1e-6)


def test_every_known_activation_is_held_against_torch_s():
    assert {type(activations.build(form)) for form in KNOWN_FORMS} == KNOWN.keys()


@pytest.mark.parametrize("unknown", [[], ["softplus"]], ids=["known", "unknown too"])
def test_networks_that_differ_in_their_activations_are_one_stack(unknown: list[str]):
    changes = [
        {"model": {"name": "mlp", "widths": [3 + place % 4, 6 - place % 3], "activation": word}}
        for place, word in enumerate([*KNOWN_FORMS, *unknown])
    ]
    for each, config in zip(together(changes)[0], changes, strict=True):
        check(alone(config), each)


class Own(nn.Module):
    """A function that is not known."""

    def forward(self, x: Tensor) -> Tensor:
        return x * x + 1


@pytest.mark.parametrize("unknown", [[], [Own()]], ids=["known", "unknown too"])
def test_an_activation_is_torch_s_of_each_with_its_gradient(unknown: list[nn.Module]):
    modules = [*map(activations.build, KNOWN_FORMS), *unknown]
    width, rows = 5, 7
    there = (torch.arange(width) < 3).double().view(1, width, 1)
    runs = [
        Run(module, 2, there if isinstance(module, nn.Sigmoid | Own) else None)
        for module in modules
    ]
    generator = torch.Generator().manual_seed(0)
    shape = 2 * len(runs), width, rows
    given, weight = (torch.randn(shape, generator=generator, dtype=torch.double) for _ in range(2))
    given[:, 0, 0] = torch.linspace(-30, 30, shape[0])
    made = activation(runs)(state := given.clone().requires_grad_())
    (made * weight).sum().backward()
    for place, run in enumerate(runs):
        pair = slice(2 * place, 2 * place + 2)
        expected = run.module(own := given[pair].clone().requires_grad_())
        expected = expected if run.there is None else expected * run.there
        (expected * weight[pair]).sum().backward()
        torch.testing.assert_close(made[pair], expected, rtol=0, atol=1e-14)
        assert state.grad is not None
        torch.testing.assert_close(state.grad[pair], own.grad, rtol=0, atol=1e-13)


def test_tanh_is_torch_s_to_the_last_digits_of_one():
    given = torch.cat([torch.linspace(-100, 100, 9001), torch.linspace(-1e-3, 1e-3, 9001)])
    made = activation([Run(nn.Tanh(), 1)])(given.view(1, 1, -1)).flatten()
    torch.testing.assert_close(made, given.tanh(), rtol=0, atol=1e-6)


def test_biases_that_have_no_effect_change_none():
    changes = varied(model={"name": "mlp", "widths": [6, 5], "normalization": "batch"})
    for each, config in zip(together(changes)[0], changes, strict=True):
        check_outputs(alone(config), each)


def varied(**changes: Any) -> list[dict[str, Any]]:
    """Two configs that differ in rate and seed; others as given."""
    optimizer = changes.pop("optimizer", {"name": "adamw"})
    return [
        {**changes, "seed": seed, "optimizer": {**optimizer, "lr": 0.01 * (seed + 1)}}
        for seed in range(2)
    ]


@pytest.mark.parametrize(
    "name", [each.name for each in optimizers if not each.facts.get("closure")]
)
def test_any_rule_of_ours_moves_a_stack_as_it_moves_one(name: str):
    changes = varied(optimizer={"name": name}, epochs=2)
    if name == "muon":  # which is not one rule
        with pytest.raises(Unstackable, match="muon is none of nnarch's own rules"):
            kind(member(changes[0]))
        return
    for each, config in zip(together(changes)[0], changes, strict=True):
        check(alone(config), each)


@pytest.mark.parametrize("name", [each.name for each in losses])
def test_any_loss_is_that_of_each(name: str):
    data = {"regression": NUMBERS, "binary": TWO, "multiclass": CLASSES}
    of = next(of for of in losses.get(name).facts["tasks"] if of in data)
    counts = of == "regression" and not losses.get(name).facts["standardize"]
    chosen = {"source": "sklearn", "dataset": "diabetes"} if counts else data[of]
    optimizer = {"name": "sgd", "weight_decay": 0.1} if not counts else {"name": "adam"}
    changes = varied(data=chosen, loss=name, epochs=2, optimizer=optimizer)
    for each, config in zip(together(changes)[0], changes, strict=True):
        check(alone(config), each)


FAMILIES: dict[str, list[dict[str, Any]]] = {
    "cnn": [{"data": DIGITS, "model": {"widths": [3], "dropout": 0.2}}],
    "dlinear": [{"data": WAVES, "model": {"kernel": 3}}],
    "ft_transformer": [{"model": {"width": 8, "depth": 1, "heads": 2, "hidden": 5}}],
    "gpt": [],
    "layers": [
        {
            "model": {
                "layers": [
                    {"Linear": 6, "as": "first"},
                    {"concat": [[{"Linear": 3}, "tanh"], [{"Linear": 3}, {"Dropout": 0.3}]]},
                    {"sum": [[{"Linear": 6}], [{"from": "first"}]]},
                    {"Linear": "out"},
                ]
            }
        },
        {"data": DIGITS, "model": {"layers": ["BatchNorm2d", {"Conv2d": {
            "out_channels": 3, "kernel_size": 3}}, "relu", {"Dropout2d": 0.3}, "Flatten",
            {"Linear": "out"}]}},
    ],
    "mixer": [{"data": DIGITS, "model": {
        "patch": 4, "width": 4, "depth": 1, "dropout": 0.1, "stochastic_depth": 0.2}}],
    "mlp": [
        {"model": {"widths": [4], "numbers": "linear", "embedding_width": 3}},
        {"model": {"widths": [4], "numbers": "periodic", "embedding_width": 3, "frequencies": 2}},
        {"model": {"widths": [4], "numbers": "piecewise", "bins": 3}},
        {"model": {"widths": [4, 3], "activation": "prelu"}},
    ],
    "nlinear": [{"data": WAVES, "model": {}}],
    "resnet": [{"data": DIGITS, "model": {"width": 2, "stages": [1]}}],
    "resnet_mlp": [{"model": {"width": 4, "hidden": 5, "depth": 1, "residual_dropout": 0.1}}],
    "rnn": [],
    "tabm": [{"model": {"widths": [5], "members": 3}}],
    "tcn": [{"data": WAVES, "model": {"width": 3, "depth": 2}}],
    "transformer": [
        {"data": WAVES, "model": {"width": 4, "depth": 1, "heads": 2, "stochastic_depth": 0.2}}
    ],
    "vit": [{"data": DIGITS, "model": {"patch": 4, "width": 4, "depth": 1, "heads": 2}}],
}  # fmt: skip


def test_every_family_is_held_against_itself_alone():
    assert FAMILIES.keys() == {each.name for each in models}


CASES = [(name, each) for name, cases in FAMILIES.items() for each in cases]


@pytest.mark.parametrize(("name", "changes"), CASES, ids=[name for name, _ in CASES])
def test_a_family_comes_to_what_it_comes_to_alone(name: str, changes: dict[str, Any]):
    model = {"name": name, **changes["model"]}
    changes = changes | {"model": model, "epochs": 1}
    both = varied(**changes, optimizer={"name": "sgd", "momentum": 0.9})
    for each, config in zip(together(both)[0], both, strict=True):
        check(alone(config), each)


def test_networks_that_are_mapped_share_batches_too():
    model = {"name": "tabm", "widths": [5], "members": 3}
    changes = [
        {"model": {**model, "dropout": share}, "seed": 1, "data": CLASSES} for share in (0.1, 0.4)
    ]
    for each, config in zip(together(changes)[0], changes, strict=True):
        check(alone(config), each)


@pytest.mark.parametrize("family", ["mlp", "tabm"])
def test_too_many_numbers_to_hold_are_drawn_by_each_member(
    family: str, monkeypatch: pytest.MonkeyPatch
):
    model = {"name": family, "widths": [5, 4]}
    changes = [
        {"model": {**model, "dropout": share}, "seed": seed}
        for share, seed in [(0.3, 0), (0.1, 1), (0.3, 1)]
    ]
    monkeypatch.setattr(chance, "MOST", 0)
    for each, config in zip(together(changes)[0], changes, strict=True):
        check(alone(config), each)


def test_in_single_precision_losses_are_the_same_to_rounding():
    changes = varied(precision="float32", model={"name": "mlp", "widths": [9, 4], "dropout": 0.2})
    for each, config in zip(together(changes)[0], changes, strict=True):
        check_history(alone(config).history, each.history, 1e-4)


def test_one_that_diverges_leaves_the_others_as_they_are():
    changes = [{"optimizer": {"name": "sgd", "lr": rate}} for rate in (0.01, 1e30, 0.02)]
    members, _ = together(changes)
    assert "training diverged" in (members[1].fault or "")
    for each, config in zip(members, changes, strict=True):
        check(alone(config), each)


def test_one_that_stops_early_stays_where_it_is():
    waits = {"early_stopping": {"patience": 1}, "monitor": "train_loss"}
    still = {"name": "sgd", "lr": 1e-30}
    changes = [{**waits, "optimizer": still, "epochs": 5}, {"optimizer": still, "epochs": 5}]
    changes[1] = {**changes[1], "optimizer": {"name": "sgd", "lr": 0.05}}
    members, _ = together(changes)
    assert [len(each.history) for each in members] == [len(alone(changes[0]).history), 5]
    assert len(members[0].history) < 5
    for each, config in zip(members, changes, strict=True):
        check(alone(config), each)


@pytest.mark.parametrize("family", ["mlp", "tabm"])
def test_those_that_go_on_in_another_stack_end_where_they_would_have(family: str):
    model = {"name": family, "widths": [5, 4], "dropout": 0.2}
    if family == "mlp":
        model["normalization"] = "layer"
    changes = [
        {
            "model": model,
            "epochs": 4,
            "seed": seed,
            "schedule": {"name": "cosine", "warmup": 1},
            "average": {"decay": 0.9},
        }
        for seed in range(3)
    ]
    members = [member(each) for each in changes]
    first = Stack(members, ground(changes[0]))
    for until in (1, 2):
        list(first.epochs(until))
        first.write()
    chosen = [members[2], members[0]]
    second = Stack(chosen, ground(changes[0]))
    list(second.epochs(4))
    second.write()
    check(alone(changes[2]), members[2])
    check(alone(changes[0]), members[0])
    assert members[1].training.epoch == 2


def test_a_member_that_goes_on_by_itself_ends_where_it_would_have():
    changes = varied(model={"name": "mlp", "widths": [5, 7], "normalization": "batch"})
    members, _ = together([{**each, "epochs": 3} for each in changes])
    first = [member(each) for each in changes]
    stack = Stack(first, ground(changes[0]))
    list(stack.epochs(2))
    stack.write()
    last = Stack(first[:1], ground(changes[0]))
    list(last.epochs(3))
    last.write()
    torch.testing.assert_close(first[0].best, members[0].best, rtol=1e-9, atol=1e-9)


def test_members_have_their_numbers_once_they_are_written():
    changes = [{"optimizer": {"name": "sgd", "lr": rate}} for rate in (0.01, 0.05)]
    stack = Stack(list(map(member, changes)), ground({}))
    before = member(changes[0]).training.network.state_dict()
    list(stack.epochs(3))
    stack.write([1])
    first, second = (each.training.network.state_dict() for each in stack.members)
    trained = alone(changes[1]).ready.training.network.state_dict()
    for name in before:
        assert torch.equal(first[name], before[name])
        torch.testing.assert_close(second[name], trained[name], rtol=1e-9, atol=1e-12)


def test_work_can_be_ended_before_any_step():
    def interrupt() -> None:
        raise KeyboardInterrupt

    changes = varied()
    stack = Stack([member(each) for each in changes], ground(changes[0]))
    with pytest.raises(KeyboardInterrupt):
        next(stack.epochs(3, interrupt))
    assert stack.evaluations() == [None, None]


def test_a_kind_says_whether_widths_may_differ():
    assert kind(member({})).is_padded
    assert not kind(member({"model": {"name": "tabm", "widths": [4]}})).is_padded
    assert isinstance(kind(member({})), Kind)
