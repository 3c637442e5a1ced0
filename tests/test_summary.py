"""What a network is said to be and to take: held against the module that trains."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nnarch.data.inputs import Inputs
from nnarch.models import network as networks
from nnarch.models.footprint import activations
from nnarch.models.summary import Row, Summary, runs, summarize, summary_of
from nnarch.models.written import as_yaml
from nnarch.optim.statesize import state_bytes
from nnarch.registry import optimizers
from nnarch.validate import fill_component
from nnarch.yamlfile import parse
from test_models import CASES, OUTPUTS, filled, make, samples

EACH = list({str(case.values[0]): case for case in CASES}.values())  # on one kind of sample
ROWS, TABLE = 16, Inputs((6,))
LAYERS = [
    {"Linear": 8},
    {"repeat": 3, "do": [{"residual": ["LayerNorm", {"Linear": "same"}], "as": "block"}]},
    {"residual": [{"Linear": 4}], "project": True, "as": "narrow"},
    {"concat": [[], [{"Linear": 5}, "ReLU"], [{"from": "narrow"}]]},
    {"Linear": "out"},
]


def told(layers: list[Any] = LAYERS, inputs: Inputs = TABLE) -> Summary:
    return summarize(filled("layers", {"layers": layers}), inputs, OUTPUTS)


def at(summary: Summary, path: str) -> Row:
    (row,) = (row for _, row in summary.walk() if row.path == path)
    return row


@pytest.mark.parametrize(("spec", "inputs"), EACH)
def test_it_tells_what_the_real_network_is(spec: dict[str, Any], inputs: Inputs) -> None:
    before = torch.get_rng_state()
    summary = summarize(spec, inputs, OUTPUTS)
    described, meta = networks.unallocated(spec, inputs, OUTPUTS)
    assert torch.equal(torch.get_rng_state(), before)
    real = make(spec, inputs).eval()
    rows = [row for _, row in summary.walk()]
    total = sum(parameter.numel() for parameter in real.parameters())
    assert summary.parameters == summary.trainable == total == sum(r.parameters for r in rows)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        meta.eval()(networks.rows_of(inputs, 1))
    assert summary.flops == counter.get_total_flops() == sum(row.flops for row in rows)
    known = {path for path, _ in real.named_modules()}
    assert {row.path for row in rows} <= known
    if described.plan:
        assert summary.rows[-1].shape == described.plan.after.shape


@pytest.mark.parametrize(("spec", "inputs"), EACH)
def test_activations_are_those_of_a_real_step(spec: dict[str, Any], inputs: Inputs) -> None:
    """Recurrent layers apart, which keep a workspace of the library that computes them."""
    real = make(spec, inputs)
    if any(isinstance(module, nn.RNNBase) for module in real.modules()):
        pytest.skip("a recurrent layer")
    _, meta = networks.unallocated(spec, inputs, OUTPUTS)
    expected = activations(real, samples(inputs, ROWS))
    assert activations(meta, networks.rows_of(inputs, ROWS)) == expected


def test_activations_of_a_network_that_can_be_counted_by_hand() -> None:
    network = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 1))
    # what comes in, and what the ReLU gives, which both it and the next layer keep
    assert activations(network, torch.randn(ROWS, 10)) == 4 * ROWS * (10 + 20)


def test_frozen_layers_keep_less() -> None:
    network = nn.Sequential(nn.Linear(10, 20), nn.Linear(20, 1))
    network[0].requires_grad_(False)
    assert activations(network, torch.randn(ROWS, 10)) == 4 * ROWS * 20
    assert activations(network.requires_grad_(False), torch.randn(ROWS, 10)) == 0


def test_long_attention_does_not_keep_its_weights() -> None:
    layers = [{"Embedding": 8}, {"attention": {"heads": 2, "causal": True}}, {"Linear": "out"}]
    spec = filled("layers", {"layers": layers, "autoregressive": True})
    inputs = Inputs((512,), vocabulary=OUTPUTS)
    _, network = networks.unallocated(spec, inputs, OUTPUTS)
    assert activations(network, networks.rows_of(inputs, 2)) < 4 * 2 * 512 * 512


class TestRows:
    def test_layers_have_their_paths_shapes_and_figures(self) -> None:
        summary = told()
        names = dict(networks.make(filled("layers", {"layers": LAYERS}), Inputs((6,)), OUTPUTS, 0)
                     .named_modules())  # fmt: skip
        first = at(summary, "0")
        assert (first.module, first.shape) == ("Linear(6 -> 8)", (8,))
        assert (first.parameters, first.flops) == (6 * 8 + 8, 2 * 6 * 8)
        assert isinstance(names["1.0.block.body.1"], nn.Linear)
        assert at(summary, "1.0.block.body.1").module == "Linear(8 -> 8)"
        assert at(summary, "narrow.project").module == "Linear(8 -> 4, bias=False)"

    def test_structures_hold_their_layers(self) -> None:
        summary = told()
        depths = {row.path: depth for depth, row in summary.walk()}
        assert depths["1"] == 0
        assert depths["1.0.block"] == 1
        assert depths["1.0.block.body.0"] == 2
        repeat = at(summary, "1")
        assert (repeat.module, repeat.word, repeat.parameters) == ("repeat x 3", "repeat", 0)
        assert runs(repeat) == [(0, 2)]
        link = at(summary, "3.2.0")
        assert (link.module, link.link, link.shape) == ("from narrow", "narrow", (4,))
        assert at(summary, "narrow").name == "narrow"

    def test_a_tied_weight_counts_once(self) -> None:
        out = {"Linear": {"out_features": "out", "bias": False}, "tie": "tokens"}
        layers = [{"Embedding": 6, "as": "tokens"}, {"mean": 0}, out]
        summary = told(layers, Inputs((7,), vocabulary=OUTPUTS))
        assert [row.parameters for row in summary.rows] == [6 * OUTPUTS, 0, 0]
        assert summary.rows[2].module == f"Linear(6 -> {OUTPUTS}, bias=False, weight of tokens)"

    def test_frozen_parameters_do_not_train(self) -> None:
        spec = filled("mlp", {"widths": [4]})
        described, network = networks.unallocated(spec, Inputs((6,)), OUTPUTS)
        network.get_parameter("0.weight").requires_grad_(False)
        summary = summary_of(network, described.plan, Inputs((6,)))
        assert summary.parameters - summary.trainable == 24

    def test_arguments_that_go_without_saying_are_not_said(self) -> None:
        layers = [{"Conv2d": [4, 3]}, {"BatchNorm2d": {"momentum": 0.1}}, {"elu": 0.5}, "Flatten",
                  {"Linear": "out"}]  # fmt: skip
        summary = told(layers, Inputs((3, 8, 8)))
        assert [row.module for row in summary.rows] == [
            "Conv2d(3 -> 4, kernel_size=3)", "BatchNorm2d(4)", "elu(alpha=0.5)", "Flatten",
            f"Linear(144 -> {OUTPUTS})",
        ]  # fmt: skip

    def test_a_module_of_somebody_else_s(self) -> None:
        class Own(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.start = nn.Parameter(torch.zeros(6))
                self.late, self.early = nn.Linear(5, OUTPUTS), nn.Linear(6, 5)

            def forward(self, rows: torch.Tensor) -> torch.Tensor:
                return self.late((self.early(rows + self.start)).relu())

        with torch.device("meta"):
            summary = summary_of(Own(), None, Inputs((6,)))
        assert [(row.path, row.shape, row.parameters, row.flops) for row in summary.rows] == [
            ("", (OUTPUTS,), 6, 0), ("early", (5,), 35, 60), ("late", (OUTPUTS,), 18, 30),
        ]  # fmt: skip
        assert summary.rows_are_calls
        assert (summary.parameters, summary.flops) == (59, 90)


@pytest.mark.parametrize("name", [each.name for each in optimizers if each.is_ours])
def test_the_state_of_an_optimizer_is_what_it_comes_to_be(name: str) -> None:
    spec, faults = fill_component("optimizer", name, ())
    assert not faults

    def build(network: nn.Module) -> Any:
        return optimizers.build(spec, list(network.parameters()))

    def module() -> nn.Module:
        return nn.Sequential(nn.Linear(7, 30), nn.LayerNorm(30), nn.Linear(30, 2))

    with torch.device("meta"):
        expected = state_bytes(build, module())
    assert expected is not None
    real = module()
    optimizer = build(real)
    rows, truth = torch.randn(50, 7), torch.randn(50, 2)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (real(rows) - truth).square().mean()
        loss.backward()
        return loss

    for _ in range(2):
        optimizer.step(closure)
    kept = optimizer.state_dict()["state"].values()
    found = sum(
        tensor.numel() * tensor.element_size()
        for state in kept
        for value in state.values()
        for tensor in (value if isinstance(value, list) else [value])
        if isinstance(tensor, torch.Tensor)
    )
    if name == "lbfgs":  # its history is not full yet
        assert found < expected
    else:
        assert found == expected


def test_what_is_frozen_has_no_state() -> None:
    with torch.device("meta"):
        network = nn.Sequential(nn.Linear(7, 30), nn.Linear(30, 2))
    network[0].requires_grad_(False)
    spec, _ = fill_component("optimizer", "adam", ())
    assert state_bytes(lambda of: optimizers.build(spec, list(of.parameters())), network) == 8 * 62


@pytest.mark.parametrize(("spec", "inputs"), EACH)
def test_written_layer_by_layer_it_is_the_same_network(
    spec: dict[str, Any], inputs: Inputs
) -> None:
    expanded = networks.expanded(spec, inputs, OUTPUTS)
    if expanded is None:
        pytest.skip("a module of its own")
    text = as_yaml(expanded)
    again, faults = fill_component("model", parse(text, "written").value["model"], ())
    assert not faults
    first, second = make(spec, inputs, 3), make(again, inputs, 3)
    assert repr(first) == repr(second)
    for one, two in zip(first.state_dict().items(), second.state_dict().items(), strict=True):
        assert one[0] == two[0]
        assert torch.equal(one[1], two[1])


def test_it_is_written_as_a_person_would() -> None:
    items = [
        {"Linear": {"out_features": 20, "bias": True}},
        {"elu": {"alpha": 1.0}},
        {"LSTM": {"hidden_size": 5, "batch_first": False}},
        {"repeat": 2, "do": [{"residual": ["GELU"], "drop": 0.1, "as": "a"}], "as": "b"},
        {"sum": [["Tanh"], [], [{"from": "a"}, {"Dropout": {"p": 0.25}}]]},
        {"Linear": {"out_features": "out", "bias": False}, "tie": "c"},
    ]
    assert as_yaml({"layers": items, "initialization": {"name": "normal", "std": 1e-5}}) == """\
model:
  layers:
    - Linear: 20
    - elu
    - LSTM: {hidden_size: 5, batch_first: false}
    - repeat: 2
      do:
        - residual:
            - GELU
          drop: 0.1
          as: a
      as: b
    - sum:
        - - Tanh
        - []
        - - from: a
          - Dropout: 0.25
    - {Linear: {out_features: out, bias: false}, tie: c}
  initialization: {name: normal, std: 1.0e-05}
"""  # fmt: skip
