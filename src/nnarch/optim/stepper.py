"""A rule at work on the parameters of one network, with the face of `torch.optim.Optimizer`.

On a small network the time of a step goes into the number of operations, not into arithmetic.
So small parameters are laid side by side in one tensor, of which each becomes a view, and a rule
runs once for all of them. Nothing relies on their staying there: a parameter that was given other
memory (by `network.to` or a deep copy) is laid in again before the next step.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nnarch import likeness
from nnarch.lazy import LazyModule
from nnarch.optim.rules import Rule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import Parameter
else:
    torch = LazyModule("torch")

PIECE = 2**18  # elements; with more at once, new memory costs more than the arithmetic in it
COUNTED = (0.0, 2.0**53)  # what a number in a state may be: each counts or sums up steps
SMALL = 2**14  # elements; beyond that, to gather a gradient costs more than a few operations

Numbers = dict[str, Any]  # a state; what is one number in it is a float, cheaper than a tensor
Parameters = Iterable["Parameter"] | Iterable[dict[str, Any]]  # or groups, as torch has them


def as_groups(parameters: Parameters, hyper: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Parameters, or groups of them, as groups that each have all numbers of `hyper`.

    >>> as_groups([{"params": [1, 2]}, {"params": [3], "lr": 0.5}], {"lr": 0.1})
    [{'lr': 0.1, 'params': [1, 2]}, {'lr': 0.5, 'params': [3]}]
    """
    given: list[Any] = list(parameters)
    if not isinstance(next(iter(given), None), dict):
        given = [{"params": given}]
    return [{**hyper, **group, "params": list(group["params"])} for group in given]


@dataclass
class Part:
    """Parameters that go through the same steps as if they were one."""

    parameters: "list[Parameter]"
    hyper: Numbers  # their group, of which lr may be set before any step
    state: Numbers | None  # before the first step there is none
    weight: "Tensor | None" = None  # shares its memory with the parameters

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


class Stepper:
    """Follows `rule` with the numbers `hyper`; lr in `param_groups` may be set before any step.

    A parameter without a gradient is left as it is, and its steps are not counted.
    """

    def __init__(self, parameters: Parameters, rule: Rule, **hyper: float):
        self.rule = rule
        self.param_groups = as_groups(parameters, hyper)
        self._parameters: list[Parameter] = []
        self._places: list[int] = []  # of each, the number of its group
        for place, group in enumerate(self.param_groups):
            self._parameters += group["params"]
            self._places += [place] * len(group["params"])
        self._parts = self._joined_parts({})

    def zero_grad(self, set_to_none: bool = True) -> None:
        for parameter in self._parameters:
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad.zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update what has a gradient. `closure`, where there is one, computes them first.

        Returns: what the closure returns.
        """
        with torch.enable_grad():
            result = closure() if closure else None
        with torch.no_grad():
            for part in self._settled():
                self._advance(part)
        return result

    def settle(self) -> None:
        """Give what has a gradient its place in memory, as a first step would.

        What remembers where parameters lie (compiled code does) can be made after that.
        """
        with torch.no_grad():
            for part in self._settled():
                self._lay_in(part)

    def _settled(self) -> list[Part]:
        """The parts that have gradients, of which no part has some and lacks others."""
        if any(_is_mixed(part) for part in self._parts):
            self._parts = self._joined_parts(self._states())
        return [part for part in self._parts if part.parameters[0].grad is not None]

    def _lay_in(self, part: Part) -> None:
        if not part.is_in_place():
            part.weight = _laid_in(part.parameters)
            part.state = _moved(part.state or self.rule.init(part.weight), part.weight)

    def _advance(self, part: Part) -> None:
        self._lay_in(part)
        assert part.weight is not None
        assert part.state is not None
        gradient = _joined([each.grad for each in part.parameters if each.grad is not None])
        if self.rule.elementwise and gradient.is_cpu and gradient.numel() > PIECE:
            self._advance_by_pieces(part.weight, gradient, part.state, part.hyper)
            return
        weight, part.state = self.rule.update(part.weight, gradient, part.state, part.hyper)
        part.weight.copy_(weight)

    def _advance_by_pieces(
        self, weight: "Tensor", gradient: "Tensor", state: Numbers, hyper: Numbers
    ) -> None:
        """The same in place, piece by piece, for a weight larger than the processor's cache."""
        rows = max(1, PIECE * len(weight) // weight.numel())
        kept = {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}
        numbers, pieces = state | {}, [value.split(rows) for value in kept.values()]
        for piece, slope, *states in zip(
            weight.split(rows), gradient.split(rows), *pieces, strict=True
        ):
            given = numbers | dict(zip(kept, states, strict=True))
            new, after = self.rule.update(piece, slope, given, hyper)
            piece.copy_(new)
            for name, value in after.items():
                if isinstance(value, torch.Tensor):
                    given[name].copy_(value)
                else:
                    state[name] = value

    def state_dict(self) -> dict[str, Any]:
        """All that has to be kept to go on later, as tensors and plain numbers.

        Parameters go by their number, counted through all groups, as torch has it.
        """
        states = {
            number: {
                name: value.clone() if isinstance(value, torch.Tensor) else value
                for name, value in state.items()
            }
            for number, state in self._states().items()
        }
        numbers = itertools.count()
        groups = [
            group | {"params": [next(numbers) for _ in group["params"]]}
            for group in self.param_groups
        ]
        return {"state": states, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from where `state_dict` was made, with parameters of the same shapes.

        Parameters that have taken steps get their place in memory at once: where numbers lie
        may decide the last bit of what is computed from them.

        Raises: ValueError where there are more parameters, or fewer, in any group, or the states
            are not those of this rule; KeyError where one is of no parameter.
        """
        saved = state_dict["param_groups"]
        theirs, ours = _sizes(saved), _sizes(self.param_groups)
        if theirs != ours:
            raise ValueError(f"a state of {theirs} parameters is not one of {ours}")
        for group, other in zip(self.param_groups, saved, strict=True):
            group |= {name: float(other[name]) for name in group if name != "params"}
        self._check(state_dict["state"])
        self._parts = self._joined_parts(state_dict["state"])
        with torch.no_grad():
            for part in self._parts:
                if part.state is not None:
                    self._lay_in(part)

    def _check(self, states: Mapping[int, Numbers]) -> None:
        """Hold the state of each parameter against what it was before the first step."""
        parameters = dict(enumerate(self._parameters))
        for number, state in states.items():
            weight = _joined([parameters[number].detach()])
            expected = _moved(self.rule.init(weight), weight)
            if not parameters[number].dim():  # alone it has a dimension, among others none
                state = {name: _with_dimension(value) for name, value in state.items()}
            likeness.check(state, expected, f"parameter {number}", within=COUNTED)

    def _joined_parts(self, states: Mapping[int, Numbers]) -> list[Part]:
        """Parts of all parameters, of which the one called `number` has done `states[number]`.

        Together go small ones of one group and kind that have come equally far, if a rule
        allows it.
        """
        parts: dict[Any, list[int]] = {}
        for number, each in enumerate(self._parameters):
            joins = self.rule.elementwise and each.numel() <= SMALL
            state = states.get(number, {}).items()
            far = tuple(item for item in state if not isinstance(item[1], torch.Tensor))
            kind = (each.dtype, each.device, each.grad is None, number in states, far)
            place = self._places[number]
            parts.setdefault((place, None if joins else number, kind), []).append(number)
        return [
            Part(
                [self._parameters[number] for number in numbers],
                self.param_groups[place],
                _state_of_all([states[number] for number in numbers if number in states]),
            )
            for (place, *_), numbers in parts.items()
        ]

    def _states(self) -> dict[int, Numbers]:
        """The state of each parameter that has one, by its number."""
        numbers = {id(each): number for number, each in enumerate(self._parameters)}
        return {
            numbers[id(each)]: state
            for part in self._parts
            if part.state is not None
            for each, state in zip(part.parameters, _state_of_each(part), strict=True)
        }


def _with_dimension(value: Any) -> Any:
    return value.view(1) if isinstance(value, torch.Tensor) and not value.dim() else value


def _sizes(groups: list[dict[str, Any]]) -> str:
    return " + ".join(str(len(group["params"])) for group in groups)


def _is_mixed(part: Part) -> bool:
    """Whether some of its parameters have gradients and others have none."""
    lacking = part.parameters[0].grad is None
    return any((each.grad is None) is not lacking for each in part.parameters)


def _joined(tensors: "list[Tensor]") -> "Tensor":
    """One tensor as it is, with a dimension at least; several as a vector."""
    if len(tensors) > 1:
        return torch.cat([tensor.flatten() for tensor in tensors])
    return tensors[0] if tensors[0].dim() else tensors[0].view(1)


def _cut(joined: "Tensor", parameters: "list[Parameter]") -> "list[Tensor]":
    """The opposite of `_joined`."""
    if len(parameters) == 1:
        return [joined]
    pieces = joined.split([each.numel() for each in parameters])
    return [piece.view_as(each) for piece, each in zip(pieces, parameters, strict=True)]


def _laid_in(parameters: "list[Parameter]") -> "Tensor":
    """A tensor that several parameters now are views of, or the memory of a single one."""
    weight = _joined([each.detach() for each in parameters])
    if len(parameters) > 1:
        for each, piece in zip(parameters, _cut(weight, parameters), strict=True):
            each.data = piece
    return weight


def _moved(state: Mapping[str, Any], weight: "Tensor") -> Numbers:
    """`state` where the weight is, and its numbers as floats."""
    moved: Numbers = {}
    for name, value in state.items():
        is_number = not isinstance(value, torch.Tensor) or not value.dim()
        moved[name] = float(value) if is_number else value.to(weight, copy=True)
    return moved


def _state_of_all(states: list[Numbers]) -> Numbers | None:
    if not states:
        return None
    return {
        name: _joined([state[name] for state in states])
        if isinstance(value, torch.Tensor)
        else value
        for name, value in states[0].items()
    }


def _state_of_each(part: Part) -> list[Numbers]:
    states: list[Numbers] = [{} for _ in part.parameters]
    for name, value in (part.state or {}).items():
        is_tensor = isinstance(value, torch.Tensor)
        pieces = _cut(value, part.parameters) if is_tensor else [value] * len(states)
        for state, piece in zip(states, pieces, strict=True):
            state[name] = piece
    return states
