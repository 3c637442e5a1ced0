"""Arithmetic for numbers that may be floats or tensors, as the optimizers' rules need it.

With a float, each of these is one operation on a weight, or none. With a tensor it can be traced
and stacked, and what it gives has the dtype of the weight, whatever the number's.
"""

from typing import TYPE_CHECKING, overload

from nnarch.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")


def plus(tensor: "Tensor", other: "Tensor", factor: "float | Tensor") -> "Tensor":
    """tensor + factor * other."""
    if isinstance(factor, torch.Tensor):
        return tensor + factor.to(tensor.dtype) * other
    return tensor.add(other, alpha=factor) if factor else tensor


def towards(old: "Tensor", new: "Tensor", share: "float | Tensor") -> "Tensor":
    """old + share * (new - old): a running mean that keeps 1 - share of its past."""
    return old.lerp(new, share.to(old.dtype) if isinstance(share, torch.Tensor) else share)


def first(steps: "float | Tensor") -> "float | Tensor":
    """1 where no step has been done, or else 0."""
    return larger(1 - steps, 0.0)


@overload
def larger(one: "Tensor", other: "float | Tensor") -> "Tensor": ...
@overload
def larger(one: float, other: "float | Tensor") -> "float | Tensor": ...
def larger(one: "float | Tensor", other: "float | Tensor") -> "float | Tensor":
    """The larger of two; of a tensor's elements, each by itself."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return torch.maximum(one, other)  # under vmap, clamp would change the dtype
    if isinstance(one, torch.Tensor):
        return one.clamp(min=other)
    return other.clamp(min=one) if isinstance(other, torch.Tensor) else max(one, other)


@overload
def smaller(one: "Tensor", other: "float | Tensor") -> "Tensor": ...
@overload
def smaller(one: float, other: "float | Tensor") -> "float | Tensor": ...
def smaller(one: "float | Tensor", other: "float | Tensor") -> "float | Tensor":
    """The smaller of two; of a tensor's elements, each by itself."""
    return -larger(-one, -other)


def either(condition: "bool | Tensor", yes: "Tensor", no: float) -> "float | Tensor":
    """`yes` where the condition holds, or else `no`."""
    if isinstance(condition, torch.Tensor):
        return torch.where(condition, yes, no)
    return yes if condition else no
