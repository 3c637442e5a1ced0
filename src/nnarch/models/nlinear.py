"""NLinear: the next steps of a series as one linear function of those before."""

from typing import TYPE_CHECKING

from nnarch.errors import ConfigError
from nnarch.lazy import LazyModule
from nnarch.registry import models

if TYPE_CHECKING:
    from torch import Tensor, nn
else:
    nn = LazyModule("torch.nn")


@models.register(channelwise=True)
def nlinear(inputs: tuple[int, ...], outputs: int, *, bias: bool = True) -> "nn.Module":
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
    steps, channels = inputs

    class NLinear(nn.Module):
        """(B, steps, channels) to (B, horizon * channels), step after step."""

        def __init__(self) -> None:
            super().__init__()
            self.ahead = nn.Linear(steps, outputs // channels, bias)

        def forward(self, series: "Tensor") -> "Tensor":
            last = series[:, -1:]
            change = self.ahead((series - last).transpose(1, 2)).transpose(1, 2)
            return (last + change).flatten(1)

    return NLinear()
