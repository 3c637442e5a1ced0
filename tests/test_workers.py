"""Processes that work beside this one: the same answers as in this process, whatever happens."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from nnarch.searching.workers import Done, Here, Told, Work, Workers

# A test's process may have threads, which newer Pythons warn of where one forks.
pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
MOST = 60.0  # seconds that anything may take
Crew = Workers | Here


def make() -> Work:
    """Counts up to a task, and how many tasks there were before."""
    before = []

    def work(task: int) -> Iterator[tuple[int, int]]:
        for number in range(task):
            yield number, len(before)
        before.append(task)

    return work


def one_worker(of: Callable[[], Work]) -> Crew:
    return Workers(1, of)


CREWS: list[Callable[[Callable[[], Work]], Crew]] = [Here, one_worker]


def of_task(crew: Crew, worker: int = 0) -> list[Told | Done]:
    """All that is heard until one is done."""
    found: list[Told | Done] = []
    end = time.monotonic() + MOST
    while not (found and isinstance(found[-1], Done)):
        assert time.monotonic() < end
        found += crew.heard(MOST)
    assert {each.worker for each in found} == {worker}
    return found


@pytest.mark.parametrize("start", CREWS)
def test_tasks_are_done_in_turn_by_one_that_remembers(
    start: Callable[[Callable[[], Work]], Crew],
):
    with start(make) as crew:
        assert crew.count == 1
        for before, task in enumerate([3, 0, 1]):
            crew.send(0, task, MOST)
            told = [Told(0, (number, before)) for number in range(task)]
            assert of_task(crew) == [*told, Done(0)]


def test_each_of_several_has_its_own_tasks_and_memory():
    with Workers(2, make) as crew:
        assert crew.count == 2
        for task in (1, 2):
            crew.send(1, task)
            of_task(crew, 1)
        crew.send(0, 1)
        assert of_task(crew, 0) == [Told(0, (0, 0)), Done(0)]
        assert crew.heard(0) == []


def fragile() -> Work:
    def work(task: str) -> Iterator[str]:
        yield "begun"
        if task == "fault":
            raise ValueError("of no use")
        if task == "death":
            os.kill(os.getpid(), signal.SIGKILL)
        while task == "no end":
            time.sleep(MOST)

    return work


def test_a_worker_outlives_a_fault_and_is_replaced_where_it_dies_or_does_not_answer():
    with Workers(1, fragile) as crew:
        crew.send(0, "fault")
        *told, done = of_task(crew)
        assert told == [Told(0, "begun")]
        assert isinstance(done, Done)
        assert "ValueError: of no use" in (done.fault or "")
        assert not done.died
        crew.send(0, "death")
        *told, done = of_task(crew)
        assert told == [Told(0, "begun")]
        fault = "the process that trained it was ended by SIGKILL"
        assert done == Done(0, fault, died=True)
        crew.send(0, "no end", 0.05)
        found: list[Told | Done] = []
        while not (found and isinstance(found[-1], Done)):
            found += crew.heard(0.05)
        assert found[-1] == Done(0, "did not answer in the time that it had", died=True)
        crew.send(0, "nothing", MOST)
        assert of_task(crew) == [Told(0, "begun"), Done(0)]


def test_none_is_left_behind():
    def own() -> Work:
        return lambda task: iter([os.getpid()])

    with Workers(2, own) as crew:
        for worker in range(2):
            crew.send(worker, None)
        told = []
        while len(told) < 2:
            told += [each.message for each in crew.heard(MOST) if isinstance(each, Told)]
    assert len({*told, os.getpid()}) == 3
    for pid in told:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


AFTER_THREADS = """
import torch
from nnarch.searching.workers import Told, Workers

large = torch.ones(1 << 18)

def make():
    return lambda task: iter([float((large + task).sum())])

assert torch.get_num_threads() == 2
large.exp().sum()
with Workers(1, make) as crew:
    crew.send(0, 1.0)
    [told] = crew.heard(20)
    assert told == Told(0, 2.0 * len(large)), told
"""


def test_they_compute_after_threads_have_computed_here():
    """What is forked has none of the threads that its parent has, and must not wait for them."""
    env = {**os.environ, "OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", AFTER_THREADS], env=env, timeout=MOST)
    assert done.returncode == 0
