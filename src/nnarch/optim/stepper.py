"""A rule at work on the parameters of one network, with the face of `torch.optim.Optimizer`.

On a small network the time of a step goes into the number of operations, not into arithmetic.
So small parameters are laid side by side in one tensor (`parts`), and a rule runs once for all of
them. A step is three things, each of which can be asked for alone: what has a gradient is given
its place in memory (`settle`), the gradients are laid side by side as well (`joined`), and the
weights move (`advance`). A parameter that was given other memory (by `network.to` or a deep
copy) is laid in again before the next step.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nnarch import likeness
from nnarch.lazy import LazyModule
from nnarch.optim.parts import Numbers, Part, joined, moved, state_of_all
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


class Stepper:
    """Follows `rule` with the numbers `hyper`; lr in `param_groups` may be set before any step.

    A parameter without a gradient is left as it is, and its steps are not counted.

    Attributes:
        parameters: all of them, in the order of the groups.
        parts: of those that had gradients when they were settled last; empty before.
    """

    def __init__(self, parameters: Parameters, rule: Rule, **hyper: float):
        self.rule = rule
        self.param_groups = as_groups(parameters, hyper)
        self.parameters: list[Parameter] = []
        self.parts: list[Part] = []
        self._places: list[int] = []  # of each, the number of its group
        for place, group in enumerate(self.param_groups):
            self.parameters += group["params"]
            self._places += [place] * len(group["params"])
        self._parts: list[Part] = []
        self._arrange({}, set())
        self._settled: Any = None  # which lack gradients, and where each lies in memory

    def zero_grad(self, set_to_none: bool = True) -> None:
        for parameter in self.parameters:
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad.zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update what has a gradient. `closure`, where there is one, computes them first.

        Returns: what the closure returns.
        """
        result = None
        if closure:
            with torch.enable_grad():
                result = closure()
        gradients = [each.grad for each in self.parameters]
        self.settle(gradients)
        self.advance(self.joined(gradients))
        return result

    def settle(self, gradients: "Sequence[Tensor | None] | None" = None) -> None:
        """Give what has a gradient its place in memory, as a first step would.

        What remembers where parameters lie (compiled code does) can be made after that.

        Args:
            gradients: one for each of `parameters`, None where there is none; by default those
                that the parameters have.
        """
        if gradients is None:
            gradients = [each.grad for each in self.parameters]
        lacking = {number for number, each in enumerate(gradients) if each is None}
        if (lacking, self._addresses()) != self._settled:
            self._lay_in(lacking)

    def joined(self, gradients: "Sequence[Tensor | None]") -> "list[Tensor]":
        """The gradient of each of `parts`, out of those they were settled with, or others such.

        It changes nothing and looks at no value, so that it can be traced.
        """
        return [part.gradient(gradients) for part in self.parts]

    def advance(self, joined: "Sequence[Tensor]") -> None:
        """Take a step along one gradient for each of `parts`, which lie where they were settled."""
        with torch.no_grad():
            for part, gradient in zip(self.parts, joined, strict=True):
                self._follow(part, gradient)

    def _lay_in(self, lacking: set[int]) -> None:
        """Have no part of which some parameters lack gradients, and those with them in place."""
        with torch.no_grad():
            for _ in range(2):  # what begins now may then go with what began before
                self._arrange(self._states(), lacking)
                self.parts = [part for part in self._parts if part.numbers[0] not in lacking]
                for part in self.parts:
                    part.lay_in(self.rule)
        self._settled = lacking, self._addresses()

    def _addresses(self) -> list[int]:
        return list(map(torch.Tensor.data_ptr, self.parameters))

    def __getstate__(self) -> dict[str, Any]:
        """A copy lies elsewhere, where by chance something of the original's may have lain."""
        return {**self.__dict__, "parts": [], "_settled": None}

    def _follow(self, part: Part, gradient: "Tensor") -> None:
        assert part.weight is not None
        assert part.state is not None
        if part.in_place:
            part.in_place(part.weight, gradient.contiguous(), part.state, part.hyper)
            return
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
        self._parts, self.parts, self._settled = [], [], None
        self._arrange(state_dict["state"], set())
        with torch.no_grad():
            for part in self._parts:
                if part.state is not None:
                    part.lay_in(self.rule)

    def _check(self, states: Mapping[int, Numbers]) -> None:
        """Hold the state of each parameter against what it was before the first step."""
        parameters = dict(enumerate(self.parameters))
        for number, state in states.items():
            weight = joined([parameters[number].detach()])
            expected = moved(self.rule.init(weight), weight)
            if not parameters[number].dim():  # alone it has a dimension, among others none
                state = {name: _with_dimension(value) for name, value in state.items()}
            likeness.check(state, expected, f"parameter {number}", within=COUNTED)

    def _arrange(self, states: Mapping[int, Numbers], lacking: set[int]) -> None:
        """Have the parts that follow from the state of each parameter that has one.

        They follow from that alone, since where a number stands in a vector may decide its last
        bit, and a run that goes on from states goes where it would have gone.
        """
        together = self._together(states, lacking)
        if together != [part.numbers for part in self._parts]:
            self._parts = [self._part(numbers, states) for numbers in together]

    def _together(self, states: Mapping[int, Numbers], lacking: set[int]) -> list[list[int]]:
        """The numbers of parameters that go through the same steps.

        These are small ones of one group and kind that have come equally far, if a rule allows
        it, and that have gradients or lack them alike.
        """
        parts: dict[Any, list[int]] = {}
        for number, each in enumerate(self.parameters):
            joins = self.rule.elementwise and each.numel() <= SMALL
            state = states.get(number, {}).items()
            far = tuple(item for item in state if not isinstance(item[1], torch.Tensor))
            kind = (each.dtype, each.device, number in lacking, number in states, far)
            place = self._places[number]
            parts.setdefault((place, None if joins else number, kind), []).append(number)
        return list(parts.values())

    def _part(self, numbers: list[int], states: Mapping[int, Numbers]) -> Part:
        return Part(
            [self.parameters[number] for number in numbers],
            numbers,
            self.param_groups[self._places[numbers[0]]],
            state_of_all([states[number] for number in numbers if number in states]),
        )

    def _states(self) -> dict[int, Numbers]:
        """The state of each parameter that has one, by its number."""
        return {
            number: state
            for part in self._parts
            if part.state is not None
            for number, state in zip(part.numbers, part.states(), strict=True)
        }


def _with_dimension(value: Any) -> Any:
    return value.view(1) if isinstance(value, torch.Tensor) and not value.dim() else value


def _sizes(groups: list[dict[str, Any]]) -> str:
    return " + ".join(str(len(group["params"])) for group in groups)
