"""What the families for sequences share: vectors for the steps, and blocks of attention.

A sequence is a series, (steps, features), or a text, whose (steps,) are tokens to embed.
"""

from typing import Any

from nnarch.errors import ConfigError
from nnarch.models.layers import Layer, dropout


def vectors(family: str, inputs: tuple[int, ...], width: int) -> list[Layer]:
    """What makes (steps, features) of a sample: an embedding of tokens; a series is so already.

    Raises: ConfigError where the samples are neither.
    """
    if len(inputs) > 2:
        raise ConfigError(f"{family} expects series or texts; got samples of shape {inputs}")
    return [{"Embedding": width}] if len(inputs) == 1 else []


def check_heads(width: int, heads: int) -> None:
    """Raises: ConfigError where the heads do not divide the width."""
    if width % heads:
        raise ConfigError(
            f"model.heads: got {heads} for width {width}; expected heads that divide it"
        )


def block(
    heads: int, hidden: int, activation: Layer, share: float, causal: bool = False, drop: float = 0
) -> list[Layer]:
    """A pre-norm block: attention, then a linear layer to `hidden` units and one back.

    Args:
        share: what dropout leaves out, of the attention weights and of what either half adds.
        causal: whether a step sees only itself and the steps before.
        drop: the chance that a training step leaves a half out for a sample.
    """
    attention: dict[str, Any] = {"heads": heads}
    attention |= {"dropout": share} if share else {}
    attention |= {"causal": True} if causal else {}
    feeds: list[Layer] = [{"Linear": hidden}, activation, {"Linear": "same"}]
    beside = {"drop": drop} if drop else {}
    return [
        {"residual": ["LayerNorm", {"attention": attention}, *dropout(share)], **beside},
        {"residual": ["LayerNorm", *feeds, *dropout(share)], **beside},
    ]
