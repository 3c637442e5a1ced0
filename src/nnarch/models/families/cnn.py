"""The plain convolutional network: convolutions one after the other, then linear layers."""

from collections.abc import Mapping
from typing import Literal

from nnarch.errors import ConfigError
from nnarch.models.families.convolutions import averaged, channels_first, convolution, normalized
from nnarch.models.layers import Layer, Layers, component, repeated
from nnarch.models.layers import dropout as left_out
from nnarch.options import Activation, Count, Fraction, Initialization
from nnarch.registry import models


@models.register
def cnn(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    widths: list[Count] = [32, 64],  # noqa: B006 (read, never changed)
    kernel: Count | list[Count] = 3,
    activation: Activation = "relu",
    normalization: Literal["none", "batch"] = "none",
    pool: Count = 2,
    dropout: Fraction = 0.0,
    head: Literal["flatten", "average"] = "flatten",
    hidden: list[Count] = [],  # noqa: B006
    initialization: Initialization = "default",
) -> Layers:
    """Convolutions, each with a pooling, then linear layers (LeCun et al., 1998).

    For images, and by convolutions of one side for series and rows. `pool: 1`,
    `normalization: batch` and `head: average` with kernels 8, 5, 3 make the fully convolutional
    network of Wang et al. (2017) for series.

    Options:
        widths: Channels that each convolution makes.
        kernel: Steps or pixels that a convolution sees along a side, one number or one for each.
        activation: What follows each convolution and each hidden linear layer.
        normalization: What stands between a convolution and its activation.
        pool: Each convolution's sides are divided by this, keeping the largest; 1 keeps all.
        dropout: Share of the units behind each convolution and hidden layer that a training step
            leaves out.
        head: Whether the linear layers see every position, or the average over all of them.
        hidden: Units of each linear layer before the last.
        initialization: How the weights begin; default is torch's own.
    """
    assert isinstance(activation, Mapping), "a filled component"
    assert isinstance(initialization, Mapping), "a filled component"
    entry, shape = channels_first("cnn", inputs)
    sides = len(shape) - 1
    _check_pool(pool, len(widths), shape[1:])
    after: list[Layer] = [component(activation)]
    dropped = left_out(dropout)
    pooled: list[Layer] = [{f"MaxPool{sides}d": pool}] if pool > 1 else []
    bias = normalization == "none"  # a normalization would take it off again
    blocks = [
        normalized(convolution(sides, width, size, bias=bias), sides, normalization)
        + after + pooled + dropped
        for width, size in zip(widths, _each(kernel, len(widths)), strict=True)
    ]  # fmt: skip
    joined = averaged(sides) if head == "average" else ["Flatten"]
    linear = [[{"Linear": width}, *after, *dropped] for width in hidden]
    items = [*entry, *repeated(blocks), *joined, *repeated(linear), {"Linear": "out"}]
    return Layers(items, initialization)


def _each(kernel: int | list[int], count: int) -> list[int]:
    if isinstance(kernel, int):
        return [kernel] * count
    if len(kernel) != count:
        raise ConfigError(
            f"model.kernel: got {len(kernel)} for {count} convolutions; expected one each, or one "
            "number for all"
        )
    return kernel


def _check_pool(pool: int, count: int, sides: tuple[int, ...]) -> None:
    if min(sides) < pool**count:
        size = " x ".join(map(str, sides))
        raise ConfigError(
            f"model.pool: got {pool} behind each of {count} convolutions for sides of {size}, of "
            f"which nothing is left; expected sides of {pool**count} or more, or pool: 1"
        )
