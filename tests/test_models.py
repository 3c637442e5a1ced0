"""What every registered model keeps to; a new one enters by being registered.

The options in `VARIANTS` take a model's parts through the same contract. A model is tried on
samples of every kind here that it accepts: rows, rows with categories, series, images, texts.
"""

import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nnarch.data.inputs import Inputs
from nnarch.errors import ConfigError
from nnarch.models import network as networks
from nnarch.models.blocks.modules.attention import SelfAttention
from nnarch.registry import models
from nnarch.validate import fill_component
from nothing_real import NothingReal

ROWS, OUTPUTS = 16, 3
KINDS = {
    "6": Inputs((6,)),
    "6-codes": Inputs((6,), cardinalities=(2, 3)),
    "4x5": Inputs((4, 5)),
    "4x3": Inputs((4, 3)),
    "3x8x8": Inputs((3, 8, 8)),
    "7-tokens": Inputs((7,), vocabulary=OUTPUTS),
}
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "mlp": [
        {"widths": []},
        {"widths": [5, 5, 5], "residual": True, "activation": "gelu"},
        {"widths": [8, 4], "normalization": "batch", "initialization": "orthogonal"},
        {"widths": [8, 4], "normalization": "layer", "dropout": 0.5, "bias": False},
        {"activation": "prelu", "initialization": "kaiming_normal"},
        {"numbers": "linear", "embedding_width": 4},
        {"numbers": "periodic", "embedding_width": 4, "frequencies": 3, "sigma": 0.1,
         "widths": [8, 8], "residual": True},
        {"numbers": "piecewise", "bins": 4},
        {"numbers": "piecewise", "bins": 4, "embedding_width": 3, "widths": [8]},
    ],
    "resnet_mlp": [
        {"width": 8, "depth": 2, "hidden": 5, "hidden_dropout": 0.0, "residual_dropout": 0.2},
        {"width": 8, "depth": 1, "normalization": "none", "activation": "gelu"},
        {"width": 8, "normalization": "layer", "initialization": "orthogonal"},
    ],
    "ft_transformer": [
        {"width": 8, "depth": 1, "heads": 2, "hidden": 5, "initialization": "xavier_uniform"},
        {"width": 8, "depth": 2, "heads": 1, "attention_dropout": 0.0, "hidden_dropout": 0.0,
         "residual_dropout": 0.2},
    ],
    "rnn": [
        {"cell": "gru", "width": 8, "depth": 2, "dropout": 0.2, "embedding": 4},
        {"cell": "rnn", "width": 8, "dropout": 0.2, "pooling": "mean"},
        {"width": 8, "depth": 2, "bidirectional": True, "initialization": "orthogonal"},
        {"width": 8, "bidirectional": True, "pooling": "maximum"},
    ],
    "tcn": [
        {"width": 5, "depth": 2, "kernel": 2, "dropout": 0.0, "embedding": 4},
        {"width": 4, "depth": 1, "embedding": 4, "initialization": "kaiming_normal"},
    ],
    "transformer": [
        {"width": 8, "depth": 1, "heads": 2, "feedforward": 1.5, "dropout": 0.0,
         "positions": "learned", "pooling": "class", "activation": "relu"},
        {"width": 8, "depth": 3, "stochastic_depth": 0.3, "initialization": "trunc_normal"},
    ],
    "gpt": [
        {"width": 8, "depth": 1, "heads": 1, "feedforward": 2, "dropout": 0.0, "tie": False},
        {"width": 8, "depth": 2, "initialization": "default"},
    ],
    "dlinear": [{"kernel": 3}, {"bias": False}],
    "nlinear": [{"bias": False}],
    "tabm": [
        {"widths": [8, 4], "members": 5},
        {"widths": [8, 4], "members": 5, "mini": True, "bins": 4, "dropout": 0.0},
    ],
    "cnn": [
        {"widths": [4, 4, 6], "kernel": [8, 5, 3], "pool": 1, "normalization": "batch",
         "head": "average"},
        {"widths": [4], "dropout": 0.3, "hidden": [8, 8], "activation": "tanh"},
        {"widths": [5, 5], "kernel": 2, "pool": 1, "head": "average", "hidden": [6]},
        {"widths": [], "hidden": [4]},
    ],
    "mixer": [
        {"patch": 2, "width": 6, "depth": 2, "tokens": 5, "channels": 7, "dropout": 0.2},
        {"patch": 4, "width": 6, "depth": 3, "stochastic_depth": 0.3, "activation": "relu"},
    ],
    "resnet": [
        {"stages": [2, 3], "width": 8},
        {"stages": [1, 2], "width": 4, "kernel": [1, 3, 1], "expansion": 2, "stem": "imagenet"},
        {"stages": [1, 1, 1], "width": [4, 8, 8], "kernel": [8, 5, 3], "stride": 1,
         "stem": "none", "activation": "silu"},
        {"stages": [3, 1], "width": 4, "stochastic_depth": 0.4},
        {"stages": [1, 1], "width": 4, "kernel": [2], "stride": 3, "normalization": "none",
         "initialization": "default"},
    ],
    "vit": [
        {"width": 6, "depth": 2},
        {"patch": 2, "width": 8, "depth": 2, "heads": 4, "feedforward": 0.5, "dropout": 0.1},
        {"width": 6, "depth": 2, "stochastic_depth": 0.3, "pooling": "mean"},
    ],
    "layers": [
        {"layers": [{"Linear": "out"}]},
        {"layers": ["Flatten", {"Linear": 8}, {"residual": ["LayerNorm", {"Linear": "same"}]},
                    {"Linear": "out"}], "initialization": "orthogonal"},
        {"layers": [{"LSTM": 5}, {"pick": -1}, {"Linear": "out"}]},
        {"layers": [{"Conv2d": [4, 3], "as": "seen"}, "BatchNorm2d", "ReLU",
                    {"concat": [[], [{"from": "seen"}, "Tanh"]]}, {"MaxPool2d": 2}, "Flatten",
                    {"Linear": "out"}]},
        {"layers": [{"Embedding": 6, "as": "tokens"}, {"mean": 0},
                    {"Linear": {"out_features": "out", "bias": False}, "tie": "tokens"}]},
    ],
}  # fmt: skip


def filled(name: str, options: dict[str, Any]) -> dict[str, Any]:
    spec, faults = fill_component("model", {"name": name, **options}, ())
    assert not faults
    return spec


def accepts(spec: dict[str, Any], inputs: Inputs) -> bool:
    try:
        with torch.device("meta"):
            networks.describe(spec, inputs, OUTPUTS)
    except ConfigError:
        return False
    return True


AS_VARIANTS = {"layers", "resnet", "vit"}  # nothing by itself, or millions of weights
SPECS = [
    filled(model.name, options)
    for model in models
    if model.is_ours
    for options in (*([] if model.name in AS_VARIANTS else [{}]), *VARIANTS.get(model.name, []))
]
CASES = [
    pytest.param(spec, inputs, id=f"{spec['name']}{number}-{kind}")
    for number, spec in enumerate(SPECS)
    for kind, inputs in KINDS.items()
    if accepts(spec, inputs)
]
contract = pytest.mark.parametrize(("spec", "inputs"), CASES)


def samples(inputs: Inputs, rows: int = ROWS) -> Tensor:
    chance = torch.Generator().manual_seed(1)
    if inputs.vocabulary:
        return torch.randint(inputs.vocabulary, (rows, *inputs.shape), generator=chance)
    made = torch.randn(rows, *inputs.shape, generator=chance)
    for place, size in enumerate(reversed(inputs.cardinalities), start=1):
        made[:, -place] = torch.randint(size, (rows,), generator=chance).float()
    return made


def others(rows: Tensor, inputs: Inputs) -> Tensor:
    """The rows, all but the first of them replaced by something else."""
    wild = rows.clone()
    if inputs.vocabulary:
        wild[1:] = (wild[1:] + 1) % inputs.vocabulary
        return wild
    plain = rows.shape[-1] - len(inputs.cardinalities)
    wild[1:, ..., :plain] = wild[1:, ..., :plain] * 1e6 + 1e3
    return wild


class ByHand(nn.Module):
    """NLinear as its paper writes it: the last value is taken off, and put back on."""

    def __init__(self, steps: int, horizon: int):
        super().__init__()
        self.linear = nn.Linear(steps, horizon)

    def forward(self, x: Tensor) -> Tensor:
        last = x[:, -1:, :].detach()
        x = x - last
        x = self.linear(x.permute(0, 2, 1)).permute(0, 2, 1)
        return x + last


STEPS, CHANNELS, HORIZON = 7, 3, 4


def nlinear(outputs: int = CHANNELS * HORIZON, **options: Any) -> nn.Module:
    spec = filled("nlinear", options)
    return networks.make(spec, Inputs((STEPS, CHANNELS)), outputs, 0)


def test_nlinear_is_the_one_written_by_hand():
    network, by_hand = nlinear(), ByHand(STEPS, HORIZON)
    weights = zip(by_hand.parameters(), network.parameters(), strict=True)
    with torch.no_grad():
        for theirs, ours in weights:
            theirs.copy_(ours)
    series = samples(Inputs((STEPS, CHANNELS))) * 5 + 100
    # step after step, each channel of it
    torch.testing.assert_close(network(series).view(ROWS, HORIZON, CHANNELS), by_hand(series))


def test_nlinear_begins_as_torch_would_begin_its_layer():
    torch.manual_seed(0)
    by_hand = ByHand(STEPS, HORIZON)
    for ours, theirs in zip(nlinear().parameters(), by_hand.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("bias", [True, False])
def test_nlinear_without_weights_repeats_the_last_value(bias: bool):
    network = nlinear(bias=bias)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    series = samples(Inputs((STEPS, CHANNELS)))
    expected = series[:, -1].repeat(1, HORIZON)
    assert torch.equal(network(series), expected)


@pytest.mark.parametrize("lift", [1e-3, 1e3])
def test_nlinear_follows_a_series_wherever_it_lies(lift: float):
    network, series = nlinear().double(), samples(Inputs((STEPS, CHANNELS))).double()
    torch.testing.assert_close(network(series + lift), network(series) + lift)


@pytest.mark.parametrize("inputs", [(STEPS,), (3, 8, 8), (STEPS, 5)], ids=str)
def test_nlinear_refuses_what_it_cannot_go_on_with(inputs: tuple[int, ...]):
    said = rf"expects series whose channels are all predicted; got samples of shape \({inputs[0]}"
    given = filled("nlinear", {}), Inputs(inputs), CHANNELS * HORIZON
    with pytest.raises(ConfigError, match=said):
        networks.size(*given)
    with pytest.raises(ConfigError, match=said):
        networks.make(*given, seed=0)


def make(spec: dict[str, Any], inputs: Inputs, seed: int = 0) -> nn.Module:
    return networks.make(spec, inputs, OUTPUTS, seed)


def expected(spec: dict[str, Any], inputs: Inputs) -> tuple[int, ...]:
    if networks.is_ensemble(spec):
        return (spec["members"], OUTPUTS)
    return (*inputs.shape, OUTPUTS) if networks.autoregressive(spec) else (OUTPUTS,)


def test_every_model_accepts_some_samples():
    taken = {str(case.values[0]) for case in CASES}
    assert taken == {str(spec) for spec in SPECS}


def test_an_mlp_takes_samples_of_any_kind():
    spec = filled("mlp", {})
    assert all(accepts(spec, inputs) for inputs in KINDS.values())


@contract
def test_it_gives_the_outputs_that_are_wanted(spec: dict[str, Any], inputs: Inputs):
    network = make(spec, inputs)
    for rows in (2, ROWS):
        made = network(samples(inputs, rows))
        assert made.shape == (rows, *expected(spec, inputs))
        assert made.dtype == torch.float32
        assert made.isfinite().all()
    assert network.eval()(samples(inputs, 1)).shape == (1, *expected(spec, inputs))


@contract
def test_a_gradient_reaches_each_parameter(spec: dict[str, Any], inputs: Inputs):
    network = make(spec, inputs)
    torch.manual_seed(0)
    (network(samples(inputs)) - 1).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        # a bias that mixer adds to all features of a token is taken off by the layer norm behind
        without_effect = spec["name"] == "mixer" and name.endswith(".bias")
        assert parameter.grad.abs().sum() > 0 or without_effect, name


@contract
def test_a_seed_decides_every_weight(spec: dict[str, Any], inputs: Inputs):
    first = make(spec, inputs, seed=7)
    torch.rand(3)
    again, other = make(spec, inputs, seed=7).state_dict(), make(spec, inputs, seed=8).state_dict()
    weights = dict(first.named_parameters())
    for name, value in first.state_dict().items():
        assert torch.equal(value, again[name]), name
        if value.dim() >= 2 and name in weights and not (value == 1).all():  # a factor on another
            assert not torch.equal(value, other[name]), name


@contract
def test_the_state_is_all_there_is_to_it(spec: dict[str, Any], inputs: Inputs):
    network, other = make(spec, inputs, seed=0), make(spec, inputs, seed=1)
    torch.manual_seed(0)
    network(others(samples(inputs), inputs))  # moves the statistics of a normalization
    assert not torch.equal(network.eval()(samples(inputs)), other.eval()(samples(inputs)))
    other.load_state_dict(network.state_dict())
    assert torch.equal(network.eval()(samples(inputs)), other.eval()(samples(inputs)))


@contract
def test_a_sample_s_output_does_not_depend_on_its_batch(spec: dict[str, Any], inputs: Inputs):
    network, rows = make(spec, inputs).double().eval(), samples(inputs)
    rows = rows.double() if rows.is_floating_point() else rows  # whose rounding is no matter
    made = network(rows)
    alone = torch.cat([network(row.unsqueeze(0)) for row in rows])
    torch.testing.assert_close(made, alone, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(network(others(rows, inputs))[0], made[0], rtol=0, atol=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@contract
def test_a_gpu_computes_the_same(spec: dict[str, Any], inputs: Inputs):
    network, rows = make(spec, inputs).double().eval(), samples(inputs)
    rows = rows.double() if rows.is_floating_point() else rows
    expected = network(rows)
    made = network.cuda()(rows.cuda()).cpu()
    torch.testing.assert_close(made, expected, rtol=1e-8, atol=1e-8)


@contract
def test_in_evaluation_nothing_is_left_to_chance(spec: dict[str, Any], inputs: Inputs):
    network = make(spec, inputs).eval()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    assert torch.equal(network(samples(inputs)), network(samples(inputs)))
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


@contract
def test_its_size_is_that_of_the_real_module_which_it_does_not_make(
    spec: dict[str, Any], inputs: Inputs
):
    before = torch.get_rng_state()
    with NothingReal():
        size = networks.size(spec, inputs, OUTPUTS)
    assert torch.equal(torch.get_rng_state(), before)
    network = make(spec, inputs).eval()
    assert size.parameters == sum(parameter.numel() for parameter in network.parameters())
    rows = samples(inputs, 1)
    if any(isinstance(module, nn.RNNBase | SelfAttention) for module in network.modules()):
        network, rows = network.to("meta"), rows.to("meta")  # the CPU's kernel is not counted
    with FlopCounterMode(display=False) as counter:
        network(rows)
    assert size.flops == counter.get_total_flops()


def family(case: Any) -> str:
    spec, _ = case.values
    return spec["name"]


ONE_EACH = {family(case): case for case in CASES}.values()


@pytest.mark.parametrize(("spec", "inputs"), ONE_EACH)
def test_made_and_measured_at_once_it_is_the_same(spec: dict[str, Any], inputs: Inputs):
    told: list[networks.Size] = []
    network, size = networks.make_sized(spec, inputs, OUTPUTS, 3, told.append)
    assert told == [size] == [networks.size(spec, inputs, OUTPUTS)]
    state = make(spec, inputs, seed=3).state_dict()
    assert list(network.state_dict()) == list(state)
    for name, value in network.state_dict().items():
        assert torch.equal(value, state[name]), name


@contract
def test_its_list_of_layers_is_the_same_network(spec: dict[str, Any], inputs: Inputs):
    """What `nnarch check --expand` prints trains as the family does, bit for bit."""
    written = networks.expanded(spec, inputs, OUTPUTS)
    if written is None:
        assert "items" not in dir(models.build(spec, inputs.shape, OUTPUTS))
        return
    again, faults = fill_component("model", json.loads(json.dumps(written)), ())
    assert not faults
    network, other = make(spec, inputs, seed=3), make(again, inputs, seed=3)
    ours, theirs = network.state_dict(), other.state_dict()
    assert [value.shape for value in ours.values()] == [value.shape for value in theirs.values()]
    for one, two in zip(ours.values(), theirs.values(), strict=True):
        assert torch.equal(one, two)
    torch.manual_seed(4)
    made = network(samples(inputs))
    torch.manual_seed(4)
    assert torch.equal(other(samples(inputs)), made)


@pytest.mark.parametrize("spec", SPECS, ids=[f"{s['name']}{i}" for i, s in enumerate(SPECS)])
def test_every_option_has_a_sentence(spec: dict[str, Any]):
    component = models.get(spec["name"])
    assert component.summary.endswith(".")
    for name, field in component.schema.model_fields.items():
        assert field.description, name
