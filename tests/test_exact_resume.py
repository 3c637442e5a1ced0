"""A run that goes on where it was left: the same to the last bit, whatever it is made of.

Each is left three times, after its first epoch, in its midst and after its last, and taken up
again from its directory alone. Optimizers and schedules are walked rather than listed, so that
one which is added later is held to it as well.
"""

import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

import nnarch
from bits import differences
from harness import Start
from nnarch import config as configs
from nnarch import experiment, resumption
from nnarch import run as runs
from nnarch.component import Component
from nnarch.listing import runlist
from nnarch.registry import optimizers, schedules
from nnarch.rundir import RunDir
from nnarch.validate import json_schema

EPOCHS = 4
BASE: dict[str, Any] = {
    "name": "exact",
    "data": {"source": "synthetic", "rows": 80, "features": 3, "noise": 0.5},
    "model": {"widths": [6, 5], "dropout": 0.2, "normalization": "batch"},
    "batch_size": 20,
    "epochs": EPOCHS,
    "threads": 1,
}
VALUES = {"integer": 2, "number": 0.5, "array": [2]}  # of options that have no default


def left_after(epoch: int, config: dict[str, Any], root: Path) -> RunDir:
    """A run that nobody cared for any more once so many epochs had ended."""
    ready = experiment.prepare(configs.load(config))
    with runs.start(ready, root, ["test"]) as run:
        _go(ready, run, epoch)
    return run


def in_pieces(config: dict[str, Any], root: Path, left: Sequence[int]) -> RunDir:
    """A run that was left after so many epochs, again and again, and then ran to its end."""
    run = left_after(left[0], config, root)
    for epoch in left[1:]:
        with run.lock():
            _go(resumption.prepare(run).experiment, run, epoch)
    assert run.about["status"] == "interrupted"
    return nnarch.resume(run)


def _go(ready: experiment.Experiment, run: RunDir, last: int) -> None:
    """Train until epoch `last` has ended, and take no more interest."""
    records = runs.train(ready, run)
    while ready.training.epoch < last:
        next(records)
    records.close()


def check(config: dict[str, Any], place: Path, left: Sequence[int] = (1, 3)) -> None:
    config = {**BASE, **config}
    whole = nnarch.train(config, runs_dir=place / "whole")
    assert differences(in_pieces(config, place / "pieces", left), whole) == []


def fewest(component: Component) -> dict[str, Any]:
    """`component` with as few options as it allows."""
    options = json_schema(component.schema).get("properties", {})
    fields = component.schema.model_fields.items()
    needed = {name: VALUES[options[name]["type"]] for name, f in fields if f.is_required()}
    return {"name": component.name, **needed}


@pytest.mark.parametrize("optimizer", list(optimizers), ids=lambda one: one.name)
def test_any_optimizer_goes_on_exactly(optimizer: Component, tmp_path: Path):
    size = {"batch_size": "all"} if optimizer.facts.get("closure") else {}
    model = {"widths": [6, 5], "dropout": 0.2}
    check({"optimizer": fewest(optimizer), "model": model, **size}, tmp_path)


@pytest.mark.parametrize("schedule", list(schedules), ids=lambda one: one.name)
def test_any_schedule_goes_on_exactly(schedule: Component, tmp_path: Path):
    check({"schedule": {**fewest(schedule), "warmup": 1.5}}, tmp_path)


CLASSES = {"source": "synthetic", "kind": "spirals", "rows": 90}
DIGITS = {"source": "sklearn", "dataset": "digits", "images": True}
WAVES = {"source": "waves", "steps": 200, "lookback": 12, "horizon": 2}
CNN = {"name": "cnn", "widths": [4], "normalization": "batch", "hidden": [8], "dropout": 0.1}
SLOW = {"epochs": 2, "batch_size": 256}
DEEP = [{"Linear": 6}, {"repeat": 4, "do": [{"residual": [{"Linear": "same"}], "drop": 0.5}]}]
CASES: dict[str, dict[str, Any]] = {
    "balanced": {"data": CLASSES, "sampling": "balanced"},
    "sequential": {"sampling": "sequential"},
    "last batch dropped": {"batch_size": 30, "last_batch": "drop"},
    "several batches a step": {"batch_size": 9, "accumulate": 3},
    "clip": {"clip": {"norm": 0.5, "value": 0.1}},
    "average": {"average": {"decay": 0.9}},
    "average without normalization": {"average": {"decay": 0.9}, "model": {"widths": [5]}},
    "freeze": {"freeze": ["biases", "0.*"]},
    "groups": {
        "optimizer": {
            "name": "adam",
            "groups": [{"match": "biases", "weight_decay": 0}, {"match": "0.*", "lr": 0.01}],
        }
    },
    "groups of muon": {
        "optimizer": {"name": "muon", "groups": [{"match": "0.*", "lr": 0.01}]},
    },
    "amsgrad": {"optimizer": {"name": "adamw", "amsgrad": True}},
    "momentum": {"optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True, "lr": 0.05}},
    "centered": {"optimizer": {"name": "rmsprop", "centered": True, "momentum": 0.5}},
    "plateau that falls": {"schedule": {"name": "plateau", "patience": 0, "cooldown": 1}},
    "float64": {"precision": "float64"},
    "bf16": {"precision": "bf16"},
    "class weights": {
        "data": CLASSES,
        "loss": {"name": "cross_entropy", "class_weights": "balanced", "label_smoothing": 0.1},
    },
    "monitor last": {"monitor": "last"},
    "monitor a metric": {"monitor": "val_r2"},
    "a fold": {"data": {**BASE["data"], "split": {"folds": 3, "fold": 2}}},
    "layers that are left out": {
        "model": {"name": "layers", "layers": [*DEEP, {"Linear": "out"}]},
        "batch_size": 8,
    },
    "augmented images": {
        "data": DIGITS,
        "model": CNN,
        "augment": [{"name": "shift", "pixels": 1}, "rotate", "cutout", "noise", "mixup"],
        **SLOW,
    },
    "more augmented images": {"data": DIGITS, "model": CNN, "augment": ["flip", "crop"], **SLOW},
    "recurrent network": {"data": WAVES, "model": {"name": "rnn", "width": 6}},
    "series": {"data": WAVES, "model": {"name": "tcn", "width": 4, "depth": 2}},
    "ensemble": {"model": {"name": "tabm", "widths": [8], "members": 3}},
    "numbers as vectors": {"model": {"widths": [6], "numbers": "periodic"}},
    "bins that are fitted": {"model": {"widths": [6], "numbers": "piecewise"}},
    "attention": {"model": {"name": "ft_transformer", "width": 8, "depth": 1, "heads": 2}},
    "where numbers lie decides the last bit": {
        "data": {"source": "synthetic", "rows": 300, "features": 7, "noise": 0.5},
        "model": {"widths": [37, 101, 53]},
        "optimizer": "sgd",
        "batch_size": 1,
        "epochs": 2,
    },
    "early stopping": {"early_stopping": {"patience": 2, "min_delta": 0.5}, "epochs": 9},
}


@pytest.mark.parametrize("config", CASES.values(), ids=CASES)
def test_whatever_a_run_is_made_of_it_goes_on_exactly(config: dict[str, Any], tmp_path: Path):
    check(config, tmp_path, left=(1,) if config.get("epochs") == SLOW["epochs"] else (1, 3))


def test_a_run_that_is_left_after_its_last_epoch_is_measured_exactly(tmp_path: Path):
    check({"average": {"decay": 0.9}}, tmp_path, left=(EPOCHS, EPOCHS))


def test_a_table_that_stays_on_disk_goes_on_exactly(tmp_path: Path):
    chance = random.Random(0)
    lines = [f"{(a := chance.random())},{(b := chance.random())},{a * b}" for _ in range(5000)]
    (tmp_path / "table.csv").write_text("\n".join(["a,b,y", *lines]))
    data = {"source": "csv", "path": str(tmp_path / "table.csv"), "target": "y", "stream": "always"}
    check({"data": data, "batch_size": 500}, tmp_path)


@pytest.mark.parametrize(
    "model",
    [
        {"name": "gpt", "width": 8, "depth": 1, "heads": 2},
        {"name": "rnn", "width": 6},
    ],
    ids=["passages", "contexts"],
)
def test_running_text_goes_on_exactly(model: dict[str, Any], tmp_path: Path):
    chance = random.Random(0)
    words = ("".join(chance.choices("abcde", k=chance.randint(2, 6))) for _ in range(120))
    (tmp_path / "words.txt").write_text("\n".join(words))
    data = {"source": "text", "path": str(tmp_path / "words.txt"), "context": 8}
    check({"data": data, "model": model}, tmp_path)


def test_two_threads_go_on_exactly(tmp_path: Path):
    data = {"source": "synthetic", "rows": 600, "features": 64}
    check({"data": data, "model": {"widths": [256]}, "batch_size": "all", "threads": 2}, tmp_path)


def test_what_a_run_began_from_is_not_needed_to_go_on(tmp_path: Path):
    first = nnarch.train(BASE, runs_dir=tmp_path / "first")
    config = {**BASE, "init_from": str(first.path), "seed": 1}
    whole = nnarch.train(config, runs_dir=tmp_path / "whole")
    run = left_after(2, config, tmp_path / "pieces")
    shutil.rmtree(first.path)
    assert differences(nnarch.resume(run), whole) == []


PLUGIN = '''\
import random

import numpy
import torch
from nnarch import register
from nnarch.options import Positive


@register("activation")
class fickle(torch.nn.Module):
    """Noise of every kind, in training and beyond."""

    def forward(self, x):
        noise = random.gauss(0, 1) + numpy.random.standard_normal() + torch.randn(())
        return torch.tanh(x) + 0.1 * noise


@register("optimizer")
class tiring(torch.optim.Optimizer):
    """Smaller steps the more it has done, which it counts where it keeps its rate."""

    def __init__(self, parameters, *, lr: Positive = 0.1):
        super().__init__(parameters, {"lr": lr, "done": 0, "scale": 1.0})

    @torch.no_grad()
    def step(self, closure):
        with torch.enable_grad():
            loss = closure()
        for group in self.param_groups:
            group["done"] += 1
            group["scale"] *= 0.9
            for weight in group["params"]:
                weight -= group["lr"] * group["scale"] / group["done"] * weight.grad
        return loss


@register("schedule")
class wavering:
    """Half the rate after an epoch that was worse than the one before."""

    def __init__(self, epochs: int):
        self.last, self.now = None, 1.0

    def __call__(self, epoch):
        return self.now

    def observe(self, value):
        self.now = 1.0 if self.last is None or value < self.last else 0.5
        self.last = value

    def state(self):
        return {"last": self.last, "now": self.now}

    def restore(self, state):
        self.last, self.now = state["last"], state["now"]
'''
OF_PLUGINS = {
    "activation": {"model": {"widths": [6], "activation": "fickle"}},
    "optimizer": {"optimizer": "tiring"},
    "schedule": {"schedule": "wavering"},
}


@pytest.mark.parametrize(
    ("kind", "left"), [("activation", 1), ("activation", EPOCHS), ("optimizer", 1), ("schedule", 2)]
)
def test_what_a_plugin_draws_or_counts_goes_on_exactly(
    kind: str, left: int, child: Start, tmp_path: Path
):
    """Processes, since a plugin stays registered; a first one that is to do fewer epochs."""
    (tmp_path / "plugin.py").write_text(PLUGIN)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(BASE | OF_PLUGINS[kind]))
    options = ("--plugin", "plugin.py", "-q")
    for where, epochs in (("whole", EPOCHS), ("pieces", left)):
        done = child("train", "config.yaml", f"epochs={epochs}", "--runs-dir", where, *options)
        assert done.wait() == 0, done.stderr
    done = child("resume", "@last", f"epochs={EPOCHS}", "--runs-dir", "pieces", *options)
    assert done.wait() == 0, done.stderr
    (whole,), (run,) = (runlist.runs(tmp_path / where) for where in ("whole", "pieces"))
    assert differences(run, whole) == []
