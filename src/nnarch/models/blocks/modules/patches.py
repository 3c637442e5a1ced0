"""Images cut into patches, by a convolution that steps from patch to patch."""

from torch import Tensor, nn

from nnarch.errors import ConfigError


class Patches(nn.Module):
    """(B, channels, H, W) to (B, H / size * W / size, width).

    Raises: ConfigError for images that patches do not fill.
    """

    def __init__(self, channels: int, size: int, width: int):
        super().__init__()
        self.size = size
        self.embed = nn.Conv2d(channels, width, size, stride=size)

    def forward(self, images: Tensor) -> Tensor:
        if images.dim() != 4:
            raise ConfigError(
                f"patches: got samples of shape {tuple(images.shape[1:])}; expected images of "
                "(channels, height, width)"
            )
        height, width = images.shape[2:]
        if height % self.size or width % self.size:
            raise ConfigError(
                f"patches: got images of {height} x {width} pixels for a patch size of "
                f"{self.size}; expected sides that are multiples of it"
            )
        return self.embed(images).flatten(2).transpose(1, 2)
