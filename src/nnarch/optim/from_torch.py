"""The optimizers that torch keeps: those that go by the whole network or by whole matrices.

L-BFGS asks for the loss again and again within a step, and Muon pays only on matrices too large
for what `nnarch.optim.rules` is written for. Each is built from torch's own class.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from nnarch.lazy import LazyModule
from nnarch.optim.stepper import Parameters, as_groups
from nnarch.options import WHOLE, Betas, Count, Fraction, NonNegative, Positive
from nnarch.registry import optimizers

if TYPE_CHECKING:
    import torch
else:
    torch = LazyModule("torch")

BETAS = [0.9, 0.999]


@optimizers.register(closure=True)
def lbfgs(
    parameters: Parameters,
    *,
    lr: Positive = 1.0,
    max_iter: Count = 20,
    max_eval: Count | None = None,
    tolerance_grad: NonNegative = 1e-7,
    tolerance_change: NonNegative = 1e-9,
    history_size: Count = 100,
    line_search: Literal["strong_wolfe", "none"] = "strong_wolfe",
) -> "torch.optim.Optimizer":
    """Quasi-Newton steps, for small networks on full batches (Liu & Nocedal, 1989).

    It searches along each direction, where torch by default takes the step as it comes: without
    a search, lr 1 often diverges.

    Options:
        lr: Size of a step before the search.
        max_iter: Iterations in one step.
        max_eval: Evaluations of the loss in one step; null for a quarter more than iterations.
        tolerance_grad: Largest gradient at which a step ends early.
        tolerance_change: Change of weights or loss at which a step ends early.
        history_size: Past updates that the curvature is guessed from.
        line_search: How far to go along a direction is searched for, or not.
    """
    return torch.optim.LBFGS(
        parameters,
        lr,
        max_iter,
        max_eval,
        tolerance_grad,
        tolerance_change,
        history_size,
        None if line_search == "none" else line_search,
    )


@optimizers.register
def muon(
    parameters: Parameters,
    *,
    lr: Positive = 1e-3,
    momentum: Fraction = 0.95,
    nesterov: bool = True,
    weight_decay: NonNegative = 0.1,
    ns_steps: Annotated[int, Field(ge=1, le=99), WHOLE] = 5,
    betas: Betas = BETAS,
    eps: Positive = 1e-8,
) -> "torch.optim.Optimizer":
    """Orthogonal steps for weight matrices, adamw for everything else (Jordan et al., 2024).

    Its steps are sized to match adamw's (Liu et al., 2025), where torch by default sizes them
    otherwise, so that one lr and one weight decay serve both.

    Options:
        lr: Size of a step.
        momentum: Share of the average gradient of a matrix that a step keeps.
        nesterov: Look ahead along the momentum.
        weight_decay: Share of every weight, times lr, that a step takes off.
        ns_steps: Iterations that make a matrix orthogonal.
        betas: Decay of the averages that adamw keeps of a gradient and its square.
        eps: Added to adamw's divisor, so that it never reaches zero.
    """
    how = {"momentum": momentum, "nesterov": nesterov, "ns_steps": ns_steps}
    parts: list[torch.optim.Optimizer] = []
    for group in as_groups(parameters, {"lr": lr, "weight_decay": weight_decay}):
        everything, numbers = group.pop("params"), group
        if matrices := [each for each in everything if each.dim() == 2]:
            parts.append(
                torch.optim.Muon(matrices, **numbers, **how, adjust_lr_fn="match_rms_adamw")
            )
        if others := [each for each in everything if each.dim() != 2]:
            parts.append(torch.optim.AdamW(others, **numbers, betas=_pair(betas), eps=eps))
    return _together(parts)


def _together(parts: list["torch.optim.Optimizer"]) -> "torch.optim.Optimizer":
    """Optimizers of different parameters as one: one list of groups, one state to save.

    The class stands in here because its base is torch's, which is not imported with this file.
    """

    class Together(torch.optim.Optimizer):
        def __init__(self) -> None:
            super().__init__([group for part in parts for group in part.param_groups], {})
            self._share()

        def _share(self) -> None:
            for part, group in zip(parts, self.param_groups, strict=True):
                part.state, part.param_groups = self.state, [group]

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            super().load_state_dict(state_dict)
            self._share()

        def step(self, closure: Callable[[], Any] | None = None) -> Any:
            loss = closure() if closure else None
            for part in parts:
                part.step()
            return loss

    return Together()


def _pair(betas: list[float]) -> tuple[float, float]:
    first, second = betas
    return first, second
