"""The families for images against the networks of their papers: counts, parts, and values."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nnarch.data.inputs import Inputs
from nnarch.errors import ConfigError
from nnarch.models import network as networks
from nnarch.registry import models
from nnarch.validate import fill_component

IMAGENET = (3, 224, 224)
SERIES = {"stages": [1, 1, 1], "width": [64, 128, 128], "kernel": [8, 5, 3], "stride": 1,
          "stem": "none"}  # fmt: skip
PUBLISHED: dict[str, tuple[str, dict[str, Any], tuple[int, ...], int, int]] = {
    # parameters as torchvision and timm count theirs
    "ResNet-18": ("resnet", {"stem": "imagenet"}, IMAGENET, 1000, 11_689_512),
    "ResNet-34": (
        "resnet", {"stages": [3, 4, 6, 3], "stem": "imagenet"}, IMAGENET, 1000, 21_797_672,
    ),
    "ResNet-50": (
        "resnet",
        {"stages": [3, 4, 6, 3], "kernel": [1, 3, 1], "expansion": 4, "stem": "imagenet"},
        IMAGENET, 1000, 25_557_032,
    ),
    "Mixer-S/16": (
        "mixer", {"patch": 16, "width": 512, "tokens": 256, "channels": 2048},
        IMAGENET, 1000, 18_528_264,
    ),
    "ViT-S/16": ("vit", {"patch": 16, "width": 384, "heads": 6}, IMAGENET, 1000, 22_050_664),
    "ViT-B/16": ("vit", {"patch": 16, "width": 768, "heads": 12}, IMAGENET, 1000, 86_567_656),
    "DeiT-Ti": ("vit", {"patch": 16}, IMAGENET, 1000, 5_717_416),
    # the plain ResNet-20 has 269,722 and copies channels; its two projections have 2,752 more
    "ResNet-20": (
        "resnet", {"stages": [3, 3, 3], "width": 16}, (3, 32, 32), 10, 269_722 + 2_752,
    ),
}  # fmt: skip


def filled(name: str, **options: Any) -> dict[str, Any]:
    spec, faults = fill_component("model", {"name": name, **options}, ())
    assert not faults
    return spec


def items(name: str, inputs: tuple[int, ...], **options: Any) -> list[Any]:
    return list(models.build(filled(name, **options), inputs, 2).items)


def make(name: str, inputs: tuple[int, ...], outputs: int = 2, **options: Any) -> nn.Module:
    return networks.make(filled(name, **options), Inputs(inputs), outputs, 0).eval()


def numbers(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def copy_weights(network: nn.Module, reference: nn.Module) -> None:
    """Give `reference` the weights of `network`, which were made in the same order."""
    values = [value.clone() for value in network.state_dict().values()]
    names = reference.state_dict()
    reference.load_state_dict(dict(zip(names, values, strict=True)))


@pytest.mark.parametrize(
    ("name", "options", "inputs", "outputs", "parameters"), PUBLISHED.values(), ids=PUBLISHED
)
def test_it_has_as_many_parameters_as_the_published_network(
    name: str, options: dict[str, Any], inputs: tuple[int, ...], outputs: int, parameters: int
):
    size = networks.size(filled(name, **options), Inputs(inputs), outputs)
    assert size.parameters == parameters


def test_a_resnet_without_options_is_resnet_18_for_small_images():
    size = networks.size(filled("resnet"), Inputs((3, 32, 32)), 10)
    assert size.parameters == 11_173_962  # 11,689,512 with its stem of 7 and 1,000 classes


def test_the_network_of_wang_for_series_is_the_one_written_by_hand():
    fcn = {"widths": [6, 8, 6], "kernel": [8, 5, 3], "pool": 1, "normalization": "batch",
           "head": "average"}  # fmt: skip
    network = make("cnn", (20,), 2, **fcn)
    widths, kernels = [1, 6, 8, 6], [8, 5, 3]
    blocks: list[nn.Module] = []
    for before, after, kernel in zip(widths, widths[1:], kernels, strict=False):
        blocks += [
            nn.ConstantPad1d(((kernel - 1) // 2, kernel // 2), 0.0),  # keras' and torch's "same"
            nn.Conv1d(before, after, kernel, bias=False),
            nn.BatchNorm1d(after),
            nn.ReLU(),
        ]
    by_hand = nn.Sequential(*blocks).eval()
    linear = nn.Linear(6, 2)
    reference = nn.ModuleList([by_hand, linear])
    copy_weights(network, reference)
    rows = numbers(4, 20)
    made = linear(by_hand(rows.unsqueeze(1)).mean(-1))
    torch.testing.assert_close(network(rows), made)


def test_lenet_s_shapes():
    options = {"widths": [6, 16], "kernel": 5, "activation": "tanh", "hidden": [120, 84]}
    size = networks.size(filled("cnn", **options), Inputs((1, 28, 28)), 10)
    convolutions = 6 * 25 + 6 + 16 * 6 * 25 + 16
    linear = (16 * 7 * 7 + 1) * 120 + (120 + 1) * 84 + (84 + 1) * 10
    assert size.parameters == convolutions + linear


class BasicBlock(nn.Module):
    """He et al. (2016), figure 2, with batch normalization behind each convolution."""

    def __init__(self, before: int, after: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.shortcut = nn.Sequential()
        if before != after or stride > 1:
            self.shortcut.append(nn.Conv2d(before, after, 1, stride, bias=False))
            self.shortcut.append(nn.BatchNorm2d(after))

    def forward(self, x: Tensor) -> Tensor:
        made = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(made + self.shortcut(x))


@pytest.mark.parametrize("side", [9, 8])
def test_a_resnet_is_the_one_written_by_hand(side: int):
    network = make("resnet", (3, side, side), 2, stages=[2, 2], width=4)
    stem = [nn.Conv2d(3, 4, 3, 1, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU()]
    blocks = [BasicBlock(4, 4, 1), BasicBlock(4, 4, 1), BasicBlock(4, 8, 2), BasicBlock(8, 8, 1)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)]
    by_hand = nn.Sequential(*stem, *blocks, *head).eval()
    torch.manual_seed(0)
    rows = numbers(5, 3, side, side)
    network.train()(rows * 3 + 1)  # moves the statistics
    copy_weights(network.eval(), by_hand)
    torch.testing.assert_close(network(rows), by_hand(rows))


def test_equal_blocks_are_written_once():
    listed = items("resnet", (3, 8, 8), stages=[3, 1], width=4)
    stem, blocks = listed[:3], [item for item in listed[3:] if isinstance(item, dict)]
    assert [*stem[1:], listed[-2]] == ["BatchNorm2d", "relu", "Flatten"]
    assert [next(iter(block)) for block in blocks] == [
        "repeat", "sum", "AdaptiveAvgPool2d", "Linear",
    ]  # fmt: skip
    assert blocks[0]["repeat"] == 3
    assert items("vit", (3, 8, 8), width=6, depth=5)[3]["repeat"] == 5


def test_a_block_is_left_out_the_more_often_the_later_it_comes():
    """Huang et al. (2016), section 3: p l / L, of a block that changes the shape too."""
    listed = items("resnet", (3, 8, 8), stages=[2, 2], width=4, stochastic_depth=0.4)
    blocks = [item for item in listed if isinstance(item, dict) and {"residual", "sum"} & {*item}]
    drops = [item["drop"] if "drop" in item else item["sum"][0][-1]["drop_path"] for item in blocks]
    assert drops == pytest.approx([0.1, 0.2, 0.3, 0.4])
    listed = items("vit", (3, 8, 8), width=6, depth=2, stochastic_depth=0.2)
    assert [item["drop"] for item in listed if "drop" in item] == [0.1, 0.1, 0.2, 0.2]


def test_a_convolution_of_a_series_looks_along_its_steps():
    """Channels are where they belong: each has weights of its own, every step has the same."""
    network = make("cnn", (12, 3), 1, widths=[4], kernel=1, pool=1, head="average")
    series = numbers(2, 12, 3)
    torch.testing.assert_close(network(series.flip(1)), network(series))
    assert not torch.allclose(network(series.flip(2)), network(series), rtol=1e-3)


class Encoder(nn.Module):
    """Dosovitskiy et al. (2021), equations 1 to 4, by torch's own attention and encoder layer."""

    def __init__(self, width: int, heads: int, depth: int):
        super().__init__()
        layers = [
            nn.TransformerEncoderLayer(
                width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(depth)
        ]
        self.layers = nn.Sequential(*layers)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.layers(tokens)


def test_the_blocks_of_a_vit_are_pre_norm_encoder_layers_of_torch():
    network = make("vit", (3, 8, 8), 2, width=8, heads=2, depth=2)
    encoder = Encoder(8, 2, 2).eval()
    state = network.state_dict()
    patches, token, positions, _, norm, _, last = network.children()
    ours = [value for name, value in state.items() if name.startswith("3.")]
    per_block = len(ours) // 2
    order = ["norm1.weight", "norm1.bias", "self_attn.in_proj_weight", "self_attn.in_proj_bias",
             "self_attn.out_proj.weight", "self_attn.out_proj.bias", "norm2.weight", "norm2.bias",
             "linear1.weight", "linear1.bias", "linear2.weight", "linear2.bias"]  # fmt: skip
    assert per_block == len(order)
    theirs = {
        f"layers.{block}.{name}": ours[block * per_block + place]
        for block in range(2)
        for place, name in enumerate(order)
    }
    encoder.load_state_dict(theirs)
    images = numbers(3, 3, 8, 8)
    tokens = positions(token(patches(images)))
    assert tokens.shape == (3, 1 + 4, 8)
    expected = last(norm(encoder(tokens))[:, 0])
    torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-5)


def test_a_mixer_mixes_patches_and_features_by_turns():
    """Tolstikhin et al. (2021), equation 1, written out."""
    network = make("mixer", (3, 8, 8), 2, width=6, depth=2, tokens=5, channels=7)
    patches, blocks, norm, _, last = network.children()
    images = numbers(3, 3, 8, 8)
    x = patches(images)
    layers = [module for module in blocks.modules() if isinstance(module, nn.Linear | nn.LayerNorm)]
    gelu = torch.nn.functional.gelu
    for place in range(2):
        norm1, w1, w2, norm2, w3, w4 = layers[6 * place : 6 * place + 6]
        x = x + w2(gelu(w1(norm1(x).transpose(1, 2)))).transpose(1, 2)
        x = x + w4(gelu(w3(norm2(x))))
    torch.testing.assert_close(network(images), last(norm(x).mean(1)))


REFUSED: dict[str, tuple[str, dict[str, Any], tuple[int, ...], str]] = {
    "a volume": ("cnn", {}, (1, 4, 4, 4), r"cnn expects images .* got samples of shape \(1, 4"),
    "kernels": (
        "cnn", {"kernel": [3, 3, 3]}, (3, 8, 8),
        "model.kernel: got 3 for 2 convolutions; expected one each",
    ),
    "nothing left": (
        "cnn", {"widths": [4] * 4}, (3, 8, 8),
        "model.pool: got 2 behind each of 4 convolutions for sides of 8 x 8.*expected sides of 16",
    ),
    "volume": ("resnet", {}, (1, 4, 4, 4), r"resnet expects images .* got samples of shape \(1"),
    "widths": (
        "resnet", {"width": [8]}, (3, 8, 8), "model.width: got 1 for 4 stages; expected one each",
    ),
    "patch": (
        "mixer", {"patch": 3}, (3, 8, 9),
        "model.patch: got 3 for images of 8 x 9 pixels; expected a size that divides both",
    ),
    "rows": ("mixer", {}, (8,), r"mixer expects images of .*; got samples of shape \(8,\)"),
    "series": ("vit", {}, (8, 8), r"vit expects images of .*; got samples of shape \(8, 8\)"),
    "heads": (
        "vit", {"width": 64, "heads": 5}, (3, 8, 8),
        "model.heads: got 5 for width 64; expected heads that divide it",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "options", "inputs", "said"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused_with_a_cure(
    name: str, options: dict[str, Any], inputs: tuple[int, ...], said: str
):
    with pytest.raises(ConfigError, match=said) as caught:
        networks.size(filled(name, **options), Inputs(inputs), 2)
    assert len(caught.value.lines) == 1
