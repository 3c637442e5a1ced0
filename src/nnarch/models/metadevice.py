"""Common operations on torch's meta device, where nothing but shapes is computed.

For these torch goes through its compiler there, and takes most of a second to import it, only to
know what shape they give. That can be told: an activation and a normalization keep the shape that
comes in, a product of matrices has the rows of one and the columns of the other. All else is for
torch to compute.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

ATEN = torch.ops.aten


def _alike(rows: Tensor, *_: Any, **__: Any) -> Tensor:
    return rows.new_empty(rows.shape)


def _product(bias: Tensor, one: Tensor, other: Tensor, **_: Any) -> Any:
    if one.shape[1] != other.shape[0] or bias.shape != other.shape[1:]:
        return NotImplemented
    return one.new_empty(one.shape[0], other.shape[1])


def _convolution(
    rows: Tensor,
    weight: Tensor,
    bias: Any,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    output_padding: list[int],
    groups: int,
) -> Any:
    """Of a plain convolution; what else there may be, or be wrong, is torch's to tell."""
    sides = list(zip(rows.shape[2:], weight.shape[2:], stride, padding, dilation, strict=False))
    made = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sides]
    fits = rows.dim() == weight.dim() and rows.shape[1] == weight.shape[1] * groups
    if transposed or not fits or min(made, default=0) < 1 or len(made) != rows.dim() - 2:
        return NotImplemented
    return rows.new_empty(rows.shape[0], weight.shape[0], *made)


def _mean(rows: Tensor, dims: list[int], keep: bool = False, **_: Any) -> Tensor:
    gone = {dim % rows.dim() for dim in dims}
    shape = [1 if dim in gone else size for dim, size in enumerate(rows.shape)]
    return rows.new_empty(shape if keep else [n for d, n in enumerate(rows.shape) if d not in gone])


def _layer_norm(rows: Tensor, normalized: list[int], *_: Any) -> tuple[Tensor, ...]:
    kept = rows.shape[: rows.dim() - len(normalized)]
    return _with_statistics(rows, (*kept, *[1] * len(normalized)))


def _batch_norm(
    rows: Tensor, weight: Any, bias: Any, mean: Any, var: Any, training: bool, *_: Any
) -> tuple[Tensor, ...]:
    return _with_statistics(rows, (rows.shape[1] if training else 0,))


def _group_norm(
    rows: Tensor, weight: Any, bias: Any, batch: int, channels: int, size: int, groups: int, *_: Any
) -> tuple[Tensor, ...]:
    return _with_statistics(rows, (batch, groups))


def _with_statistics(rows: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, ...]:
    """What a normalization gives: beside the rows, what the backward pass will want."""
    return rows.new_empty(rows.shape), rows.new_empty(shape), rows.new_empty(shape)


KNOWN: dict[Any, Callable[..., Any]] = {
    ATEN.native_layer_norm.default: _layer_norm,
    ATEN.native_batch_norm.default: _batch_norm,
    ATEN.native_group_norm.default: _group_norm,
    ATEN.addmm.default: _product,
    ATEN.mean.dim: _mean,
    ATEN.convolution.default: _convolution,
} | dict.fromkeys(
    (
        ATEN.relu.default, ATEN.gelu.default, ATEN.elu.default, ATEN.leaky_relu.default,
        ATEN.silu.default, ATEN.mish.default, ATEN.hardswish.default, ATEN.hardtanh.default,
        ATEN.zeros_like.default,
    ),
    _alike,
)  # fmt: skip


class TellingShapes(TorchDispatchMode):
    """Tells the shapes of `KNOWN` operations on the meta device; all else is torch's to compute."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # what skips it has to import it

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {})


def computed(func: Any, args: Any, kwargs: Any) -> Any:
    """What an operation gives; of a known one on the meta device, shapes without more."""
    if func in KNOWN and args[0].is_meta:
        told = KNOWN[func](*args, **kwargs)
        if told is not NotImplemented:
            return told
    return func(*args, **kwargs)
