"""How much memory an optimizer keeps beside the weights, told before there are any.

Optimizers that go by a rule say it themselves: the state that a weight begins with is of the size
that it always has. Others are asked by a step on the meta device, where a state has a size and no
memory. L-BFGS decides by the values of gradients how far to go, which the meta device does not
know; what it keeps when its history is full is its own documentation's.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nnarch.models.metadevice import TellingShapes
from nnarch.optim.stepper import Stepper


def state_bytes(
    build: Callable[[nn.Module], Stepper | torch.optim.Optimizer], network: nn.Module
) -> int | None:
    """Bytes of the largest state that an optimizer comes to; None where only steps would tell.

    Args:
        build: makes the optimizer of a network's parameters.
        network: on the meta device; frozen parameters have `requires_grad` False.
    """
    trained = [each for each in network.parameters() if each.requires_grad]
    optimizer = build(network)
    if isinstance(optimizer, Stepper):
        with TellingShapes():
            states = [optimizer.rule.init(each if each.dim() else each.view(1)) for each in trained]
        return sum(_bytes(tensor) for tensor in tensors_in(states) if tensor.dim())
    if isinstance(optimizer, torch.optim.LBFGS):
        vectors = 2 * optimizer.param_groups[0]["history_size"] + 2  # a direction, a gradient
        return vectors * sum(map(_bytes, trained))
    for each in trained:
        each.grad = torch.empty_like(each)
    try:
        optimizer.step()
    except Exception:  # of another's: it wants a closure, or looks at values
        return None
    finally:
        network.zero_grad(set_to_none=True)
    return sum(map(_bytes, tensors_in(optimizer.state)))


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Every tensor in a state, wherever it lies."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from tensors_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from tensors_in(inner)
