"""The residual network: blocks of convolutions, each added to what came into it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from nnarch.errors import ConfigError
from nnarch.models.families.convolutions import averaged, channels_first, convolution, normalized
from nnarch.models.layers import Layer, Layers, component, decaying, repeated
from nnarch.options import Activation, Count, Fraction, Initialization, Times
from nnarch.registry import models

Some = Annotated[list[Count], Field(min_length=1)]
Stages = Annotated[list[Times], Field(min_length=1, max_length=100)]


@models.register
def resnet(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    stages: Stages = [2, 2, 2, 2],  # noqa: B006 (read, never changed)
    width: Count | Some = 64,
    kernel: Some = [3, 3],  # noqa: B006
    expansion: Count = 1,
    stride: Count = 2,
    stem: Literal["small", "imagenet", "none"] = "small",
    activation: Activation = "relu",
    normalization: Literal["none", "batch"] = "batch",
    stochastic_depth: Fraction = 0.0,
    initialization: Initialization = "kaiming_normal",
) -> Layers:
    """Residual network of convolutions (He et al., 2016), without options ResNet-18.

    For images, and by convolutions of one side for series and rows. `kernel: [1, 3, 1]` with
    `expansion: 4` makes bottlenecks, of which `stages: [3, 4, 6, 3]` is ResNet-50; `stages:
    [3, 3, 3]` with `width: 16` is ResNet-20 for small images; `stages: [1, 1, 1]`, `width: [64,
    128, 128]`, `kernel: [8, 5, 3]`, `stride: 1` and `stem: none` are the network of Wang et al.
    (2017) for series.

    Options:
        stages: Blocks of each stage.
        width: Channels of the first stage, each further one having twice as many; or of each.
        kernel: Steps or pixels along a side that each convolution of a block sees.
        expansion: By how much a block's last convolution is wider than its others.
        stride: What every stage but the first divides the sides by.
        stem: What comes before the blocks: a convolution, one of 7 pixels with a pooling that
            makes the sides a fourth, or none.
        activation: What follows each convolution, and each sum.
        normalization: What stands behind each convolution.
        stochastic_depth: Share of the samples for which a training step leaves out the last
            block; less the earlier a block comes (Huang et al., 2016).
        initialization: How the weights begin.
    """
    assert isinstance(activation, Mapping), "a filled component"
    assert isinstance(initialization, Mapping), "a filled component"
    entry, shape = channels_first("resnet", inputs)
    block = Block(len(shape) - 1, kernel, expansion, component(activation), normalization)
    widths = _widths(width, len(stages))
    channels = shape[0] if stem == "none" else widths[0]
    drops = iter(decaying(stochastic_depth, sum(stages)))
    blocks: list[list[Layer]] = []
    for stage, (count, wide) in enumerate(zip(stages, widths, strict=True)):
        for place in range(count):
            step = stride if stage and not place else 1
            blocks.append(block.around(channels, wide, step, next(drops)))
            channels = wide * expansion
    head = [*averaged(block.sides), {"Linear": "out"}]
    return Layers(
        [*entry, *_stem(stem, widths[0], block), *repeated(blocks), *head], initialization
    )


@dataclass(frozen=True)
class Block:
    """What all blocks of a network have in common."""

    sides: int
    kernel: list[int]
    expansion: int
    activation: Layer
    normalization: str

    def convolution(self, width: int, kernel: int, stride: int = 1) -> list[Layer]:
        bias = self.normalization == "none"  # a normalization would take it off again
        layers = convolution(self.sides, width, kernel, stride=stride, bias=bias)
        return normalized(layers, self.sides, self.normalization)

    def around(self, channels: int, width: int, stride: int, drop: float) -> list[Layer]:
        """Convolutions, added to what comes in or, where the shape changes, to a projection."""
        layers, after = self._layers(width, stride), width * self.expansion
        if stride == 1 and channels == after:
            beside = {"drop": drop} if drop else {}
            return [{"residual": layers, **beside}, self.activation]
        layers = [*layers, {"drop_path": drop}] if drop else layers
        return [{"sum": [layers, self.convolution(after, 1, stride)]}, self.activation]

    def _layers(self, width: int, stride: int) -> list[Layer]:
        """The convolutions of a block; the first that sees its neighbours takes the stride."""
        strided = next((i for i, size in enumerate(self.kernel) if size > 1), 0)
        last = len(self.kernel) - 1
        layers: list[Layer] = []
        for place, size in enumerate(self.kernel):
            wide = width * self.expansion if place == last else width
            layers += self.convolution(wide, size, stride if place == strided else 1)
            layers += [self.activation] if place < last else []
        return layers


def _widths(width: int | list[int], stages: int) -> list[int]:
    if isinstance(width, int):
        return [width * 2**stage for stage in range(stages)]
    if len(width) != stages:
        raise ConfigError(
            f"model.width: got {len(width)} for {stages} stages; expected one each, or one number "
            "that doubles from stage to stage"
        )
    return width


def _stem(stem: str, width: int, block: Block) -> list[Layer]:
    if stem == "none":
        return []
    if stem == "small":
        return [*block.convolution(width, 3), block.activation]
    pool: Layer = {f"MaxPool{block.sides}d": {"kernel_size": 3, "stride": 2, "padding": 1}}
    return [*block.convolution(width, 7, 2), block.activation, pool]
