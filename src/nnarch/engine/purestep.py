"""A step as a pure function: from what moves and a batch to what moves next, and a loss.

It is made of the gradient and the rule that every other step is made of. What those change where
it lies (weights, the buffers of a network, the state of an optimizer) is given to it and comes
back new, so that torch may take it for a formula: several can be written out in a row and
compiled (`nnarch.engine.compiled`), and one can be taken by many networks at once, under
`torch.func.vmap` with one more dimension in front of each tensor.

`torch.autograd.grad` knows nothing of vmap. But within `torch.func.vjp`, on tensors that it has
made differentiable, it gives the gradient at their level; and so the gradient is asked for there.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.stateless import _reparametrize_module

from nnarch.data.batch import Batch
from nnarch.gradient import Gradient, Gradients
from nnarch.optim.parts import Part
from nnarch.optim.stepper import Stepper

Hyper = Mapping[str, "float | Tensor"]  # the numbers of a group


class Moving(NamedTuple):
    """What a step changes.

    Attributes:
        weights: of each part of the optimizer.
        buffers: of the network, by their names.
        states: of each part; what is one number there is a tensor () of double precision.
    """

    weights: list[Tensor]
    buffers: dict[str, Tensor]
    states: list[dict[str, Tensor]]

    @property
    def tensors(self) -> list[Tensor]:
        """All of them, in the order in which torch flattens this record."""
        states = [value for state in self.states for value in state.values()]
        return [*self.weights, *self.buffers.values(), *states]


class PureStep:
    """Gradient and update of an optimizer that is settled, for its parts as they are now."""

    def __init__(self, gradient: Gradient, optimizer: Stepper):
        assert optimizer.parts, "settled before"
        self._gradient, self._optimizer = gradient, optimizer
        self._buffers = dict(gradient.network.named_buffers())
        names = {id(each): name for name, each in gradient.network.named_parameters()}
        self._names = [names[id(each)] for each in optimizer.parameters]
        groups = list(map(id, optimizer.param_groups))
        self._places = [groups.index(id(part.hyper)) for part in optimizer.parts]

    def __call__(
        self, moving: Moving, hypers: Sequence[Hyper], batch: Sequence[Tensor]
    ) -> tuple[Moving, Tensor]:
        """Take a step. Nothing that is given changes.

        Args:
            hypers: the numbers of each group of the optimizer, floats or tensors ().
            batch: what a `Batch` is made of, in its order.

        Returns: what moves as it is after the step, and the mean loss before it for each target,
            (T,), or ().
        """
        joined, buffers, values = self._differentiated(moving, Batch(*batch))
        weights, states = [], []
        given = zip(moving.weights, joined, moving.states, self._places, strict=True)
        for weight, gradient, state, place in given:
            new, after = self._optimizer.rule.update(weight, gradient, state, hypers[place])
            weights.append(new)
            states.append({name: after[name] for name in state})
        return Moving(weights, buffers, states), values

    def _differentiated(
        self, moving: Moving, batch: Batch
    ) -> tuple[list[Tensor], dict[str, Tensor], Tensor]:
        """The gradient of each part, the buffers after it, and the loss for each target."""
        numbers, pieces = self._pieces(moving.weights)

        def compute(*pieces: Tensor) -> tuple[Tensor, Any]:
            buffers = {name: each.clone() for name, each in moving.buffers.items()}
            named = {self._names[n]: each for n, each in zip(numbers, pieces, strict=True)}
            gradient = replace(self._gradient, parameters=pieces)
            with _reparametrize_module(gradient.network, named | buffers, tie_weights=True):
                [made], found = gradient([batch])
            of_all: Gradients = [None] * len(self._names)
            for number, each in zip(numbers, found, strict=True):
                of_all[number] = each
            return made.values.mean(), (self._optimizer.joined(of_all), buffers, made.values)

        found: Any = torch.func.vjp(compute, *pieces, has_aux=True)
        return found[2]

    def _pieces(self, weights: Sequence[Tensor]) -> tuple[list[int], list[Tensor]]:
        """Parameters by their numbers, as views of the weights of their parts."""
        numbers, pieces = [], []
        for part, weight in zip(self._optimizer.parts, weights, strict=True):
            numbers += part.numbers
            pieces += part.cut(weight)
        return numbers, pieces

    @property
    def hypers(self) -> list[dict[str, float]]:
        """The numbers of each group as they are now."""
        return [
            {name: value for name, value in group.items() if name != "params"}
            for group in self._optimizer.param_groups
        ]

    def now(self) -> Moving:
        """What moves, where it lies."""
        weights = [part.weight for part in self._optimizer.parts if part.weight is not None]
        return Moving(weights, self._buffers, [_as_tensors(part) for part in self._optimizer.parts])

    def keep(self, tensors: Sequence[Tensor]) -> None:
        """Write over what moves, where it lies; `tensors` are those of another `Moving`."""
        given, parts = iter(tensors), self._optimizer.parts
        for place in (*(part.weight for part in parts), *self._buffers.values()):
            assert place is not None
            place.copy_(next(given))
        for state in filter(None, (part.state for part in parts)):
            for name, value in state.items():
                if isinstance(value, Tensor):
                    value.copy_(next(given))
                else:
                    state[name] = float(next(given))

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Leave what moves, and what is drawn by chance, as they were."""
        before = [each.clone() for each in self.now().tensors]
        devices = {each.device for each in before if each.is_cuda}
        try:
            with torch.random.fork_rng(devices=list(devices)):
                yield
        finally:
            self.keep(before)


def _as_tensors(part: Part) -> dict[str, Tensor]:
    """The state of a part, numbers as tensors; these are never on a GPU, which would wait."""
    return {
        name: value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
        for name, value in (part.state or {}).items()
    }
