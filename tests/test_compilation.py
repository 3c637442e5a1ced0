"""torch.compile: the same network, faster; and what stands in its way is told before the run."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import nnarch
from nnarch import compilation, experiment
from nnarch import config as configs
from nnarch.errors import MachineError

BASE: dict[str, Any] = {
    "name": "tiny",
    "data": {"source": "synthetic", "rows": 60, "features": 3},
    "model": {"widths": [4], "normalization": "batch"},
    "optimizer": "sgd",
    "epochs": 2,
    "threads": 1,
}


@pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_network_trains_to_the_same_values(tmp_path: Path) -> None:
    plain = nnarch.train(BASE, runs_dir=tmp_path)
    run = nnarch.train({**BASE, "compile": True}, runs_dir=tmp_path)
    for ours, theirs in zip(run.history, plain.history, strict=True):
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=1e-5)
        assert ours["val_loss"] == pytest.approx(theirs["val_loss"], rel=1e-5)
    there, here = (each.load_checkpoint().tensors for each in (plain, run))
    assert there.keys() == here.keys()
    for name, value in here.items():
        torch.testing.assert_close(value, there[name], rtol=1e-5, atol=1e-6)
    assert nnarch.evaluate(run)["loss"] == pytest.approx(run.about["results"]["test"]["loss"])


def test_a_machine_that_cannot_compile_says_so_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: nn.Module) -> None:
        raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found in x\nand more")

    monkeypatch.setattr(nn.Module, "compile", refuse)
    with pytest.raises(MachineError, match=r"^compile: true needs a C\+\+ compiler, such as g\+\+"):
        nnarch.train({**BASE, "compile": True}, runs_dir=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_trial_leaves_everything_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled or not: here the compiler does nothing, and the trial all that it does."""
    monkeypatch.setattr(nn.Module, "compile", lambda self: None)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    plain = experiment.prepare(configs.load(BASE)).training
    tried = experiment.prepare(configs.load({**BASE, "compile": True})).training
    assert torch.equal(torch.get_rng_state(), before)
    assert tried.network.training is plain.network.training
    for name, value in tried.network.state_dict().items():
        assert torch.equal(value, plain.network.state_dict()[name]), name
    assert all(each.grad is None for each in tried.network.parameters())


def test_another_s_message_is_one_line() -> None:
    def fail() -> None:
        calls.append(None)
        if len(calls) > 1:
            raise ValueError("no\nway " + "x" * 1000)

    calls: list[None] = []
    network = nn.Linear(2, 1)
    network.compile = lambda: None  # type: ignore[method-assign]
    with pytest.raises(MachineError) as caught:
        compilation.compile(network, torch.optim.SGD(network.parameters()), fail)
    (line,) = caught.value.lines
    assert line.startswith("compile: torch cannot compile this network here: ValueError: no way x")
    assert len(line) < 300
