"""Blocks for sequences that attention reads: where each step stands, and a token to answer with.

Attention alone sees a sequence as a set; positions are what tells its steps apart.
"""

from typing import TYPE_CHECKING, Literal

from nnarch.lazy import LazyModule
from nnarch.options import Count
from nnarch.registry import layers

if TYPE_CHECKING:
    from torch import nn

    from nnarch.models.blocks.modules import positions as modules
else:
    modules = LazyModule("nnarch.models.blocks.modules.positions")


@layers.register(infer={"steps": "steps", "features": "features"}, axis="features", ranks=(2,))
def positions(
    *, steps: Count, features: Count, kind: Literal["learned", "sinusoidal"] = "learned"
) -> "nn.Module":
    """Adds to each step of (steps, features) what tells its position (Vaswani et al., 2017).

    Options:
        steps: Length of the longest sequence.
        features: Numbers of each step.
        kind: Vectors that are learnt, or fixed sines and cosines of many wavelengths.
    """
    return modules.Positions(steps, features, kind)


@layers.register(infer={"features": "features"}, axis="features", ranks=(2,))
def class_token(*, features: Count) -> "nn.Module":
    """Puts a learnt step before (T, F), to gather what the answer needs (Devlin et al., 2019).

    After the layers of attention, `pick: 0` takes it out again.

    Options:
        features: Numbers of each step.
    """
    return modules.ClassToken(features)
