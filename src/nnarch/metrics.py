"""The metrics: how good predictions are, in words that people compare by.

A metric sees a `Result`, never a network or a loss: the truth and the prediction for the same
rows, numbers in the target's own units. The four that every run reports (accuracy; rmse, mae
and r2) are plain torch, wherever the tensors are, so that a run need not import scikit-learn;
the others are scikit-learn's. Where a ratio has an empty denominator (the precision of a class
that is never predicted) it counts as 0; where there is nothing to be measured at all (a ROC
curve of one class, no rows, predictions that are not finite) the metric is nan. Several targets
are averaged evenly.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from nnarch.data.task import BINARY, CLASSIFICATION, LABELLING, REGRESSION, Task, TaskKind
from nnarch.errors import ConfigError
from nnarch.lazy import LazyModule
from nnarch.options import Count
from nnarch.registry import metrics

if TYPE_CHECKING:
    import torch
    from sklearn import metrics as sk
else:
    torch = LazyModule("torch")
    sk = LazyModule("sklearn.metrics")

DEFAULTS: dict[TaskKind, tuple[str, ...]] = {
    "regression": ("rmse", "mae", "r2"),
    "binary": ("accuracy",),
    "multiclass": ("accuracy",),
    "multilabel": ("accuracy", "exact_match"),
}
Average = Literal["macro", "micro", "weighted", "binary"]


@dataclass(frozen=True)
class Result:
    """What a trained network said of N rows, in the user's units.

    Attributes:
        target: (N,) int64 class indices, or (N, T) numbers, of a multilabel task 0 and 1.
        prediction: (N, K) class probabilities, (N, T) probabilities of labels, or (N, T) numbers.
        scale: (T,) what the target was divided by in training, 1 unless it was standardised.
    """

    task: Task
    target: "torch.Tensor"
    prediction: "torch.Tensor"
    scale: "torch.Tensor | None" = None

    @property
    def label(self) -> "torch.Tensor":
        """The likeliest class of each row, (N,) int64; or (N, T), 1 for labels above one half."""
        if self.task.kind == "multilabel":
            return (self.prediction > 0.5).long()
        return self.prediction.argmax(1)


def confusion(result: Result) -> list[list[int]]:
    """How many rows of each true class (a row) were given each label (a column)."""
    size = result.prediction.shape[1]
    cells = result.target * size + result.label
    return cells.bincount(minlength=size**2).view(size, size).tolist()


@metrics.register(tasks=LABELLING, higher=True)
def accuracy(result: Result) -> float:
    """Share of rows whose likeliest class is the true one; of all labels, of those told right."""
    answers = result.target.numel()
    return int((result.label == result.target).sum()) / answers if answers else math.nan


@metrics.register(tasks=("multilabel",), higher=True)
def exact_match(result: Result) -> float:
    """Share of rows of which every label is told right."""
    rows = len(result.target)
    return int((result.label == result.target).all(1).sum()) / rows if rows else math.nan


@metrics.register(tasks=CLASSIFICATION, higher=True)
def balanced_accuracy(result: Result) -> float:
    """Mean over the classes of the share of their rows that is recognised."""
    return _of_labels(sk.balanced_accuracy_score, result)


@metrics.register(tasks=LABELLING, higher=True)
def f1(result: Result, *, average: Average = "macro") -> float:
    """Harmonic mean of precision and recall.

    Options:
        average: Evenly over classes, over rows, by class size, or the second of two classes alone.
    """
    return _averaged(sk.f1_score, result, average)


@metrics.register(tasks=LABELLING, higher=True)
def precision(result: Result, *, average: Average = "macro") -> float:
    """Share of the rows given a label that have it.

    Options:
        average: Evenly over classes, over rows, by class size, or the second of two classes alone.
    """
    return _averaged(sk.precision_score, result, average)


@metrics.register(tasks=LABELLING, higher=True)
def recall(result: Result, *, average: Average = "macro") -> float:
    """Share of the rows of a class that are given its label.

    Options:
        average: Evenly over classes, over rows, by class size, or the second of two classes alone.
    """
    return _averaged(sk.recall_score, result, average)


@metrics.register(tasks=CLASSIFICATION, higher=True)
def matthews(result: Result) -> float:
    """Correlation of labels and truth: 1 perfect, 0 no better than chance (Matthews, 1975)."""
    return _of_labels(sk.matthews_corrcoef, result)


@metrics.register(tasks=CLASSIFICATION, higher=True)
def cohen_kappa(
    result: Result, *, weights: Literal["none", "linear", "quadratic"] = "none"
) -> float:
    """Agreement of labels and truth beyond chance (Cohen, 1960).

    Options:
        weights: How disagreement grows with the distance of ordered classes, if at all.
    """
    how = None if weights == "none" else weights
    return _of_labels(sk.cohen_kappa_score, result, weights=how)


@metrics.register(tasks=LABELLING, higher=True)
def roc_auc(result: Result) -> float:
    """Chance that a row of a class is ranked above one of the others (area under the ROC curve).

    Of two classes the second; of more the mean over those that occur, each against the rest.
    nan where the rows hold one class only.
    """
    return _one_against_rest(sk.roc_auc_score, result)


@metrics.register(tasks=LABELLING, higher=True)
def average_precision(result: Result) -> float:
    """Area under the curve of precision and recall, for rare classes.

    Of two classes the second; of more the mean over those that occur, each against the rest.
    nan where the rows hold one class only.
    """
    return _one_against_rest(sk.average_precision_score, result)


@metrics.register(tasks=CLASSIFICATION, higher=False)
def log_loss(result: Result) -> float:
    """Mean negative logarithm of the true class's probability."""
    return _of_probabilities(sk.log_loss, result)


@metrics.register(tasks=BINARY, higher=False)
def brier(result: Result) -> float:
    """Mean squared error of the second class's probability (Brier, 1950)."""
    chance = _double(result.prediction[:, 1])
    return _score(sk.brier_score_loss, result.target, chance, pos_label=1)


@metrics.register(tasks=("multiclass",), higher=True)
def top_k_accuracy(result: Result, *, k: Count = 2) -> float:
    """Share of rows whose true class is among the k likeliest.

    Options:
        k: How many of the likeliest classes count.
    """
    return _of_probabilities(sk.top_k_accuracy_score, result, k=k)


@metrics.register(tasks=REGRESSION, higher=False)
def rmse(result: Result) -> float:
    """Root of the mean squared error."""
    return float(_errors(result).square().mean(0).sqrt().mean())


@metrics.register(tasks=REGRESSION, higher=False)
def scaled_mse(result: Result) -> float:
    """Mean squared error in deviations of the training target, as series are compared by."""
    return float((_errors(result) / _scale(result)).square().mean())


@metrics.register(tasks=REGRESSION, higher=False)
def scaled_mae(result: Result) -> float:
    """Mean absolute error in deviations of the training target, as series are compared by."""
    return float((_errors(result) / _scale(result)).abs().mean())


@metrics.register(tasks=REGRESSION, higher=False)
def mae(result: Result) -> float:
    """Mean absolute error."""
    return float(_errors(result).abs().mean())


@metrics.register(tasks=REGRESSION, higher=True)
def r2(result: Result) -> float:
    """Share of the target's variance that is explained: 1 perfect, 0 as good as its mean.

    Of a target that is constant in these rows, 1 if met and 0 otherwise; nan for one row.
    """
    if len(result.target) < 2:
        return math.nan
    target = _double(result.target)
    left = _errors(result).square().sum(0)
    total = (target - target.mean(0)).square().sum(0)
    constant = (target == target[0]).all(0)
    share = 1 - left / torch.where(constant, 1, total)
    return float(torch.where(constant, (left == 0).to(share), share).mean())


@metrics.register(tasks=REGRESSION, higher=False)
def max_error(result: Result) -> float:
    """Largest absolute error."""
    rows = len(result.target)
    return float(_errors(result).abs().amax(0).mean()) if rows else math.nan


@metrics.register(tasks=REGRESSION, higher=False)
def median_ae(result: Result) -> float:
    """Median of the absolute errors."""
    return _of_numbers(sk.median_absolute_error, result)


@metrics.register(tasks=REGRESSION, higher=False)
def mape(result: Result) -> float:
    """Mean of the absolute errors as shares of the target; huge where targets are near zero."""
    return _of_numbers(sk.mean_absolute_percentage_error, result)


@metrics.register(tasks=REGRESSION, higher=True)
def explained_variance(result: Result) -> float:
    """Share of the target's variance that is explained, a constant error left aside."""
    return _of_numbers(sk.explained_variance_score, result)


def _double(numbers: "torch.Tensor") -> "torch.Tensor":
    """As float64, where they are if that device has it."""
    return (numbers.cpu() if numbers.device.type == "mps" else numbers).double()


def _errors(result: Result) -> "torch.Tensor":
    return _double(result.prediction) - _double(result.target)


def _scale(result: Result) -> "torch.Tensor | float":
    return 1.0 if result.scale is None else _double(result.scale).to(result.target.device)


def _score(
    function: Callable[..., Any], truth: "torch.Tensor", said: "torch.Tensor", **options: Any
) -> float:
    """What scikit-learn's `function` makes of rows, without warnings; nan where it cannot."""
    if not len(truth) or not bool(said.isfinite().all()):
        return math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(function(truth.cpu().numpy(), said.cpu().numpy(), **options))


def _of_numbers(function: Callable[..., Any], result: Result) -> float:
    return _score(function, _double(result.target), _double(result.prediction))


def _of_labels(function: Callable[..., Any], result: Result, **options: Any) -> float:
    return _score(function, result.target, result.label, **options)


def _averaged(function: Callable[..., Any], result: Result, average: Average) -> float:
    if average == "binary" and result.task.kind != "binary":
        classes = result.task.classes
        several = f"{len(classes)} classes" if classes else f"{len(result.task.targets)} labels"
        raise ConfigError(
            f"metrics: got average 'binary' for a task of {several}; expected 'macro', 'micro' or "
            "'weighted'"
        )
    return _of_labels(function, result, average=average, zero_division=0)


def _of_probabilities(function: Callable[..., Any], result: Result, **options: Any) -> float:
    chances = _double(result.prediction)
    chances = chances / chances.sum(1, keepdim=True)  # float32's do not add up to 1 in float64
    labels = list(range(chances.shape[1]))
    return _score(function, result.target, chances, labels=labels, **options)


def _one_against_rest(function: Callable[..., Any], result: Result) -> float:
    """The mean of `function` over the classes that have rows on either side."""
    classes = [1] if result.task.kind == "binary" else range(result.prediction.shape[1])
    of_labels = result.task.kind == "multilabel"
    sides = [
        (result.target[:, index] == 1 if of_labels else result.target == index, chances)
        for index in classes
        for chances in [result.prediction[:, index]]
    ]
    scores = [
        _score(function, its, _double(chance))
        for its, chance in sides
        if its.any() and not its.all()
    ]
    return sum(scores) / len(scores) if scores else math.nan
