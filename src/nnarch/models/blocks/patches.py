"""Images as sequences: what lets layers for sequences look at pictures."""

from typing import TYPE_CHECKING

from nnarch.lazy import LazyModule
from nnarch.options import Count
from nnarch.registry import layers

if TYPE_CHECKING:
    from torch import nn

    from nnarch.models.blocks.modules import patches as modules
else:
    modules = LazyModule("nnarch.models.blocks.modules.patches")


@layers.register(infer={"channels": "channels"}, axis="channels", ranks=(3,), gives="features")
def patches(*, channels: Count, size: Count, width: Count) -> "nn.Module":
    """Cuts (channels, H, W) into patches, each a step of `width` (Dosovitskiy et al., 2021).

    The patches come row after row, all through the same linear map.

    Options:
        channels: Channels of the images.
        size: Side of a patch in pixels; it divides the sides of the images.
        width: Numbers for each patch.
    """
    return modules.Patches(channels, size, width)
