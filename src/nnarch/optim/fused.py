"""Rules whose step torch has as one kernel, which reads and writes every number once.

A rule makes a new tensor with each of its operations. On a small network the time of a step goes
into the number of those, on a large one into their memory. Here are the same rules, within
rounding, for one weight alone, and they change what they are given. A state keeps its names and
its meaning, so that either way goes on where the other ended. The kernels are called directly:
torch's classes around them import torch's compiler, and take longer than a small step itself.

A kernel goes through memory from end to end, and does not ask how a tensor is strided there.
"""

# pyright: reportPrivateImportUsage=false
# torch has no public name for the kernels.

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nnarch.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")

DEVICES = ("cpu", "cuda")  # that have the kernels, with the same answers

InPlace = Callable[["Tensor", "Tensor", dict[str, Any], Mapping[str, Any]], None]


def fits(weight: "Tensor") -> bool:
    """Whether the kernels can do what the rules do, of such a weight."""
    exact = weight.dtype in (torch.float32, torch.float64)
    return exact and weight.device.type in DEVICES and weight.is_contiguous()


def sgd(*, momentum: bool, dampening: bool, nesterov: bool) -> InPlace:
    """`rules.sgd`; without momentum or decay it is a single addition."""

    def step(
        weight: "Tensor", gradient: "Tensor", state: dict[str, Any], hyper: Mapping[str, Any]
    ) -> None:
        if not momentum and not hyper["weight_decay"]:
            weight.add_(gradient, alpha=-hyper["lr"])
            return
        torch._fused_sgd_(
            [weight],
            [gradient],
            [state["velocity"]] if momentum else [],
            weight_decay=hyper["weight_decay"],
            momentum=hyper["momentum"] if momentum else 0.0,
            lr=hyper["lr"],
            dampening=hyper["dampening"] if dampening else 0.0,
            nesterov=nesterov,
            maximize=False,
            is_first_step=dampening and not state["steps"],
        )
        if dampening:
            state["steps"] += 1

    return step


def adam(*, amsgrad: bool, decoupled: bool) -> InPlace:
    """`rules.adam`."""

    def step(
        weight: "Tensor", gradient: "Tensor", state: dict[str, Any], hyper: Mapping[str, Any]
    ) -> None:
        kernel = torch._fused_adamw_ if decoupled else torch._fused_adam_
        state["steps"] += 1
        kernel(
            [weight],
            [gradient],
            [state["mean"]],
            [state["square"]],
            [state["largest"]] if amsgrad else [],
            [_as_tensor(state["steps"], weight)],
            lr=hyper["lr"],
            beta1=hyper["beta1"],
            beta2=hyper["beta2"],
            weight_decay=hyper["weight_decay"],
            eps=hyper["eps"],
            amsgrad=amsgrad,
            maximize=False,
        )

    return step


def adagrad() -> InPlace:
    """`rules.adagrad` whose sum begins at nothing: the kernel adds no other number to it."""

    def step(
        weight: "Tensor", gradient: "Tensor", state: dict[str, Any], hyper: Mapping[str, Any]
    ) -> None:
        assert not hyper["initial_accumulator_value"]
        state["steps"] += 1
        torch._fused_adagrad_(
            [weight],
            [gradient],
            [state["total"]],
            [_as_tensor(state["steps"], weight)],
            lr=hyper["lr"],
            lr_decay=hyper["lr_decay"],
            weight_decay=hyper["weight_decay"],
            eps=hyper["eps"],
            maximize=False,
        )

    return step


def _as_tensor(steps: float, weight: "Tensor") -> "Tensor":
    """A count as kernels read one: single precision, and filled in without waiting for a GPU."""
    return torch.full((), steps, dtype=torch.float32, device=weight.device)
