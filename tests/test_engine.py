"""The engines: whichever takes the steps of a run, it ends at the same bits."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nnarch
from nnarch import config as configs
from nnarch import engine as engines
from nnarch import experiment
from nnarch.engine.eager import Eager
from nnarch.experiment import Experiment
from nnarch.losses import Loss
from nnarch.registry import losses, models, optimizers
from outcome import trained

NUMBERS = {"source": "synthetic", "rows": 150, "features": 4, "noise": 0.5}
CLASSES = {"source": "synthetic", "kind": "blobs", "rows": 150, "features": 4, "classes": 3}
TWO = {**CLASSES, "classes": 2}
DIGITS = {"source": "sklearn", "dataset": "digits", "images": True}
IMAGES = {"data": DIGITS, "batch_size": 600, "epochs": 1}
WAVES = {"source": "waves", "steps": 120, "lookback": 12, "horizon": 2}
BASE: dict[str, Any] = {
    "data": NUMBERS,
    "model": {"widths": [6, 5]},
    "batch_size": 32,
    "epochs": 2,
    "threads": 1,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "mlp": {"model": {"widths": [6, 5], "dropout": 0.2, "normalization": "batch"}},
    "resnet_mlp": {"model": {"name": "resnet_mlp", "width": 8, "depth": 1}},
    "ft_transformer": {"model": {"name": "ft_transformer", "width": 8, "depth": 1, "heads": 2}},
    "tabm": {"model": {"name": "tabm", "widths": [8], "members": 3}},
    "cnn": {**IMAGES, "model": {"name": "cnn", "widths": [4], "normalization": "batch"}},
    "resnet": {**IMAGES, "model": {"name": "resnet", "stages": [1, 1], "width": 4}},
    "mixer": {**IMAGES, "model": {"name": "mixer", "width": 8, "depth": 1, "patch": 4}},
    "vit": {**IMAGES, "model": {"name": "vit", "width": 8, "depth": 1, "heads": 2}},
    "rnn": {"data": WAVES, "model": {"name": "rnn", "width": 6}},
    "tcn": {"data": WAVES, "model": {"name": "tcn", "width": 4, "depth": 2}},
    "transformer": {"data": WAVES, "model": {"name": "transformer", "width": 8, "depth": 1}},
    "nlinear": {"data": WAVES, "model": "nlinear"},
    "dlinear": {"data": WAVES, "model": {"name": "dlinear", "kernel": 5}},
    "layers": {"model": {"name": "layers", "layers": [{"Linear": 6}, "SELU", {"Linear": "out"}]}},
}
OTHERS: dict[str, dict[str, Any]] = {
    "clip": {"clip": {"norm": 0.5, "value": 0.1}},
    "average": {"average": {"decay": 0.9}},
    "freeze": {"freeze": ["biases", "0.*"]},
    "freeze a normalization": {
        "model": {"widths": [6, 5], "normalization": "batch"},
        "freeze": ["1.*"],
    },
    "groups": {"optimizer": {"name": "adam", "groups": [{"match": "biases", "lr": 0.1}]}},
    "float64": {"precision": "float64"},
    "bf16": {"precision": "bf16"},
    "a rate that changes": {"schedule": {"name": "one_cycle"}, "optimizer": "adamw"},
    "balanced": {"data": CLASSES, "sampling": "balanced"},
    "class weights": {
        "data": CLASSES,
        "loss": {"name": "cross_entropy", "class_weights": "balanced", "label_smoothing": 0.1},
    },
    "mixed rows": {"data": DIGITS, "augment": ["flip", "mixup"], "batch_size": 600},
    "one row left over": {"data": {**NUMBERS, "rows": 121}},
    "wide": {"model": {"widths": [300, 300]}, "optimizer": "adamw"},
}


def prepared(changes: dict[str, Any]) -> Experiment:
    return experiment.prepare(configs.load({**BASE, **changes}))


def eager(ready: Experiment) -> Experiment:
    """The same, by autograd."""
    gradient = ready.stepping(ready.training).gradient
    step = Eager(gradient, ready.training.optimizer)
    ready.engine = replace(ready.engine, name="eager", step=step)
    return ready


def check(changes: dict[str, Any]) -> None:
    """Recorded, a config trains to the bits of autograd."""
    ours, theirs = prepared(changes), eager(prepared(changes))
    assert ours.engine.name == "recorded", ours.engine.why
    assert trained(ours) == trained(theirs)
    mine, other = (each.training.model.state_dict() for each in (ours, theirs))
    assert all(torch.equal(mine[name], other[name]) for name in other)


@pytest.mark.parametrize("family", sorted(set(models.names()) - {"gpt"}))
def test_any_family_is_recorded_to_the_same_bits(family: str) -> None:
    check(FAMILIES[family])


@pytest.mark.parametrize(
    "name",
    [each.name for each in optimizers if not each.facts.get("closure") and each.name != "muon"],
)
def test_any_optimizer_follows_the_same_gradient(name: str) -> None:
    check({"optimizer": name})


DATA: dict[str, dict[str, Any]] = {
    "regression": NUMBERS,
    "binary": TWO,
    "multiclass": CLASSES,
}


@pytest.mark.parametrize("loss", [each.name for each in losses])
def test_any_loss_is_recorded_to_the_same_bits(loss: str) -> None:
    kind = next(kind for kind in losses.get(loss).facts["tasks"] if kind in DATA)
    counts = kind == "regression" and not losses.get(loss).facts["standardize"]
    data = {"source": "sklearn", "dataset": "diabetes"} if counts else DATA[kind]
    check({"data": data, "loss": loss, "optimizer": {"name": "sgd", "lr": 1e-6}})


@pytest.mark.parametrize("changes", OTHERS.values(), ids=OTHERS)
def test_whatever_else_a_step_does_is_done_the_same(changes: dict[str, Any]) -> None:
    check(changes)


def test_a_table_on_disk_is_recorded_as_well(tmp_path: Path) -> None:
    lines = [f"{i % 7},{i % 5},{(i % 7) * (i % 5)}" for i in range(1000)]
    (tmp_path / "table.csv").write_text("\n".join(["a,b,y", *lines]))
    data = {"source": "csv", "path": str(tmp_path / "table.csv"), "target": "y", "stream": "always"}
    check({"data": data, "batch_size": 100})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"optimizer": "lbfgs", "batch_size": "all"}, "none of nnarch's own rules"),
        ({"optimizer": "muon"}, "none of nnarch's own rules"),
        ({"accumulate": 2}, "a step takes 2 batches"),
        ({"model": {"widths": [4096, 4096]}}, "the time of Python is next to nothing"),
    ],
)
def test_what_is_not_recorded_says_why(changes: dict[str, Any], why: str) -> None:
    engine = prepared(changes).engine
    assert engine.name == "eager"
    assert why in engine.why


def test_running_text_has_gaps_that_only_numbers_tell(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("\n".join(["anna", "otto", "eve", "bob"] * 30))
    data = {"source": "text", "path": str(tmp_path / "names.txt"), "context": 6}
    ready = prepared({"data": data, "model": {"name": "gpt", "width": 8, "depth": 1, "heads": 2}})
    assert (ready.engine.name, ready.engine.why) == (
        "eager", "indexing by a mask gives a result whose shape depends on numbers"
    )  # fmt: skip


def chosen(network: nn.Module, ready: Experiment, loss: Loss | None = None) -> engines.Engine:
    """The engine for another network or loss on the rows of `ready`."""
    stepper = optimizers.build(ready.config.optimizer, network.parameters())
    gradient = replace(
        ready.stepping(ready.training).gradient,
        network=network,
        parameters=list(network.parameters()),
        loss=loss or ready.loss,
    )
    batches = list(ready.rows["train"].first(64).epoch([32, 32], 0, 1, "sequential"))
    return engines.choose(gradient, stepper, None, batches, 1e6)


class Counting(nn.Linear):
    """One whose answer hangs on how often it was asked, which no tensor knows."""

    calls = 0

    def forward(self, input: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(input) * self.calls


def test_a_module_of_the_user_s_own_is_taken_as_it_comes() -> None:
    engine = chosen(nn.Sequential(Counting(4, 1)), prepared({}))
    assert (engine.name, engine.why) == (
        "eager", "Counting is not of nnarch, and may change by the step"
    )  # fmt: skip


class Distance:
    """A loss that is a thing, not a function."""

    def __call__(self, made: Tensor, target: Tensor) -> Tensor:
        return (made - target).abs()


@pytest.mark.parametrize(
    ("values", "named"),
    [(lambda made, target: (made - target).abs(), "<lambda>"), (Distance(), "Distance")],
)
def test_a_loss_of_the_user_s_own_is_taken_as_it_comes(
    values: Callable[[Tensor, Tensor], Tensor], named: str
) -> None:
    ready = prepared({})
    engine = chosen(nn.Linear(4, 1), ready, replace(ready.loss, values=values))
    assert (engine.name, engine.why) == (
        "eager", f"{named} is not of nnarch, and may change by the step"
    )  # fmt: skip


def test_what_gives_other_numbers_on_another_batch_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Counting, "__module__", "nnarch.somewhere")
    engine = chosen(Counting(4, 1), prepared({}))
    assert (engine.name, engine.why) == (
        "eager", "on another batch what was recorded gives other numbers"
    )  # fmt: skip


def test_a_batch_of_another_shape_is_taken_by_autograd() -> None:
    ours, theirs = prepared({}), eager(prepared({}))
    rows = ours.rows["train"]
    for ready in (ours, theirs):
        for batch in rows.first(100).epoch([32, 17, 51], 0, 1, "sequential"):
            ready.engine([engines.Plan([batch], [0.1])])
    mine, other = (each.training.network.state_dict() for each in (ours, theirs))
    assert all(torch.equal(mine[name], other[name]) for name in other)


def test_a_run_keeps_which_engine_it_had_and_why(tmp_path: Path) -> None:
    run = nnarch.train({**BASE, "name": "small"}, runs_dir=tmp_path)
    assert run.about["engine"]["name"] == "recorded"
    assert run.about["engine"]["why"].endswith(" operations a gradient")
    run = nnarch.train({**BASE, "name": "small", "accumulate": 2}, runs_dir=tmp_path)
    assert run.about["engine"] == {"name": "eager", "why": "a step takes 2 batches"}


def test_choosing_leaves_everything_as_it_was() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    ready = prepared(FAMILIES["mlp"])
    assert ready.engine.name == "recorded"
    assert torch.equal(torch.get_rng_state(), before)
    fresh = experiment.training_of(ready.config, ready.training.network).network
    assert not any(buffer.any() for name, buffer in fresh.named_buffers() if "mean" in name)
    assert all(each.grad is None for each in ready.training.network.parameters())
