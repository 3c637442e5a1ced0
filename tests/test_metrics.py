"""The metrics against scikit-learn's, and the contract that every registered one keeps."""

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from nnarch.data.task import Task
from nnarch.errors import ConfigError
from nnarch.metrics import DEFAULTS, Result, confusion
from nnarch.registry import metrics
from nnarch.validate import fill_component

BINARY = Task("binary", ("y",), ("no", "yes"), (5, 5))
MULTICLASS = Task("multiclass", ("y",), ("x", "y", "z", "q"), (5, 5, 5, 5))
REGRESSION = Task("regression", ("a", "b"))
MULTILABEL = Task("multilabel", ("p", "q", "r"), (), (5, 5, 5))
TASKS = {task.kind: task for task in (BINARY, MULTICLASS, REGRESSION, MULTILABEL)}
MEMBERS = [(metric.name, kind) for metric in metrics for kind in metric.facts["tasks"]]
AVERAGES = ("macro", "micro", "weighted")


def measure(name: str, result: Result, **options: object) -> float:
    spec, faults = fill_component("metric", {"name": name, **options}, ())
    assert not faults
    return metrics.build(spec, result)


def of_classes(task: Task, target: list[int], seed: int = 0) -> Result:
    """Rows of known classes and made-up probabilities, mostly right."""
    generator = torch.Generator().manual_seed(seed)
    truth = torch.tensor(target)
    outputs = torch.randn(len(target), len(task.classes), generator=generator)
    outputs += torch.nn.functional.one_hot(truth, len(task.classes))
    return Result(task, truth, outputs.softmax(1))


def of_numbers(rows: int, targets: int = 2, seed: int = 0) -> Result:
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randn(rows, targets, generator=generator, dtype=torch.float64) * 3 + 5
    noise = torch.randn(rows, targets, generator=generator, dtype=torch.float64)
    return Result(Task("regression", ("a", "b")[:targets]), truth, truth + noise)


def of_labels(target: list[list[int]], seed: int = 0) -> Result:
    """Rows of known labels and made-up probabilities, mostly right."""
    truth = torch.tensor(target)
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(seed))
    return Result(MULTILABEL, truth, (2 * truth - 1 + noise).sigmoid())


def examples(kind: str, seed: int = 0) -> Result:
    if kind == "regression":
        return of_numbers(40, seed=seed)
    if kind == "multilabel":
        chance = torch.Generator().manual_seed(seed)
        return of_labels(torch.randint(2, (40, 3), generator=chance).tolist(), seed)
    classes = len(TASKS[kind].classes)
    target = torch.randint(classes, (40,), generator=torch.Generator().manual_seed(seed))
    return of_classes(TASKS[kind], target.tolist(), seed)


def perfect(kind: str) -> Result:
    result = examples(kind)
    if kind == "regression":
        return Result(result.task, result.target, result.target)
    if kind == "multilabel":
        return Result(result.task, result.target, result.target.float())
    exact = torch.nn.functional.one_hot(result.target, len(result.task.classes)).float()
    return Result(result.task, result.target, exact)


@pytest.mark.parametrize(("name", "kind"), MEMBERS)
def test_perfect_predictions_have_the_best_value(name: str, kind: str):
    best = {True: 1.0, False: 0.0}[metrics.get(name).facts["higher"]]
    assert measure(name, perfect(kind)) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize(("name", "kind"), MEMBERS)
def test_worse_predictions_have_a_worse_value(name: str, kind: str):
    result = examples(kind)
    noise = torch.randn(result.prediction.shape, generator=torch.Generator().manual_seed(9))
    if kind == "regression":
        worse = result.prediction + 20 * noise
    elif kind == "multilabel":
        worse = (result.prediction.logit() + 20 * noise).sigmoid()
    else:
        worse = (result.prediction.log() + 20 * noise).softmax(1)
    sign = {True: 1, False: -1}[metrics.get(name).facts["higher"]]
    gap = measure(name, result) - measure(name, Result(result.task, result.target, worse))
    assert sign * gap > 0


@pytest.mark.parametrize(("name", "kind"), MEMBERS)
def test_a_metric_is_a_number_that_ignores_the_order_of_rows(name: str, kind: str):
    result = examples(kind)
    backwards = Result(result.task, result.target.flip(0), result.prediction.flip(0))
    value = measure(name, result)
    assert type(value) is float
    assert measure(name, backwards) == pytest.approx(value)


@pytest.mark.parametrize(("name", "kind"), MEMBERS)
def test_no_rows_have_no_value(name: str, kind: str):
    result = examples(kind)
    assert math.isnan(measure(name, Result(result.task, result.target[:0], result.prediction[:0])))


@pytest.mark.parametrize(("name", "kind"), MEMBERS)
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_rows_of_a_single_class_or_value_raise_nothing(name: str, kind: str, rows: int):
    result = examples(kind)
    same = result.target[:1].expand(rows, *result.target.shape[1:])
    value = measure(name, Result(result.task, same, result.prediction[:rows]))
    assert not math.isinf(value)


@pytest.mark.parametrize("component", list(metrics), ids=lambda component: component.name)
def test_every_option_has_a_sentence(component):
    assert component.summary.endswith(".")
    for name, field in component.schema.model_fields.items():
        assert field.description, name


@pytest.mark.parametrize("kind", DEFAULTS)
def test_defaults_fit_their_task(kind: Any):
    for name in DEFAULTS[kind]:
        assert kind in metrics.get(name).facts["tasks"]


def quiet(function: Any, *given: Any, **options: Any) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(function(*given, **options))


labels = st.lists(st.integers(0, 3), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(labels, st.integers(0, 100), st.sampled_from(["binary", "multiclass"]))
def test_metrics_of_labels_are_those_of_scikit_learn(target: list[int], seed: int, kind: str):
    task = TASKS[kind]
    target = [index % len(task.classes) for index in target]
    result = of_classes(task, target, seed)
    truth, said = np.array(target), result.label.numpy()
    expected = {
        "accuracy": sk.accuracy_score(truth, said),
        "balanced_accuracy": quiet(sk.balanced_accuracy_score, truth, said),
        "matthews": quiet(sk.matthews_corrcoef, truth, said),
        "cohen_kappa": quiet(sk.cohen_kappa_score, truth, said),
    }
    found = {name: measure(name, result) for name in expected}
    assert found == pytest.approx(expected, nan_ok=True)
    for average in AVERAGES:
        options: dict[str, Any] = {"average": average, "zero_division": 0}
        expected = {
            "f1": sk.f1_score(truth, said, **options),
            "precision": sk.precision_score(truth, said, **options),
            "recall": sk.recall_score(truth, said, **options),
        }
        found = {name: measure(name, result, average=average) for name in expected}
        assert found == pytest.approx(expected)
    every = range(len(task.classes))
    assert confusion(result) == sk.confusion_matrix(truth, said, labels=list(every)).tolist()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 1), min_size=3, max_size=3), min_size=1, max_size=12),
    st.integers(0, 100),
)
def test_metrics_of_many_labels_are_those_of_scikit_learn(target: list[list[int]], seed: int):
    result = of_labels(target, seed)
    truth, said = np.array(target), (result.prediction > 0.5).int().numpy()
    assert (result.label.numpy() == said).all()
    assert measure("exact_match", result) == pytest.approx(sk.accuracy_score(truth, said))
    assert measure("accuracy", result) == pytest.approx(1 - sk.hamming_loss(truth, said))
    for average in AVERAGES:
        options: dict[str, Any] = {"average": average, "zero_division": 0}
        expected = {
            "f1": sk.f1_score(truth, said, **options),
            "precision": sk.precision_score(truth, said, **options),
            "recall": sk.recall_score(truth, said, **options),
        }
        found = {name: measure(name, result, average=average) for name in expected}
        assert found == pytest.approx(expected)
    chances = result.prediction.double().numpy()
    mixed = [place for place in range(3) if 0 < truth[:, place].mean() < 1]
    functions: dict[str, Any] = {
        "roc_auc": sk.roc_auc_score,
        "average_precision": sk.average_precision_score,
    }
    for name, function in functions.items():
        expected = function(truth[:, mixed], chances[:, mixed]) if mixed else math.nan
        assert measure(name, result) == pytest.approx(expected, nan_ok=True)


@settings(max_examples=40, deadline=None)
@given(labels, st.integers(0, 100))
def test_metrics_of_two_probabilities_are_those_of_scikit_learn(target: list[int], seed: int):
    result = of_classes(BINARY, [index % 2 for index in target], seed)
    truth, chance = result.target.numpy(), result.prediction[:, 1].double().numpy()
    one = len(set(truth.tolist())) == 1
    expected = {
        "roc_auc": math.nan if one else sk.roc_auc_score(truth, chance),
        "average_precision": math.nan if one else sk.average_precision_score(truth, chance),
        "log_loss": sk.log_loss(truth, chance, labels=[0, 1]),
        "brier": sk.brier_score_loss(truth, chance, pos_label=1),
    }
    found = {name: measure(name, result) for name in expected}
    assert found == pytest.approx(expected, nan_ok=True, rel=1e-5)
    functions: dict[str, Any] = {"f1": sk.f1_score, "recall": sk.recall_score}
    for name, function in functions.items():
        positive = function(truth, result.label.numpy(), zero_division=0)
        assert measure(name, result, average="binary") == pytest.approx(positive)


@settings(max_examples=40, deadline=None)
@given(st.permutations([0, 1, 2, 3, 0, 1, 2, 3, 3]), st.integers(0, 100))
def test_metrics_of_many_probabilities_are_those_of_scikit_learn(target: list[int], seed: int):
    result = of_classes(MULTICLASS, target, seed)
    truth, chances = result.target.numpy(), result.prediction.double().numpy()
    chances /= chances.sum(1, keepdims=True)
    expected = {
        "roc_auc": sk.roc_auc_score(truth, chances, multi_class="ovr"),
        "average_precision": sk.average_precision_score(truth, chances),
        "log_loss": sk.log_loss(truth, chances),
        "top_k_accuracy": sk.top_k_accuracy_score(truth, chances, k=2),
    }
    found = {name: measure(name, result) for name in expected}
    assert found == pytest.approx(expected, rel=1e-5)


def test_classes_without_rows_are_left_out_of_ranking_metrics():
    result = of_classes(MULTICLASS, [0, 0, 1, 1, 3])
    truth, chances = result.target.numpy(), result.prediction.double().numpy()
    for name, function in (
        ("roc_auc", sk.roc_auc_score),
        ("average_precision", sk.average_precision_score),
    ):
        present = [function(truth == index, chances[:, index]) for index in (0, 1, 3)]
        assert measure(name, result) == pytest.approx(np.mean(present))
    assert measure("log_loss", result) == pytest.approx(
        sk.log_loss(truth, chances / chances.sum(1, keepdims=True), labels=range(4))
    )
    assert measure("top_k_accuracy", result, k=4) == 1


@pytest.mark.parametrize("weights", ["linear", "quadratic"])
def test_cohen_kappa_weighs_the_distance_of_classes(weights: Any):
    result = examples("multiclass")
    expected = sk.cohen_kappa_score(result.target, result.label, weights=weights)
    assert measure("cohen_kappa", result, weights=weights) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["f1", "precision", "recall"])
def test_an_average_of_two_classes_is_refused_for_more(name: str):
    with pytest.raises(ConfigError, match="got average 'binary' for a task of 4 classes"):
        measure(name, examples("multiclass"), average="binary")
    with pytest.raises(ConfigError, match="got average 'binary' for a task of 3 labels"):
        measure(name, examples("multilabel"), average="binary")


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 30), st.integers(1, 2), st.integers(0, 100))
def test_metrics_of_numbers_are_those_of_scikit_learn(rows: int, targets: int, seed: int):
    result = of_numbers(rows, targets, seed)
    truth, said = result.target.numpy(), result.prediction.numpy()
    expected = {
        "rmse": sk.root_mean_squared_error(truth, said),
        "mae": sk.mean_absolute_error(truth, said),
        "r2": sk.r2_score(truth, said),
        "median_ae": sk.median_absolute_error(truth, said),
        "mape": sk.mean_absolute_percentage_error(truth, said),
        "explained_variance": sk.explained_variance_score(truth, said),
        "max_error": np.mean([sk.max_error(*pair) for pair in zip(truth.T, said.T, strict=True)]),
    }
    found = {name: measure(name, result) for name in expected}
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("scale", [None, [1.0, 1.0], [2.0, 0.25]], ids=str)
def test_scaled_errors_are_in_units_of_the_scale(scale: list[float] | None):
    result = of_numbers(30)
    given = torch.tensor(scale or [1.0, 1.0], dtype=torch.float64)
    scaled = Result(result.task, result.target, result.prediction, given if scale else None)
    truth, said = ((part / given).numpy() for part in (result.target, result.prediction))
    assert measure("scaled_mse", scaled) == pytest.approx(sk.mean_squared_error(truth, said))
    assert measure("scaled_mae", scaled) == pytest.approx(sk.mean_absolute_error(truth, said))
    assert measure("mae", scaled) == measure("mae", result)  # others are in the user's units


@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_r2_of_a_constant_target_is_that_of_scikit_learn(offset: float):
    truth = torch.tensor([[3.0, 1.0], [3.0, 2.0], [3.0, 4.0]])
    said = truth + offset
    expected = sk.r2_score(truth.numpy(), said.numpy())
    assert measure("r2", Result(REGRESSION, truth, said)) == pytest.approx(expected)


def test_numbers_far_from_zero_keep_their_digits():
    truth = torch.arange(6.0, dtype=torch.float64).view(3, 2) + 1e9
    said = truth + 0.25
    result = Result(REGRESSION, truth, said)
    assert measure("rmse", result) == measure("mae", result) == 0.25


@pytest.mark.parametrize(("name", "kind"), [m for m in MEMBERS if m[0] not in DEFAULTS[m[1]]])
def test_predictions_that_are_not_finite_give_no_error(name: str, kind: str):
    result = examples(kind)
    result.prediction[3, 0] = math.nan
    assert not math.isinf(measure(name, result))


def test_label_is_the_likeliest_class():
    result = Result(BINARY, torch.tensor([0, 1]), torch.tensor([[0.4, 0.6], [0.9, 0.1]]))
    assert result.label.tolist() == [1, 0]
    assert confusion(result) == [[0, 1], [1, 0]]
    assert measure("accuracy", result) == 0
    assert measure("brier", result) == pytest.approx((0.36 + 0.81) / 2)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("name", "kind"), MEMBERS)
def test_tensors_on_a_gpu_give_the_same_value(name: str, kind: str):
    result = examples(kind)
    there = Result(result.task, result.target.cuda(), result.prediction.cuda())
    assert measure(name, there) == pytest.approx(measure(name, result))
