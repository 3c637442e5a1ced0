"""The blocks: layers that torch has not, under lower-case names for lists of layers.

What a config may say of each stands here, in files that import without torch; the modules
themselves stand in files of the same names in `modules`.
"""

from nnarch.models.blocks import (
    attention,
    causal,
    columns,
    depth,
    gated,
    members,
    numeric,
    patches,
    positions,
    reshaping,
    series,
    tokens,
)

__all__ = [
    "attention",
    "causal",
    "columns",
    "depth",
    "gated",
    "members",
    "numeric",
    "patches",
    "positions",
    "reshaping",
    "series",
    "tokens",
]
