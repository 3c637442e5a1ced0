"""The losses: what training makes small, and what a network's raw outputs mean.

A loss decides more than a number. It sets the width of the last layer, says how outputs become
class probabilities or predicted values, and in which unit its value is. So a builder gives a
`Loss` that holds all four, and no other file has to know one loss from another.

Everything here is a pure function of tensors that keeps one value a row: the same code trains
one network, or many under `torch.func.vmap`, and weighting or averaging is left to the caller.
Regression targets arrive divided by a scale; thresholds (`delta`, `beta`) are therefore in
deviations of the target unless scaling is turned off. Outside the list are losses of pairs,
sequences and embeddings, and those that repeat one of these (`NLLLoss` after a log-softmax).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from nnarch.data.task import BINARY, CLASSIFICATION, REGRESSION, Task
from nnarch.errors import ConfigError
from nnarch.lazy import LazyModule
from nnarch.options import Fraction, NonNegative, Positive
from nnarch.registry import losses

if TYPE_CHECKING:
    import torch
    from torch.nn import functional as F
else:
    torch = LazyModule("torch")
    F = LazyModule("torch.nn.functional")

OneTensor = Callable[["torch.Tensor"], "torch.Tensor"]
TwoTensors = Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]
ClassWeights = Literal["balanced"] | dict[str, Positive] | None


@dataclass(frozen=True)
class Loss:
    """A loss for B rows, and the reading of the outputs that it is made for.

    Attributes:
        values: outputs (B, outputs) and targets to one loss a row: (B,) for targets (B,) of
            int64 class indices, (B, T) for targets (B, T) of numbers.
        outputs: the width that the network's last layer needs.
        predict: outputs to class probabilities (B, K), or to predicted targets (B, T).
        in_units: mean losses (T,) of targets that were divided by scale (T,) to the same losses
            in the target's own units.
    """

    values: TwoTensors
    outputs: int
    predict: OneTensor
    in_units: TwoTensors


def _as_it_is(tensor: "torch.Tensor", _scale: "torch.Tensor | None" = None) -> "torch.Tensor":
    return tensor


def _of_numbers(task: Task, values: TwoTensors, power: int) -> Loss:
    """A loss whose value grows with the target's scale to a `power`."""
    return Loss(values, len(task.targets), _as_it_is, lambda loss, scale: loss * scale**power)


@losses.register(tasks=REGRESSION, standardize=True)
def mse(task: Task) -> Loss:
    """Mean squared error: the usual loss for numbers, strict with large errors."""
    return _of_numbers(task, partial(F.mse_loss, reduction="none"), power=2)


@losses.register(tasks=REGRESSION, standardize=True)
def l1(task: Task) -> Loss:
    """Mean absolute error: learns the median, so that outliers count little."""
    return _of_numbers(task, partial(F.l1_loss, reduction="none"), power=1)


@losses.register(tasks=REGRESSION, standardize=True)
def huber(task: Task, *, delta: Positive = 1.0) -> Loss:
    """Squared for small errors and straight for large ones (Huber, 1964).

    e²/2 where |e| <= delta, else delta (|e| - delta/2). With errors and delta both multiplied by
    s it is s² as large.

    Options:
        delta: Error at which the square turns into a line, in deviations of the target.
    """
    return _of_numbers(task, partial(F.huber_loss, reduction="none", delta=delta), power=2)


@losses.register(tasks=REGRESSION, standardize=True)
def smooth_l1(task: Task, *, beta: NonNegative = 1.0) -> Loss:
    """Absolute error with a rounded tip (Girshick, 2015).

    The huber loss with delta = beta, divided by beta: with errors and beta both multiplied by s
    it is s times as large.

    Options:
        beta: Error below which the tip is rounded, in deviations of the target; 0 gives l1.
    """
    return _of_numbers(task, partial(F.smooth_l1_loss, reduction="none", beta=beta), power=1)


@losses.register(tasks=REGRESSION, standardize=True)
def gaussian_nll(task: Task, *, eps: Positive = 1e-6, full: bool = False) -> Loss:
    """Negative log-likelihood of a normal whose variance is learnt too (Nix & Weigend, 1994).

    (log v + (y - m)²/v) / 2 from two outputs a target: the mean m, which is the prediction, and
    one whose softplus is the variance v, which stays tame where an exponential explodes
    (Lakshminarayanan et al., 2017). With y, m and the deviation multiplied by s it grows by
    log s.

    Options:
        eps: Added to the variance, so that it never reaches zero.
        full: Also add the constant log(2 pi) / 2, which training does not need.
    """
    constant = math.log(2 * math.pi) / 2 if full else 0.0

    def values(outputs: "torch.Tensor", targets: "torch.Tensor") -> "torch.Tensor":
        mean, raw = outputs.chunk(2, dim=-1)
        variance = F.softplus(raw) + eps
        return (variance.log() + (targets - mean).square() / variance) / 2 + constant

    def mean_of(outputs: "torch.Tensor") -> "torch.Tensor":
        return outputs.chunk(2, dim=-1)[0]

    return Loss(values, 2 * len(task.targets), mean_of, lambda loss, scale: loss + scale.log())


@losses.register(tasks=REGRESSION, standardize=False)
def poisson_nll(task: Task, *, full: bool = False) -> Loss:
    """Negative log-likelihood of a Poisson distribution, for counts: targets of 0 or more.

    The network's output is the logarithm of the expected count. Targets are used as they are,
    since a divided count is none.

    Options:
        full: Also add Stirling's approximation of log y!, which training does not need.
    """
    values = partial(F.poisson_nll_loss, log_input=True, full=full, reduction="none")
    return Loss(values, len(task.targets), torch.exp, _as_it_is)


def weights_of_classes(task: Task, given: ClassWeights) -> "torch.Tensor | None":
    """A weight for each class, scaled so that the mean over the training rows is 1.

    The mean of weighted losses over those rows is then the weighted mean. "balanced" is
    n / (K n_k), which gives every class the same say.

    Raises: ConfigError where the named classes are not exactly those of the task.
    """
    if given is None:
        return None
    names = task.classes or task.targets
    if given == "balanced":
        weights = [1 / max(count, 1) for count in task.counts]
    else:
        _check_labels(names, given)
        weights = [given[label] for label in names]
    rows = zip(weights, task.counts, strict=True)
    mean = sum(weight * count for weight, count in rows) / sum(task.counts)
    return torch.tensor([weight / mean for weight in weights])


def _check_labels(classes: tuple[str, ...], given: dict[str, float]) -> None:
    known = f"expected a weight for each of: {', '.join(classes)}"
    unknown = [f"unknown class {label!r}; {known}" for label in given if label not in classes]
    missing = [f"no weight for class {label!r}; {known}" for label in classes if label not in given]
    if faults := unknown + missing:
        raise ConfigError(f"loss.class_weights: {fault}" for fault in faults)


def _weighted(values: TwoTensors, task: Task, given: ClassWeights) -> TwoTensors:
    """`values` with each row's loss multiplied by the weight of its class."""
    weights = weights_of_classes(task, given)
    if weights is None:
        return values
    return lambda outputs, targets: values(outputs, targets) * weights.to(outputs)[targets]


def _softmax(outputs: "torch.Tensor") -> "torch.Tensor":
    return outputs.softmax(-1)


def _of_one_logit(outputs: "torch.Tensor") -> "torch.Tensor":
    return torch.cat([-outputs, outputs], dim=-1).sigmoid()


@losses.register(tasks=CLASSIFICATION, standardize=False)
def cross_entropy(
    task: Task, *, label_smoothing: Fraction = 0.0, class_weights: ClassWeights = None
) -> Loss:
    """Negative log-likelihood of the true class: the usual loss for classes.

    One output a class, whose softmax are the probabilities; two for a binary task.

    Options:
        label_smoothing: Share of the target that is spread evenly over all classes.
        class_weights: Weight of each class by its label, or balanced for equal total weights.
    """
    weights = weights_of_classes(task, class_weights)

    def values(outputs: "torch.Tensor", targets: "torch.Tensor") -> "torch.Tensor":
        return F.cross_entropy(
            outputs,
            targets,
            weight=None if weights is None else weights.to(outputs),
            label_smoothing=label_smoothing,
            reduction="none",
        )

    return Loss(values, len(task.classes), _softmax, _as_it_is)


@losses.register(tasks=CLASSIFICATION, standardize=False)
def multi_margin(
    task: Task,
    *,
    p: Literal[1, 2] = 1,
    margin: Positive = 1.0,
    class_weights: ClassWeights = None,
) -> Loss:
    """Hinge loss of several classes, as in a support vector machine (Weston & Watkins, 1999).

    The sum over the other classes i of max(0, margin - x_true + x_i)^p, divided by K. It orders
    the classes; their softmax is given as probabilities, but they are not calibrated.

    Options:
        p: 1 for the plain hinge, 2 for its square.
        margin: How far the true class has to lead.
        class_weights: Weight of each class by its label, or balanced for equal total weights.
    """

    # torch's own has no batching rule for vmap, so the sum is written out
    def values(outputs: "torch.Tensor", targets: "torch.Tensor") -> "torch.Tensor":
        true = outputs.gather(-1, targets.unsqueeze(-1))
        behind = (margin - true + outputs).clamp(min=0) ** p
        return (behind.sum(-1) - margin**p) / outputs.shape[-1]

    return Loss(_weighted(values, task, class_weights), len(task.classes), _softmax, _as_it_is)


@losses.register(tasks=(*BINARY, "multilabel"), standardize=False)
def bce_with_logits(task: Task, *, class_weights: ClassWeights = None) -> Loss:
    """Binary cross-entropy of one output, whose sigmoid is the second class's probability.

    Of a multilabel task, one output a label, each with a loss of its own.

    Options:
        class_weights: Weight of each class by its label, or balanced for equal total weights; of
            a multilabel task, the weight of each label.
    """
    if task.kind == "multilabel":
        return _of_labels(task, class_weights)

    def values(outputs: "torch.Tensor", targets: "torch.Tensor") -> "torch.Tensor":
        logits = outputs[..., 0]
        return F.binary_cross_entropy_with_logits(logits, targets.to(logits), reduction="none")

    return Loss(_weighted(values, task, class_weights), 1, _of_one_logit, _as_it_is)


def _of_labels(task: Task, given: ClassWeights) -> Loss:
    """A yes or no for each of T labels: targets (B, T) of 0 and 1."""
    weights = weights_of_classes(task, given)

    def values(outputs: "torch.Tensor", targets: "torch.Tensor") -> "torch.Tensor":
        each = F.binary_cross_entropy_with_logits(outputs, targets.to(outputs), reduction="none")
        return each if weights is None else each * weights.to(outputs)

    return Loss(values, len(task.targets), _sigmoid, _as_it_is)


def _sigmoid(outputs: "torch.Tensor") -> "torch.Tensor":
    return outputs.sigmoid()


@losses.register(tasks=BINARY, standardize=False)
def soft_margin(task: Task, *, class_weights: ClassWeights = None) -> Loss:
    """Logistic loss of one output on the labels -1 and 1; equal to bce_with_logits.

    log(1 + exp(-y x)), written so that a large output does not overflow.

    Options:
        class_weights: Weight of each class by its label, or balanced for equal total weights.
    """

    def values(outputs: "torch.Tensor", targets: "torch.Tensor") -> "torch.Tensor":
        return F.softplus(outputs[..., 0] * (1 - 2 * targets))

    return Loss(_weighted(values, task, class_weights), 1, _of_one_logit, _as_it_is)
