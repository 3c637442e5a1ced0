"""Evaluation: losses and metrics in the target's units, whatever the network was trained in."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nnarch import evaluation
from nnarch.data.batches import Matrix, Windows
from nnarch.data.preprocessing.target import Target
from nnarch.data.task import Task
from nnarch.evaluation import Evaluation, evaluate, outputs
from nnarch.losses import Loss
from nnarch.registry import losses
from nnarch.validate import fill_component

ROWS, FEATURES = 40, 3
NUMBERS = {
    "one target": Task("regression", ("price",)),
    "targets of different scales": Task("regression", ("price", "share", "year")),
}
CLASSES = Task("multiclass", ("y",), ("a", "b", "c"), (20, 10, 10))


def filled(kind: str, name: str, **options: Any) -> dict[str, Any]:
    spec, faults = fill_component(kind, {"name": name, **options}, ())
    assert not faults
    return spec


def built(task: Task, name: str, **options: Any) -> Loss:
    return losses.build(filled("loss", name, **options), task)


def network(outputs: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(FEATURES, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, outputs)
    )


def raw_target(task: Task) -> Tensor:
    """Numbers of about 3e5, 0.2 and 2000, as many columns as there are targets."""
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(ROWS, 3, generator=generator, dtype=torch.float64)
    spread, centre = torch.tensor([5e4, 0.05, 10.0]), torch.tensor([3e5, 0.2, 2000.0])
    return (rows * spread + centre)[:, : len(task.targets)]


def scaled(task: Task) -> tuple[Matrix, Target]:
    target = Target(len(task.targets))
    target.fit(raw_target(task))
    inputs = torch.randn(ROWS, FEATURES, generator=torch.Generator().manual_seed(2))
    return Matrix(inputs, target(raw_target(task)).float()), target


def labelled() -> Matrix:
    generator = torch.Generator().manual_seed(2)
    return Matrix(
        torch.randn(ROWS, FEATURES, generator=generator),
        torch.randint(3, (ROWS,), generator=generator),
    )


def measured(task: Task, loss: Loss, *metrics: str) -> tuple[Evaluation, Tensor, Target]:
    """The evaluation, and what the network puts out."""
    rows, target = scaled(task)
    model = network(loss.outputs)
    found = evaluate(model, loss, rows, target, task, [filled("metric", m) for m in metrics])
    return found, outputs(model, rows.inputs).double(), target


@pytest.mark.parametrize("task", NUMBERS.values(), ids=NUMBERS)
@pytest.mark.parametrize("name", ["mse", "l1", "smooth_l1", "huber"])
def test_a_loss_is_that_of_the_raw_numbers(task: Task, name: str):
    found, made, target = measured(task, built(task, name))
    predicted, truth = target.inverse(made), raw_target(task)
    by_hand = {
        "mse": lambda column, scale: F.mse_loss(*column),
        "l1": lambda column, scale: F.l1_loss(*column),
        "smooth_l1": lambda column, scale: F.smooth_l1_loss(*column, beta=scale),
        "huber": lambda column, scale: F.huber_loss(*column, delta=scale),
    }[name]
    columns = zip(predicted.unbind(1), truth.unbind(1), strict=True)
    each = [
        float(by_hand(column, float(scale)))
        for column, scale in zip(columns, target.scale, strict=True)
    ]
    assert found.loss == pytest.approx(sum(each) / len(each), rel=1e-5)


@pytest.mark.parametrize("task", NUMBERS.values(), ids=NUMBERS)
def test_a_likelihood_is_that_of_the_raw_numbers(task: Task):
    found, made, target = measured(task, built(task, "gaussian_nll", full=True))
    mean, raw = made.chunk(2, dim=1)
    variance = (F.softplus(raw) + 1e-6) * target.scale.square()
    by_hand = F.gaussian_nll_loss(
        target.inverse(mean), raw_target(task), variance, full=True, eps=1e-30
    )
    assert found.loss == pytest.approx(float(by_hand), rel=1e-5)


@pytest.mark.parametrize("task", NUMBERS.values(), ids=NUMBERS)
def test_metrics_are_of_the_raw_numbers(task: Task):
    found, made, target = measured(task, built(task, "mse"), "rmse", "mae", "r2", "mape")
    error = target.inverse(made) - raw_target(task)
    truth = raw_target(task)
    variance = (truth - truth.mean(0)).square().mean(0)
    assert found.metrics == pytest.approx(
        {
            "rmse": float(error.square().mean(0).sqrt().mean()),
            "mae": float(error.abs().mean()),
            "r2": float((1 - error.square().mean(0) / variance).mean()),
            "mape": float((error / truth).abs().mean()),
        },
        rel=1e-5,
    )


def test_the_loss_and_the_metrics_of_one_target_agree():
    found, _, _ = measured(NUMBERS["one target"], built(NUMBERS["one target"], "mse"), "rmse")
    assert math.sqrt(found.loss) == pytest.approx(found.metrics["rmse"], rel=1e-6)


@pytest.mark.parametrize("task", NUMBERS.values(), ids=NUMBERS)
def test_predictions_are_kept_in_units(task: Task):
    found, made, target = measured(task, built(task, "mse"))
    torch.testing.assert_close(found.result.prediction, target.inverse(made))
    torch.testing.assert_close(found.result.target, raw_target(task), rtol=1e-6, atol=1e-6)


def test_classes_are_measured_by_the_probabilities():
    loss, rows, model = built(CLASSES, "cross_entropy"), labelled(), network(3)
    wanted = [filled("metric", name) for name in ("accuracy", "log_loss")]
    found = evaluate(model, loss, rows, Target(1), CLASSES, wanted)
    made = model.eval()(rows.inputs).detach()
    by_hand = float(F.cross_entropy(made, rows.target))
    assert found.loss == pytest.approx(by_hand, rel=1e-6)
    assert found.metrics["log_loss"] == pytest.approx(by_hand, rel=1e-6)
    right = int((made.argmax(1) == rows.target).sum())
    assert found.metrics["accuracy"] == right / ROWS
    torch.testing.assert_close(found.result.prediction, made.softmax(1))
    assert torch.equal(found.result.target, rows.target)


@pytest.mark.parametrize("chunk", [1, 7, 39, 40, 41])
def test_the_size_of_a_chunk_makes_no_difference(chunk: int, monkeypatch: pytest.MonkeyPatch):
    task = NUMBERS["targets of different scales"]
    whole, made, _ = measured(task, built(task, "mse"), "rmse", "r2")
    monkeypatch.setattr(evaluation, "CHUNK", chunk)
    cut, pieces, _ = measured(task, built(task, "mse"), "rmse", "r2")
    torch.testing.assert_close(pieces, made, rtol=1e-5, atol=1e-6)
    assert cut.loss == pytest.approx(whole.loss, rel=1e-5)
    assert cut.metrics == pytest.approx(whole.metrics, rel=1e-5)


def test_more_rows_than_a_chunk_come_out_in_order():
    rows = torch.arange(2.0 * evaluation.CHUNK + 5).unsqueeze(1)
    assert torch.equal(outputs(nn.Identity(), rows), rows)


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_in_the_mode_it_was_in(training: bool):
    model = network(3).train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    evaluate(model, built(CLASSES, "cross_entropy"), labelled(), Target(1), CLASSES, [])
    assert all(module.training == training for module in model.modules())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_measuring_is_done_in_evaluation_mode_and_without_gradient():
    model, rows = network(3), labelled()
    made = outputs(model, rows.inputs)
    assert not made.requires_grad
    assert torch.equal(made, model.eval()(rows.inputs))


def test_a_network_of_low_precision_is_measured_in_the_precision_of_its_rows():
    model, rows = network(3).to(torch.bfloat16), labelled()
    rows = Matrix(rows.inputs.bfloat16(), rows.target)
    found = evaluate(model, built(CLASSES, "cross_entropy"), rows, Target(1), CLASSES, [])
    made = model.eval()(rows.inputs).float().detach()
    assert found.loss == pytest.approx(float(F.cross_entropy(made, rows.target)), rel=1e-6)


LABELS = Task("multilabel", ("a", "b"), (), (20, 10))


def test_labels_are_measured_one_by_one():
    loss, rows, model = built(LABELS, "bce_with_logits"), labelled(), network(2)
    yes = torch.stack([rows.target > 0, rows.target > 1], 1).float()
    wanted = [filled("metric", name) for name in ("accuracy", "exact_match")]
    found = evaluate(model, loss, Matrix(rows.inputs, yes), Target(2), LABELS, wanted)
    made = model.eval()(rows.inputs).detach()
    by_hand = F.binary_cross_entropy_with_logits(made, yes)
    assert found.loss == pytest.approx(float(by_hand), rel=1e-6)
    right = (made > 0) == yes.bool()
    assert found.metrics["accuracy"] == pytest.approx(float(right.double().mean()))
    assert found.metrics["exact_match"] == pytest.approx(float(right.all(1).double().mean()))
    torch.testing.assert_close(found.result.prediction, made.sigmoid())
    assert found.result.target.dtype == torch.int64


def test_scaled_errors_are_those_in_deviations_of_the_training_target():
    task = NUMBERS["targets of different scales"]
    found, made, target = measured(task, built(task, "mse"), "scaled_mse", "scaled_mae")
    error = made - target(raw_target(task))
    assert found.metrics == pytest.approx(
        {"scaled_mse": float(error.square().mean()), "scaled_mae": float(error.abs().mean())},
        rel=1e-5,
    )


def test_a_target_s_logarithm_is_undone_before_metrics():
    task, target = NUMBERS["one target"], Target(1)
    raw = raw_target(task).abs()
    target.fit(raw, transform="log1p")
    inputs = torch.randn(ROWS, FEATURES, generator=torch.Generator().manual_seed(2))
    model, rows = network(1), Matrix(inputs, target(raw).float())
    found = evaluate(model, built(task, "mse"), rows, target, task, [filled("metric", "mae")])
    made = outputs(model, inputs).double()
    predicted = torch.exp(made * target.scale + target.mean) - 1
    assert found.metrics["mae"] == pytest.approx(float((predicted - raw).abs().mean()), rel=1e-4)
    torch.testing.assert_close(found.result.target, raw, rtol=1e-5, atol=1e-5)


def test_windows_are_measured_as_a_table_s_rows_are():
    """Whatever gives the rows, all of them count once."""
    steps = torch.randn(30, 1, generator=torch.Generator().manual_seed(0))
    rows = Windows(steps, steps, torch.arange(26), 3, 2)
    task, loss = Task("regression", ("y+1", "y+2")), built(Task("regression", ("y", "z")), "mse")
    model = nn.Sequential(nn.Flatten(), nn.Linear(3, 2))
    found = evaluate(model, loss, rows, Target(2), task, [])
    seen = torch.stack([steps[i : i + 3, 0] for i in range(26)])
    ahead = torch.stack([steps[i + 3 : i + 5, 0] for i in range(26)])
    by_hand = F.mse_loss(model[1](seen), ahead)
    assert found.loss == pytest.approx(float(by_hand.detach()), rel=1e-6)
