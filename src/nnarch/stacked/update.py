"""An optimizer's rule for many networks at once, each with numbers of its own.

It is the rule that trains one network, given numbers of the shape (M, 1, ...); its elementwise
mathematics needs no more. What looks at a whole weight goes through `torch.func.vmap` instead,
on weights that are not padded. Counts of steps are the same for all members, and stay numbers.

Adam and plain gradient descent take most of a stack's time in memory, and torch's kernels have one
rate alone: there they are asked for a step of rate 1 from zero, which is then added at each
network's own rate.
"""

# pyright: reportPrivateImportUsage=false
# torch has no public name for the kernels.

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nnarch.optim import rules
from nnarch.optim.fused import fits
from nnarch.optim.parts import Numbers
from nnarch.optim.stepper import Stepper
from nnarch.stacked.padded import Stacked

Hyper = dict[str, Any]  # numbers, or tensors (M, 1, ...) where they differ
ADAM = {decoupled: rules.adam(amsgrad=False, decoupled=decoupled) for decoupled in (True, False)}


class Update:
    """Moves stacked weights along their gradients."""

    def __init__(
        self,
        weights: Sequence[Stacked],
        steppers: Sequence[Stepper],
        rates: Sequence[Sequence[float]],
    ):
        """Args:
        weights: of all parameters, in the order of the networks.
        steppers: an optimizer of each, by one rule; those that have taken steps go on.
        rates: of each optimizer's groups, without a schedule's factor.
        """
        self._weights, self._steppers = list(weights), list(steppers)
        self._rule = steppers[0].rule
        assert all(each.rule is self._rule for each in steppers)
        # of each parameter, in order
        self._numbers = [_numbers(*each) for each in zip(steppers, rates, strict=True)]
        self._order = [_places(stepper, weights, m) for m, stepper in enumerate(steppers)]
        one = torch.zeros(1)
        self._counts = {name for name, value in self._rule.init(one).items() if not value.dim()}
        self._hypers = [self._hyper(place) for place in range(len(weights))]
        self._states = [self._state(place) for place in range(len(weights))]
        self._factor: Tensor | float | None = None  # that the next two hang on
        self._rates: list[Any] = []
        self._kept: list[Any] = []  # what decay leaves of a weight
        self._step = self._chosen()

    @torch.no_grad()
    def __call__(self, gradients: Sequence[Tensor], factor: Tensor | float) -> None:
        """Take a step.

        Args:
            factor: on the learning rates, (M,), or the same for all.
        """
        self._step(gradients, factor)

    def states(self, member: int) -> dict[int, Numbers]:
        """The state of each parameter of a network, by its number in the optimizer."""
        found: dict[int, Numbers] = {}
        for place, state in enumerate(self._states):
            weight = self._weights[place]
            own: Numbers = {}
            for name, value in state.items():
                if not isinstance(value, Tensor):
                    own[name] = float(value)
                elif name in self._counts:
                    own[name] = float(value.flatten()[member])
                else:
                    own[name] = _cut(value[member], weight.own[member]).clone()
            found[self._order[member][place]] = own
        return found

    def _hyper(self, place: int) -> Hyper:
        """The numbers of the parameters at a place, one where all networks have the same."""
        mine = [
            numbers[order[place]] for numbers, order in zip(self._numbers, self._order, strict=True)
        ]
        return {name: self._of_each([one[name] for one in mine], place) for name in mine[0]}

    def _of_each(self, values: Sequence[float], place: int) -> Any:
        if len(set(values)) == 1:
            return values[0]
        weight = self._weights[place].tensor
        shape = (-1, *[1] * (weight.dim() - 1))
        return torch.tensor(values, dtype=weight.dtype, device=weight.device).view(shape)

    def _state(self, place: int) -> Numbers:
        weight = self._weights[place]
        kept = [
            stepper.state_dict()["state"].get(order[place])
            for stepper, order in zip(self._steppers, self._order, strict=True)
        ]
        if kept[0] is None:
            init = self._rule.init
            if self._rule.elementwise:
                state = dict(init(weight.tensor.detach()))
                return {k: v if v.dim() else float(v) for k, v in state.items()}
            state = torch.func.vmap(init)(weight.tensor.detach())
            return {k: v.clone() if v.dim() > 1 else float(v[0]) for k, v in state.items()}
        whole: Numbers = {}
        for name in kept[0]:
            values = [state[name] for state in kept if state is not None]
            if name in self._counts:
                whole[name] = self._of_each([float(each) for each in values], place)
            else:
                whole[name] = Stacked(values).tensor
        return whole

    def _chosen(self) -> Callable[[Sequence[Tensor], Tensor | float], None]:
        """The quickest way that does what the rule says."""
        plain = rules.sgd(momentum=False, dampening=False, nesterov=False)
        if self._rule is plain:
            return self._descend
        shared = all(
            not isinstance(hyper[name], Tensor)
            for hyper in self._hypers
            for name in ("beta1", "beta2", "eps")
            if name in hyper
        )
        if self._rule in ADAM.values() and shared and all(fits(w.tensor) for w in self._weights):
            self._scratch = [torch.zeros_like(weight.tensor) for weight in self._weights]
            return self._adam
        return self._by_rule

    def _follow(self, factor: Tensor | float) -> None:
        """Know the learning rates of this step at each place, which often are those of the last."""
        of_each = isinstance(factor, Tensor)
        changed = of_each or isinstance(self._factor, Tensor) or factor != self._factor
        if factor is self._factor or not changed:
            return
        self._factor, self._rates, self._kept = factor, [], []
        for weight, hyper in zip(self._weights, self._hypers, strict=True):
            shape = (-1, *[1] * (weight.tensor.dim() - 1))
            self._rates.append(hyper["lr"] * (factor.view(shape) if of_each else factor))
            self._kept.append(1 - self._rates[-1] * hyper.get("weight_decay", 0.0))

    def _descend(self, gradients: Sequence[Tensor], factor: Tensor | float) -> None:
        self._follow(factor)
        for place, gradient in enumerate(gradients):
            weight, decay = self._weights[place].tensor, self._hypers[place]["weight_decay"]
            _add(weight, _plus(gradient, weight, decay), self._rates[place], -1)

    def _adam(self, gradients: Sequence[Tensor], factor: Tensor | float) -> None:
        self._follow(factor)
        given = list(gradients)
        for place, (weight, hyper) in enumerate(zip(self._weights, self._hypers, strict=True)):
            if self._rule is ADAM[False]:
                given[place] = _plus(given[place], weight.tensor, hyper["weight_decay"])
            elif isinstance(hyper["weight_decay"], Tensor) or hyper["weight_decay"]:
                weight.tensor.mul_(self._kept[place])
        torch._foreach_zero_(self._scratch)
        hyper, states = self._hypers[0], self._states
        for state in states:
            state["steps"] += 1
        steps = torch.full((), states[0]["steps"], device=self._scratch[0].device)
        torch._fused_adam_(
            self._scratch,
            [each.contiguous() for each in given],
            [state["mean"] for state in states],
            [state["square"] for state in states],
            [],
            [steps] * len(states),
            lr=1.0,
            beta1=hyper["beta1"],
            beta2=hyper["beta2"],
            weight_decay=0.0,
            eps=hyper["eps"],
            amsgrad=False,
            maximize=False,
        )
        for weight, moved, rate in zip(self._weights, self._scratch, self._rates, strict=True):
            _add(weight.tensor, moved, rate)

    def _by_rule(self, gradients: Sequence[Tensor], factor: Tensor | float) -> None:
        self._follow(factor)
        for place, gradient in enumerate(gradients):
            weight, state = self._weights[place].tensor, self._states[place]
            hyper = self._hypers[place] | {"lr": self._rates[place]}
            if self._rule.elementwise:
                new, after = self._rule.update(weight, gradient, state, hyper)
            else:
                new, after = self._mapped(weight, gradient, state, hyper)
            weight.copy_(new)
            self._states[place] = after

    def _mapped(
        self, weight: Tensor, gradient: Tensor, state: Mapping[str, Any], hyper: Hyper
    ) -> tuple[Tensor, Numbers]:
        """The rule on each network by itself."""
        moving = {name: value for name, value in state.items() if isinstance(value, Tensor)}
        numbers = {k: v.flatten() for k, v in hyper.items() if isinstance(v, Tensor)}

        def update(w: Tensor, g: Tensor, s: Any, h: Any) -> tuple[Tensor, Any]:
            new, after = self._rule.update(w, g, {**state, **s}, {**hyper, **h})
            return new, {name: after[name] for name in s}

        new, after = torch.func.vmap(update)(weight, gradient, moving, numbers)
        return new, {
            name: after[name] if name in after else value + (name == "steps")
            for name, value in state.items()
        }


def _numbers(stepper: Stepper, rates: Sequence[float]) -> list[dict[str, float]]:
    """The numbers of each of the optimizer's parameters."""
    return [
        {name: value for name, value in group.items() if name != "params"} | {"lr": rate}
        for group, rate in zip(stepper.param_groups, rates, strict=True)
        for _ in group["params"]
    ]


def _places(stepper: Stepper, weights: Sequence[Stacked], member: int) -> list[int]:
    """Where the optimizer of a network has each of its parameters."""
    found = {id(each): number for number, each in enumerate(stepper.parameters)}
    return [found[id(weight.own[member])] for weight in weights]


def _cut(tensor: Tensor, like: Tensor) -> Tensor:
    """The part of a padded tensor that is a network's, (as `like`, or a row or column of it)."""
    return tensor[tuple(slice(min(a, b)) for a, b in zip(tensor.shape, like.shape, strict=True))]


def _plus(tensor: Tensor, other: Tensor, factor: Any) -> Tensor:
    if isinstance(factor, Tensor):
        return tensor + factor * other
    return tensor.add(other, alpha=factor) if factor else tensor


def _add(tensor: Tensor, other: Tensor, factor: Any, sign: int = 1) -> None:
    if isinstance(factor, Tensor):
        tensor.addcmul_(other, factor, value=sign)
    else:
        tensor.add_(other, alpha=sign * factor)
