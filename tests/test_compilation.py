"""torch.compile: the same steps, faster; and what stands in its way is told before the run."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.proxy_tensor import make_fx

import nnarch
from nnarch import config as configs
from nnarch import experiment, opening
from nnarch.check import timing
from nnarch.engine import Engine, Plan, chance
from nnarch.errors import MachineError
from nnarch.experiment import Experiment
from nnarch.training import train

BASE: dict[str, Any] = {
    "name": "tiny",
    "data": {"source": "synthetic", "rows": 350, "features": 3},  # 8 batches, and 24 rows left over
    "model": {"widths": [4]},
    "optimizer": "adamw",
    "epochs": 2,
    "threads": 1,
}
FEW = {"data": {"source": "synthetic", "rows": 150, "features": 3}}  # 3 batches, and 24 rows
ALONE = {"optimizer": "muon"}
DIGITS = {"source": "sklearn", "dataset": "digits", "images": True}
CLASSES = {"source": "synthetic", "kind": "blobs", "rows": 400, "features": 4, "classes": 3}
CASES: dict[str, dict[str, Any]] = {
    "dropout": {"model": {"widths": [6, 5], "dropout": 0.3}},
    "a rate that changes": {"schedule": "one_cycle", "optimizer": {"name": "sgd", "momentum": 0.9}},
    "groups": {"optimizer": {"name": "adam", "groups": [{"match": "biases", "lr": 0.1}]}},
    "freeze": {"freeze": ["biases"]},
    "average": {"average": {"decay": 0.9}},
    "clip": {"clip": {"norm": 0.5}},
    "class weights": {
        "data": CLASSES,
        "loss": {"name": "cross_entropy", "class_weights": "balanced"},
    },
    "mixed rows": {"data": DIGITS, "augment": ["flip", "mixup"], "batch_size": 256},
    "attention": {
        "model": {"name": "ft_transformer", "width": 8, "depth": 1, "heads": 2},
        "optimizer": "sgd",
    },
    "all rows at once": {"batch_size": "all"},
}
needs_a_compiler = pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def prepared(**changes: Any) -> Experiment:
    return experiment.prepare(configs.load({**BASE, **changes}))


def losses(ready: Experiment) -> list[float]:
    scale = ready.dataset.preprocess.target.scale
    of_epochs = train(
        ready.training,
        ready.engine,
        ready.loss,
        ready.rows["train"],
        scale,
        lambda: ready.evaluate("val"),
        ready.settings,
    )
    return [loss for each in of_epochs for loss in (each.train_loss, each.val_loss)]


def weights(ready: Experiment) -> dict[str, Tensor]:
    return {name: each.clone() for name, each in ready.training.model.state_dict().items()}


def instead(monkeypatch: pytest.MonkeyPatch, compiler: Callable[..., Any]) -> None:
    """Another compiler of steps in torch's place, and of networks one that does nothing."""
    import torch._inductor

    monkeypatch.setattr(
        torch._inductor, "compile", lambda traced, given, **_: compiler(traced, given)
    )
    monkeypatch.setattr(nn.Module, "compile", lambda self, **_: None)


def as_it_is(traced: fx.GraphModule, given: Sequence[Tensor]) -> fx.GraphModule:
    return traced


@needs_a_compiler
def test_compiled_steps_train_to_the_same_values(tmp_path: Path) -> None:
    """Normalized, so that buffers move; with dropout, so that the same must be drawn."""
    model = {"widths": [4], "normalization": "batch", "dropout": 0.2}
    config = {**BASE, **FEW, "model": model, "optimizer": "sgd"}
    plain = nnarch.train(config, runs_dir=tmp_path)
    run = nnarch.train({**config, "compile": True}, runs_dir=tmp_path)
    assert run.about["engine"]["name"] == "compiled"
    assert run.about["engine"]["why"].startswith("3 steps in a call, compiled in ")
    for ours, theirs in zip(run.history, plain.history, strict=True):
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=1e-5)
        assert ours["val_loss"] == pytest.approx(theirs["val_loss"], rel=1e-5)
    there, here = (each.load_checkpoint().tensors for each in (plain, run))
    assert there.keys() == here.keys()
    for name, value in here.items():
        torch.testing.assert_close(value, there[name], rtol=1e-5, atol=1e-6)
    assert nnarch.evaluate(run)["loss"] == pytest.approx(run.about["results"]["test"]["loss"])


@needs_a_compiler
def test_where_steps_cannot_be_recorded_the_network_is_compiled() -> None:
    ready = prepared(**ALONE, compile=True)
    assert ready.engine.name == "compiled"
    assert ready.engine.why.startswith("the network alone, in ")
    assert ready.engine.why.endswith(" since the optimizer is none of nnarch's own rules")
    assert losses(ready) == pytest.approx(losses(prepared(**ALONE)), rel=1e-5)


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_whatever_a_step_is_made_of_several_are_the_same(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    instead(monkeypatch, as_it_is)
    changes = FEW | changes
    plain, ready = prepared(**changes), prepared(**changes, compile=True)
    assert ready.engine.name == "compiled", ready.engine.warning
    assert losses(ready) == pytest.approx(losses(plain), rel=1e-4)
    torch.testing.assert_close(weights(ready), weights(plain), rtol=1e-3, atol=1e-5)
    ours, theirs = (each.training.state() for each in (ready, plain))
    assert ours["optimizer"]["param_groups"] == theirs["optimizer"]["param_groups"]
    torch.testing.assert_close(
        ours["optimizer"]["state"], theirs["optimizer"]["state"], rtol=1e-3, atol=1e-4
    )


def test_what_comes_of_each_step_is_told_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call of as many steps as were compiled is that of each alone; of others as well."""

    def passes(engine: Engine, calls: Sequence[int]) -> list[Tensor]:
        batches = prepared().rows["train"].epoch([32] * 8, 0, 1, "shuffled")
        made = []
        for steps in calls:
            made += engine([Plan([next(batches)], [0.01 * steps]) for _ in range(steps)])
        assert [each.answers for each in made] == [32] * len(made)
        assert engine.optimizer.param_groups[0]["lr"] == 0.01 * calls[-1]
        return [each.values for each in made] + [each.values.mean() for each in made]

    instead(monkeypatch, as_it_is)
    ours, theirs = prepared(compile=True).engine, prepared().engine
    assert (ours.at_once, theirs.at_once) == (8, 1)
    torch.testing.assert_close(passes(ours, [8]), passes(theirs, [8]))
    ours, theirs = prepared(compile=True).engine, prepared().engine
    torch.testing.assert_close(passes(ours, [3, 5]), passes(theirs, [3, 5]))


@pytest.mark.parametrize("changes", [{}, ALONE], ids=["several steps", "the network alone"])
def test_a_machine_that_cannot_compile_says_so_before_the_run(
    changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found in x\nand more")

    instead(monkeypatch, refuse)
    monkeypatch.setattr(nn.Module, "compile", refuse)
    with pytest.raises(MachineError, match=r"^compile: true needs a C\+\+ compiler, such as g\+\+"):
        nnarch.train({**BASE, **changes, "compile": True}, runs_dir=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("changes", [{}, ALONE], ids=["several steps", "the network alone"])
def test_a_trial_leaves_everything_as_it_was(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled or not: here the compiler does nothing, and the trial all that it does."""
    instead(monkeypatch, as_it_is)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    model = {"widths": [4], "normalization": "batch", "dropout": 0.1}
    changes = {**FEW, "model": model, **changes}
    plain, tried = prepared(**changes).training, prepared(**changes, compile=True).training
    assert torch.equal(torch.get_rng_state(), before)
    assert tried.network.training is plain.network.training
    ours, theirs = tried.state(), plain.state()
    torch.testing.assert_close(ours["network"], theirs["network"], rtol=0, atol=0)
    torch.testing.assert_close(
        ours["optimizer"]["state"], theirs["optimizer"]["state"], rtol=0, atol=0
    )
    assert all(each.grad is None for each in tried.network.parameters())


def fail(*_: Any, **__: Any) -> None:
    raise ValueError("no\nway " + "x" * 1000)


def test_steps_that_cannot_be_compiled_are_taken_as_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    instead(monkeypatch, fail)
    plain, ready = prepared(**FEW), prepared(**FEW, compile=True)
    assert (ready.engine.name, ready.engine.at_once) == ("recorded", 1)
    (line,) = opening.warnings(ready)
    assert line.startswith("compile: true changes nothing: ValueError: no way xxx")
    assert len(line) < 300
    assert losses(ready) == losses(plain)


def test_a_network_that_cannot_be_compiled_alone_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nn.Module, "compile", fail)
    with pytest.raises(MachineError) as caught:
        prepared(**ALONE, compile=True)
    (line,) = caught.value.lines
    assert line.startswith("compile: torch cannot compile this network here: ValueError: no way x")
    assert len(line) < 300


def test_steps_that_come_to_something_else_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(traced: fx.GraphModule, given: Sequence[Tensor]) -> Callable[..., list[Tensor]]:
        return lambda *given: [1.1 * each for each in traced(*given)]

    instead(monkeypatch, wrong)
    ready = prepared(**FEW, compile=True)
    assert ready.engine.name == "recorded"
    assert "come to other losses" in str(ready.engine.warning)


def test_what_does_not_pay_is_told_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    instead(monkeypatch, as_it_is)
    (line,) = opening.warnings(prepared(compile=True))
    assert line.startswith("compile: true took ")
    assert line.endswith(" s that 18 batches take without it")
    assert opening.warnings(prepared()) == []


def test_a_call_of_several_steps_is_timed_as_several(monkeypatch: pytest.MonkeyPatch) -> None:
    instead(monkeypatch, as_it_is)
    ready = prepared(data={**BASE["data"], "rows": 320}, compile=True)  # 8 batches of 32
    monkeypatch.setattr(timing, "SECONDS", 1e9)
    assert timing.measure(ready).steps == 8 * timing.CALLS


def test_only_what_is_drawn_without_a_look_at_numbers_is_cut_out() -> None:
    def harmless(numbers: Tensor) -> Tensor:
        return numbers + torch.rand(3) * torch.empty_like(numbers).bernoulli(0.5)

    draw, rest = chance.apart(make_fx(harmless)(torch.zeros(3)))
    torch.manual_seed(3)
    expected = harmless(torch.ones(3))
    torch.manual_seed(3)
    assert torch.equal(rest(torch.ones(3), *draw()), expected)
    with pytest.raises(chance.Entangled):
        chance.apart(make_fx(lambda shares: shares.multinomial(2))(torch.ones(3)))
