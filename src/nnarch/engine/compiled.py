"""Several steps compiled as one: what is left of Python and dispatch is shared among them.

The steps are written out in a row and traced, so that torch's compiler sees one long list of
operations, with no network, loss or optimizer in it. It fuses what goes through memory element by
element into kernels of its own, and leaves matrix products to the libraries. Batches and rates
are given to it one by one rather than stacked: then each step needs the same kernels, and a
second step costs next to nothing to compile.

More than eight steps a call save less than a twentieth of what is left. Weights, buffers and the
optimizer's state are where they always lie after a call, so that an ordinary step may follow, and
does where an epoch ends with fewer steps, or a batch is of another size.
"""

# pyright: reportPrivateImportUsage=false

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from nnarch.data.batch import Batch
from nnarch.engine import Engine, Plan, chance
from nnarch.engine.purestep import Moving, PureStep
from nnarch.gradient import Pass

OPTIONS = {"cpp_wrapper": True}  # the kernels are called by C++ too, which takes half the time
Program = Callable[..., Sequence[Tensor]]  # what moves, rates and batches, to what moves and losses


class Together:
    """So many steps on batches that are all like one, compiled.

    Attributes:
        count: how many steps.
    """

    def __init__(self, pure: PureStep, batch: Batch, answers: int, count: int):
        """Trace and compile them; what moves is left as it is, chance is the caller's to keep.

        Args:
            answers: in a batch, as `Pass` has it.

        Raises: whatever torch raises where it cannot.
        """
        self.count, self._pure, self._answers = count, pure, answers
        self._kind = batch.kind
        self._rates: tuple[list[float], Sequence[Tensor]] = [], ()  # those of the last call
        rates = torch.tensor([group["lr"] for group in pure.hypers], dtype=torch.float64)
        # clones, since tracing tells tensors apart by what they are
        of_steps = [list(rates.clone().unbind()) for _ in range(count)]
        batches = [[each.clone() for each in _tensors(batch)] for _ in range(count)]
        self._program = _compiled(pure, pure.now(), of_steps, batches)

    def takes(self, plans: Sequence[Plan]) -> bool:
        """Whether these are as many steps as were compiled, each of one batch of that kind."""
        return len(plans) == self.count and all(
            len(batches) == 1 and batches[0].kind == self._kind for batches, _ in plans
        )

    def __call__(self, plans: Sequence[Plan]) -> list[Pass]:
        """Take the steps; what came of each batch, before the update that it was for."""
        if (rates := [each for _, rates in plans for each in rates]) != self._rates[0]:
            self._rates = rates, torch.tensor(rates, dtype=torch.float64).unbind()
        batches = [each for batches, _ in plans for each in _tensors(batches[0])]
        *moved, values = self._program(*self._pure.now().tensors, *self._rates[1], *batches)
        self._pure.keep(moved)
        return [Pass(each, self._answers) for each in values.unbind()]


def _compiled(
    pure: PureStep,
    moving: Moving,
    rates: Sequence[Sequence[Tensor]],
    batches: Sequence[Sequence[Tensor]],
) -> Program:
    """Steps with such rates, one a group, on such batches: of flat tensors, in this order."""
    from torch import _inductor
    from torch.fx.experimental.proxy_tensor import make_fx

    given, form = pytree.tree_flatten((moving, rates, batches))

    def steps(*given: Tensor) -> list[Tensor]:
        return _in_a_row(pure, *pytree.tree_unflatten(given, form))

    draw, rest = chance.apart(make_fx(torch.func.functionalize(steps))(*given))
    for node in rest.graph.nodes:
        node.meta.clear()  # examples of each tensor by itself, which the compiler takes for another
    program = _inductor.compile(rest, [*given, *draw()], options=OPTIONS)
    assert callable(program)
    return lambda *given: program(*given, *draw())


def _in_a_row(
    pure: PureStep,
    moving: Moving,
    rates: Sequence[Sequence[Tensor]],
    batches: Sequence[Sequence[Tensor]],
) -> list[Tensor]:
    """What moves as it is after the last step, and the losses of all, (steps, T) or (steps,)."""
    losses = []
    for each, batch in zip(rates, batches, strict=True):
        hypers = [{**group, "lr": lr} for group, lr in zip(pure.hypers, each, strict=True)]
        moving, values = pure(moving, hypers, batch)
        losses.append(values)
    return [*moving.tensors, torch.stack(losses)]


def _tensors(batch: Batch) -> list[Tensor]:
    return [each.contiguous() for each in batch.tensors]


@dataclass(frozen=True, kw_only=True)
class Compiled(Engine):
    """Takes as many steps in a call as were compiled together, others as the engine it came of."""

    together: Together

    def __call__(self, plans: Sequence[Plan]) -> list[Pass]:
        if not self.together.takes(plans):
            return super().__call__(plans)
        passes = self.together(plans)
        for group, rate in zip(self.optimizer.param_groups, plans[-1].rates, strict=True):
            group["lr"] = rate
        if self.average:
            self.average.follow(self.network)
        return passes
