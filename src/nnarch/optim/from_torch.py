"""The optimizers that torch keeps: those that go by the whole network or by whole matrices.

L-BFGS asks for the loss again and again within a step, and Muon pays only on matrices too large
for what `nnarch.optim.rules` is written for. Each is built from torch's own class, which loads any
state that it is given; here one is looked at first.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from nnarch import likeness
from nnarch.lazy import LazyModule
from nnarch.optim.stepper import COUNTED, Parameters, as_groups
from nnarch.options import WHOLE, Betas, Count, Fraction, NonNegative, Positive
from nnarch.registry import optimizers

if TYPE_CHECKING:
    import torch
else:
    torch = LazyModule("torch")

BETAS = [0.9, 0.999]
REAL = (-3e38, 3e38)  # what a number may be that meets float32


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

    groups = as_groups(parameters, {})

    class LBFGS(torch.optim.LBFGS):
        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            states = {number: _lean(state) for number, state in state_dict["state"].items()}
            expected = (
                {0: _like_lbfgs(states[0], groups[0]["params"], history_size)} if states else {}
            )
            likeness.check(states, expected, "state", REAL)
            super().load_state_dict(state_dict | {"state": states})

    return LBFGS(
        groups,
        lr,
        max_iter,
        max_eval,
        tolerance_grad,
        tolerance_change,
        history_size,
        None if line_search == "none" else line_search,
    )


def _lean(state: dict[str, Any]) -> dict[str, Any]:
    """A state of L-BFGS without the list that every iteration fills again."""
    return {name: value for name, value in state.items() if name != "al"}


def _like_lbfgs(
    state: dict[str, Any], parameters: "list[torch.nn.Parameter]", most: int
) -> dict[str, Any]:
    """What is like a state of L-BFGS; that has as many pairs of vectors as it has iterations."""
    counts = {"func_evals": 0, "n_iter": 0}
    if not state.get("n_iter"):  # the gradient was nothing from the beginning
        return counts
    vector = torch.cat([each.detach().flatten() for each in parameters])
    pairs = min(len(state["old_dirs"]), most)
    either = {  # a number, or a tensor of one
        name: vector[0] if isinstance(state.get(name), torch.Tensor) else 0.0
        for name in ("t", "H_diag")
    }
    return {
        **counts,
        **either,
        "d": vector,
        "prev_flat_grad": vector,
        "prev_loss": 0.0,
        "old_dirs": [vector] * pairs,
        "old_stps": [vector] * pairs,
        "ro": [vector[0]] * pairs,
    }


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
            parameters = [each for group in self.param_groups for each in group["params"]]
            like = dict(enumerate(map(_like_muon, parameters)))
            states = state_dict["state"]
            likeness.check(states, {number: like[number] for number in states}, "state", COUNTED)
            super().load_state_dict(state_dict)
            self._share()

        def step(self, closure: Callable[[], Any] | None = None) -> Any:
            loss = closure() if closure else None
            for part in parts:
                part.step()
            return loss

    return Together()


def _like_muon(parameter: "torch.nn.Parameter") -> dict[str, Any]:
    """What is like the state of a matrix, or of what adamw takes."""
    if parameter.dim() == 2:
        return {"momentum_buffer": parameter}
    return {"step": torch.tensor(0.0), "exp_avg": parameter, "exp_avg_sq": parameter}


def _pair(betas: list[float]) -> tuple[float, float]:
    first, second = betas
    return first, second
