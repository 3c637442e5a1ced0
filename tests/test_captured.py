"""A whole step that works on the same memory every time, which is what a CUDA graph repeats.

Where there is no GPU, the step is done anew in place of a replay; all else is the same.
"""

from dataclasses import replace
from typing import Any

import pytest
import torch

from nnarch import config as configs
from nnarch import experiment
from nnarch.engine.captured import Captured
from nnarch.engine.eager import Eager
from nnarch.experiment import Experiment
from nnarch.freezing import set_to_train
from nnarch.optim.stepper import Stepper
from nnarch.registry import optimizers
from outcome import trained

BASE: dict[str, Any] = {
    "data": {"source": "synthetic", "rows": 150, "features": 4, "noise": 0.5},
    "model": {"widths": [6, 5]},
    "precision": "float64",
    "schedule": "cosine",
    "batch_size": 32,
    "epochs": 3,
    "threads": 1,
    "device": "cpu",
}
CASES: dict[str, dict[str, Any]] = {
    "buffers": {"model": {"widths": [6], "normalization": "batch"}, "optimizer": "sgd"},
    "clip": {"clip": {"norm": 0.5}},
    "groups": {"optimizer": {"name": "adam", "groups": [{"match": "biases", "lr": 0.1}]}},
    "classes": {"data": {"source": "synthetic", "kind": "blobs", "rows": 150, "classes": 3}},
    "average": {"average": {"decay": 0.9}},
    "frozen": {"freeze": ["0.*"]},
    "dropout": {"model": {"widths": [6], "dropout": 0.5}},
}


def prepared(changes: dict[str, Any]) -> Experiment:
    return experiment.prepare(configs.load({**BASE, **changes}))


def with_step(ready: Experiment, kind: type[Eager] | type[Captured]) -> Experiment:
    gradient, optimizer = ready.stepping(ready.training).gradient, ready.training.optimizer
    assert isinstance(optimizer, Stepper)
    step = Eager(gradient, optimizer)
    if kind is Captured:
        set_to_train(ready.training.network)
        rows = ready.rows["train"]
        batches = list(rows.first(64).epoch([32, 32], 0, 1, "sequential"))
        step = Captured(gradient, optimizer, batches)  # the smaller one at the end is met later
    ready.engine = replace(ready.engine, step=step)
    return ready


def check(changes: dict[str, Any], rel: float = 1e-9) -> None:
    ours, theirs = (with_step(prepared(changes), kind) for kind in (Captured, Eager))
    for mine, other in zip(trained(ours), trained(theirs), strict=True):
        assert mine.train_loss == pytest.approx(other.train_loss, rel=rel)
        assert mine.val_loss == pytest.approx(other.val_loss, rel=rel)
        assert mine.lr == other.lr
    mine, other = (each.training.network.state_dict() for each in (ours, theirs))
    for name, value in other.items():
        torch.testing.assert_close(mine[name], value, rtol=rel, atol=rel)
    state, expected = (each.training.optimizer.state_dict() for each in (ours, theirs))
    for number, numbers in expected["state"].items():
        for name, value in numbers.items():
            assert type(state["state"][number][name]) is type(value)  # one number is a plain one
            torch.testing.assert_close(state["state"][number][name], value, rtol=rel, atol=rel)


@pytest.mark.parametrize("name", sorted(set(optimizers.names()) - {"lbfgs", "muon"}))
def test_any_rule_takes_the_steps_that_it_takes_by_autograd(name: str) -> None:
    check({"optimizer": name})


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_whatever_a_step_is_made_of_it_is_the_same(changes: dict[str, Any]) -> None:
    check(changes)


def test_what_moves_stays_as_it_is_while_steps_are_captured() -> None:
    ready = with_step(prepared({"optimizer": "adamw"}), Eager)
    trained(ready)
    before = {name: value.clone() for name, value in ready.training.network.state_dict().items()}
    state, chance = str(ready.training.optimizer.state_dict()), torch.get_rng_state()
    with_step(ready, Captured)
    for name, value in ready.training.network.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert str(ready.training.optimizer.state_dict()) == state
    assert torch.equal(torch.get_rng_state(), chance)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop"])
def test_a_graph_ends_where_autograd_ends(name: str) -> None:
    changes = {"device": "cuda", "optimizer": name}
    assert prepared(changes).engine.name == "captured"
    ours, theirs = trained(prepared(changes)), trained(prepared({**changes, "device": "cpu"}))
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.train_loss == pytest.approx(other.train_loss, rel=1e-7)
        assert mine.val_loss == pytest.approx(other.val_loss, rel=1e-7)
