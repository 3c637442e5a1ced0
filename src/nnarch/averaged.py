"""Several predictors as one, whose answer is the mean of theirs: an ensemble.

Networks that were trained apart err apart, so that the mean of their answers is mostly better
than the best of them (Hansen & Salamon, 1990), and its probabilities are nearer to what happens
(Lakshminarayanan et al., 2017). Averaged are answers, never weights: probabilities of classes or
labels, and numbers in the target's own units. So each member keeps a network, columns and a
scaling of its own, and nothing but the task is shared.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from nnarch.data.batches import Rows
from nnarch.data.preprocessing.preprocess import Columns, Target
from nnarch.errors import DataError
from nnarch.evaluation import Evaluation, in_units
from nnarch.losses import Loss
from nnarch.metrics import Result
from nnarch.predictor import Predictor
from nnarch.registry import metrics

MOST_OFTEN = 10**6  # that a member counts
LEAST = torch.finfo(torch.float32).tiny  # a probability whose logarithm is still finite
MOST = 1 - torch.finfo(torch.float64).eps  # one whose complement's is


class Averaged(Predictor):
    """The mean of what several predictors answer.

    Args:
        counts: how often each counts; once unless given.

    Attributes:
        members: those predictors.
        network: their networks, an `nn.ModuleList`.
        preprocess, loss: the first member's.

    Raises: ValueError where their tasks differ, or the kind of their samples, or for other counts.
    """

    def __init__(self, members: Sequence[Predictor], counts: Sequence[int] = ()):
        first, counts = members[0], counts or [1] * len(members)
        if not all(type(count) is int and 0 < count <= MOST_OFTEN for count in counts):
            raise ValueError(f"got {counts} for how often each counts")
        for one in members[1:]:
            if one.task != first.task:
                raise ValueError(f"one is trained for {one.task}, the first for {first.task}")
            if _takes(one) != _takes(first):
                raise ValueError("one takes samples of another kind than the first")
        networks = nn.ModuleList([one.network for one in members])
        super().__init__(networks, first.preprocess, first.loss, first.task)
        self._members, self._counts = tuple(members), tuple(counts)

    @property
    def members(self) -> tuple[Predictor, ...]:
        return self._members

    @property
    def input_names(self) -> tuple[str, ...]:
        """Every column that a member looks at."""
        return tuple(dict.fromkeys(name for one in self.members for name in one.input_names))

    def forward(self, raw: Tensor) -> Tensor:
        """The mean over members that look at the same columns; `answer` asks for no such thing."""
        if any(one.input_names != self.input_names for one in self.members):
            raise DataError("the members look at different columns; expected a table of them all")
        return self.mean([one(raw) for one in self.members])

    def answer(self, table: Any) -> Tensor:
        if isinstance(self.preprocess.inputs, Columns):
            table = self.table(table)
        return self.mean([one.answer(table) for one in self.members])

    def mean(self, answers: Sequence[Tensor]) -> Tensor:
        return mean(answers, self._counts)

    def evaluate(
        self,
        rows: Callable[[Predictor], Rows],
        wanted: Sequence[Mapping[str, Any]],
        device: torch.device,
    ) -> Evaluation:
        """Measure the mean answer; `rows` gives each member the same samples.

        The loss is that of the mean answer, by the first member's loss: of cross-entropy the
        negative logarithm of the mean probability. Where an answer is not all that the loss looks
        at (the variance of `gaussian_nll`), it is the mean of the members' losses.
        """
        each = [one.evaluate(rows, [], device) for one in self.members]
        assert all(one.result.target.shape == each[0].result.target.shape for one in each)
        said = self.mean([one.result.prediction for one in each])
        result = replace(each[0].result, prediction=said)
        measured = {spec["name"]: float(metrics.build(spec, result)) for spec in wanted}
        loss = loss_of(self.loss, result, self.preprocess.target)
        if loss is None:
            loss = float(self.mean([torch.tensor(one.loss).double() for one in each]))
        return Evaluation(loss, measured, result)


def _takes(predictor: Predictor) -> Any:
    """What a sample is: any columns of a table, or an array, a series, tokens of a shape."""
    made = predictor.preprocess.inputs
    if isinstance(made, Columns):
        return "columns"
    return made.kind, tuple(made.shape), getattr(made, "every", False)


def mean(answers: Sequence[Tensor], counts: Sequence[int]) -> Tensor:
    """The mean of answers of one shape, each as often as it counts; 0 leaves out even a NaN.

    >>> mean([torch.tensor([1.0, 2.0]), torch.tensor([4.0, 5.0])], [2, 1])
    tensor([2., 3.])
    """
    pairs = zip(answers, counts, strict=True)
    return torch.stack([answer * count for answer, count in pairs if count]).sum(0) / sum(counts)


def chosen(
    answers: Sequence[Tensor], cost: Callable[[Tensor], float | None], size: int
) -> list[int]:
    """How often each answer is to count, so that their mean costs little; 0 leaves one out.

    Greedy selection with replacement (Caruana et al., 2004): `size` times the one is added by
    which the mean costs least, and of the sets on the way the cheapest is it. So it is never
    dearer than the best alone. A cost that is NaN or None is above all others.

    >>> truth = torch.tensor([1.0, 1.0])
    >>> answers = [torch.tensor([2.0, 1.0]), torch.tensor([0.0, 1.0]), torch.tensor([5.0, 5.0])]
    >>> chosen(answers, lambda mean: float((mean - truth).square().sum()), 5)
    [1, 1, 0]
    """

    def costs(counts: Sequence[int]) -> float:
        found = cost(mean(answers, counts))
        return math.inf if found is None or math.isnan(found) else found

    counts = least = [0] * len(answers)
    for _ in range(size):
        counts = min((_one_more(counts, place) for place in range(len(answers))), key=costs)
        if not any(least) or costs(counts) < costs(least):
            least = counts
    return least


def _one_more(counts: Sequence[int], place: int) -> list[int]:
    return [count + (at == place) for at, count in enumerate(counts)]


def loss_of(loss: Loss, result: Result, target: Target) -> float | None:
    """The mean loss of predictions alone, in the target's units; None where it takes more.

    Args:
        target: what the target was scaled by where `loss` is in its own units.
    """
    truth, outputs = result.target.cpu(), outputs_of(loss, result, target)
    if outputs is None:
        return None
    truth = target(truth.double()) if result.task.kind == "regression" else truth
    return in_units(loss, loss.values(outputs, truth).double().mean(0), target.scale)


def outputs_of(loss: Loss, result: Result, target: Target) -> Tensor | None:
    """Outputs of a network that `loss` reads as these predictions, or None where there are none.

    A loss tells how outputs are read, not the way back. So each way back that is known is tried,
    and the one is right whose outputs are read as the predictions again.
    """
    said = result.prediction.cpu().double()
    if result.task.kind == "regression":
        said = target(said)
        ways = [said, said.clamp(min=LEAST).log()]
    elif result.task.kind == "multilabel":
        ways = [said.clamp(LEAST, MOST).logit()]
    else:
        logarithms = said.clamp(min=LEAST).log()
        ways = [logarithms, logarithms[:, 1:] - logarithms[:, :1]]
    for outputs in ways:
        if outputs.shape[1] == loss.outputs:
            read = loss.predict(outputs)
            if read.shape == said.shape and torch.allclose(read, said, 1e-4, 1e-6, True):
                return outputs
    return None
