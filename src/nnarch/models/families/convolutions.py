"""What the convolutional families share: channels first, sides that stay, a pool over all of them.

A convolution looks along one side or two, so that one description is a network for images, for
series and for rows, which are read as a series of one channel.
"""

from nnarch.errors import ConfigError
from nnarch.models.layers import Layer


def channels_first(model: str, inputs: tuple[int, ...]) -> tuple[list[Layer], tuple[int, ...]]:
    """The layers that bring a sample's channels to its front, and its shape behind them.

    Raises: ConfigError for samples that are neither images, nor series, nor rows.

    >>> channels_first("cnn", (96, 7)), channels_first("cnn", (64,))
    ((['transpose'], (7, 96)), (['channel'], (1, 64)))
    """
    match inputs:
        case (_,):
            return ["channel"], (1, *inputs)
        case (steps, channels):
            return ["transpose"], (channels, steps)
        case (_, _, _):
            return [], inputs
    raise ConfigError(
        f"{model} expects images of (channels, height, width), series or rows; got samples of "
        f"shape {inputs}"
    )


def convolution(
    sides: int, width: int, kernel: int, *, stride: int = 1, bias: bool = True
) -> list[Layer]:
    """A convolution over so many sides, of length N each, that leaves ceil(N / stride).

    An even kernel has no middle; it sees one step more behind than before.
    """
    options = {"out_channels": width, "kernel_size": kernel}
    options |= {"stride": stride} if stride > 1 else {}
    options |= {"padding": kernel // 2} if kernel > 1 and kernel % 2 else {}
    layer: Layer = {f"Conv{sides}d": options if bias else options | {"bias": False}}
    if kernel % 2:
        return [layer]
    return [{f"ZeroPad{sides}d": [[kernel // 2 - 1, kernel // 2] * sides]}, layer]


def normalized(layers: list[Layer], sides: int, normalization: str) -> list[Layer]:
    """Layers with the normalization of their channels behind them.

    >>> normalized([], 2, "batch"), normalized(["Conv2d"], 2, "none")
    (['BatchNorm2d'], ['Conv2d'])
    """
    return [*layers, f"BatchNorm{sides}d"] if normalization == "batch" else layers


def averaged(sides: int) -> list[Layer]:
    """Global average pooling (Lin et al., 2014): the mean of each channel over all sides."""
    return [{f"AdaptiveAvgPool{sides}d": 1}, "Flatten"]
