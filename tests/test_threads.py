"""The number of threads: by the work, and by what else the machine does."""

import time
from pathlib import Path

import pytest
import torch

import nnarch
from nnarch import config as configs
from nnarch import experiment, machine, threads

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


def test_a_number_that_is_asked_for_is_not_questioned(tmp_path: Path) -> None:
    config = {
        "name": "asked",
        "data": {"source": "synthetic", "rows": 400, "features": 64},
        "model": {"widths": [600]},
        "batch_size": "all",
        "epochs": 1,
        "threads": 2,
    }
    run = nnarch.train(config, runs_dir=tmp_path)
    assert run.about["threads"] == min(2, machine.cores())
    ready = experiment.prepare(configs.load({**config, "threads": "auto"}))
    assert ready.threads in (1, MOST)
