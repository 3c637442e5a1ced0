"""The families of networks against their papers: published sizes, values, and what they refuse.

The contract that every family keeps to is in `test_models.py`. Here each is held against the
network of its paper, written out by hand with the same weights.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

import nnarch
from nnarch.config import load
from nnarch.data.inputs import Inputs
from nnarch.errors import ConfigError
from nnarch.experiment import data_of
from nnarch.models import network as networks
from nnarch.validate import fill_component

ROWS = 5
CALIFORNIA = Inputs((8,))
SERIES = Inputs((12, 3))
TEXT = Inputs((16,), vocabulary=27)
MIXED = Inputs((5,), cardinalities=(2, 3))


def described(name: str, **options: Any) -> dict[str, Any]:
    spec, faults = fill_component("model", {"name": name, **options}, ())
    assert not faults
    return spec


def size(inputs: Inputs, outputs: int, name: str, **options: Any) -> int:
    return networks.size(described(name, **options), inputs, outputs).parameters


def make(inputs: Inputs, outputs: int, name: str, **options: Any) -> nn.Module:
    return networks.make(described(name, **options), inputs, outputs, 0).eval()


def copied(theirs: Iterable[Tensor], ours: Iterable[Tensor]) -> None:
    """Give a network written by hand the weights of ours, which come in the same order."""
    with torch.no_grad():
        for one, other in zip(theirs, ours, strict=True):
            one.copy_(other)


def rows(*shape: int) -> Tensor:
    return torch.randn(ROWS, *shape, generator=torch.Generator().manual_seed(1))


def tokens(inputs: Inputs) -> Tensor:
    chance = torch.Generator().manual_seed(1)
    return torch.randint(inputs.vocabulary, (ROWS, *inputs.shape), generator=chance)


@pytest.mark.parametrize(
    ("published", "name", "options"),
    [
        (43_495, "mlp", {"widths": [586, 65], "dropout": 0.28}),
        (1_089_688, "mlp", {"widths": [345, 646, 646, 357], "numbers": "linear",
                            "embedding_width": 78}),
        (563_041, "mlp", {"widths": [916], "numbers": "periodic", "frequencies": 3,
                          "sigma": 0.01732, "embedding_width": 76}),
        (2_999_150, "resnet_mlp", {"width": 333, "hidden": 640, "depth": 7}),
        (660_709, "ft_transformer", {"width": 200, "hidden": 277, "depth": 2}),
    ],
    ids=["mlp", "mlp-lr", "mlp-plr", "resnet", "transformer"],
)  # fmt: skip
def test_the_networks_for_california_housing_have_their_published_sizes(
    published: int, name: str, options: dict[str, Any]
):
    assert size(CALIFORNIA, 1, name, **options) == published


def test_the_networks_for_text_and_series_have_their_published_sizes():
    untied = size(TEXT, 27, "gpt", width=64, depth=4, heads=4, tie=False)
    assert untied == 204_544  # of 27 characters and 16 of context, as makemore counts it
    assert size(TEXT, 27, "gpt", width=64, depth=4, heads=4) == untied - 27 * 64
    ahead, channels = 96, 7
    assert size(Inputs((336, channels)), ahead * channels, "dlinear") == 2 * (336 * ahead + ahead)


class ResNetBlock(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.normalization = nn.BatchNorm1d(width)
        self.first, self.second = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(self.normalization(x)).relu())


def test_resnet_mlp_is_the_one_written_by_hand():
    network = make(CALIFORNIA, 2, "resnet_mlp", width=6, hidden=9, depth=2)
    blocks = [ResNetBlock(6, 9), ResNetBlock(6, 9)]
    ends = [nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2)]
    by_hand = nn.Sequential(nn.Linear(8, 6), *blocks, *ends)
    copied(by_hand.parameters(), network.parameters())
    batch = rows(8) * 3 + 1
    # in training mode without dropout too, where batch normalization measures the batch
    for network_, by_hand_ in ((network, by_hand.eval()), (network.train(), by_hand.train())):
        for module in network_.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        torch.testing.assert_close(network_(batch), by_hand_(batch))


class FTBlock(nn.Module):
    def __init__(self, width: int, hidden: int, first: bool):
        super().__init__()
        self.before = nn.Identity() if first else nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.normalization = nn.LayerNorm(width)
        self.first, self.second = nn.Linear(width, 2 * hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.before(x)
        x = x + self.attention(seen, seen, seen, need_weights=False)[0]
        passed, gate = self.first(self.normalization(x)).chunk(2, dim=-1)
        return x + self.second(passed * gate.relu())


class FTTransformer(nn.Module):
    """Of 3 numbers and two columns of 2 and 3 categories."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(3, width))
        self.bias = nn.Parameter(torch.empty(5, width))
        self.categories = nn.Embedding(2 + 3, width)
        self.token = nn.Embedding(1, width)
        self.blocks = nn.ModuleList([FTBlock(width, hidden, True), FTBlock(width, hidden, False)])
        self.normalization, self.head = nn.LayerNorm(width), nn.Linear(width, 2)

    def forward(self, x: Tensor) -> Tensor:
        numbers = [x[:, [column]] * self.weight[column] for column in range(3)]
        categories = [self.categories(x[:, 3].long()), self.categories(2 + x[:, 4].long())]
        columns = torch.stack([*numbers, *categories], dim=1) + self.bias
        x = torch.cat([self.token.weight.expand(len(x), 1, -1), columns], dim=1)
        for block in self.blocks:
            x = block(x)
        return self.head(self.normalization(x[:, 0]).relu())


def test_ft_transformer_is_the_one_written_by_hand():
    network = make(MIXED, 2, "ft_transformer", width=6, heads=2, depth=2, hidden=5)
    by_hand = FTTransformer(6, 5).eval()
    copied(by_hand.parameters(), network.parameters())
    batch = rows(5)
    batch[:, 3], batch[:, 4] = torch.arange(ROWS) % 2, torch.arange(ROWS) % 3
    torch.testing.assert_close(network(batch), by_hand(batch))


def encoder(width: int, heads: int, depth: int, activation: str) -> nn.TransformerEncoder:
    """torch's own blocks, which are pre-norm as ours; its dropout is in other places."""
    options: dict[str, Any] = {"dropout": 0.0, "batch_first": True, "norm_first": True}
    layer = nn.TransformerEncoderLayer(width, heads, 4 * width, activation=activation, **options)
    ends = nn.LayerNorm(width)
    return nn.TransformerEncoder(layer, depth, norm=ends, enable_nested_tensor=False).eval()


def test_transformer_is_torch_s_encoder():
    network = make(SERIES, 2, "transformer", width=8, heads=2, depth=2)
    enter, blocks, leave = nn.Linear(3, 8), encoder(8, 2, 2, "gelu"), nn.Linear(8, 2)
    copied(_in_our_order(enter, blocks, leave), network.parameters())
    place, feature = torch.arange(12).unsqueeze(1), torch.arange(4)
    angles = place / 10_000 ** (2 * feature / 8)
    waves = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
    batch = rows(12, 3)
    expected = leave(blocks(enter(batch) + waves).mean(dim=1))
    torch.testing.assert_close(network(batch), expected)


def _in_our_order(
    enter: nn.Module, blocks: nn.TransformerEncoder, leave: nn.Module
) -> list[Tensor]:
    """Parameters in the order in which a pre-norm block computes with them."""
    parts: list[Any] = [enter]
    for layer in blocks.layers:
        parts += [layer.norm1, layer.self_attn, layer.norm2, layer.linear1, layer.linear2]
    return [one for part in [*parts, blocks.norm, leave] for one in part.parameters()]


def test_gpt_is_torch_s_encoder_with_a_causal_mask():
    network = make(TEXT, 27, "gpt", width=8, heads=2, depth=2)
    embedding, blocks = nn.Embedding(27, 8), encoder(8, 2, 2, "gelu")
    positions = nn.Embedding(16, 8)
    enter = nn.ModuleList([embedding, positions])
    copied(_in_our_order(enter, blocks, nn.Identity()), network.parameters())
    batch = tokens(TEXT)
    mask = nn.Transformer.generate_square_subsequent_mask(16)
    made = blocks(embedding(batch) + positions.weight, mask=mask, is_causal=True)
    torch.testing.assert_close(network(batch), made @ embedding.weight.T)


def test_gpt_begins_as_gpt_2_does():
    network = make(TEXT, 27, "gpt", width=64)
    for name, parameter in network.named_parameters():
        if parameter.dim() >= 2:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.1), name
        elif name.endswith("bias"):
            assert not parameter.any(), name


class DLinear(nn.Module):
    """As the paper's code has it: a moving average over a padded series, and two linear layers."""

    def __init__(self, steps: int, horizon: int, kernel: int):
        super().__init__()
        self.kernel = kernel
        self.seasonal, self.trend = nn.Linear(steps, horizon), nn.Linear(steps, horizon)

    def forward(self, x: Tensor) -> Tensor:
        front = x[:, :1].repeat(1, (self.kernel - 1) // 2, 1)
        end = x[:, -1:].repeat(1, (self.kernel - 1) // 2, 1)
        padded = torch.cat([front, x, end], dim=1).permute(0, 2, 1)
        trend = functional.avg_pool1d(padded, self.kernel, stride=1)
        seasonal = x.permute(0, 2, 1) - trend
        return (self.seasonal(seasonal) + self.trend(trend)).permute(0, 2, 1)


@pytest.mark.parametrize("kernel", [5, 25])
def test_dlinear_is_the_one_written_by_hand(kernel: int):
    network, by_hand = make(SERIES, 6, "dlinear", kernel=kernel), DLinear(12, 2, kernel)
    copied(by_hand.parameters(), network.parameters())
    batch = rows(12, 3) * 5 + 100
    torch.testing.assert_close(network(batch).view(ROWS, 2, 3), by_hand(batch))


class TemporalBlock(nn.Module):
    """As the paper's code has it: padding on both sides, of which the right is cut off."""

    def __init__(self, before: int, width: int, dilation: int):
        super().__init__()
        pad = dilation * 2
        convolutions = [
            nn.Conv1d(channels, width, 3, padding=pad, dilation=dilation)
            for channels in (before, width)
        ]
        self.pad = pad
        self.convolutions = nn.ModuleList(map(parametrizations.weight_norm, convolutions))
        self.project = nn.Conv1d(before, width, 1, bias=False) if before != width else None

    def forward(self, x: Tensor) -> Tensor:
        made = x
        for convolution in self.convolutions:
            made = convolution(made)[:, :, : -self.pad].relu()
        return (made + (x if self.project is None else self.project(x))).relu()


def test_tcn_is_the_one_written_by_hand():
    network = make(SERIES, 2, "tcn", width=4, depth=2, kernel=3)
    by_hand = nn.ModuleList([TemporalBlock(3, 4, 1), TemporalBlock(4, 4, 2), nn.Linear(4, 2)])
    copied(by_hand.parameters(), network.parameters())
    first, second, last = by_hand
    batch = rows(12, 3)
    expected = last(second(first(batch.transpose(1, 2)))[:, :, -1])
    torch.testing.assert_close(network(batch), expected)


def test_tcn_sees_as_far_back_as_it_says():
    network = make(Inputs((20, 1)), 1, "tcn", width=4, depth=2, kernel=3)
    batch = rows(20, 1).requires_grad_()
    network(batch).sum().backward()
    assert batch.grad is not None
    reached = batch.grad[:, :, 0].abs().sum(0) > 0
    assert reached.nonzero().min() == 20 - (1 + 2 * (3 - 1) * (2**2 - 1))


@pytest.mark.parametrize("cell", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("both", [True, False])
def test_rnn_answers_where_its_directions_end(cell: str, both: bool):
    options = {"cell": cell.lower(), "width": 5, "depth": 2, "bidirectional": both}
    network = make(SERIES, 2, "rnn", **options)
    recurrent = getattr(nn, cell)(3, 5, num_layers=2, bidirectional=both, batch_first=True)
    head = nn.Linear(10 if both else 5, 2)
    copied([*recurrent.parameters(), *head.parameters()], network.parameters())
    batch = rows(12, 3)
    state = recurrent(batch)[1]  # of each layer and direction, after its last step
    final = (state[0] if cell == "LSTM" else state)[-2 if both else -1 :]
    torch.testing.assert_close(network(batch), head(torch.cat([*final], dim=1)))


def test_stochastic_depth_grows_from_block_to_block():
    spec = described("transformer", depth=4, stochastic_depth=0.2)
    layers = networks.describe(spec, SERIES, 2).layers
    assert layers is not None
    drops = [item["drop"] for item in layers.items if isinstance(item, dict) and "drop" in item]
    assert drops == pytest.approx([0.05, 0.05, 0.1, 0.1, 0.15, 0.15, 0.2, 0.2])


def test_blocks_that_are_equal_are_written_once():
    for name, inputs in (("transformer", SERIES), ("gpt", TEXT), ("resnet_mlp", CALIFORNIA)):
        outputs = inputs.vocabulary or 2
        short, long = (
            networks.describe(described(name, depth=depth), inputs, outputs).layers
            for depth in (2, 50)
        )
        assert short
        assert long
        assert len(short.items) == len(long.items)


PIECEWISE = {"name": "mlp", "numbers": "piecewise", "bins": 4, "widths": [8]}
QUICK = {"source": "synthetic", "kind": "linear", "rows": 300, "features": 2}


def edges(run: Any) -> Tensor:
    (found,) = (one for name, one in run.load_checkpoint("best").tensors.items() if "edges" in name)
    return found


def test_bins_are_quantiles_of_the_training_rows(tmp_path: Path):
    config = {"data": QUICK, "model": PIECEWISE, "epochs": 1}
    found = edges(nnarch.train(config, runs_dir=tmp_path))
    dataset = data_of(load(config))[2]
    train = next(dataset.parts["train"].in_order(1000)).inputs
    shares = torch.linspace(0, 1, 5)
    torch.testing.assert_close(found, train.quantile(shares, dim=0).T.contiguous())


def test_bins_have_to_stand_where_rows_come_in(tmp_path: Path):
    layers = [{"Linear": 3}, {"piecewise_embedding": {"bins": 4}}, {"Linear": "out"}]
    with pytest.raises(ConfigError, match="PiecewiseEmbedding, is made of training rows"):
        nnarch.train({"data": QUICK, "model": {"layers": layers}}, runs_dir=tmp_path, epochs=1)


IMAGES = Inputs((3, 8, 8))


@pytest.mark.parametrize(
    ("name", "inputs", "options", "said"),
    [
        ("mlp", SERIES, {"numbers": "linear"}, "model.numbers: got linear for samples of shape"),
        ("mlp", TEXT, {"numbers": "linear"}, "that are tokens; expected rows of a table"),
        ("mlp", CALIFORNIA, {"numbers": "linear", "sigma": 1.0},
         "model.sigma: got 1.0 with numbers: linear; expected periodic"),
        ("mlp", CALIFORNIA, {"embedding_width": 8},
         "model.embedding_width: got 8 with numbers: plain; expected linear or periodic"),
        ("ft_transformer", CALIFORNIA, {"width": 10, "heads": 4},
         "model.heads: got 4 for width 10; expected heads that divide it"),
        ("ft_transformer", SERIES, {}, "ft_transformer expects rows of a table; got samples of"),
        ("ft_transformer", TEXT, {}, "that are tokens; expected rows of a table"),
        ("rnn", IMAGES, {}, r"rnn expects series or texts; got samples of shape \(3, 8, 8\)"),
        ("rnn", CALIFORNIA, {}, "that are numbers; expected tokens"),
        ("tcn", IMAGES, {}, "tcn expects series or texts"),
        ("transformer", IMAGES, {}, "transformer expects series or texts"),
        ("transformer", SERIES, {"heads": 3}, "model.heads: got 3 for width 64"),
        ("gpt", SERIES, {}, "gpt expects texts; got samples of shape"),
        ("gpt", TEXT, {"heads": 3}, "model.heads: got 3 for width 64"),
        ("dlinear", SERIES, {"kernel": 4}, "model.kernel: got 4; expected an odd number"),
        ("dlinear", Inputs((12, 4)), {}, "dlinear expects series whose channels are all predicted"),
        ("dlinear", CALIFORNIA, {}, "dlinear expects series whose channels are all predicted"),
    ],
)  # fmt: skip
def test_what_a_family_is_not_for_is_refused(
    name: str, inputs: Inputs, options: dict[str, Any], said: str
):
    with pytest.raises(ConfigError, match=said):
        networks.size(described(name, **options), inputs, 6)
