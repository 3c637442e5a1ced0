"""NLinear: the next steps of a series as one linear function of those before."""

from nnarch.errors import ConfigError
from nnarch.models.layers import Layers
from nnarch.registry import models


@models.register(channelwise=True)
def nlinear(inputs: tuple[int, ...], outputs: int, *, bias: bool = True) -> Layers:
    """Linear in the steps before, measured from the last of them (Zeng et al., 2023).

    For samples of (steps, channels); each channel goes on by itself, all by the same weights.

    Options:
        bias: Whether the linear layer has one.
    """
    if len(inputs) != 2 or outputs % inputs[1]:
        raise ConfigError(
            "nlinear expects series whose channels are all predicted; got samples of shape "
            f"{inputs} and {outputs} numbers to predict"
        )
    ahead = {"Linear": {"out_features": outputs // inputs[1], "bias": bias}}
    return Layers(
        ["transpose", {"sum": [["less_last", ahead], ["last"]]}, "transpose", "Flatten"],
        {"name": "default"},
    )
