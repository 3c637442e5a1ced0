"""Whether what was saved is of the kind that is expected.

A state to train on from comes out of a file that anyone may have written, and torch takes what it
is given: what is wrong in it would show in the middle of an epoch, as something else. So it is
first held against one that is right in all but its values.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nnarch.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")

ANY = (-math.inf, math.inf)


def check(found: Any, expected: Any, at: str, within: tuple[float, float] = ANY) -> None:
    """See that `found` has the keys, lengths, shapes, dtypes and kinds of number of `expected`.

    Where None is expected a number will do too, and tensors are finite.

    Args:
        at: where it stands, for the message.
        within: the least and the most that a number, or a tensor of one, may be.

    Raises: ValueError.

    >>> check({"steps": 3}, {"steps": 0.0}, "state")
    >>> check({"steps": "3"}, {"steps": 0.0}, "state")
    Traceback (most recent call last):
    ValueError: state.steps: got '3'; expected a number
    """
    if isinstance(expected, Mapping):
        if not isinstance(found, Mapping) or found.keys() != expected.keys():
            raise ValueError(f"{at}: got {_said(found)}; expected {', '.join(map(str, expected))}")
        for key in expected:
            check(found[key], expected[key], f"{at}.{key}", within)
    elif isinstance(expected, list):
        if not isinstance(found, list) or len(found) != len(expected):
            raise ValueError(f"{at}: got {_said(found)}; expected a list of {len(expected)}")
        for place, pair in enumerate(zip(found, expected, strict=True)):
            check(*pair, f"{at}[{place}]", within)
    elif isinstance(expected, torch.Tensor):
        _check_tensor(found, expected, at, within)
    elif not (found is None is expected):
        _check_number(found, int if type(expected) is int else int | float, at, within)


def _check_tensor(found: Any, expected: "Tensor", at: str, within: tuple[float, float]) -> None:
    if not isinstance(found, torch.Tensor) or _kind(found) != _kind(expected):
        raise ValueError(f"{at}: got {_said(found)}; expected {_said(expected)}")
    if not found.isfinite().all():
        raise ValueError(f"{at}: is not finite")
    if not found.dim() and found.is_floating_point():
        _check_number(found.item(), int | float, at, within)


def _check_number(found: Any, kind: Any, at: str, within: tuple[float, float]) -> None:
    if not isinstance(found, kind) or isinstance(found, bool):
        expected = "a whole number" if kind is int else "a number"
        raise ValueError(f"{at}: got {_said(found)}; expected {expected}")
    least, most = within
    if not least <= found <= most:
        raise ValueError(f"{at}: got {found!r:.20}; expected {least:g} to {most:g}")


def _kind(tensor: "Tensor") -> tuple[Any, ...]:
    return tensor.layout, tensor.dtype, tuple(tensor.shape)


def _said(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"{value.dtype} of shape {tuple(value.shape)}"
    if isinstance(value, Mapping):
        return f"keys {', '.join(map(str, value)):.80}"
    return f"{value!r:.80}"
