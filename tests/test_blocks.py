"""What every registered layer keeps to, and the values of each against references.

A new layer enters the contract by being registered; `SAMPLES` has the options and the shape of a
sample for those that need other than the usual.
"""

import copy
import math
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional

from nnarch.data.inputs import Inputs
from nnarch.errors import ConfigError
from nnarch.models import network as networks
from nnarch.models.blocks.modules.numeric import quantiles
from nnarch.registry import layers
from nnarch.validate import fill_component
from nothing_real import NothingReal

ROWS = 16


class Case(NamedTuple):
    """A layer with options, and a sample that it is for."""

    options: dict[str, Any] = {}  # noqa: RUF012
    shape: tuple[int, ...] = (4, 6)
    cardinalities: tuple[int, ...] = ()


ROW = (5,)
MIXED = (3, 7)  # categories of a row's last columns
SAMPLES: dict[str, list[Case]] = {
    "attention": [
        Case({"heads": 2}),
        Case({"heads": 3, "causal": True, "bias": False, "dropout": 0.5}),
    ],
    "causal_conv": [
        Case({"width": 5}),
        Case({"width": 3, "kernel": 2, "dilation": 4, "weight_norm": True}),
    ],
    "channel": [Case(shape=ROW)],
    "column_embedding": [Case({}, ROW, MIXED)],
    "detrended": [Case({"width": 3}), Case({"width": 25})],
    "drop_path": [Case({"p": 0.5}), Case({"p": 0.0}, ROW)],
    "feature_tokens": [Case({"width": 4}, ROW), Case({"width": 4}, ROW, MIXED)],
    "linear_embedding": [
        Case({"width": 4}, ROW),
        Case({"width": 4, "activation": False}, ROW, MIXED),
    ],
    "maximum": [Case(), Case({"dimension": -1, "keep": True}, (3, 4, 5))],
    "mean": [Case(), Case({"dimension": -1, "keep": True}, (3, 4, 5))],
    "member_heads": [Case({"width": 3})],
    "member_linear": [Case({"width": 3}), Case({"width": 3, "first": True})],
    "members": [Case({"count": 3}, ROW), Case({"count": 2, "factors": False}, ROW)],
    "moving_average": [Case({"width": 3}), Case(shape=(9,)), Case({"width": 5}, (2, 3, 7))],
    "patches": [Case({"size": 2, "width": 5}, (3, 4, 6))],
    "periodic_embedding": [
        Case({"width": 4, "frequencies": 3, "sigma": 0.5}, ROW),
        Case({"width": 4, "frequencies": 3, "sigma": 0.5, "lite": True}, ROW, MIXED),
    ],
    "pick": [Case(), Case({"step": 1})],
    "piecewise_embedding": [
        Case({"bins": 4}, ROW),
        Case({"bins": 4, "width": 3}, ROW, MIXED),
    ],
    "positions": [Case(), Case({"kind": "sinusoidal"}, (4, 5))],
    "transpose": [Case(), Case({"first": -1, "second": 1}, (2, 3, 4))],
}
CASES = [(one.name, case) for one in layers for case in SAMPLES.get(one.name, [Case()])]
contract = pytest.mark.parametrize(
    ("name", "case"), CASES, ids=[f"{name}{i}" for i, (name, _) in enumerate(CASES)]
)


def build(name: str, case: Case, seed: int = 0) -> nn.Module:
    """A layer with what a network would fill in."""
    told = {
        "features": case.shape[-1],
        "channels": case.shape[0],
        "steps": case.shape[0],
        "shape": list(case.shape),
        "cardinalities": list(case.cardinalities),
    }
    inferred = {option: told[what] for option, what in layers.get(name).inferred.items()}
    spec, faults = fill_component("layer", {"name": name, **inferred, **case.options}, ())
    assert not faults
    torch.manual_seed(seed)
    return layers.build(spec)


def layer(name: str, *shape: int, **options: Any) -> Any:
    return build(name, Case(options, shape))


def numbers(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def samples(case: Case, rows: int = ROWS) -> Tensor:
    made = numbers(rows, *case.shape)
    for column, size in enumerate(reversed(case.cardinalities)):
        made[:, -1 - column] = torch.arange(rows) % size
    return made


def unsettled(module: nn.Module) -> nn.Module:
    """With something added to all weights: those that begin at a constant hide what they do."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.rand(parameter.shape, generator=generator) - 0.3)
    return module


def close(made: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(made, expected, rtol=1e-5, atol=1e-6)


@contract
def test_shapes_can_be_followed_with_nothing_computed(name: str, case: Case):
    with NothingReal(), torch.device("meta"):
        module = build(name, case, seed=3).eval()
        followed = module(torch.empty(3, *case.shape))
    assert torch.equal(torch.get_rng_state(), torch.manual_seed(3).get_state())  # none was drawn
    assert followed.shape == build(name, case)(samples(case, 3)).shape


@contract
@pytest.mark.parametrize("training", [True, False])
def test_it_computes_in_the_type_that_it_is_given(name: str, case: Case, training: bool):
    module = build(name, case).train(training)
    torch.manual_seed(0)
    single = module(samples(case))
    assert single.dtype == torch.float32
    assert single.isfinite().all()
    torch.manual_seed(0)
    double = module.double()(samples(case).double())
    assert double.dtype == torch.float64
    if not training:
        torch.testing.assert_close(double.float(), single, rtol=1e-4, atol=1e-5)


@contract
def test_it_computes_in_less_precision_where_that_is_wanted(name: str, case: Case):
    module = build(name, case).eval()
    exact = module(samples(case))
    with torch.autocast("cpu", torch.bfloat16):
        rough = module(samples(case))
    torch.testing.assert_close(rough.float(), exact, rtol=0.1, atol=0.05)


@contract
def test_a_gradient_reaches_each_parameter_and_each_sample(name: str, case: Case):
    module = build(name, case).train(name != "drop_path")  # which keeps some from all of it
    rows = samples(case).requires_grad_()
    made = module(rows)
    made.mul(numbers(*made.shape)).sum().backward()
    for key, parameter in module.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().sum() > 0, key
    assert rows.grad is not None
    assert rows.grad.isfinite().all()
    assert (rows.grad.flatten(1).abs().sum(1) > 0).all()


@contract
def test_a_seed_decides_every_weight(name: str, case: Case):
    first, again, other = (dict(build(name, case, seed).named_parameters()) for seed in (7, 7, 8))
    for key, value in first.items():
        assert torch.equal(value, again[key]), key
        assert not torch.equal(value, other[key]) or value.unique().numel() == 1, key


@contract
def test_the_state_is_all_there_is_to_it(name: str, case: Case):
    module, other = unsettled(build(name, case, 0)).eval(), build(name, case, 1).eval()
    if list(module.parameters()):
        assert not torch.equal(module(samples(case)), other(samples(case)))
    other.load_state_dict(module.state_dict())
    assert torch.equal(module(samples(case)), other(samples(case)))


@contract
def test_a_copy_is_one_of_its_own(name: str, case: Case):
    module = build(name, case).eval()
    made = module(samples(case))
    copied = copy.deepcopy(module)
    assert torch.equal(copied(samples(case)), made)
    unsettled(copied)
    assert torch.equal(module(samples(case)), made)


@contract
def test_in_evaluation_nothing_is_left_to_chance(name: str, case: Case):
    module = build(name, case).eval()
    rows = samples(case)
    state = torch.get_rng_state()
    assert torch.equal(module(rows), module(rows))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(rows, samples(case))


@contract
def test_a_sample_s_output_does_not_depend_on_its_batch(name: str, case: Case):
    module = unsettled(build(name, case)).eval()
    rows = samples(case)
    made = module(rows)
    assert len(made) == ROWS
    close(torch.cat([module(row.unsqueeze(0)) for row in rows]), made)
    wild = rows.clone()
    plain = case.shape[-1] - len(case.cardinalities)
    wild[1:, ..., :plain] = wild[1:, ..., :plain] * 1e6 + 1e3
    assert torch.equal(module(wild)[0], made[0])


@contract
@pytest.mark.filterwarnings("ignore:There is a performance drop")  # where torch has but a loop
def test_many_at_once_give_what_each_gives_alone(name: str, case: Case):
    module = build(name, case).eval()
    state = unsettled(module).state_dict()
    each = [{key: value * factor for key, value in state.items()} for factor in (1, 2)]
    stacked = {key: torch.stack([own[key] for own in each]) for key in state}
    rows = torch.stack([samples(case), samples(case).flip(0)])

    def apply(state: dict[str, Tensor], rows: Tensor) -> Tensor:
        return functional_call(module, state, (rows,))

    alone = torch.stack([apply(state, own) for state, own in zip(each, rows, strict=True)])
    close(vmap(apply)(stacked, rows), alone)


def test_every_layer_with_a_sample_is_there():
    assert SAMPLES.keys() <= set(layers.names())


class TestReshaping:
    def test_they_are_torch_s(self):
        series, images = numbers(ROWS, 4, 6), numbers(ROWS, 3, 4, 5)
        for name, options, rows, expected in [
            ("transpose", {}, series, series.transpose(1, 2)),
            ("transpose", {}, images, images.transpose(1, 2)),
            ("transpose", {"first": 0, "second": -1}, images, images.transpose(1, 3)),
            ("pick", {}, series, series[:, -1]),
            ("pick", {"step": 2}, images, images[:, 2]),
            ("mean", {}, series, series.mean(1)),
            ("mean", {"dimension": -1, "keep": True}, images, images.mean(3, keepdim=True)),
            ("maximum", {}, series, series.max(1).values),
            ("maximum", {"dimension": 1, "keep": True}, images, images.max(2, keepdim=True)[0]),
            ("channel", {}, series[:, 0], series[:, :1]),
        ]:
            assert torch.equal(layer(name, *rows.shape[1:], **options)(rows), expected), name

    def test_ends_are_where_both_directions_of_an_lstm_end(self):
        lstm = nn.LSTM(6, 3, batch_first=True, bidirectional=True)
        every, (ended, _) = lstm(numbers(ROWS, 4, 6))
        assert torch.equal(layer("ends", 4, 6)(every), torch.cat([ended[0], ended[1]], 1))


class TestPositions:
    def test_sines_and_cosines_are_the_formula_s(self):
        made = layer("positions", 50, 7, kind="sinusoidal")(torch.zeros(1, 50, 7))[0]
        for t in range(50):
            for i in range(7):
                wave = math.sin if i % 2 == 0 else math.cos
                expected = wave(t / 10_000 ** (2 * (i // 2) / 7))
                assert made[t, i].item() == pytest.approx(expected, abs=1e-5)

    def test_learnt_ones_begin_small_and_are_added(self):
        module = layer("positions", 100, 30)
        (table,) = module.parameters()
        assert table.shape == (100, 30)
        assert table.std().item() == pytest.approx(0.02, rel=0.05)
        series = numbers(ROWS, 100, 30)
        assert torch.equal(module(series), series + table)
        assert torch.equal(module(series[:, :9]), series[:, :9] + table[:9])

    def test_the_token_comes_first_and_is_the_same_in_every_sample(self):
        module, series = layer("class_token", 4, 6), numbers(ROWS, 4, 6)
        (token,) = module.parameters()
        made = module(series)
        assert made.shape == (ROWS, 5, 6)
        assert torch.equal(made[:, 0], token.expand(ROWS, 6))
        assert torch.equal(made[:, 1:], series)


def torch_attention(ours: nn.Module, heads: int, bias: bool) -> nn.MultiheadAttention:
    """torch's own attention with the weights of ours."""
    theirs = nn.MultiheadAttention(12, heads, bias=bias, batch_first=True)
    names = {"in_proj_": "qkv.", "out_proj.": "out."}
    state = {
        name.replace(prefix, names[prefix]): name
        for prefix in names
        for name in theirs.state_dict()
        if name.startswith(prefix)
    }
    own = ours.state_dict()
    theirs.load_state_dict({name: own[key] for key, name in state.items()})
    return theirs


class TestAttention:
    @pytest.mark.parametrize("bias", [True, False])
    @pytest.mark.parametrize("causal", [True, False])
    @pytest.mark.parametrize("heads", [1, 3, 12])
    def test_it_is_that_of_torch(self, heads: int, causal: bool, bias: bool):
        ours = unsettled(layer("attention", 7, 12, heads=heads, causal=causal, bias=bias))
        theirs, series = torch_attention(ours, heads, bias), numbers(ROWS, 7, 12)
        mask = nn.Transformer.generate_square_subsequent_mask(7) if causal else None
        expected, _ = theirs(series, series, series, attn_mask=mask, need_weights=False)
        close(ours(series), expected)

    def test_a_step_sees_none_to_come_where_it_is_causal(self):
        series = numbers(ROWS, 7, 12)
        other = series.clone()
        other[:, 4:] = 9.0
        for causal in (True, False):
            module = layer("attention", 7, 12, heads=3, causal=causal)
            assert torch.equal(module(series)[:, :4], module(other)[:, :4]) == causal

    def test_dropout_is_of_the_weights_and_in_training_alone(self):
        module, plain = (layer("attention", 7, 12, dropout=each, heads=1) for each in (0.5, 0.0))
        series = numbers(ROWS, 7, 12)
        assert torch.equal(module.eval()(series), plain(series))
        many = torch.stack([module.train()(series) for _ in range(400)])
        assert not torch.equal(many[0], many[1])
        torch.testing.assert_close(many.mean(0), plain(series), rtol=0, atol=0.1)


@pytest.mark.parametrize(
    ("name", "gate"), [("geglu", nn.GELU()), ("reglu", nn.ReLU()), ("swiglu", nn.SiLU())]
)
def test_a_gated_unit_is_its_formula_with_the_gate_where_torch_has_it(name: str, gate: nn.Module):
    series = numbers(ROWS, 4, 6)
    made = layer(name, 4, 6)(series)
    assert torch.equal(made, series[..., :3] * gate(series[..., 3:]))
    first_alone = torch.cat([series[..., :3], torch.zeros(ROWS, 4, 3)], -1)
    assert torch.equal(functional.glu(first_alone) * 2, series[..., :3])  # torch's: gate behind


def size(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def chain(*widths: int) -> nn.Sequential:
    return nn.Sequential(*(nn.Linear(before, after) for before, after in pairwise(widths)))


class TestNumericEmbeddings:
    """Against the formulas and the published sizes of Gorishniy et al. (2022)."""

    def test_sizes_are_the_published_ones_on_california_housing(self):
        linear = layer("linear_embedding", 8, width=78)
        assert size(linear, chain(8 * 78, 345, 646, 646, 357, 1)) == 1_089_688
        periodic = layer("periodic_embedding", 8, width=76, frequencies=3)
        assert size(periodic, chain(8 * 76, 916, 1)) == 563_041

    @pytest.mark.parametrize("activation", [True, False])
    def test_linear(self, activation: bool):
        module, rows = layer("linear_embedding", 5, width=4, activation=activation), numbers(9, 5)
        weight, bias = module.parameters()
        vectors = torch.stack([rows[:, j, None] * weight[j] + bias[j] for j in range(5)], 1)
        close(module(rows), (vectors.relu() if activation else vectors).flatten(1))

    @pytest.mark.parametrize("name", ["linear_embedding", "feature_tokens"])
    def test_linear_maps_of_one_number_begin_uniform(self, name: str):
        for parameter in layer(name, 500, width=16).parameters():
            assert parameter.abs().max().item() == pytest.approx(0.25, rel=0.01)
            assert parameter.mean().item() == pytest.approx(0, abs=0.01)
            assert parameter.std().item() == pytest.approx(0.5 / math.sqrt(12), rel=0.05)

    @pytest.mark.parametrize("lite", [True, False])
    @pytest.mark.parametrize("activation", [True, False])
    def test_periodic(self, lite: bool, activation: bool):
        options = {"width": 4, "frequencies": 3, "sigma": 0.5}
        module = layer("periodic_embedding", 5, lite=lite, activation=activation, **options)
        state, rows = module.state_dict(), numbers(9, 5)
        vectors = []
        for j in range(5):
            angles = 2 * math.pi * state["frequencies"][j] * rows[:, j, None]
            waves = torch.cat([angles.cos(), angles.sin()], 1)
            weight, bias = state["linear.weight"], state["linear.bias"]
            vectors.append(waves @ weight.t() + bias if lite else waves @ weight[j] + bias[j])
        flat = torch.cat(vectors, 1)
        close(module(rows), flat.relu() if activation else flat)

    def test_periodic_begins_with_the_deviation_that_is_asked_for(self):
        drawn = layer("periodic_embedding", 100, sigma=3.0).state_dict()["frequencies"]
        assert drawn.std().item() == pytest.approx(3.0, rel=0.05)

    def test_linear_maps_of_each_number_begin_as_torch_s_of_as_many_inputs(self):
        state = layer("periodic_embedding", 50, width=30, frequencies=8).state_dict()
        for each in (state["linear.weight"], state["linear.bias"]):
            assert each.abs().max().item() == pytest.approx(16**-0.5, rel=0.01)
            assert each.std().item() == pytest.approx(16**-0.5 / math.sqrt(3), rel=0.05)

    def test_without_categories_codes_are_none(self):
        assert layer("linear_embedding", 5).state_dict().keys() == {"weight", "bias"}

    @pytest.mark.parametrize(
        "name", ["linear_embedding", "periodic_embedding", "piecewise_embedding"]
    )
    def test_categories_are_looked_up_and_stand_last(self, name: str):
        case = Case({"width": 4}, (5,), MIXED)
        module, rows = build(name, case), samples(case)
        made = module(rows)
        tables = [module.state_dict()[f"codes.tables.{i}.weight"] for i in range(2)]
        found = torch.cat([table[rows[:, 3 + i].long()] for i, table in enumerate(tables)], 1)
        assert torch.equal(made[:, 12:], found)
        other = rows.clone()
        other[:, 3:] = 0
        assert torch.equal(module(other)[:, :12], made[:, :12])


def by_equation_1(x: float, edges: list[float]) -> list[float]:
    """PLE as the paper has it, of rising edges."""
    shares = []
    for t in range(1, len(edges)):
        if x < edges[t - 1] and t > 1:
            shares.append(0.0)
        elif x >= edges[t] and t < len(edges) - 1:
            shares.append(1.0)
        else:
            shares.append((x - edges[t - 1]) / (edges[t] - edges[t - 1]))
    return shares


class TestPiecewise:
    @pytest.mark.parametrize("bins", [1, 2, 6])
    def test_it_is_equation_1_with_the_quantiles_of_the_training_rows(self, bins: int):
        module, rows = layer("piecewise_embedding", 3, bins=bins), numbers(200, 3) * 5
        module.fit(rows)
        tried = numbers(50, 3) * 20  # beyond the training rows too
        edges = np.quantile(rows.numpy(), np.linspace(0, 1, bins + 1), axis=0).T.tolist()
        expected = [
            [share for j in range(3) for share in by_equation_1(row[j], edges[j])]
            for row in tried.tolist()
        ]
        torch.testing.assert_close(module(tried), torch.tensor(expected), rtol=1e-4, atol=1e-4)

    def test_before_it_is_fitted_the_rows_are_taken_for_normal(self):
        edges = layer("piecewise_embedding", 2, bins=8).state_dict()["edges"]
        shares = torch.special.ndtr(edges)
        close(shares.diff(), torch.full((2, 8), 1 / 9))
        close(edges, -edges.flip(1))

    def test_codes_are_left_out_of_fitting(self):
        case = Case({"bins": 4}, (5,), MIXED)
        module: Any = build("piecewise_embedding", case)
        alone = layer("piecewise_embedding", 3, bins=4)
        module.fit(samples(case))
        alone.fit(samples(case)[:, :3])
        assert torch.equal(module.state_dict()["edges"], alone.state_dict()["edges"])

    def test_a_linear_map_of_its_own_follows_for_each_number(self):
        plain, wide = (layer("piecewise_embedding", 3, bins=4, width=w) for w in (None, 2))
        rows, state = numbers(9, 3), wide.state_dict()
        shares = plain(rows).unflatten(1, (3, 4))
        vectors = [
            shares[:, j] @ state["linear.weight"][j] + state["linear.bias"][j] for j in range(3)
        ]
        close(wide(rows), torch.cat(vectors, 1).relu())
        bare = layer("piecewise_embedding", 3, bins=4, width=2, activation=False)
        bare.load_state_dict(state)
        close(bare(rows), torch.cat(vectors, 1))

    def test_columns_of_few_values_stay_finite_and_told_apart(self):
        rows = torch.stack([torch.arange(60) % 2, torch.full((60,), 7), torch.arange(60) % 3], 1)
        rows = rows.float().requires_grad_()
        module = layer("piecewise_embedding", 3, bins=10, width=4)
        module.fit(rows.detach())
        made = module(rows)
        made.square().sum().backward()
        assert made.isfinite().all()
        assert rows.grad is not None
        assert rows.grad.isfinite().all()
        assert all(parameter.grad.isfinite().all() for parameter in module.parameters())
        bare = layer("piecewise_embedding", 3, bins=10)
        bare.fit(rows.detach())
        assert len(bare(rows).unique(dim=0)) == len(rows.unique(dim=0))
        assert bare(rows).min() >= 0
        assert bare(rows).max() <= 1

    def test_a_bin_without_room_is_a_step(self):
        module = layer("piecewise_embedding", 1, bins=3)
        module.fit(torch.tensor([[0.0], [5.0], [5.0], [10.0]]))
        made = module(torch.tensor([[4.0], [5.0], [6.0]]))
        close(made, torch.tensor([[0.8, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 0.2]]))

    def test_what_was_fitted_is_in_the_state(self):
        module, other = (layer("piecewise_embedding", 3, bins=4) for _ in range(2))
        module.fit(numbers(50, 3) * 9 + 3)
        other.load_state_dict(module.state_dict())
        assert torch.equal(module(numbers(9, 3)), other(numbers(9, 3)))

    @given(
        st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=30),
        st.integers(2, 12),
    )
    def test_quantiles_are_those_of_numpy(self, column: list[float], count: int):
        made = quantiles(torch.tensor(column, dtype=torch.float64), count)
        expected = np.quantile(column, np.linspace(0, 1, count))
        np.testing.assert_allclose(made.numpy(), expected, rtol=1e-9, atol=1e-9)
        assert (made.diff() >= 0).all()


def test_feature_tokens_are_the_formula_s():
    case = Case({"width": 4}, (5,), (3, 7, 2))
    module, rows = build("feature_tokens", case), samples(case)
    state = module.state_dict()
    tokens = [rows[:, j, None] * state["weight"][j] for j in range(2)]
    table = state["categories.weight"].split(case.cardinalities)
    tokens += [table[j][rows[:, 2 + j].long()] for j in range(3)]
    expected = torch.stack([token + state["bias"][j] for j, token in enumerate(tokens)], 1)
    close(module(rows), expected)
    assert state["categories.weight"].abs().max() <= 0.5
    assert size(module) == 2 * 4 + (3 + 7 + 2) * 4 + 5 * 4


class TestSeries:
    @pytest.mark.parametrize("width", [1, 3, 25])
    def test_the_moving_average_is_that_of_dlinear(self, width: int):
        series = numbers(ROWS, 3, 11) * 5 + 100
        half = (width - 1) // 2
        by_hand = torch.zeros_like(series)
        for t in range(11):
            around = [min(max(t + step, 0), 10) for step in range(-half, half + 1)]
            by_hand[..., t] = series[..., around].mean(-1)
        trend = layer("moving_average", 3, 11, width=width)(series)
        torch.testing.assert_close(trend, by_hand, rtol=1e-6, atol=1e-5)
        rest = layer("detrended", 3, 11, width=width)(series)
        torch.testing.assert_close(rest, series - by_hand, rtol=1e-5, atol=1e-4)

    def test_the_last_value_and_what_is_measured_from_it(self):
        series = numbers(ROWS, 3, 11)
        assert torch.equal(layer("last", 3, 11)(series), series[..., 10:])
        assert torch.equal(layer("less_last", 3, 11)(series), series - series[..., 10:])


class TestCausalConvolution:
    @pytest.mark.parametrize("weight_norm", [True, False])
    @pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (3, 1), (2, 4)])
    def test_it_is_the_sum_over_the_steps_before(
        self, kernel: int, dilation: int, weight_norm: bool
    ):
        options = {"kernel": kernel, "dilation": dilation, "weight_norm": weight_norm}
        module = layer("causal_conv", 3, 9, width=5, **options)
        series, weight = numbers(ROWS, 3, 9), module.conv.weight
        expected = module.conv.bias.expand(ROWS, 9, 5).mT.clone()
        for t in range(9):
            for k in range(kernel):
                before = t - (kernel - 1 - k) * dilation
                if before >= 0:
                    expected[..., t] = expected[..., t] + series[..., before] @ weight[..., k].T
        close(module(series), expected)

    def test_length_and_direction_of_weights_can_be_learnt_apart(self):
        plain, normed = (
            layer("causal_conv", 3, 9, width=5, weight_norm=each) for each in (False, True)
        )
        assert size(normed) == size(plain) + 5
        close(normed(numbers(ROWS, 3, 9)), plain(numbers(ROWS, 3, 9)))


def test_patches_are_linear_in_what_they_cut_out():
    module = layer("patches", 3, 4, 6, size=2, width=5)
    images = numbers(ROWS, 3, 4, 6)
    made = module(images)
    assert made.shape == (ROWS, 6, 5)
    weight, bias = module.embed.weight.flatten(1), module.embed.bias
    for place, (row, column) in enumerate([(i, j) for i in (0, 2) for j in (0, 2, 4)]):
        cut = images[:, :, row : row + 2, column : column + 2].flatten(1)
        close(made[:, place], cut @ weight.T + bias)


class TestDepth:
    def test_a_sample_goes_as_a_whole_or_not_at_all(self):
        module, series = layer("drop_path", 4, 6, p=0.25), numbers(4000, 4, 6)
        made = module(series)
        kept = made.flatten(1).any(1)
        assert kept.float().mean().item() == pytest.approx(0.75, abs=0.03)
        close(made[kept], series[kept] / 0.75)
        assert torch.equal(module.eval()(series), series)

    def test_without_chance_nothing_is_dropped_or_drawn(self):
        module, series = layer("drop_path", 4, 6, p=0), numbers(ROWS, 4, 6)
        before = torch.get_rng_state()
        assert torch.equal(module(series), series)
        assert torch.equal(torch.get_rng_state(), before)

    def test_every_feature_has_a_factor(self):
        module, series = layer("scale", 4, 6, initial=0.5), numbers(ROWS, 4, 6)
        (factors,) = module.parameters()
        assert torch.equal(module(series), series * 0.5)
        with torch.no_grad():
            factors.copy_(torch.arange(6.0))
        assert torch.equal(module(series), series * torch.arange(6.0))


SERIES, TABLE, IMAGE = Inputs((24, 3)), Inputs((5,), MIXED), Inputs((3, 8, 12))
ATTENDED: list[Any] = [
    "class_token",
    {"residual": ["LayerNorm", {"attention": 4}, "drop_path"]},
    {"residual": ["LayerNorm", {"Linear": 32}, "geglu", {"scale": 0.1}]},
    {"pick": 0},
]
LISTS: dict[str, tuple[Inputs, list[Any]]] = {
    "vision transformer": (IMAGE, [{"patches": [4, 16]}, "positions", *ATTENDED]),
    "ft-transformer": (TABLE, [{"feature_tokens": 16}, *ATTENDED]),
    "plr": (TABLE, [{"periodic_embedding": [8, 4, 0.1]}, {"Linear": 16}, "relu"]),
    "temporal convolutions": (
        SERIES,
        ["transpose", {"causal_conv": 8}, "relu", {"causal_conv": [8, 3, 2]}, "transpose", "pick"],
    ),
    "attention behind a convolution": (
        SERIES,
        ["transpose", {"Conv1d": [8, 3]}, "transpose", {"attention": 2}, "mean"],
    ),
    "bidirectional lstm": (SERIES, [{"LSTM": {"hidden_size": 8, "bidirectional": True}}, "ends"]),
    "convolution of a row": (Inputs((9,)), ["channel", {"Conv1d": [4, 3]}, {"mean": -1}]),
}


def network(inputs: Inputs, items: list[Any], outputs: int = 3) -> nn.Module:
    spec, faults = fill_component("model", {"name": "layers", "layers": items}, ())
    assert not faults
    return networks.make(spec, inputs, outputs, seed=0)


@pytest.mark.parametrize("known", LISTS)
def test_networks_of_the_field_are_lists_of_them(known: str):
    inputs, items = LISTS[known]
    made = network(inputs, [*items, {"Linear": "out"}])(
        samples(Case({}, inputs.shape, inputs.cardinalities))
    )
    assert made.shape == (ROWS, 3)


def test_dlinear_is_a_list_of_them():
    """Trend and rest each forecast by a linear layer of their own (Zeng et al., 2023)."""
    trend, rest = ([{kind: 5}, {"Linear": 2}] for kind in ("moving_average", "detrended"))
    ours = network(SERIES, ["transpose", {"sum": [trend, rest]}, "transpose", "Flatten"], 6)
    series = numbers(ROWS, 24, 3)
    of_trend, of_rest = (each for each in ours.modules() if isinstance(each, nn.Linear))
    padded = torch.cat([series[:, :1].repeat(1, 2, 1), series, series[:, -1:].repeat(1, 2, 1)], 1)
    average = padded.unfold(1, 5, 1).mean(-1).mT
    expected = of_trend(average) + of_rest(series.mT - average)
    close(ours(series), expected.mT.flatten(1))


@pytest.mark.parametrize(
    ("inputs", "item"),
    [
        (Inputs((5,)), {"attention": 1}),
        (Inputs((5,)), "positions"),
        (Inputs((5,)), {"causal_conv": 4}),
        (SERIES, {"feature_tokens": 4}),
        (SERIES, {"linear_embedding": 4}),
        (SERIES, {"patches": [4, 16]}),
        (IMAGE, "class_token"),
        (IMAGE, "geglu"),
    ],
    ids=str,
)
def test_a_layer_for_other_samples_is_refused(inputs: Inputs, item: Any):
    with pytest.raises(ConfigError, match=r"layers\[0\].*; expected"):
        network(inputs, [item, "Flatten", {"Linear": "out"}])


MISTAKES = [
    ("attention", {"heads": 8}, (4, 20), "attention: got 8 heads for 20 features; expected heads"),
    ("geglu", {}, (4, 5), "geglu: got 5 features; expected an even number"),
    ("moving_average", {"width": 4}, (4, 6), "moving_average: got a width of 4; expected an odd"),
    ("detrended", {"width": 2}, (4, 6), "detrended: got a width of 2; expected an odd"),
    ("patches", {"size": 4, "width": 5}, (3, 8, 30), "got images of 8 x 30 pixels for a patch size "
     "of 4; expected sides that are multiples"),
    ("patches", {"size": 4, "width": 5}, (8, 8), r"got samples of shape \(8, 8\); expected images"),
    ("causal_conv", {"width": 5}, (8,), r"got samples of shape \(8,\); expected \(channels, steps"),
    ("ends", {}, (4, 5), r"ends: got samples of shape \(4, 5\); expected .* even number"),
    ("pick", {"step": 4}, (4, 6), "pick: got step 4 of samples of 4 steps; expected one from -4 to "
     "3"),
    ("pick", {"step": -5}, (4, 6), "pick: got step -5"),
    ("transpose", {"second": 2}, (4, 6), r"transpose: got dimension 2 of samples of shape \(4, 6\);"
     " expected one from -2 to 1"),
    ("transpose", {"first": -3}, (4, 6), "transpose: got dimension -3"),
    ("mean", {"dimension": 2}, (4, 6), "mean: got dimension 2"),
    ("maximum", {"dimension": -3}, (4, 6), "maximum: got dimension -3"),
    ("linear_embedding", {}, (4, 6), r"linear_embedding: got samples of shape \(4, 6\); expected "
     "rows of 6 numbers"),
    ("linear_embedding", {"features": 1}, (6,), "expected rows of 1 numbers"),
    ("feature_tokens", {"width": 4}, (4, 6), "feature_tokens: got samples of shape"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options", "shape", "said"), MISTAKES)
def test_a_mistake_is_told_without_computing(
    name: str, options: dict[str, Any], shape: tuple[int, ...], said: str
):
    with torch.device("meta"), pytest.raises(ConfigError, match=said):
        layer(name, *shape, **options)(torch.empty(2, *shape))
