"""A list of layers, followed: what is accepted trains as promised, what is refused could not.

Networks of any kind are drawn and followed; beside them stands a reading of the same list by hand,
`Naive`, which runs torch's modules one by one on real tensors and knows nothing of plans.
"""

import re
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nnarch.data.inputs import Inputs
from nnarch.errors import ConfigError, undotted
from nnarch.models import network as networks
from nnarch.models.blocks.modules.attention import SelfAttention
from nnarch.models.following import follow
from nnarch.models.plan import Plan, entering
from nnarch.models.structures import Branches, Residual
from nnarch.models.torchlayers import output
from nnarch.registry import layers
from nnarch.validate import fill_component

ROWS, OUTPUTS = 4, 3
AT = ("model", "layers")
SERIES, IMAGE = (6, 4), (4, 6, 6)


def plan_of(raw: Sequence[Any], *shape: int, vocabulary: int = 0, outputs: int = OUTPUTS) -> Plan:
    inputs = Inputs(shape or (4,), vocabulary=vocabulary)
    return follow(raw, AT, entering(inputs), inputs, outputs)


def built(raw: Sequence[Any], *shape: int, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return networks.build(plan_of(raw, *shape, **options))


def refusal(raw: Sequence[Any], *shape: int, **options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        plan_of(raw, *shape, **options)
    (line,) = caught.value.lines
    return line


def numbers(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def filled(raw: list[Any], **options: Any) -> dict[str, Any]:
    spec, faults = fill_component("model", {"layers": raw, **options}, ("model",))
    assert not faults, faults
    return spec


# --- structures ---------------------------------------------------------------------------------


def test_same_is_as_wide_as_what_enters_the_block():
    plan = plan_of([{"Linear": 7}, {"residual": [{"Linear": 9}, "relu", {"Linear": "same"}]}], 4)
    assert [step.after.shape for step in plan.layers()] == [(7,), (9,), (9,), (7,)]
    image = plan_of([{"residual": [{"Conv2d": [9, 1]}, {"Conv2d": ["same", 1]}]}], *IMAGE)
    assert [step.after.shape for step in image.layers()] == [(9, 6, 6), (4, 6, 6)]


def test_out_is_as_wide_as_the_task_needs():
    assert plan_of([{"Linear": "out"}], 4, outputs=5).after.shape == (5,)
    assert plan_of([{"repeat": 1, "do": {"Conv2d": ["out", 3]}}], *IMAGE).after.shape == (3, 4, 4)


def test_a_residual_adds_its_input():
    network, rows = built([{"residual": [{"Linear": "same"}, "tanh"]}], 4), numbers(5, 4)
    (linear,) = (module for module in network.modules() if isinstance(module, nn.Linear))
    torch.testing.assert_close(network(rows), rows + linear(rows).tanh())


@pytest.mark.parametrize(
    ("raw", "shape", "kind"),
    [
        ([{"Linear": 7}], (4,), nn.Linear),
        ([{"Linear": 7}], SERIES, nn.Linear),
        ([{"Conv2d": {"out_channels": 5, "kernel_size": 3, "padding": 1}}], IMAGE, nn.Conv2d),
        (
            [{"Conv2d": {"out_channels": 5, "kernel_size": 3, "stride": 2, "padding": 1}}],
            IMAGE, nn.Conv2d,
        ),
    ],
)  # fmt: skip
def test_a_projection_makes_the_shapes_equal(
    raw: list[Any], shape: tuple[int, ...], kind: type[nn.Module]
):
    network, rows = built([{"residual": raw, "project": True}], *shape), numbers(5, *shape)
    (residual,) = (module for module in network.modules() if isinstance(module, Residual))
    assert isinstance(residual.project, kind)
    assert residual.project.bias is None
    torch.testing.assert_close(network(rows), residual.project(rows) + residual.body(rows))


def test_a_projection_is_made_where_it_is_needed_alone():
    network = built([{"residual": [{"Linear": 4}], "project": True}], 4)
    assert sum(parameter.numel() for parameter in network.parameters()) == 4 * 4 + 4


def test_a_dropped_residual_passes_on_its_input():
    network = built([{"residual": {"Linear": "same"}, "drop": 0.5}], 4)
    rows = numbers(200, 4)
    torch.manual_seed(0)
    added = network.train()(rows) - rows
    left_out = (added == 0).all(1)
    assert 60 < left_out.sum() < 140
    torch.testing.assert_close(added[~left_out], 2 * (network.eval()(rows) - rows)[~left_out])


def test_a_repetition_has_weights_of_its_own_each_time():
    network, rows = built([{"repeat": 3, "do": [{"Linear": "same"}, "relu"]}], 4), numbers(5, 4)
    linears = [module for module in network.modules() if isinstance(module, nn.Linear)]
    assert len(linears) == 3
    assert len({id(linear.weight) for linear in linears}) == 3
    for linear in linears:
        rows = linear(rows).relu()
    torch.testing.assert_close(network(numbers(5, 4)), rows)


def test_a_repetition_may_change_the_shape_each_time():
    plan = plan_of([{"repeat": 2, "do": [{"Conv2d": [8, 3]}]}], *IMAGE)
    assert plan.after.shape == (8, 2, 2)


@pytest.mark.parametrize(
    ("word", "meant"),
    [("sum", torch.add), ("mul", torch.mul), ("concat", lambda one, two: torch.cat([one, two], 1))],
)
def test_branches_are_brought_together(word: str, meant: Any):
    network, rows = built([{word: [[{"Linear": 6}, "tanh"], {"Linear": 6}]}], 4), numbers(5, 4)
    one, two = (module for module in network.modules() if isinstance(module, nn.Linear))
    torch.testing.assert_close(network(rows), meant(one(rows).tanh(), two(rows)))


def test_an_empty_branch_is_the_input():
    rows = numbers(5, 4)
    network = built([{"sum": [[], [{"Linear": "same"}]]}], 4)
    linear = next(module for module in network.modules() if isinstance(module, nn.Linear))
    torch.testing.assert_close(network(rows), rows + linear(rows))


@pytest.mark.parametrize(
    ("shape", "beside", "expected"),
    [
        ((4,), {}, (8,)),
        (SERIES, {}, (6, 8)),
        (SERIES, {"dim": 0}, (12, 4)),
        (IMAGE, {}, (8, 6, 6)),
        (IMAGE, {"dim": -1}, (4, 6, 12)),
    ],
)
def test_concat_joins_features_or_channels_unless_said(
    shape: tuple[int, ...], beside: dict[str, Any], expected: tuple[int, ...]
):
    raw = [{"concat": [["relu"], ["tanh"]], **beside}]
    assert plan_of(raw, *shape).after.shape == expected
    network = built(raw, *shape)
    assert network(numbers(2, *shape)).shape == (2, *expected)
    assert isinstance(next(network.children()), Branches)


# --- links and ties -----------------------------------------------------------------------------


def test_a_link_leads_to_an_output():
    rows = numbers(5, 4)
    network = built([{"tanh": None, "as": "h"}, {"Linear": 4}, {"mul": [[], {"from": "h"}]}], 4)
    linear = next(module for module in network.modules() if isinstance(module, nn.Linear))
    torch.testing.assert_close(network(rows), linear(rows.tanh()) * rows.tanh())


ACROSS: dict[str, tuple[list[Any], int]] = {
    # lists that end with tanh(x) applied so many times, and only by the link if links work
    "out of a residual": (
        [{"residual": [{"tanh": None, "as": "h"}, {"Linear": 4}]}, {"from": "h"}], 1,
    ),
    "into a residual": (
        [{"tanh": None, "as": "h"}, {"mul": [[], [{"residual": {"from": "h"}}]]},
         {"from": "h"}], 1,
    ),
    "out of a branch": ([{"sum": [[{"tanh": None, "as": "h"}], []]}, {"from": "h"}], 1),
    "from branch to branch": (
        [{"concat": [[{"tanh": None, "as": "h"}], [{"Linear": 3}, {"from": "h"}, "tanh"]]},
         {"Linear": 4}, {"from": "h"}, "tanh"], 2,
    ),
    "of a structure": ([{"repeat": 2, "do": "tanh", "as": "h"}, {"Linear": 4}, {"from": "h"}], 2),
    "out of a repetition": (
        [{"repeat": 3, "do": {"tanh": None, "as": "h"}}, {"Linear": 4}, {"from": "h.1"}], 2,
    ),
    "within a repetition": (
        [{"repeat": 2, "do": [{"tanh": None, "as": "h"}, {"Linear": 4}, {"from": "h"}]}], 2,
    ),
    "out of two repetitions": (
        [{"repeat": 2, "do": {"repeat": 2, "do": {"tanh": None, "as": "h"}}}, {"Linear": 4},
         {"from": "h.1.0"}], 3,
    ),
    "of a link": (
        [{"tanh": None, "as": "h"}, "tanh", {"from": "h", "as": "g"}, {"Linear": 3}, {"from": "g"}],
        1,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "times"), ACROSS.values(), ids=ACROSS)
def test_a_link_leads_from_anywhere_to_anywhere_later(raw: list[Any], times: int):
    rows = expected = numbers(5, 4)
    for _ in range(times):
        expected = expected.tanh()
    torch.testing.assert_close(built(raw, 4)(rows), expected)


def test_only_outputs_that_are_linked_are_kept():
    plan = plan_of([{"tanh": None, "as": "a"}, {"relu": None, "as": "b"}, {"from": "a"}], 4)
    assert list(plan.kept) == ["a"]
    assert list(plan.steps) == ["a", "b", "2"]


DANGLING: dict[str, tuple[list[Any], str, str]] = {
    "no such name": (
        [{"relu": None, "as": "h"}, {"from": "g"}], "[1]", "no item is called 'g'.*there are: h",
    ),
    "no names": ([{"from": "g"}], "[0]", "no item is called 'g'.*there are: none"),
    "a later one": (
        [{"from": "h"}, {"relu": None, "as": "h"}], "[0]", "'h' does not come before it.*back only",
    ),
    "itself": (
        [{"from": "h", "as": "h"}], "[0]", "'h' does not come before it; a link leads back only",
    ),
    "what holds it": (
        [{"residual": ["relu", {"from": "h"}], "as": "h"}], "[0].residual[1]",
        "does not come before it",
    ),
    "a later branch": (
        [{"sum": [{"from": "h"}, {"relu": None, "as": "h"}]}], "[0].sum[0]", "does not come before",
    ),
    "which repetition": (
        [{"repeat": 2, "do": {"relu": None, "as": "h"}}, {"from": "h"}], "[1]",
        r"expected one of h\.0, h\.1",
    ),
    "a repetition too many": (
        [{"repeat": 2, "do": {"relu": None, "as": "h"}}, {"from": "h.2"}], "[1]",
        r"expected one of h\.0, h\.1",
    ),
    "a tie to nothing": (
        [{"Linear": "out", "tie": "e"}], "[0]", "no item is called 'e'",
    ),
    "a tie to a later one": (
        [{"Linear": 4, "tie": "e"}, {"Linear": 4, "as": "e"}], "[0]", "does not come before it",
    ),
    "a name twice": (
        [{"relu": None, "as": "h"}, {"tanh": None, "as": "h"}], "[1].as",
        "'h' is the name of another",
    ),
    "a name twice within": (
        [{"relu": None, "as": "h"}, {"residual": {"tanh": None, "as": "h"}}], "[1].residual.as",
        "'h' is the name of another",
    ),
    "a name of torch's": ([{"relu": None, "as": "forward"}], "[0].as", "means something to torch"),
}  # fmt: skip


def resolved(line: str, raw: Any) -> Any:
    """What stands at the place that a message begins with, in the list."""
    path = undotted(line.partition(": ")[0])
    assert path[:2] == AT, line
    for key in path[2:]:
        raw = raw[key]
    return raw


@pytest.mark.parametrize(("raw", "place", "said"), DANGLING.values(), ids=DANGLING)
def test_a_link_that_leads_nowhere_is_refused(raw: list[Any], place: str, said: str):
    line = refusal(raw, 4)
    assert re.search(said, line), line
    assert line.startswith(f"model.layers{place}")
    resolved(line, raw)


def test_a_tie_shares_a_weight_while_training_and_in_the_state():
    raw = [{"Embedding": 6, "as": "e"}, {"mean": 0}, {"Linear": "out", "tie": "e"}]
    network = built(raw, 5, vocabulary=9, outputs=9)
    (table,) = (module for module in network.modules() if isinstance(module, nn.Embedding))
    (linear,) = (module for module in network.modules() if isinstance(module, nn.Linear))
    assert linear.weight is table.weight
    assert sum(parameter.numel() for parameter in network.parameters()) == 9 * 6 + 9
    optimizer = torch.optim.AdamW(network.parameters(), 0.1)
    tokens = torch.arange(10).view(2, 5) % 9
    network(tokens).square().sum().backward()
    before = table.weight.detach().clone()
    optimizer.step()
    assert linear.weight is table.weight
    assert not torch.equal(table.weight, before)
    other = networks.build(plan_of(raw, 5, vocabulary=9, outputs=9))
    other.load_state_dict(network.state_dict())
    assert torch.equal(other(tokens), network(tokens))
    (again,) = (module for module in other.modules() if isinstance(module, nn.Embedding))
    (back,) = (module for module in other.modules() if isinstance(module, nn.Linear))
    assert back.weight is again.weight


def test_a_tie_reaches_into_a_repetition():
    raw = [{"repeat": 2, "do": {"Linear": 4, "as": "h"}}, {"Linear": 4, "tie": "h.1"}]
    first, second, last = (
        module for module in built(raw, 4).modules() if isinstance(module, nn.Linear)
    )
    assert last.weight is second.weight
    assert last.weight is not first.weight


def test_a_tie_within_a_repetition_is_to_the_layer_of_that_time():
    raw = [{"repeat": 2, "do": [{"Linear": 4, "as": "h"}, {"Linear": 4, "tie": "h"}]}]
    one, its, two, others = (
        module.weight for module in built(raw, 4).modules() if isinstance(module, nn.Linear)
    )
    assert one is its
    assert two is others
    assert one is not two


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (
            [{"Linear": 6, "as": "h"}, {"Linear": 7, "tie": "h"}],
            r"its weight is of shape \(7, 6\) and that of h is of shape \(6, 4\); expected equal",
        ),
        ([{"relu": None, "as": "h"}, {"Linear": 4, "tie": "h"}], "that of h is none"),
        ([{"Linear": 4, "as": "h"}, {"ReLU": None, "tie": "h"}], "its weight is none"),
    ],
)
def test_a_tie_needs_equal_weights(raw: list[Any], said: str):
    line = refusal(raw, 4)
    assert re.search(said, line), line
    resolved(line, raw)


# --- refusals -----------------------------------------------------------------------------------

UNFIT: dict[str, tuple[list[Any], tuple[int, ...], str]] = {
    "a kernel": (
        [{"Conv2d": [4, 7]}], IMAGE,
        r"^model\.layers\[0\]\.Conv2d: cannot take samples of shape \(4, 6, 6\): .*[Kk]ernel size",
    ),
    "nothing left": (
        [{"AvgPool2d": 4}, {"MaxPool2d": 2}], (4, 5, 5), r"^model\.layers\[1\]\.MaxPool2d: ",
    ),
    "heads": (
        [{"attention": 3}], SERIES,
        r"^model\.layers\[0\]\.attention: got 3 heads for 4 features; expected heads that divide",
    ),
    "a residual": (
        [{"residual": [{"Linear": 5}]}], (4,),
        r"^model\.layers\[0\]\.residual: its layers make \(5,\) of samples of shape \(4,\); "
        "expected the shape to stay, or project: true",
    ),
    "a projection": (
        [{"residual": ["Flatten"], "project": True}], SERIES,
        r"^model\.layers\[0\]\.residual: project: no linear layer",
    ),
    "a sum": (
        [{"sum": [{"Linear": 3}, {"Linear": 4}]}], (4,),
        r"^model\.layers\[0\]\.sum: its branches make \(3,\) and \(4,\); expected equal shapes",
    ),
    "a sum of ranks": (
        [{"sum": ["Flatten", []]}], SERIES, r"\.sum: its branches make \(24,\) and \(6, 4\)",
    ),
    "a concat": (
        [{"concat": [[{"Conv2d": [3, 3]}], []]}], IMAGE,
        r"make \(3, 4, 4\) and \(4, 6, 6\); expected them to differ in dimension 0 alone",
    ),
    "a concat of ranks": ([{"concat": ["Flatten", []]}], SERIES, "expected as many dimensions"),
    "a concat's dimension": (
        [{"concat": [[], []], "dim": 2}], SERIES, "expected dimension 2 to join them by",
    ),
    "a step": ([{"pick": 6}], SERIES, r"\.pick: got step 6 of samples of 6 steps"),
    "codes as they are": ([{"Linear": 3}], (5,), "got codes as they are; expected a layer that"),
    "codes by a residual": ([{"residual": []}], (5,), "got codes as they are"),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "shape", "said"), UNFIT.values(), ids=UNFIT)
def test_what_does_not_fit_is_told_with_its_place(
    raw: list[Any], shape: tuple[int, ...], said: str
):
    line = refusal(raw, *shape, vocabulary=9 if shape == (5,) else 0)
    assert re.search(said, line), line
    resolved(line, raw)


def test_a_layer_of_the_user_s_own_is_tried_each_time(monkeypatch: pytest.MonkeyPatch):
    """What torch's layers make of samples is remembered; what another does may change."""
    monkeypatch.setattr(layers, "_components", dict(layers._components))
    told = {"width": 5}
    layers.register(name="changeable")(lambda: nn.Linear(4, told["width"]))
    raw = ["relu", "changeable", {"Linear": "out"}]
    for width in (5, 6):
        told["width"] = width
        assert [step.after.shape for step in plan_of(raw, 4).layers()] == [(4,), (width,), (3,)]


def test_numbers_are_not_tokens():
    assert "that are numbers; expected tokens" in refusal([{"Embedding": 4}], 5)


def test_what_a_network_gives_in_the_end_is_checked():
    for shape, cure in ((SERIES, "Flatten and {Linear: out} after it"), ((4,), "{Linear: out} at")):
        with pytest.raises(ConfigError) as caught:
            networks.size(filled(["relu"]), Inputs(shape), OUTPUTS)
        (line,) = caught.value.lines
        assert line.startswith(f"model.layers: gives samples of shape {shape}; expected (3,)")
        assert cure in line


# --- check is truthful --------------------------------------------------------------------------


class Misread(Exception):
    """What torch would do, and nobody means."""


class Naive:
    """Runs a list on real tensors: one module after the other, made as one would by hand.

    `codes` is not for it; what torch takes for something else it calls `Misread`.
    """

    def __init__(self) -> None:
        self.named: dict[str, tuple[Tensor, bool]] = {}
        self.weights = 0

    def run(self, raw: Sequence[Any], x: Tensor, channels: bool) -> tuple[Tensor, bool]:
        entered = x
        for item in raw:
            x, channels = self.item(item, x, entered, channels)
            if isinstance(item, dict) and "as" in item:
                self.named[item["as"]] = x, channels
        return x, channels

    def item(self, item: Any, x: Tensor, entered: Tensor, channels: bool) -> tuple[Tensor, bool]:
        item = {item: None} if isinstance(item, str) else item
        word = next(iter(item))
        match word:
            case "from":
                return self.named[item["from"]]
            case "repeat":
                for _ in range(item["repeat"]):
                    x, channels = self.run(item["do"], x, channels)
                return x, channels
            case "residual":
                made, channels = self.run(item["residual"], x, channels)
                if made.shape != x.shape:
                    raise ValueError(f"{made.shape} + {x.shape}")
                return made + x, channels
            case "sum" | "mul" | "concat":
                branches = [self.run(branch, x, channels) for branch in item[word]]
                return self.joined(word, [made for made, _ in branches], item), branches[0][1]
        module, channels = self.module(word, item[word], x, entered, channels)
        self.weights += sum(parameter.numel() for parameter in module.parameters())
        return output(module, x), channels

    def joined(self, word: str, made: list[Tensor], item: dict[str, Any]) -> Tensor:
        if len({each.dim() for each in made}) > 1:
            raise Misread
        if word == "concat":
            return torch.cat(made, item["dim"] + 1 if item["dim"] >= 0 else item["dim"])
        first, *rest = made
        for each in rest:
            first = first + each if word == "sum" else first * each
        return first

    def module(
        self, word: str, value: Any, x: Tensor, entered: Tensor, channels: bool
    ) -> tuple[nn.Module, bool]:
        """A layer for `x`, and whether channels come first behind it."""
        rank, last = x.dim() - 1, x.shape[-1]
        if value == "same":
            value = entered.shape[-1]
        if word in WANTED and rank not in WANTED[word]:
            raise Misread
        if (
            word in ("Linear", "LayerNorm", "LSTM", "GRU", "attention", "pick")
            and channels
            and rank > 1
        ):
            raise Misread
        match word:
            case "Linear":
                return nn.Linear(last, OUTPUTS if value == "out" else value), channels
            case "LayerNorm":
                return nn.LayerNorm(last), channels
            case "LSTM" | "GRU":
                return getattr(nn, word)(last, value, batch_first=True), False
            case "attention":
                return SelfAttention(last, value), False
            case "Conv1d" | "Conv2d":
                return getattr(nn, word)(x.shape[1], **value), True
            case "BatchNorm1d" | "BatchNorm2d" | "InstanceNorm1d":
                return getattr(nn, word)(x.shape[1]), True
            case "GroupNorm":
                return nn.GroupNorm(value, x.shape[1]), True
            case "MaxPool1d" | "MaxPool2d" | "AdaptiveAvgPool2d":
                return getattr(nn, word)(value), True
            case "Unflatten":
                return nn.Unflatten(*value), (len(value[1]) > 1 and rank > 1) or len(value[1]) > 2
            case "transpose":
                return Reshaped(lambda t: t.transpose(1, 2)), False
            case "mean":
                return Reshaped(lambda t: t.mean(1)), channels
            case "pick":
                return Reshaped(lambda t: t[:, value]), False
        return getattr(nn, {"relu": "ReLU", "tanh": "Tanh"}.get(word, word))(), channels


WANTED = {
    "Conv1d": (2,), "Conv2d": (3,), "MaxPool1d": (2,), "MaxPool2d": (3,), "AdaptiveAvgPool2d": (3,),
    "BatchNorm1d": (1, 2), "BatchNorm2d": (3,), "InstanceNorm1d": (2,), "GroupNorm": (2, 3, 4),
    "LSTM": (2,), "GRU": (2,), "attention": (2,),
}  # fmt: skip


class Reshaped(nn.Module):
    def __init__(self, function: Any):
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


WIDTHS = st.integers(1, 6)
CONVOLUTION = st.fixed_dictionaries(
    {"out_channels": WIDTHS, "kernel_size": st.integers(1, 4)},
    optional={
        "stride": st.integers(1, 2), "padding": st.integers(0, 2), "dilation": st.integers(1, 2),
        "groups": st.integers(1, 2), "bias": st.booleans(),
    },
)  # fmt: skip
ANYWHERE = st.one_of(
    st.sampled_from(["ReLU", "GELU", "relu", "tanh", "Dropout", "Flatten", "LayerNorm"]),
    st.builds(lambda width: {"Linear": width}, WIDTHS | st.just("same")),
)
OF_SERIES = st.one_of(
    st.sampled_from(["transpose", "mean", "BatchNorm1d", "InstanceNorm1d"]),
    st.builds(lambda width: {"LSTM": width}, WIDTHS),
    st.builds(lambda width: {"GRU": width}, WIDTHS),
    st.builds(lambda heads: {"attention": heads}, st.integers(1, 3)),
    st.builds(lambda given: {"Conv1d": given}, CONVOLUTION),
    st.builds(lambda size: {"MaxPool1d": size}, st.integers(1, 3)),
    st.builds(lambda step: {"pick": step}, st.integers(-3, 3)),
    st.builds(lambda count: {"GroupNorm": count}, st.integers(1, 2)),
)
OF_IMAGES = st.one_of(
    st.sampled_from(["BatchNorm2d", "mean", "transpose"]),
    st.builds(lambda given: {"Conv2d": given}, CONVOLUTION),
    st.builds(lambda size: {"MaxPool2d": size}, st.integers(1, 3)),
    st.builds(lambda size: {"AdaptiveAvgPool2d": size}, st.integers(1, 2)),
    st.builds(lambda count: {"GroupNorm": count}, st.integers(1, 2)),
)
OF_ROWS = st.one_of(
    st.just("BatchNorm1d"),
    st.builds(lambda size: {"Unflatten": [1, size]}, st.lists(st.integers(1, 3), max_size=3)),
)
KEEP_SHAPE = {  # of samples with so many dimensions
    1: st.sampled_from(["ReLU", "LayerNorm", "BatchNorm1d", {"Linear": 4}]),
    2: st.sampled_from(["tanh", "LayerNorm", {"Linear": "same"}, {"LSTM": 4}, {"attention": 2}]),
    3: st.sampled_from(
        ["relu", "BatchNorm2d", {"GroupNorm": 2},
         {"Conv2d": {"out_channels": 4, "kernel_size": 3, "padding": 1, "groups": 2}}]
    ),
}  # fmt: skip


@st.composite
def lists(draw: st.DrawFn, layer: st.SearchStrategy[Any], depth: int = 2) -> list[Any]:
    """A few layers and, to some depth, structures of them."""
    raw = []
    for _ in range(draw(st.integers(0, 3))):
        word = draw(st.sampled_from(["layer"] * 2 + (["structure"] if depth else [])))
        if word == "layer":
            raw.append(draw(layer))
            continue
        inner = lists(layer, depth - 1)
        match draw(st.sampled_from(["residual", "repeat", "sum", "mul", "concat"])):
            case "residual":
                raw.append({"residual": draw(inner)})
            case "repeat":
                raw.append({"repeat": draw(st.integers(1, 3)), "do": draw(inner)})
            case "concat":
                dim = draw(st.integers(-1, 1))
                raw.append({"concat": draw(st.lists(inner, min_size=2, max_size=3)), "dim": dim})
            case word:
                raw.append({word: draw(st.lists(inner, min_size=2, max_size=2))})
    return raw


@st.composite
def drawn_networks(draw: st.DrawFn) -> tuple[list[Any], tuple[int, ...]]:
    shape, own = draw(st.sampled_from([((4,), OF_ROWS), (SERIES, OF_SERIES), (IMAGE, OF_IMAGES)]))
    layer = st.one_of(ANYWHERE, own, *[KEEP_SHAPE[len(shape)]] * 4)
    raw = draw(lists(layer, 2))
    named = []
    for place in draw(st.sets(st.integers(0, 5), max_size=2)):
        if place < len(raw):
            item = raw[place]
            raw[place] = {
                **(item if isinstance(item, dict) else {item: None}),
                "as": "ab"[len(named)],
            }
            named.append({"from": raw[place]["as"]})
    raw += draw(
        st.lists(st.sampled_from([*named * 4, {"from": "c"}]), max_size=1 if named else 0)
    ) + draw(lists(layer, 1))
    ending = [["Flatten", {"Linear": "out"}], [{"Linear": "out"}], []]
    return raw + draw(st.sampled_from([ending[0]] * 6 + ending)), shape


def trains(network: nn.Module, shape: tuple[int, ...]) -> None:
    rows = numbers(ROWS, *shape)
    made = network.train()(rows)
    assert made.shape == (ROWS, OUTPUTS)
    made.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is None or parameter.grad.shape == parameter.shape, name


def counted(network: nn.Module, shape: tuple[int, ...]) -> int:
    """Operations by torch's counter; kernels of the CPU for series are not among those it knows."""
    rows = numbers(1, *shape)
    if any(isinstance(module, nn.RNNBase | SelfAttention) for module in network.modules()):
        network, rows = network.to("meta"), rows.to("meta")
    with FlopCounterMode(display=False) as counter:
        network.eval()(rows)
    return counter.get_total_flops()


@settings(max_examples=120)
@given(drawn_networks())
def test_a_network_is_accepted_if_and_only_if_it_can_be_trained(
    drawn: tuple[list[Any], tuple[int, ...]],
):
    raw, shape = drawn
    spec = filled(raw) if raw else None
    if spec is None:
        return
    naive, by_hand, reason = Naive(), None, None
    try:
        by_hand = naive.run(raw, numbers(ROWS, *shape), len(shape) > 2)[0].shape
    except Exception as error:
        reason = error
    try:
        size = networks.size(spec, Inputs(shape), OUTPUTS)
    except ConfigError as error:
        (line,) = error.lines
        assert len(line) < 600
        resolved(line, raw)
        assert by_hand != (ROWS, OUTPUTS), line
        return
    assert by_hand == (ROWS, OUTPUTS), reason
    network = networks.make(spec, Inputs(shape), OUTPUTS, 0)
    assert size.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert size.parameters == naive.weights
    trains(network, shape)
    assert size.flops == counted(network, shape)
