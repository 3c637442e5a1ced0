"""One sample's way through a network on the meta device: calls, shapes and operations.

Operations are counted by the formulas of torch's own counter and as it counts them, a test holds
the two together. The counter itself is not used because to enter it imports torch's compiler,
which takes longer than everything else that is done here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from torch.utils.hooks import RemovableHandle

from nnarch.models.metadevice import KNOWN, computed


@dataclass
class Trace:
    """What a forward pass did.

    Attributes:
        shapes: of what each module gave for a sample, by its path; () where it gave no tensor.
        flops: operations of each module that was called, by its path, and of all within it; in
            the order in which they were called, the network itself, "", before all.
    """

    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    flops: dict[str, int] = field(default_factory=lambda: {"": 0})


def trace(network: nn.Module, rows: Tensor) -> Trace:
    """Send `rows` through `network`, both on the meta device, in evaluation mode."""
    made, inside = Trace(), [""]
    counting = _Counter(made, inside)
    with _followed(network, made, inside), counting, torch.device("meta"), torch.no_grad():
        output = network.eval()(rows)
    _leaving("", made, inside)(network, (rows,), output)
    return made


@contextmanager
def _followed(network: nn.Module, made: Trace, inside: list[str]) -> Iterator[None]:
    """Note the calls of a network's modules; `inside` holds the paths of those that run now."""
    handles: list[RemovableHandle] = []
    for path, module in network.named_modules():
        if path:
            handles.append(module.register_forward_pre_hook(_entering(path, made, inside)))
            handles.append(module.register_forward_hook(_leaving(path, made, inside)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _entering(path: str, made: Trace, inside: list[str]) -> Any:
    def enter(module: nn.Module, args: Any) -> None:
        made.flops.setdefault(path, 0)
        inside.append(path)

    return enter


def _leaving(path: str, made: Trace, inside: list[str]) -> Any:
    def leave(module: nn.Module, args: Any, output: Any) -> None:
        first = output[0] if isinstance(output, tuple) and output else output
        made.shapes.setdefault(path, tuple(first.shape[1:]) if isinstance(first, Tensor) else ())
        inside.pop()

    return leave


class _Counter(TorchDispatchMode):
    """Adds up the operations of everything that is computed."""

    def __init__(self, made: Trace, inside: list[str]):
        super().__init__()
        self.made, self.inside = made, inside

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # what skips it has to import it

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is not torch.ops.prim.device.default and func not in KNOWN:
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        out = computed(func, args, kwargs)
        if formula := flop_registry.get(func._overloadpacket):
            count = formula(*args, **kwargs, out_val=out)
            for path in set(self.inside):
                self.made.flops[path] += count
        return out
