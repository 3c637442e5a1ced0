"""Linear models of a network's inputs: what scikit-learn fits in seconds, on tensors.

Ridge regression for numbers, logistic regression for classes, one for each label: the usual ones,
mildly regularised. scikit-learn is imported when one is fitted.
"""

import math
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from nnarch.data.inputs import Inputs
from nnarch.data.task import Task
from nnarch.lazy import LazyModule

if TYPE_CHECKING:
    from sklearn import linear_model
else:
    linear_model = LazyModule("sklearn.linear_model")

Model = Callable[[Tensor], Tensor]  # inputs (N, F) to predictions


def width(inputs: Inputs) -> int:
    """How many numbers a sample is where each code is told one-hot, and tokens are counted."""
    if inputs.vocabulary:
        return inputs.vocabulary
    codes = inputs.cardinalities
    return math.prod(inputs.shape) - len(codes) + sum(codes)


def flattening(inputs: Inputs, places: Tensor) -> Callable[[Tensor], Tensor]:
    """Samples (N, *shape) as (N, F) float64: codes one-hot, of all numbers those at `places`.

    Of tokens it is how often each of the first F, the commonest, stands in a sample.
    """

    def counted(samples: Tensor) -> Tensor:
        counts = torch.zeros(len(samples), len(places) + 1, dtype=torch.float64)
        found = samples.flatten(1).clamp(max=len(places))
        return counts.scatter_add_(1, found, torch.ones_like(found).double())[:, :-1]

    def flat(samples: Tensor) -> Tensor:
        rows = samples.flatten(1).double()
        if inputs.cardinalities:
            codes = rows[:, -len(inputs.cardinalities) :].long().unbind(1)
            told = [F.one_hot(*pair) for pair in zip(codes, inputs.cardinalities, strict=True)]
            rows = torch.cat([rows[:, : -len(inputs.cardinalities)], *told], 1)
        return rows if len(places) == rows.shape[1] else rows[:, places]

    return counted if inputs.vocabulary else flat


def fitted(task: Task, inputs: Tensor, target: Tensor) -> Model | None:
    """What turns inputs (N, F) into answers (N, K) or (N, T); None where nothing can be fitted."""
    if task.kind == "regression":
        ridge = linear_model.Ridge(alpha=1.0).fit(inputs.numpy(), target.double().numpy())
        return lambda rows: torch.from_numpy(ridge.predict(rows.numpy())).view(len(rows), -1)
    if task.kind == "multilabel":
        labels = [_logistic(inputs, label, 2) for label in target.long().unbind(1)]
        return lambda rows: torch.stack([label(rows)[:, 1] for label in labels], 1)
    if len(target.unique()) < 2:
        return None
    return _logistic(inputs, target, len(task.classes))


def _logistic(inputs: Tensor, target: Tensor, classes: int) -> Model:
    """Probabilities (N, K), 0 for a class that the rows do not hold."""
    there = target.unique()
    if len(there) == 1:
        certain = F.one_hot(there, classes).double()
        return lambda rows: certain.expand(len(rows), -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as good as it gets in so many steps is good enough
        model = linear_model.LogisticRegression(C=1.0, max_iter=100)
        model.fit(inputs.numpy(), target.numpy())

    def predict(rows: Tensor) -> Tensor:
        chances = torch.zeros(len(rows), classes, dtype=torch.float64)
        chances[:, there] = torch.from_numpy(model.predict_proba(rows.numpy()))
        return chances

    return predict
