"""torch.nn's classes in a list of layers: each is tried; what torch would misread is refused."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from nnarch.data.inputs import Inputs
from nnarch.errors import ConfigError
from nnarch.models import network as networks
from nnarch.models import torchlayers
from nnarch.models.following import follow
from nnarch.models.plan import Plan, Sample
from nnarch.models.torchlayers import classes, find

ROWS, VOCABULARY = 6, 9
AT = ("model", "layers")
SERIES, IMAGE, VOLUME, LINE, ROW, TOKENS = (5, 8), (4, 6, 8), (2, 4, 4, 6), (4, 8), (8,), (5,)
OF_SIDES: dict[str, Any] = {  # arguments of a class of one, two and three sides
    "AdaptiveAvgPool": 2,
    "AdaptiveMaxPool": 2,
    "AvgPool": {"kernel_size": 2, "padding": 1, "stride": 3},
    "BatchNorm": None,
    "CircularPad": 1,
    "ConstantPad": [1, 0.5],
    "Conv": {"out_channels": 6, "kernel_size": 3, "stride": 2, "groups": 2},
    "ConvTranspose": {"out_channels": 6, "kernel_size": 3, "stride": 2, "output_padding": 1},
    "Dropout": 0.5,
    "InstanceNorm": {"affine": True},
    "LPPool": [2, 2],
    "MaxPool": {"kernel_size": 2, "ceil_mode": True, "stride": 3},
    "ReflectionPad": 1,
    "ReplicationPad": 2,
    "ZeroPad": 1,
}
TRIED: dict[str, tuple[Any, tuple[int, ...]]] = {  # arguments, and a sample that it is for
    **{
        f"{name}{sides}d": (arguments, (LINE, IMAGE, VOLUME)[sides - 1])
        for name, arguments in OF_SIDES.items()
        for sides in (1, 2, 3)
    },
    **dict.fromkeys(
        (
            "AlphaDropout", "CELU", "Dropout", "ELU", "FeatureAlphaDropout", "Flatten", "GELU",
            "GLU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "Identity", "LayerNorm",
            "LeakyReLU", "LogSigmoid", "LogSoftmax", "Mish", "PReLU", "RMSNorm", "RReLU", "ReLU",
            "ReLU6", "SELU", "SiLU", "Sigmoid", "Softmax", "Softmin", "Softplus", "Softshrink",
            "Softsign", "Tanh", "Tanhshrink",
        ),
        (None, SERIES),
    ),
    "ChannelShuffle": (2, IMAGE),
    "Embedding": (6, TOKENS),
    "EmbeddingBag": (6, TOKENS),
    "Fold": ([[4, 6], 2], (8, 15)),
    "FractionalMaxPool2d": ({"kernel_size": 2, "output_size": 3}, IMAGE),
    "FractionalMaxPool3d": ({"kernel_size": 2, "output_size": 2}, VOLUME),
    "GRU": ({"hidden_size": 3, "bidirectional": True}, SERIES),
    "GRUCell": (3, ROW),
    "GroupNorm": (2, IMAGE),
    "LSTM": ({"hidden_size": 3, "num_layers": 2}, SERIES),
    "LSTMCell": (3, ROW),
    "Linear": (3, SERIES),
    "LocalResponseNorm": (2, IMAGE),
    "MultiheadAttention": (2, SERIES),
    "PixelShuffle": (2, IMAGE),
    "PixelUnshuffle": (2, IMAGE),
    "RNN": ({"hidden_size": 3, "nonlinearity": "relu"}, SERIES),
    "RNNCell": (3, ROW),
    "Softmax2d": (None, IMAGE),
    "Threshold": ([0.1, 0.2], SERIES),
    "TransformerEncoderLayer": ({"nhead": 2, "dim_feedforward": 7}, SERIES),
    "Unflatten": ([1, [2, 4]], ROW),
    "Unfold": (2, IMAGE),
    "Upsample": ({"scale_factor": 2}, IMAGE),
    "UpsamplingBilinear2d": ({"scale_factor": 2}, IMAGE),
    "UpsamplingNearest2d": ({"size": 5}, IMAGE),
}  # fmt: skip


def inputs_of(name: str, shape: tuple[int, ...]) -> Inputs:
    return Inputs(shape, vocabulary=VOCABULARY if name.startswith("Embedding") else 0)


def entering(inputs: Inputs) -> Sample:
    """A sample whose first dimension may be channels, as layers ask for it."""
    axis = "channels" if len(inputs.shape) > 2 else "features"
    return Sample(inputs.shape, axis, bool(inputs.vocabulary))


def followed(raw: list[Any], inputs: Inputs, outputs: int = 2) -> Plan:
    return follow(raw, AT, entering(inputs), inputs, outputs)


def samples(inputs: Inputs, rows: int = ROWS) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    if inputs.vocabulary:
        return torch.randint(inputs.vocabulary, (rows, *inputs.shape), generator=generator)
    return torch.randn(rows, *inputs.shape, generator=generator)


def written(name: str, arguments: Any) -> Any:
    return name if arguments is None else {name: arguments}


def made(name: str, arguments: Any, shape: tuple[int, ...]) -> nn.Module:
    return networks.build(followed([written(name, arguments)], inputs_of(name, shape)))


def test_every_class_of_torch_is_tried_or_is_no_layer():
    assert set(TRIED) == set(classes())


def test_what_is_called_no_layer_is_a_class_of_torch():
    assert torchlayers.NO_LAYERS - {"Container"} <= {*dir(nn), "LinearCrossEntropyLoss"}


@pytest.mark.parametrize("name", sorted(TRIED))
def test_a_class_of_torch_trains_in_a_list(name: str):
    """Its shape is that of the real module, and a step reaches each weight that it has."""
    arguments, shape = TRIED[name]
    inputs = inputs_of(name, shape)
    plan = followed([written(name, arguments), "Flatten", {"Linear": "out"}], inputs)
    network, rows = networks.build(plan), samples(inputs)
    torch.manual_seed(0)
    first = torchlayers.output(next(network.children()), rows)
    assert first.shape[1:] == next(iter(plan.steps.values())).after.shape
    answers = network(rows)
    assert answers.shape == (ROWS, 2)
    weights = list(network.named_parameters())
    gradients = torch.autograd.grad(
        answers.square().sum(), [weight for _, weight in weights], allow_unused=True
    )
    for (path, _), gradient in zip(weights, gradients, strict=True):
        assert gradient is not None, path
        assert gradient.isfinite().all(), path


@pytest.mark.parametrize("name", sorted(TRIED))
def test_a_class_of_torch_answers_to_each_sample_by_itself(name: str):
    """That is how a batch of (B, F) shows, which torch took for one sample of (C, L)."""
    arguments, shape = TRIED[name]
    inputs = inputs_of(name, shape)
    network, rows = made(name, arguments, shape).eval(), samples(inputs)
    torch.manual_seed(0)
    together = network(rows)
    if name.startswith("FractionalMaxPool"):
        return  # draws its regions in evaluation too
    for place in range(ROWS):
        torch.testing.assert_close(network(rows[place : place + 1])[0], together[place])


def test_an_activation_of_ours_is_what_torch_has():
    rows = samples(Inputs(SERIES))
    plan = followed(["relu", {"leaky_relu": 0.3}], Inputs(SERIES))
    expected = nn.functional.leaky_relu(rows.relu(), 0.3)
    assert torch.equal(networks.build(plan)(rows), expected)


def loaded(reference: nn.Module, network: nn.Module) -> nn.Module:
    """`reference` with the weights of the only layer of `network`."""
    state = {name.removeprefix("0."): value for name, value in network.state_dict().items()}
    reference.load_state_dict(state)
    return reference


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("LSTM", {"hidden_size": 3}),
        ("LSTM", {"hidden_size": 3, "num_layers": 2, "bidirectional": True, "bias": False}),
        ("GRU", {"hidden_size": 3}),
        ("RNN", {"hidden_size": 3, "nonlinearity": "relu"}),
    ],
    ids=str,
)
def test_a_recurrent_layer_gives_every_step_of_a_series(name: str, arguments: dict[str, Any]):
    network, rows = made(name, arguments, SERIES), samples(Inputs(SERIES))
    reference = loaded(getattr(nn, name)(8, batch_first=True, **arguments), network)
    assert torch.equal(network(rows), reference(rows)[0])
    alone = reference(rows[2])[0]  # one sample, which torch takes without a batch
    torch.testing.assert_close(network(rows)[2], alone)


def test_padding_of_the_same_length_is_torch_s():
    convolution = {"out_channels": 3, "kernel_size": 5, "padding": "same"}
    plan = followed([{"Conv2d": convolution}], Inputs(IMAGE))
    assert plan.after.shape == (3, *IMAGE[1:])


def test_a_cell_takes_rows_and_gives_its_hidden_state():
    network, rows = made("LSTMCell", 3, ROW), samples(Inputs(ROW))
    assert torch.equal(network(rows), loaded(nn.LSTMCell(8, 3), network)(rows)[0])


def test_attention_of_torch_attends_to_its_own_input():
    network, rows = made("MultiheadAttention", 2, SERIES), samples(Inputs(SERIES))
    reference = loaded(nn.MultiheadAttention(8, 2, batch_first=True), network)
    torch.testing.assert_close(network(rows), reference(rows, rows, rows)[0])
    swapped = rows[:, [1, 0, 2, 3, 4]]
    torch.testing.assert_close(network(swapped), network(rows)[:, [1, 0, 2, 3, 4]])


def test_an_encoder_layer_attends_along_the_steps():
    arguments = {"nhead": 2, "dim_feedforward": 7, "dropout": 0.0, "norm_first": True}
    network, rows = made("TransformerEncoderLayer", arguments, SERIES), samples(Inputs(SERIES))
    reference = loaded(nn.TransformerEncoderLayer(8, batch_first=True, **arguments), network)
    assert torch.equal(network(rows), reference(rows))
    torch.testing.assert_close(network(rows)[2], reference(rows[2]))


def refusal(raw: Any, shape: tuple[int, ...], vocabulary: int = 0) -> str:
    with pytest.raises(ConfigError) as caught:
        followed([raw], Inputs(shape, vocabulary=vocabulary))
    (line,) = caught.value.lines
    return line


MISREAD: dict[str, tuple[Any, tuple[int, ...], str]] = {
    # torch would take (B, F) for one sample, or go across samples
    "Conv1d of a row": (
        {"Conv1d": [4, 3]}, (8,), r"expected \(channels, steps\); add {Unflatten: \[1, \[1, 8\]\]}",
    ),
    "Conv2d of a row": ({"Conv2d": [4, 3]}, (64,), r"add {Unflatten: \[1, \[1, 8, 8\]\]} before"),
    "Conv2d of a series": ({"Conv2d": [4, 3]}, (6, 8), r"expected \(channels, height, width\)"),
    "MaxPool1d of a row": ({"MaxPool1d": 2}, (8,), r"expected \(channels, steps\)"),
    "Dropout1d of a row": ("Dropout1d", (8,), r"expected \(channels, steps\)"),
    "InstanceNorm1d of a row": ("InstanceNorm1d", (8,), r"expected \(channels, steps\)"),
    "LSTM of a row": ({"LSTM": 4}, (8,), r"expected \(steps, features\); add {Unflatten: \[1, \[8"),
    "LSTM of an image": ({"LSTM": 4}, (3, 8, 8), r"expected \(steps, features\)"),
    "a cell of a series": ({"GRUCell": 4}, (5, 8), r"expected \(features,\); add Flatten before"),
    "attention of a row": ({"MultiheadAttention": 2}, (8,), r"expected \(steps, features\)"),
    "encoder of a row": ({"TransformerEncoderLayer": 2}, (8,), r"expected \(steps, features\)"),
    "attention of ours": ({"attention": 2}, (8,), r"expected \(steps, features\)"),
    "Linear of an image": ({"Linear": 4}, (3, 8, 8), "channels come first; expected features"),
    "Softmax across": ({"Softmax": 0}, (8,), "dim: got 0, which goes across samples"),
    "Softmax across, from behind": ({"Softmax": -2}, (8,), "dim: got -2, which goes across"),
    "GLU across": ({"GLU": {"dim": -3}}, (4, 8), "dim: got -3, which goes across samples"),
    "LogSoftmax across": ({"LogSoftmax": {"dim": 0}}, (8,), "dim: got 0, which goes across"),
    "Flatten all": ({"Flatten": 0}, (4, 8), "start_dim: got 0, which goes across samples"),
    "Flatten all, from behind": ({"Flatten": -3}, (4, 8), "start_dim: got -3, which goes across"),
    "Unflatten the batch": ({"Unflatten": [0, [3, 1]]}, (8,), "dim: got 0, which goes across"),
    "steps first": (
        {"LSTM": {"hidden_size": 4, "batch_first": False}}, (5, 8),
        "batch_first: got false; expected true",
    ),
    "steps first in attention": (
        {"MultiheadAttention": {"num_heads": 2, "batch_first": False}}, (5, 8),
        "batch_first: got false; expected true",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "shape", "said"), MISREAD.values(), ids=MISREAD)
def test_what_torch_would_misread_is_refused(raw: Any, shape: tuple[int, ...], said: str):
    line = refusal(raw, shape)
    assert re.search(said, line), line
    name = raw if isinstance(raw, str) else next(iter(raw))
    place = "model.layers[0]: " if isinstance(raw, str) else "model.layers[0]."
    assert line.startswith(f"{place}{name}: ")


def test_the_cure_of_a_row_is_one():
    """What a message says to add makes the layer fit."""
    layers: dict[str, Any] = {"Conv1d": [4, 3], "Conv2d": [4, 3], "LSTM": 4, "MaxPool1d": 2}
    for name, arguments in layers.items():
        line = refusal({name: arguments}, (64,))
        found = re.search(r"add {Unflatten: \[1, \[([\d, ]+)\]\]} before it", line)
        assert found, line
        sizes = [int(size) for size in found[1].split(", ")]
        followed([{"Unflatten": [1, sizes]}, {name: arguments}], Inputs((64,)))


ARGUMENTS: dict[str, tuple[Any, str]] = {
    "no such argument": ({"Linear": {"out_feature": 3}}, "no argument 'out_feature'; did you mean"),
    "too many": ({"Linear": [3, True, 4]}, "got 3 arguments; expected at most out_features, bias"),
    "none taken": ({"ReLU": 3}, "got 1 arguments; expected no arguments"),
    "none taken by name": ({"Softsign": {"a": 3}}, "no argument 'a'; it takes none"),
    "a missing one": ("Linear", "out_features: missing; expected an integer >= 1"),
    "of another kind": ({"Linear": "64"}, "out_features: got '64'; expected an integer >= 1"),
    "zero": ({"Linear": 0}, "out_features: got 0; expected an integer >= 1"),
    "true": ({"Linear": True}, "out_features: got true; expected an integer >= 1"),
    "a flag": ({"Linear": [3, 1]}, "bias: got 1; expected true or false"),
    "a share": ({"Dropout": 1.5}, "dropout probability has to be between 0 and 1, but got 1.5"),
    "a share as text": ({"Dropout": "a"}, "p: got 'a'; expected a number"),
    "what is filled in": ({"Linear": {"out_features": 3, "in_features": 4}}, "expected 8, or none"),
    "where it is made": ({"Linear": {"out_features": 3, "device": "cuda"}}, "no argument 'device'"),
    "of what type": ({"Linear": {"out_features": 3, "dtype": "float64"}}, "no argument 'dtype'"),
    "in place": ({"ReLU": {"inplace": True}}, "no argument 'inplace'"),
    "torch's own": ({"Embedding": {"embedding_dim": 1, "_freeze": True}}, "no argument '_freeze'"),
    "an unknown class": (
        "Linearr",
        "no layer is called 'Linearr'; did you mean 'Linear'?",
    ),
    "a lazy class": ({"LazyLinear": 3}, "torch.nn.LazyLinear is no layer of one input"),
    "a loss": ("MSELoss", "torch.nn.MSELoss is no layer of one input"),
    "a container": ("Sequential", "structures are residual, repeat, concat, sum, mul"),
    "two inputs": ({"Bilinear": 3}, "torch.nn.Bilinear is no layer of one input"),
    "no class": ("Parameter", "torch.nn.Parameter is no layer of one input"),
    "unknown of ours": ("linear", "no layer is called 'linear'; did you mean 'Linear'?"),
    "heads": ({"MultiheadAttention": 3}, "embed_dim must be divisible by num_heads"),
    "padding too wide": ({"RNN": {"hidden_size": 3, "nonlinearity": "x"}}, "nonlinearity"),
    "a warning of torch": ({"LSTM": {"hidden_size": 3, "dropout": 0.5}}, "dropout"),
}


@pytest.mark.parametrize(("raw", "said"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_arguments_are_checked_in_words(raw: Any, said: str):
    line = refusal(raw, SERIES, VOCABULARY if "Embedding" in raw else 0)
    assert said in line


def test_arguments_in_order_leave_out_what_is_filled_in():
    assert find("Conv2d").arguments([16, 3, 2]) == {
        "out_channels": 16, "kernel_size": 3, "stride": 2,
    }  # fmt: skip
    assert find("LSTM").arguments(4) == {"batch_first": True, "hidden_size": 4}


SIZES = st.integers(1, 5)
EACH: Mapping[str, st.SearchStrategy[Any]] = {
    "kernel_size": SIZES | st.lists(SIZES, min_size=2, max_size=2),
    "stride": st.integers(1, 3),
    "padding": st.integers(0, 4) | st.sampled_from(["same", "valid"]),
    "dilation": st.integers(1, 3),
    "groups": st.integers(1, 3),
    "out_channels": st.integers(1, 6),
    "output_size": SIZES,
    "output_padding": st.integers(0, 2),
    "num_groups": SIZES,
    "upscale_factor": SIZES,
    "downscale_factor": SIZES,
    "size": SIZES,
    "norm_type": st.integers(1, 2),
    "value": st.just(0.5),
    "unflattened_size": st.lists(SIZES, min_size=1, max_size=3),
    "dim": st.integers(-4, 4),
    "start_dim": st.integers(-4, 4),
    "num_heads": SIZES,
    "nhead": SIZES,
    "hidden_size": SIZES,
    "ceil_mode": st.booleans(),
    "bidirectional": st.booleans(),
    "end_dim": st.integers(-4, 4),
}
SPATIAL = [name for name in TRIED if TRIED[name][1] not in (ROW, TOKENS) and "Fraction" not in name]


@st.composite
def layers_with_any_arguments(draw: st.DrawFn) -> tuple[str, dict[str, Any], tuple[int, ...]]:
    name = draw(st.sampled_from(sorted(SPATIAL)))
    kind = find(name)
    arguments = {}
    for each, default in kind.parameters.items():
        needed = default is torchlayers.REQUIRED
        if each in EACH and each not in kind.facts.infer and (needed or draw(st.booleans())):
            arguments[each] = draw(EACH[each])
    rank = len(TRIED[name][1])
    return name, arguments, tuple(draw(st.lists(st.integers(1, 7), min_size=rank, max_size=rank)))


@settings(max_examples=150)
@given(layers_with_any_arguments())
def test_a_layer_is_accepted_if_and_only_if_torch_can_run_it(
    case: tuple[str, dict[str, Any], tuple[int, ...]],
):
    """What the meta device says is what a real tensor says."""
    name, arguments, shape = case
    kind, rows = find(name), samples(Inputs(shape))
    said = plan = None
    try:
        plan = followed([{name: arguments}], Inputs(shape))
    except ConfigError as error:
        (said,) = error.lines
    told = {"features": shape[-1], "channels": shape[0]}
    given_in = {each: told[what] for each, what in kind.facts.infer.items()}
    try:
        module = kind.make({**kind.facts.preset, **given_in, **arguments})
        made_shape = tuple(torchlayers.output(module, rows).shape)
    except Exception:
        made_shape = None
    if plan:
        assert made_shape == (ROWS, *plan.after.shape)
    elif made_shape:
        assert said
        no_samples = len(made_shape) < 2 or made_shape[0] != ROWS or 0 in made_shape
        assert no_samples or "goes across samples" in said, (said, made_shape)
