"""Several networks in one as blocks: an ensemble that trains as fast as one network (TabM)."""

from typing import TYPE_CHECKING

from nnarch.lazy import LazyModule
from nnarch.options import Count
from nnarch.registry import layers

if TYPE_CHECKING:
    from torch import nn

    from nnarch.models.blocks.modules import members as modules
else:
    modules = LazyModule("nnarch.models.blocks.modules.members")

OF_EACH = {"members": "channels", "features": "features"}


@layers.register(infer={"features": "features"}, ranks=(1,), gives="features")
def members(*, features: Count, count: Count = 32, factors: bool = True) -> "nn.Module":
    """A row for each member of an ensemble, (F) to (members, F) (Gorishniy et al., 2025).

    Options:
        features: Numbers of a row.
        count: How many members there are.
        factors: Whether a member's row is multiplied by learnt factors, which begin as 1 or -1.
    """
    return modules.Members(features, count, factors)


@layers.register(infer=OF_EACH, axis="features", ranks=(2,))
def member_linear(
    *, members: Count, features: Count, width: Count, first: bool = False
) -> "nn.Module":
    """A linear layer that members share but for factors and biases (Wen et al., 2020).

    (members, F) to (members, width).

    Options:
        members: How many there are.
        features: Numbers that come in.
        width: Numbers that go out.
        first: Whether the factors of what comes in begin as 1 or -1 at random, rather than as 1.
    """
    return modules.MemberLinear(members, features, width, first)


@layers.register(infer=OF_EACH, axis="features", ranks=(2,))
def member_heads(*, members: Count, features: Count, width: Count) -> "nn.Module":
    """A linear layer for each member of an ensemble, (members, F) to (members, width).

    Options:
        members: How many there are.
        features: Numbers that come in.
        width: Numbers that go out.
    """
    return modules.MemberHeads(members, features, width)
