"""What an optimizer does to a weight, as a pure function.

A `Rule` takes a weight, its gradient, a state and the optimizer's numbers, and returns a new
weight and a new state; nothing that it is given changes. So one piece of mathematics serves a
network in plain PyTorch (`nnarch.optim.stepper`), many networks under `torch.func.vmap`, and a
step traced by `make_fx`. torch's own classes can do neither of the last two, and to build one
imports torch's compiler, which takes a second. Where torch has a kernel for one weight alone, a
rule names it beside its mathematics (`nnarch.optim.fused`).

Each function here is given what decides the shape of the mathematics, such as whether there is
momentum at all, and returns the same `Rule` for the same answers. What is only a number is read
from `hyper`, under the name of the option, when the rule is used.

The numbers of `hyper`, and those in a state that count or sum up the steps, may be floats or
tensors: a tensor can have a value for each member of a stack and can be traced, while a float
costs nothing beside the operations on weights. What follows is written for both, and never asks
a number for its value.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from nnarch.lazy import LazyModule
from nnarch.optim import fused
from nnarch.optim.arithmetic import either, first, larger, plus, smaller, towards
from nnarch.optim.fused import InPlace

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")

State = dict[str, "Tensor"]
Hyper = Mapping[str, "float | Tensor"]
Result = tuple["Tensor", State]


@dataclass(frozen=True)
class Rule:
    """One optimizer.

    Attributes:
        init: a weight to its state before the first step. What is of no dimension in a state is
            one of the numbers above.
        update: weight, gradient, state and hyper to the next weight and state. A weight has at
            least one dimension; a number in hyper that has dimensions too, (M, 1, ...) for M
            stacked members, is of the weight's dtype.
        elementwise: whether every element of a weight goes its own way, so that weights may be
            joined, or padded with zeros, and each becomes what it would have become alone.
        in_place: the same within rounding, for a weight that `fused.fits`, a gradient as
            contiguous, and numbers that are floats: it changes the weight and the state that
            it is given. None where torch has no such kernel.
    """

    init: Callable[["Tensor"], State]
    update: Callable[["Tensor", "Tensor", State, Hyper], Result]
    elementwise: bool = True
    in_place: InPlace | None = None


@cache
def sgd(*, momentum: bool, dampening: bool, nesterov: bool) -> Rule:
    """Gradient descent with momentum, after Sutskever et al. (2013); the rate stands outside.

    The first gradient begins the velocity undampened, as torch has it.
    """

    def update(weight: "Tensor", gradient: "Tensor", state: State, hyper: Hyper) -> Result:
        step, new = plus(gradient, weight, hyper["weight_decay"]), {}
        if momentum:
            kept = step
            if dampening:
                kept = step * (1 - hyper["dampening"] * (1 - first(state["steps"])))
                new["steps"] = state["steps"] + 1
            new["velocity"] = plus(kept, state["velocity"], hyper["momentum"])
            step = plus(step, new["velocity"], hyper["momentum"]) if nesterov else new["velocity"]
        return plus(weight, step, -hyper["lr"]), new

    in_place = fused.sgd(momentum=momentum, dampening=dampening, nesterov=nesterov)
    if not momentum:
        return Rule(_zeros(), update, in_place=in_place)
    init = _counted("velocity") if dampening else _zeros("velocity")
    return Rule(init, update, in_place=in_place)


@cache
def adam(*, amsgrad: bool, decoupled: bool) -> Rule:
    """Adam (Kingma & Ba, 2015), AMSGrad (Reddi et al., 2018), AdamW (Loshchilov & Hutter, 2019)."""

    def update(weight: "Tensor", gradient: "Tensor", state: State, hyper: Hyper) -> Result:
        weight, gradient = _decayed(weight, gradient, hyper, decoupled)
        new = _moments(gradient, state, hyper)
        square = new["square"]
        if amsgrad:
            square = new["largest"] = torch.maximum(state["largest"], square)
        root = (1 - hyper["beta2"] ** new["steps"]) ** 0.5
        rate = hyper["lr"] * root / (1 - hyper["beta1"] ** new["steps"])
        return plus(weight, new["mean"] / (square.sqrt() + hyper["eps"] * root), -rate), new

    init = _counted("mean", "square", *(["largest"] if amsgrad else []))
    return Rule(init, update, in_place=fused.adam(amsgrad=amsgrad, decoupled=decoupled))


@cache
def adamax() -> Rule:
    """Adam with an infinity norm (Kingma & Ba, 2015, section 7.1)."""

    def update(weight: "Tensor", gradient: "Tensor", state: State, hyper: Hyper) -> Result:
        gradient = plus(gradient, weight, hyper["weight_decay"])
        steps = state["steps"] + 1
        mean = towards(state["mean"], gradient, 1 - hyper["beta1"])
        norm = torch.maximum(state["norm"] * hyper["beta2"], gradient.abs() + hyper["eps"])
        rate = hyper["lr"] / (1 - hyper["beta1"] ** steps)
        return plus(weight, mean / norm, -rate), {"steps": steps, "mean": mean, "norm": norm}

    return Rule(_counted("mean", "norm"), update)


@cache
def nadam(*, decoupled: bool) -> Rule:
    """Adam with Nesterov's momentum, and the warmup of that momentum (Dozat, 2016)."""

    def init(weight: "Tensor") -> State:
        state = _counted("mean", "square")(weight)
        return state | {"product": state["steps"] + 1}

    def update(weight: "Tensor", gradient: "Tensor", state: State, hyper: Hyper) -> Result:
        weight, gradient = _decayed(weight, gradient, hyper, decoupled)
        new = _moments(gradient, state, hyper)
        steps = new["steps"]
        share = hyper["beta1"] * (1 - 0.5 * 0.96 ** (steps * hyper["momentum_decay"]))
        later = hyper["beta1"] * (1 - 0.5 * 0.96 ** ((steps + 1) * hyper["momentum_decay"]))
        product = new["product"] = state["product"] * share
        root = (1 - hyper["beta2"] ** steps) ** 0.5
        ahead = new["mean"] * (later / (1 - product * later))
        step = plus(ahead, gradient, (1 - share) / (1 - product))
        divisor = new["square"].sqrt() + hyper["eps"] * root
        return plus(weight, step / divisor, -hyper["lr"] * root), new

    return Rule(init, update)


@cache
def radam(*, decoupled: bool) -> Rule:
    """Adam, rectified for the variance of its early steps (Liu et al., 2020).

    `length` is their rho, of the average that approximates the one of squares; where it is 5 or
    less, a step is plain momentum, as torch has it.
    """

    def update(weight: "Tensor", gradient: "Tensor", state: State, hyper: Hyper) -> Result:
        weight, gradient = _decayed(weight, gradient, hyper, decoupled)
        new = _moments(gradient, state, hyper)
        steps, beta2 = new["steps"], hyper["beta2"]
        longest = 2 / (1 - beta2) - 1
        correction = 1 - beta2**steps
        length = longest - 2 * steps * beta2**steps / correction
        most, now = larger(longest, 5.0), larger(length, 5.0)
        rectified = ((now - 4) * (now - 2) * most / ((most - 4) * (most - 2) * now)) ** 0.5
        adapted = rectified * correction**0.5 / (new["square"].sqrt() + hyper["eps"])
        step = new["mean"] * either(length > 5, adapted, 1.0)
        return plus(weight, step, -hyper["lr"] / (1 - hyper["beta1"] ** steps)), new

    return Rule(_counted("mean", "square"), update)


@cache
def adafactor() -> Rule:
    """Adam with squares kept by row and column (Shazeer & Stern, 2018, algorithms 4 and 5).

    Without an `eps`, the least square is the smallest that the dtype tells from zero.
    """

    def init(weight: "Tensor") -> State:
        state = _counted()(weight)
        if weight.dim() < 2:
            return state | {"square": torch.zeros_like(weight)}
        row, column = torch.zeros_like(weight[..., :1]), torch.zeros_like(weight[..., :1, :])
        return state | {"row": row, "column": column}

    def update(weight: "Tensor", gradient: "Tensor", state: State, hyper: Hyper) -> Result:
        least = hyper.get("eps", torch.finfo(weight.dtype).eps)
        steps = state["steps"] + 1
        new, share = {"steps": steps}, steps ** hyper["beta2_decay"]
        if weight.dim() < 2:
            square = new["square"] = towards(state["square"], gradient.square(), share)
        else:
            rows, columns = (gradient.square().mean(i, keepdim=True) for i in (-1, -2))
            row = new["row"] = towards(state["row"], rows, share)
            column = new["column"] = towards(state["column"], columns, share)
            square = row @ column / larger(row.mean(-2, keepdim=True), least)
        step = gradient * larger(square, least**2).rsqrt()
        step = step / larger(_size(step) / hyper["clip"], 1.0)
        rate = smaller(hyper["lr"], steps**-0.5)
        scaled = step * larger(_size(weight), hyper["least_scale"])
        return plus(_shrunk(weight, hyper), scaled, -rate), new

    return Rule(init, update, elementwise=False)


@cache
def adagrad(*, from_zero: bool) -> Rule:
    """Steps divided by the root of the sum of squares (Duchi et al., 2011).

    The sum in a state is that of gradients alone, wherever `initial_accumulator_value` begins.
    """

    def update(weight: "Tensor", gradient: "Tensor", state: State, hyper: Hyper) -> Result:
        gradient = plus(gradient, weight, hyper["weight_decay"])
        total = state["total"] + gradient.square()
        divisor = (total + hyper["initial_accumulator_value"]).sqrt() + hyper["eps"]
        rate = hyper["lr"] / (1 + state["steps"] * hyper["lr_decay"])
        new = {"steps": state["steps"] + 1, "total": total}
        return plus(weight, gradient / divisor, -rate), new

    return Rule(_counted("total"), update, in_place=fused.adagrad() if from_zero else None)


@cache
def adadelta() -> Rule:
    """Steps in the proportion of past updates to past gradients (Zeiler, 2012)."""

    def update(weight: "Tensor", gradient: "Tensor", state: State, hyper: Hyper) -> Result:
        gradient = plus(gradient, weight, hyper["weight_decay"])
        share, eps = 1 - hyper["rho"], hyper["eps"]
        square = towards(state["square"], gradient.square(), share)
        step = ((state["moved"] + eps) / (square + eps)).sqrt() * gradient
        moved = towards(state["moved"], step.square(), share)
        return plus(weight, step, -hyper["lr"]), {"square": square, "moved": moved}

    return Rule(_zeros("square", "moved"), update)


@cache
def rmsprop(*, momentum: bool, centered: bool) -> Rule:
    """Steps divided by a root mean square (Tieleman & Hinton, 2012), centered by Graves (2013)."""

    def update(weight: "Tensor", gradient: "Tensor", state: State, hyper: Hyper) -> Result:
        gradient = plus(gradient, weight, hyper["weight_decay"])
        share = 1 - hyper["alpha"]
        variance = towards(state["square"], gradient.square(), share)
        new = {"square": variance}
        if centered:
            new["mean"] = towards(state["mean"], gradient, share)
            variance = variance - new["mean"].square()
        step = gradient / (variance.sqrt() + hyper["eps"])
        if momentum:
            step = new["velocity"] = plus(step, state["velocity"], hyper["momentum"])
        return plus(weight, step, -hyper["lr"]), new

    kept = {"square": True, "mean": centered, "velocity": momentum}
    return Rule(_zeros(*(name for name in kept if kept[name])), update)


@cache
def rprop() -> Rule:
    """Steps by the sign of the gradient, after a change of sign none (Riedmiller & Braun, 1993)."""

    def update(weight: "Tensor", gradient: "Tensor", state: State, hyper: Hyper) -> Result:
        turned = gradient * state["gradient"]
        size = state["size"] + hyper["lr"] * first(state["steps"])
        size = torch.where(turned > 0, size * hyper["grow"], size)
        size = torch.where(turned < 0, size * hyper["shrink"], size)
        size = smaller(larger(size, hyper["least_step"]), hyper["largest_step"])
        gradient = torch.where(turned < 0, 0.0, gradient)
        new = {"steps": state["steps"] + 1, "size": size, "gradient": gradient}
        return weight - gradient.sign() * size, new

    return Rule(_counted("size", "gradient"), update)


@cache
def asgd() -> Rule:
    """Gradient descent with a falling rate, and averaged weights (Polyak & Juditsky, 1992).

    A change of lr is heard one step later, as torch has it.
    """

    def init(weight: "Tensor") -> State:
        state = _counted("average")(weight)
        return state | {"rate": torch.zeros_like(state["steps"])}

    def update(weight: "Tensor", gradient: "Tensor", state: State, hyper: Hyper) -> Result:
        lr, fall, steps = hyper["lr"], hyper["lambd"], state["steps"]
        rate = state["rate"] + lr * first(steps)
        gradient = plus(gradient, weight, hyper["weight_decay"])
        weight = plus(plus(weight, weight, -fall * rate), gradient, -rate)
        average = towards(state["average"], weight, 1 / larger(steps - hyper["t0"], 1.0))
        rate = lr / (1 + fall * lr * (steps + 1)) ** hyper["alpha"]
        return weight, {"steps": steps + 1, "rate": rate, "average": average}

    return Rule(init, update)


def _zeros(*names: str) -> Callable[["Tensor"], State]:
    """A state of zeros, one like the weight under each name."""
    return lambda weight: {name: torch.zeros_like(weight) for name in names}


def _counted(*names: str) -> Callable[["Tensor"], State]:
    """A state of zeros and, under `steps`, of the number of steps done, in double precision.

    1 - 0.999 ** steps, say, would lose half its digits in single precision.
    """

    def init(weight: "Tensor") -> State:
        exact = torch.float32 if weight.device.type == "mps" else torch.float64  # mps has no other
        steps = torch.zeros((), dtype=exact, device=weight.device)
        return {"steps": steps, **_zeros(*names)(weight)}

    return init


def _moments(gradient: "Tensor", state: State, hyper: Hyper) -> State:
    """One step more, and the running means of the gradient and of its square."""
    return {
        "steps": state["steps"] + 1,
        "mean": towards(state["mean"], gradient, 1 - hyper["beta1"]),
        "square": towards(state["square"], gradient.square(), 1 - hyper["beta2"]),
    }


def _decayed(
    weight: "Tensor", gradient: "Tensor", hyper: Hyper, decoupled: bool
) -> tuple["Tensor", "Tensor"]:
    """Weight decay, of the weight itself or by way of the gradient."""
    if decoupled:
        return _shrunk(weight, hyper), gradient
    return weight, plus(gradient, weight, hyper["weight_decay"])


def _shrunk(weight: "Tensor", hyper: Hyper) -> "Tensor":
    return plus(weight, weight, -hyper["lr"] * hyper["weight_decay"])


def _size(tensor: "Tensor") -> "Tensor":
    """The root mean square of all elements."""
    return tensor.square().mean().sqrt()
