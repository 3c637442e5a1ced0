"""DLinear: the next steps of a series from its trend and from what is left of it."""

from nnarch.errors import ConfigError
from nnarch.models.layers import Layers
from nnarch.options import Count
from nnarch.registry import models


@models.register(channelwise=True)
def dlinear(
    inputs: tuple[int, ...], outputs: int, *, kernel: Count = 25, bias: bool = True
) -> Layers:
    """Linear in the trend of a series, plus linear in the rest of it (Zeng et al., 2023).

    For samples of (steps, channels); each channel goes on by itself, all by the same weights.

    Options:
        kernel: Steps that the trend is an average over, an odd number.
        bias: Whether the linear layers have one.
    """
    if len(inputs) != 2 or outputs % inputs[1]:
        raise ConfigError(
            "dlinear expects series whose channels are all predicted; got samples of shape "
            f"{inputs} and {outputs} numbers to predict"
        )
    if kernel % 2 == 0:
        raise ConfigError(f"model.kernel: got {kernel}; expected an odd number of steps")
    ahead = {"Linear": {"out_features": outputs // inputs[1], "bias": bias}}
    parts = [[{"detrended": kernel}, ahead], [{"moving_average": kernel}, ahead]]
    return Layers(["transpose", {"sum": parts}, "transpose", "Flatten"], {"name": "default"})
