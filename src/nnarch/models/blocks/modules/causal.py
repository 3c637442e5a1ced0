"""The causal convolution of temporal convolutional networks."""

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from nnarch.errors import ConfigError


class CausalConv(nn.Module):
    """(B, channels, T) to (B, width, T), with zeros before the first step."""

    def __init__(
        self,
        channels: int,
        width: int,
        kernel: int = 3,
        dilation: int = 1,
        weight_norm: bool = False,
    ):
        super().__init__()
        self.before = (kernel - 1) * dilation
        conv = nn.Conv1d(channels, width, kernel, dilation=dilation)
        self.conv = parametrizations.weight_norm(conv) if weight_norm else conv

    def forward(self, series: Tensor) -> Tensor:
        if series.dim() != 3:
            raise ConfigError(
                f"causal_conv: got samples of shape {tuple(series.shape[1:])}; expected "
                "(channels, steps)"
            )
        return self.conv(functional.pad(series, (self.before, 0)))
