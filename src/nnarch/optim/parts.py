"""Parameters laid side by side in one tensor, of which each becomes a view.

On a small network the time of a step goes into the number of operations, not into arithmetic.
What goes through the same steps is therefore one part, and is updated as if it were one
parameter. Nothing relies on parameters staying there: a part can be asked whether they do, and
laid in memory again where they do not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nnarch.lazy import LazyModule
from nnarch.optim.fused import InPlace, fits
from nnarch.optim.rules import Rule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import Parameter
else:
    torch = LazyModule("torch")

Numbers = dict[str, Any]  # a state; what is one number in it is a float, cheaper than a tensor


@dataclass
class Part:
    """Parameters that go through the same steps as if they were one.

    Attributes:
        parameters: in the order in which they lie in memory.
        numbers: where each stands among all parameters of the optimizer.
        hyper: their group, of which lr may be set before any step.
        state: of all of them; None before the first step.
        weight: shares its memory with the parameters: a vector, or a single one as it is.
        in_place: what the rule has to change the weight itself, where it suits this one.
    """

    parameters: "list[Parameter]"
    numbers: list[int]
    hyper: Numbers
    state: Numbers | None
    weight: "Tensor | None" = None
    in_place: InPlace | None = None

    def is_in_place(self) -> bool:
        """Whether the parameters are still views of `weight`, one after the other."""
        if self.weight is None:
            return False
        address, size = self.weight.data_ptr(), self.weight.element_size()
        for parameter in self.parameters:
            if parameter.data_ptr() != address:
                return False
            address += size * parameter.numel()
        return True

    def lay_in(self, rule: Rule) -> None:
        """Have the parameters in place, with a state beside them as `rule` begins it."""
        if not self.is_in_place():
            self.weight = _laid_in(self.parameters)
            self.state = moved(self.state or rule.init(self.weight), self.weight)
            self.in_place = rule.in_place if fits(self.weight) else None

    def gradient(self, gradients: "Sequence[Tensor | None]") -> "Tensor":
        """Like `weight`, out of the gradients of all parameters of the optimizer."""
        own = [gradients[number] for number in self.numbers]
        return joined([each for each in own if each is not None])

    def cut(self, weight: "Tensor") -> "list[Tensor]":
        """The parameters that lie in one such weight, each in its own shape."""
        pieces = _cut(weight, self.parameters)
        return [piece.view_as(each) for piece, each in zip(pieces, self.parameters, strict=True)]

    def states(self) -> list[Numbers]:
        """The state of each parameter, as views of that of all; its numbers are floats."""
        states: list[Numbers] = [{} for _ in self.parameters]
        for name, value in (self.state or {}).items():
            if isinstance(value, torch.Tensor) and value.dim():
                pieces = _cut(value, self.parameters)
            else:
                pieces = [float(value)] * len(states)
            for state, piece in zip(states, pieces, strict=True):
                state[name] = piece
        return states


def joined(tensors: "Sequence[Tensor]") -> "Tensor":
    """One tensor as it is, with a dimension at least; several as a vector."""
    if len(tensors) > 1:
        return torch.cat([tensor.flatten() for tensor in tensors])
    return tensors[0] if tensors[0].dim() else tensors[0].view(1)


def state_of_all(states: list[Numbers]) -> Numbers | None:
    """The state of several parameters that have come equally far, or None of none."""
    if not states:
        return None
    return {
        name: joined([state[name] for state in states])
        if isinstance(value, torch.Tensor)
        else value
        for name, value in states[0].items()
    }


def moved(state: Mapping[str, Any], weight: "Tensor") -> Numbers:
    """`state` where the weight is, and its numbers as floats."""
    values: Numbers = {}
    for name, value in state.items():
        is_number = not isinstance(value, torch.Tensor) or not value.dim()
        values[name] = float(value) if is_number else _laid_out(value, weight)
    return values


def _laid_out(tensor: "Tensor", weight: "Tensor") -> "Tensor":
    """A copy where the weight is, that lies in memory as its shape reads."""
    return tensor.to(weight, copy=True, memory_format=torch.contiguous_format)


def _cut(tensor: "Tensor", parameters: "list[Parameter]") -> "list[Tensor]":
    """The opposite of `joined`."""
    if len(parameters) == 1:
        return [tensor]
    pieces = tensor.split([each.numel() for each in parameters])
    return [piece.view_as(each) for piece, each in zip(pieces, parameters, strict=True)]


def _laid_in(parameters: "list[Parameter]") -> "Tensor":
    """A tensor that several parameters now are views of, or the memory of a single one."""
    weight = joined([each.detach() for each in parameters])
    if len(parameters) > 1:
        for each, piece in zip(parameters, _cut(weight, parameters), strict=True):
            each.data = piece
    return weight
