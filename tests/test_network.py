"""From a list of layers to a network: an mlp against hand-written ones, and the list itself."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nnarch.data.inputs import Inputs
from nnarch.errors import ConfigError, MachineError
from nnarch.models import network as networks
from nnarch.models.following import follow
from nnarch.models.layers import Layer, Layers
from nnarch.models.network import Size
from nnarch.models.plan import Plan, Sample
from nnarch.models.structures import Residual
from nnarch.registry import models
from nnarch.validate import fill_component

SEED = 5


def filled(**options: Any) -> dict[str, Any]:
    spec, faults = fill_component("model", {"name": "mlp", **options}, ())
    assert not faults
    return spec


def mlp(inputs: int | tuple[int, ...] = 10, outputs: int = 1, **options: Any) -> nn.Module:
    shape = (inputs,) if isinstance(inputs, int) else inputs
    return networks.make(filled(**options), Inputs(shape), outputs, SEED)


def samples(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def parts(network: nn.Module) -> list[str]:
    """The modules that do the work, in order, with their settings."""
    return [repr(module) for module in network.modules() if not list(module.children())]


def assert_same(network: nn.Module, reference: nn.Module, *shape: int) -> None:
    """The same parts, bitwise the same weights, and the same answers in both modes."""
    assert parts(network) == parts(reference)
    pairs = zip(network.state_dict().values(), reference.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    for training in (True, False):
        answers = []
        for each in (network, reference):
            torch.manual_seed(0)  # dropout draws the same units
            answers.append(each.train(training)(samples(*shape)))
        assert torch.equal(*answers)


def test_the_network_of_the_first_example_is_what_one_would_write_by_hand():
    torch.manual_seed(SEED)
    by_hand = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 1))
    assert_same(mlp(widths=[20]), by_hand, 7, 10)
    assert str(list(mlp(widths=[20]).children())) == str(list(by_hand.children()))
    assert list(mlp(widths=[20]).state_dict()) == list(by_hand.state_dict())


def test_without_options_it_has_two_layers_of_64():
    torch.manual_seed(SEED)
    by_hand = nn.Sequential(
        nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3)
    )
    assert_same(mlp(outputs=3), by_hand, 7, 10)


def test_without_widths_it_is_a_linear_model():
    torch.manual_seed(SEED)
    by_hand = nn.Sequential(nn.Linear(10, 2))
    network = mlp(outputs=2, widths=[])
    assert_same(network, by_hand, 7, 10)
    one, other = samples(2, 4, 10)
    torch.testing.assert_close(
        network(one + other) + network(torch.zeros(4, 10)), network(one) + network(other)
    )


def test_every_option_at_once():
    torch.manual_seed(SEED)
    by_hand = nn.Sequential(
        nn.Linear(10, 8, bias=False),
        nn.LayerNorm(8),
        nn.ELU(0.5),
        nn.Dropout(0.25),
        nn.Linear(8, 4, bias=False),
        nn.LayerNorm(4),
        nn.ELU(0.5),
        nn.Dropout(0.25),
        nn.Linear(4, 2, bias=False),
    )
    network = mlp(
        outputs=2,
        widths=[8, 4],
        activation={"name": "elu", "alpha": 0.5},
        dropout=0.25,
        normalization="layer",
        bias=False,
    )
    assert_same(network, by_hand, 7, 10)


BLOCKS: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "activation": ({"activation": "tanh"}, [nn.Linear(10, 6), nn.Tanh()]),
    "no activation": ({"activation": "identity"}, [nn.Linear(10, 6), nn.Identity()]),
    "activation with weights": ({"activation": "prelu"}, [nn.Linear(10, 6), nn.PReLU()]),
    "dropout": ({"dropout": 0.5}, [nn.Linear(10, 6), nn.ReLU(), nn.Dropout(0.5)]),
    "dropout of nothing": ({"dropout": 0}, [nn.Linear(10, 6), nn.ReLU()]),
    "batch normalization": (
        {"normalization": "batch"},
        [nn.Linear(10, 6), nn.BatchNorm1d(6), nn.ReLU()],
    ),
    "layer normalization": (
        {"normalization": "layer"},
        [nn.Linear(10, 6), nn.LayerNorm(6), nn.ReLU()],
    ),
    "no bias": ({"bias": False}, [nn.Linear(10, 6, bias=False), nn.ReLU()]),
}


@pytest.mark.parametrize(("options", "block"), BLOCKS.values(), ids=BLOCKS)
def test_an_option_changes_what_it_says_and_nothing_else(options: dict[str, Any], block: list[Any]):
    last = nn.Linear(6, 1, bias=options.get("bias", True))
    reference = nn.Sequential(*block, last)
    torch.manual_seed(SEED)
    for layer in (block[0], last):
        layer.reset_parameters()
    assert_same(mlp(widths=[6], **options), reference, 7, 10)


class ByHand(nn.Module):
    """Two hidden layers of six with links around those that keep the width."""

    def __init__(self, inputs: int):
        super().__init__()
        self.first = nn.Linear(inputs, 6)
        self.relu1 = nn.ReLU()
        self.second = nn.Linear(6, 6)
        self.relu2 = nn.ReLU()
        self.last = nn.Linear(6, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.relu1(self.first(x))
        x = x + first if x.shape == first.shape else first
        return self.last(x + self.relu2(self.second(x)))


@pytest.mark.parametrize("inputs", [10, 6], ids=["wider input", "input of the same width"])
def test_residual_links_go_around_layers_that_keep_the_width(inputs: int):
    torch.manual_seed(SEED)
    by_hand = ByHand(inputs)
    assert_same(mlp(inputs, widths=[6, 6], residual=True), by_hand, 7, inputs)


def test_where_no_width_is_kept_residual_changes_nothing():
    plain, linked = (mlp(widths=[8, 4], residual=residual) for residual in (False, True))
    assert_same(linked, plain, 7, 10)
    assert not any(isinstance(module, Residual) for module in linked.modules())


def test_a_residual_link_spans_normalization_activation_and_dropout():
    network = mlp(8, widths=[8], residual=True, normalization="batch", dropout=0.5)
    (block,) = (module for module in network.modules() if isinstance(module, Residual))
    kinds = [type(module) for module in block.body.children()]
    assert kinds == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Dropout]


def test_samples_of_several_dimensions_are_flattened_in_order():
    torch.manual_seed(SEED)
    by_hand = nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 1))
    assert_same(mlp((3, 4), widths=[4]), by_hand, 7, 3, 4)


@pytest.mark.parametrize(
    ("rule", "begin"),
    [
        ("xavier_uniform", nn.init.xavier_uniform_),
        ("kaiming_normal", lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu")),
        ({"name": "normal", "std": 0.3}, lambda weight: nn.init.normal_(weight, std=0.3)),
        ({"name": "constant", "value": 0.5}, lambda weight: nn.init.constant_(weight, 0.5)),
    ],
    ids=["xavier_uniform", "kaiming_normal", "normal", "constant"],
)
def test_an_initialization_begins_each_weight_after_the_layers_were_made(rule: Any, begin: Any):
    torch.manual_seed(SEED)
    layers = nn.Linear(10, 6), nn.BatchNorm1d(6), nn.PReLU(), nn.Linear(6, 1)
    by_hand = nn.Sequential(*layers)
    for layer in (layers[0], layers[3]):
        begin(layer.weight)
        nn.init.zeros_(layer.bias)
    network = mlp(
        widths=[6], initialization=rule, normalization="batch", activation={"name": "prelu"}
    )
    assert_same(network, by_hand, 7, 10)


def test_the_default_initialization_is_torch_s_own_biases_too():
    network = mlp(widths=[6], initialization="default")
    torch.manual_seed(SEED)
    first = nn.Linear(10, 6)
    weights = network.state_dict()
    assert torch.equal(weights["0.weight"], first.weight)
    assert torch.equal(weights["0.bias"], first.bias)
    assert first.bias.abs().sum() > 0


def test_an_mlp_describes_itself_without_torch_s_modules():
    described = models.build(filled(widths=[5, 5], residual=True, dropout=0.1), (3,), 1)
    block = [{"Linear": {"out_features": 5, "bias": True}}, "relu", {"Dropout": {"p": 0.1}}]
    last = {"Linear": {"out_features": "out", "bias": True}}
    assert described == Layers([*block, {"residual": block}, last], {"name": "default"})


GIVEN: list[Layer] = [
    {"Linear": {"out_features": 8}},
    "BatchNorm1d",
    {"residual": [{"LayerNorm": {"eps": 0.1}}, {"Linear": {"out_features": 8}}, "relu"]},
    {"Linear": {"out_features": "out", "bias": False}},
]


def followed(items: list[Layer], *shape: int, outputs: int = 3) -> Plan:
    inputs = Inputs(shape)
    return follow(items, ("model", "layers"), Sample(shape), inputs, outputs)


def arguments(plan: Plan) -> list[tuple[str, dict[str, Any]]]:
    return [(step.word, dict(step.arguments)) for step in plan.layers()]


def test_what_shapes_decide_is_filled_in():
    assert arguments(followed(GIVEN, 4)) == [
        ("Linear", {"in_features": 4, "out_features": 8}),
        ("BatchNorm1d", {"num_features": 8}),
        ("LayerNorm", {"normalized_shape": 8, "eps": 0.1}),
        ("Linear", {"in_features": 8, "out_features": 8}),
        ("relu", {}),
        ("Linear", {"in_features": 8, "out_features": 3, "bias": False}),
    ]


def test_what_is_filled_in_may_be_given_as_well():
    full: list[Layer] = [{word: given} for word, given in arguments(followed(GIVEN[:2], 4))]
    assert arguments(followed(full, 4)) == arguments(followed(GIVEN[:2], 4))


def test_the_given_list_is_left_alone():
    before = copy.deepcopy(GIVEN)
    networks.build(followed(GIVEN, 4))
    assert before == GIVEN


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"Linear": {"in_features": 5, "out_features": 8}}, r"\.Linear: got in_features 5"),
        ({"BatchNorm1d": {"num_features": 5}}, r"\.BatchNorm1d: got num_features 5"),
        ({"LayerNorm": {"normalized_shape": 5}}, r"\.LayerNorm: got normalized_shape 5"),
        ({"LayerNorm": {"normalized_shape": [2, 4]}}, r"got normalized_shape \[2, 4\]"),
        (
            {"residual": [{"Linear": {"in_features": 5, "out_features": 4}}]},
            r"\.residual\[0\]\.Linear: got in_features 5",
        ),
    ],
    ids=str,
)
def test_a_given_value_is_checked_not_overridden(wrong: Layer, said: str):
    with pytest.raises(ConfigError, match=rf"{said} for samples of shape \(4,\); expected 4"):
        followed([wrong], 4)


def test_a_layer_norm_may_span_several_dimensions():
    given: list[Layer] = [{"LayerNorm": {"normalized_shape": [3, 4]}}]
    plan = followed(given, 2, 3, 4)
    assert plan.after.shape == (2, 3, 4)
    rows = samples(5, 2, 3, 4)
    expected = nn.functional.layer_norm(rows, (3, 4))
    torch.testing.assert_close(networks.build(plan)(rows), expected)


def test_a_list_is_built_in_order():
    torch.manual_seed(SEED)
    network = networks.build(followed(GIVEN, 4))
    torch.manual_seed(SEED)
    first, norm = nn.Linear(4, 8), nn.BatchNorm1d(8)
    inner = nn.Sequential(nn.LayerNorm(8, eps=0.1), nn.Linear(8, 8), nn.ReLU())
    last = nn.Linear(8, 3, bias=False)
    by_hand = nn.Sequential(first, norm, *inner, last)
    assert parts(network) == parts(by_hand)
    for ours, theirs in zip(network.parameters(), by_hand.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    rows = samples(5, 4)
    network.eval()
    by_hand.eval()
    hidden = norm(first(rows))
    torch.testing.assert_close(network(rows), last(hidden + inner(hidden)))


def test_the_size_of_an_mlp_by_hand():
    size = networks.size(filled(widths=[20]), Inputs((10,)), 1)
    assert size == Size(parameters=10 * 20 + 20 + 20 + 1, flops=2 * (10 * 20 + 20), widest=20)
    without_bias = networks.size(filled(widths=[20], bias=False), Inputs((10,)), 1)
    assert without_bias == Size(parameters=220, flops=440, widest=20)


def test_a_network_that_no_memory_holds_is_measured():
    size = networks.size(filled(widths=[10**6, 10**6]), Inputs((10,)), 1)
    assert size.parameters == 10**12 + 13 * 10**6 + 1
    assert size.flops == 2 * (10**12 + 11 * 10**6)


@pytest.mark.parametrize("widths", [[20], [2400, 2400]], ids=["small", "large"])
def test_a_network_is_made_with_its_size(widths: list[int]):
    told: list[Size] = []
    given = filled(widths=widths), Inputs((10,)), 1
    network, size = networks.make_sized(*given, SEED, told.append)
    assert told == [size] == [networks.size(*given)]
    assert_same(network, networks.make(*given, SEED), 3, 10)


@pytest.mark.parametrize("widths", [[20], [10**6, 10**6]], ids=["small", "immense"])
def test_what_a_check_of_the_size_raises_comes_before_much_is_allocated(widths: list[int]):
    def refuse(size: Size) -> None:
        raise MachineError(f"{size.parameters} is too many")

    with pytest.raises(MachineError, match=r"\d is too many"):
        networks.make_sized(filled(widths=widths), Inputs((10,)), 1, SEED, refuse)


def test_making_a_network_leaves_nothing_of_another_seed():
    torch.manual_seed(123)
    one = mlp(widths=[4])
    torch.manual_seed(456)
    assert_same(mlp(widths=[4]), one, 3, 10)
