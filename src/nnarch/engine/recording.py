"""A computation recorded once, to be repeated without what Python and autograd do around it.

Of a step on a small network nine tenths go into Python, autograd and dispatch. What a step does to
numbers is a list of a few dozen operations, the same each time; so they are noted down while it is
done once, below autograd, and written as a function (`nnarch.engine.program`).

Not every computation can be repeated so. One that looks at a number to decide what to do next
would always go the same way; it is refused with `Unrepeatable`, and its caller computes as before.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from nnarch.engine.program import Call, Recording, tensors, written

aten = torch.ops.aten
READ = "reads a number that may differ the next time"
SHAPED = "gives a result whose shape depends on numbers"


class Unrepeatable(Exception):
    """A computation that may go another way the next time."""


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # it would import torch's compiler, which takes a second

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        _check(func, args)
        result = func(*args, **(kwargs or {}))
        # kept to the end of the recording, so that no two tensors have one address
        self.calls.append(Call(func, args, kwargs or {}, result))
        return result


def _check(function: Any, arguments: tuple[Any, ...]) -> None:
    if torch.Tag.data_dependent_output in function.tags or function is aten.equal.default:
        raise Unrepeatable(f"{function.__name__} {READ}")
    if function is aten.index.Tensor:  # by numbers of rows its shape is known, by a mask it is not
        if any(each.dtype in (torch.bool, torch.uint8) for each in tensors(arguments[1])):
            raise Unrepeatable(f"indexing by a mask {SHAPED}")
    elif torch.Tag.dynamic_output_shape in function.tags:
        raise Unrepeatable(f"{function.__name__} {SHAPED}")


def record(
    compute: Callable[[], Sequence[Tensor]], inputs: Sequence[Tensor], moving: Sequence[Tensor]
) -> Recording:
    """Do `compute` once, to be repeated with other `inputs` of the same shapes.

    The recording holds the memory of `moving`.

    Args:
        inputs: what `compute` reads that is new at each call.
        moving: tensors whose numbers change between calls while their memory stays (parameters,
            buffers). All others that `compute` reads are taken to stay as they are.

    Raises: Unrepeatable where it may go another way the next time.
    """
    with _Recorder() as recorder:
        results = compute()
    return written(recorder.calls, inputs, moving, results)
