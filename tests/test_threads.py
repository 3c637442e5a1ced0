"""The number of threads: by the work, and by what else the machine does."""

import time
from pathlib import Path

import pytest
import torch

import nnarch
from nnarch import config as configs
from nnarch import experiment, machine, opening, threads

MOST = min(threads.USUAL, machine.cores())


def test_they_are_as_many_as_the_work_is_worth() -> None:
    assert threads.chosen("auto", 1e3) == threads.chosen("auto", 0.99e8) == 1
    assert threads.chosen("auto", 1e8) == min(4, MOST)
    assert threads.chosen("auto", 1e15) == MOST
    assert threads.chosen(1, 1e15) == 1
    assert threads.chosen(10**6, 1.0) == machine.cores()


@pytest.mark.parametrize(("alone", "together", "expected"), [(1, 9, 1), (9, 1, 2), (4, 4, 2)])
def test_one_is_taken_where_several_wait_for_each_other(
    alone: int, together: int, expected: int
) -> None:
    """Work that takes so many milliseconds with one thread, and with two."""

    def step() -> None:
        time.sleep((alone if torch.get_num_threads() == 1 else together) / 1000)

    before = torch.get_num_threads()
    assert threads.heeding_others(2, step) == expected
    assert torch.get_num_threads() == before


CONFIG = {
    "name": "wide",
    "data": {"source": "synthetic", "rows": 400, "features": 64},
    "model": {"widths": [1024], "normalization": "batch", "dropout": 0.1},
    "batch_size": "all",
    "epochs": 1,
}


def test_a_number_that_is_asked_for_is_not_questioned(tmp_path: Path) -> None:
    run = nnarch.train({**CONFIG, "threads": 2}, runs_dir=tmp_path)
    assert run.about["threads"] == min(2, machine.cores())


def test_to_try_threads_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "USUAL", 2)
    plain = experiment.prepare(configs.load({**CONFIG, "threads": 1}))
    before = torch.get_rng_state(), torch.get_num_threads()
    tried = experiment.prepare(configs.load({**CONFIG, "threads": "auto"}))
    assert threads.chosen("auto", tried.step_flops) == min(2, machine.cores())
    assert tried.threads in (1, min(2, machine.cores()))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.get_num_threads() == before[1]
    state = plain.training.network.state_dict()
    for name, value in tried.training.network.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_why_there_is_but_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "USUAL", 2)
    ready = experiment.prepare(configs.load({**CONFIG, "threads": "auto"}))
    ready.threads = 1
    told = "1 thread since other programs use the cores" in " ".join(opening.sentences(ready))
    assert told is (machine.cores() > 1)
