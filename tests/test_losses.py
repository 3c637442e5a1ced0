"""The losses against torch's own, and the contract that every registered loss keeps."""

import math
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.func import grad, vmap
from torch.nn import functional as F

from nnarch.data.task import Task
from nnarch.errors import ConfigError
from nnarch.losses import Loss
from nnarch.registry import losses
from nnarch.validate import fill_component

ROWS = 12
TASKS = {
    "regression": Task("regression", ("a", "b")),
    "binary": Task("binary", ("y",), ("no", "yes"), (30, 10)),
    "multiclass": Task("multiclass", ("y",), ("x", "y", "z"), (50, 30, 20)),
    "multilabel": Task("multilabel", ("p", "q", "r"), (), (50, 30, 20)),
}
MEMBERS = [(loss.name, kind) for loss in losses for kind in loss.facts["tasks"]]
OF_CLASSES = [(name, kind) for name, kind in MEMBERS if TASKS[kind].classes]
OF_NUMBERS = [loss.name for loss in losses if "regression" in loss.facts["tasks"]]


def build(name: str, task: Task, **options: object) -> Loss:
    spec, faults = fill_component("loss", {"name": name, **options}, ())
    assert not faults
    return losses.build(spec, task)


def rows(task: Task, loss: Loss, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(ROWS, loss.outputs, generator=generator)
    if task.classes:
        return outputs, torch.randint(len(task.classes), (ROWS,), generator=generator)
    if task.kind == "multilabel":
        return outputs, torch.randint(2, (ROWS, len(task.targets)), generator=generator).float()
    return outputs, torch.rand(ROWS, len(task.targets), generator=generator) * 4


@pytest.mark.parametrize(("name", "kind"), MEMBERS)
def test_contract(name: str, kind: str):
    task = TASKS[kind]
    loss = build(name, task)
    outputs, targets = rows(task, loss)
    values, predicted = loss.values(outputs, targets), loss.predict(outputs)
    assert values.shape == targets.shape
    assert values.isfinite().all()
    assert values.dtype == predicted.dtype == outputs.dtype
    if task.classes:
        assert predicted.shape == (ROWS, len(task.classes))
        assert predicted.min() >= 0
        torch.testing.assert_close(predicted.sum(1), torch.ones(ROWS))
    else:
        assert predicted.shape == targets.shape
        assert kind == "regression" or (predicted.min() >= 0 and predicted.max() <= 1)


@pytest.mark.parametrize(("name", "kind"), MEMBERS)
def test_each_row_alone_gives_the_same_values(name: str, kind: str):
    loss = build(name, TASKS[kind])
    outputs, targets = rows(TASKS[kind], loss)
    alone = [loss.values(outputs[i : i + 1], targets[i : i + 1]) for i in range(ROWS)]
    torch.testing.assert_close(loss.values(outputs, targets), torch.cat(alone))


@pytest.mark.parametrize(("name", "kind"), MEMBERS)
def test_many_networks_at_once_give_what_each_gives_alone(name: str, kind: str):
    loss = build(name, TASKS[kind])
    if TASKS[kind].counts:
        loss = build(name, TASKS[kind], class_weights="balanced")
    stacks = [rows(TASKS[kind], loss, seed) for seed in range(3)]
    outputs, targets = (torch.stack(parts) for parts in zip(*stacks, strict=True))

    def mean(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return loss.values(outputs, targets).mean()

    together = vmap(grad(mean))(outputs, targets)
    for slopes, one, target in zip(together, outputs, targets, strict=True):
        one.requires_grad_()
        mean(one, target).backward()
        torch.testing.assert_close(slopes, one.grad)
    predicted = torch.stack([loss.predict(one) for one in outputs])
    torch.testing.assert_close(vmap(loss.predict)(outputs), predicted)


@pytest.mark.parametrize(("name", "kind"), MEMBERS)
def test_a_step_downhill_lowers_the_loss(name: str, kind: str):
    loss = build(name, TASKS[kind])
    outputs, targets = rows(TASKS[kind], loss)
    slopes = grad(lambda outputs: loss.values(outputs, targets).mean())(outputs)
    stepped = loss.values(outputs - 0.01 * slopes, targets)
    assert stepped.mean() < loss.values(outputs, targets).mean()


@pytest.mark.parametrize(("name", "kind"), OF_CLASSES)
def test_a_loss_of_classes_rewards_the_true_class(name: str, kind: str):
    task = TASKS[kind]
    loss = build(name, task)
    targets = torch.arange(len(task.classes))
    pointing = {1: torch.tensor([[-3.0], [3.0]])}.get(loss.outputs, 6 * torch.eye(len(targets)))
    assert torch.equal(loss.predict(pointing).argmax(1), targets)
    assert (loss.values(pointing, targets) < loss.values(-pointing, targets)).all()


@pytest.mark.parametrize("component", list(losses), ids=lambda loss: loss.name)
def test_every_option_has_a_sentence(component):
    assert component.summary.endswith(".")
    for name, field in component.schema.model_fields.items():
        assert field.description, name


REFERENCES = {
    "mse": ({}, nn.MSELoss(reduction="none")),
    "l1": ({}, nn.L1Loss(reduction="none")),
    "huber": ({"delta": 0.3}, nn.HuberLoss(reduction="none", delta=0.3)),
    "smooth_l1": ({"beta": 0.3}, nn.SmoothL1Loss(reduction="none", beta=0.3)),
    "poisson_nll": ({"full": True}, nn.PoissonNLLLoss(full=True, reduction="none")),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_losses_of_numbers_are_those_of_torch(name: str):
    options, reference = REFERENCES[name]
    loss = build(name, TASKS["regression"], **options)
    outputs, targets = rows(TASKS["regression"], loss)
    torch.testing.assert_close(loss.values(outputs, targets), reference(outputs, targets))


@pytest.mark.parametrize("full", [False, True])
def test_gaussian_nll_is_that_of_torch(full: bool):
    loss = build("gaussian_nll", TASKS["regression"], full=full, eps=0.01)
    outputs, targets = rows(TASKS["regression"], loss)
    mean, variance = outputs[:, :2], F.softplus(outputs[:, 2:]) + 0.01
    reference = nn.GaussianNLLLoss(full=full, reduction="none")(mean, targets, variance)
    torch.testing.assert_close(loss.values(outputs, targets), reference)
    assert torch.equal(loss.predict(outputs), mean)


def test_poisson_nll_predicts_the_expected_count():
    loss = build("poisson_nll", Task("regression", ("count",)))
    assert loss.predict(torch.tensor([[math.log(7)]])).item() == pytest.approx(7)


# What each loss says of unscaled numbers, its thresholds in their units.
UNSCALED = {
    "mse": lambda o, y, s: F.mse_loss(o * s, y * s, reduction="none"),
    "l1": lambda o, y, s: F.l1_loss(o * s, y * s, reduction="none"),
    "huber": lambda o, y, s: F.huber_loss(o * s, y * s, reduction="none", delta=float(s)),
    "smooth_l1": lambda o, y, s: F.smooth_l1_loss(o * s, y * s, reduction="none", beta=float(s)),
    "gaussian_nll": lambda o, y, s: F.gaussian_nll_loss(
        o[:, :1] * s, y * s, (F.softplus(o[:, 1:]) + 1e-6) * s**2, reduction="none"
    ),
    "poisson_nll": lambda o, y, s: F.poisson_nll_loss(o, y, reduction="none"),
}


@pytest.mark.parametrize("name", OF_NUMBERS)
def test_in_units_is_the_loss_of_the_unscaled_numbers(name: str):
    scales = torch.tensor([3.0, 0.2], dtype=torch.float64)
    one = Task("regression", ("y",))
    loss = build(name, one)
    outputs, targets = (part.double() for part in rows(one, loss))
    mean = loss.values(outputs, targets).mean(0)
    expected = torch.cat([UNSCALED[name](outputs, targets, scale).mean(0) for scale in scales])
    torch.testing.assert_close(loss.in_units(mean.expand(2), scales), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_cross_entropy_is_that_of_torch(kind: str, smoothing: float):
    task = TASKS[kind]
    loss = build("cross_entropy", task, label_smoothing=smoothing)
    outputs, targets = rows(task, loss)
    reference = nn.CrossEntropyLoss(label_smoothing=smoothing, reduction="none")
    torch.testing.assert_close(loss.values(outputs, targets), reference(outputs, targets))
    torch.testing.assert_close(loss.predict(outputs), outputs.softmax(1))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_weighted_cross_entropy_averages_as_torch_does(smoothing: float):
    task, weights = TASKS["multiclass"], torch.tensor([1.0, 2.0, 5.0])
    given = dict(zip(task.classes, weights.tolist(), strict=True))
    loss = build("cross_entropy", task, label_smoothing=smoothing, class_weights=given)
    outputs, targets = rows(task, loss)
    scaled = weights * 100 / (50 * 1 + 30 * 2 + 20 * 5)
    mine = loss.values(outputs, targets).sum() / scaled[targets].sum()
    reference = nn.CrossEntropyLoss(weights, label_smoothing=smoothing)(outputs, targets)
    torch.testing.assert_close(mine, reference)


@pytest.mark.parametrize(("p", "margin"), [(1, 1.0), (2, 0.5)])
def test_multi_margin_is_that_of_torch(p: int, margin: float):
    loss = build("multi_margin", TASKS["multiclass"], p=p, margin=margin)
    outputs, targets = rows(TASKS["multiclass"], loss)
    reference = nn.MultiMarginLoss(p, margin, reduction="none")
    torch.testing.assert_close(loss.values(outputs, targets), reference(outputs, targets))


def test_losses_of_one_output_are_those_of_torch():
    task = TASKS["binary"]
    bce, soft = build("bce_with_logits", task), build("soft_margin", task)
    outputs, targets = rows(task, bce)
    logits = outputs[:, 0]
    reference = nn.BCEWithLogitsLoss(reduction="none")(logits, targets.float())
    torch.testing.assert_close(bce.values(outputs, targets), reference)
    reference = nn.SoftMarginLoss(reduction="none")(logits, 2 * targets.float() - 1)
    torch.testing.assert_close(soft.values(outputs, targets), reference)
    torch.testing.assert_close(bce.predict(outputs)[:, 1], logits.sigmoid())


@pytest.mark.parametrize("name", [name for name, kind in MEMBERS if kind == "binary"])
def test_far_outputs_stay_finite(name: str):
    loss = build(name, TASKS["binary"])
    outputs = torch.tensor([[-1e4], [1e4]]).expand(2, loss.outputs)
    for targets in (torch.tensor([0, 0]), torch.tensor([1, 1])):
        assert loss.values(outputs, targets).isfinite().all()
    assert loss.predict(outputs).isfinite().all()


@pytest.mark.parametrize(("name", "kind"), OF_CLASSES)
def test_class_weights_multiply_rows_and_average_to_one(name: str, kind: str):
    task = TASKS[kind]
    targets = torch.arange(len(task.classes)).repeat_interleave(torch.tensor(task.counts))
    plain, balanced = build(name, task), build(name, task, class_weights="balanced")
    outputs = torch.randn(len(targets), plain.outputs, generator=torch.Generator().manual_seed(1))
    weights = balanced.values(outputs, targets) / plain.values(outputs, targets)
    counts = torch.tensor(task.counts, dtype=torch.float32)
    expected = counts.sum() / (len(counts) * counts)
    weights = torch.where(plain.values(outputs, targets) == 0, expected[targets], weights)
    torch.testing.assert_close(weights, expected[targets])
    assert weights.mean().item() == pytest.approx(1, abs=1e-5)


def test_labels_are_a_yes_or_no_each():
    task = TASKS["multilabel"]
    loss = build("bce_with_logits", task)
    outputs, targets = rows(task, loss)
    reference = nn.BCEWithLogitsLoss(reduction="none")(outputs, targets)
    torch.testing.assert_close(loss.values(outputs, targets), reference)
    torch.testing.assert_close(loss.predict(outputs), outputs.sigmoid())


@pytest.mark.parametrize(
    "given", ["balanced", {"p": 1 / 50, "q": 1 / 30, "r": 1 / 20}], ids=["balanced", "by name"]
)
def test_weights_of_labels_multiply_their_columns(given: object):
    task = TASKS["multilabel"]
    plain = build("bce_with_logits", task)
    weighted = build("bce_with_logits", task, class_weights=given)
    outputs, targets = rows(task, plain)
    weights = weighted.values(outputs, targets) / plain.values(outputs, targets)
    expected = 100 / (3 * torch.tensor([50.0, 30.0, 20.0]))  # every label has the same say
    torch.testing.assert_close(weights, expected.expand(ROWS, 3))


def test_far_outputs_of_labels_stay_finite():
    loss = build("bce_with_logits", TASKS["multilabel"])
    outputs = torch.tensor([[-1e4, 1e4, 0.0]])
    for truth in (torch.zeros(1, 3), torch.ones(1, 3)):
        assert loss.values(outputs, truth).isfinite().all()
    assert loss.predict(outputs).tolist() == [[0.0, 1.0, 0.5]]


def test_weights_of_labels_name_exactly_the_labels():
    with pytest.raises(ConfigError, match="no weight for class 'r'; expected a weight for each"):
        build("bce_with_logits", TASKS["multilabel"], class_weights={"p": 1, "q": 2})


def test_equal_class_weights_change_nothing():
    task = TASKS["multiclass"]
    equal = build("cross_entropy", task, class_weights=dict.fromkeys(task.classes, 7.0))
    outputs, targets = rows(task, equal)
    plain = build("cross_entropy", task).values(outputs, targets)
    torch.testing.assert_close(equal.values(outputs, targets), plain)


def test_class_weights_name_exactly_the_classes():
    with pytest.raises(ConfigError) as caught:
        build("cross_entropy", TASKS["multiclass"], class_weights={"x": 1, "y": 2, "q": 3})
    assert caught.value.lines == [
        "loss.class_weights: unknown class 'q'; expected a weight for each of: x, y, z",
        "loss.class_weights: no weight for class 'z'; expected a weight for each of: x, y, z",
    ]


def test_class_weights_must_be_positive():
    _, faults = fill_component("loss", {"name": "cross_entropy", "class_weights": {"x": 0}}, ())
    assert [fault.path[0] for fault in faults] == ["class_weights"]
    assert "number > 0" in faults[0].message


def test_the_catalogues_import_neither_torch_nor_scikit_learn():
    program = """
import sys
from nnarch.registry import REGISTRIES
for kind in ("loss", "optimizer", "schedule", "metric", "activation", "initialization"):
    assert all(component.schema for component in REGISTRIES[kind])
print(*{"torch", "numpy", "sklearn"} & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
