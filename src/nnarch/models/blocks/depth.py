"""Blocks that help deep networks to train; each stands last in a residual branch.

Both begin a branch as less than it could be: by a small factor on it, or by leaving it out at
times.
"""

from typing import TYPE_CHECKING

from nnarch.lazy import LazyModule
from nnarch.options import Count, Fraction
from nnarch.registry import layers

if TYPE_CHECKING:
    from torch import nn

    from nnarch.models.blocks.modules import depth as modules
else:
    modules = LazyModule("nnarch.models.blocks.modules.depth")


@layers.register
def drop_path(*, p: Fraction = 0.1) -> "nn.Module":
    """Stochastic depth: leaves a sample's whole branch out, at random (Huang et al., 2016).

    Options:
        p: Share of the samples of a training step whose branch is left out.
    """
    return modules.DropPath(p)


@layers.register(infer={"features": "features"}, axis="features")
def scale(*, features: Count, initial: float = 0.1) -> "nn.Module":
    """LayerScale: a learnt factor for each feature (Touvron et al., 2021).

    Options:
        features: Numbers that have a factor each, those of the last dimension.
        initial: Where the factors begin; the paper takes 0.1 for up to 18 layers, 1e-5 for 24.
    """
    return modules.Scale(features, initial)
