"""Gated linear units beside torch's GLU: one half of the features gates the other.

Each stands behind a linear layer of twice the wanted width, in place of an activation (Shazeer,
2020, arXiv 2002.05202). As in torch's GLU, the second half is the gate.
"""

from typing import TYPE_CHECKING

from nnarch.lazy import LazyModule
from nnarch.registry import layers

if TYPE_CHECKING:
    from torch import nn

    from nnarch.models.blocks.modules import gated as modules
else:
    modules = LazyModule("nnarch.models.blocks.modules.gated")


@layers.register(axis="features")
def geglu() -> "nn.Module":
    """The first half of the features times gelu of the second: 2F to F (Shazeer, 2020)."""
    return modules.Gated("geglu")


@layers.register(axis="features")
def reglu() -> "nn.Module":
    """The first half of the features times relu of the second: 2F to F (Shazeer, 2020)."""
    return modules.Gated("reglu")


@layers.register(axis="features")
def swiglu() -> "nn.Module":
    """The first half of the features times silu of the second: 2F to F (Shazeer, 2020)."""
    return modules.Gated("swiglu")
