"""How sides are timed against each other: in turns, each in a process of its own.

A machine is slower at one moment than at the next, so no two figures of different minutes can be
compared. Here all sides train one after the other, again and again, and what counts is the ratio
of two of them in the same round. A process of its own keeps each side from what another one
imports, compiles or sets for the whole process; while one works, the others wait on a pipe.
"""

import argparse
import contextlib
import logging
import multiprocessing
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from statistics import median

from case import Case

Train = Callable[[int], object]  # goes on for so many epochs
Side = Callable[[Case], Train]  # what is built before the clock runs
PROCESSES = multiprocessing.get_context("spawn")
THREADS = ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"]


@dataclass(frozen=True)
class Measured:
    """What came of taking turns.

    Attributes:
        made: seconds that each side took to import, to build, and for its first epoch.
        rounds: seconds an epoch of each side, round by round, without the first.
    """

    made: Mapping[str, float]
    rounds: list[dict[str, float]]

    def __contains__(self, side: str) -> bool:
        return side in self.made

    def seconds(self, side: str) -> float:
        """The median time of an epoch."""
        return median(each[side] for each in self.rounds)

    def best(self, side: str) -> float:
        """The shortest time of an epoch."""
        return min(each[side] for each in self.rounds)

    def speed(self, side: str, against: str) -> float:
        """How many times faster `side` is than `against`: the median over the rounds."""
        return median(each[against] / each[side] for each in self.rounds)


def options(description: str, turns: int = 5) -> argparse.ArgumentParser:
    """What every benchmark that takes turns can be asked on the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--turns", type=int, default=turns, help=f"that are counted ({turns})")
    parser.add_argument("--seconds", type=float, default=0.5, help="of a turn, about (0.5)")
    return parser


def fix_threads(count: int | None) -> None:
    """Have processes that begin later compute with `count` threads; None leaves it to them."""
    for name in THREADS:
        os.environ.pop(name, None)
        if count is not None:
            os.environ[name] = str(count)


def take(sides: Mapping[str, Side], case: Case, rounds: int, length: float) -> Measured:
    """Train `case` on every side in turn.

    Args:
        rounds: that are counted; a first one warms up.
        length: seconds of a turn, which is as many epochs as fit into it, and at least one.

    A side whose package is not installed is left out, and said to be.
    """
    print(f"{case} ...", file=sys.stderr, flush=True)
    with _working(sides, case) as workers:
        made = {name: worker.built + worker.turn(length) for name, worker in workers.items()}
        taken = [
            {name: worker.turn(length) for name, worker in workers.items()} for _ in range(rounds)
        ]
    return Measured(made, taken)


@contextlib.contextmanager
def _working(sides: Mapping[str, Side], case: Case) -> "Iterator[dict[str, _Worker]]":
    """The sides that there are, built one after the other."""
    workers: dict[str, _Worker] = {}
    try:
        for name, side in sides.items():
            try:
                workers[name] = _Worker(side, case)
            except ModuleNotFoundError as missing:
                print(f"{name} is left out: {missing}", file=sys.stderr)
        yield workers
    finally:
        for worker in workers.values():
            worker.end()
        for worker in workers.values():
            worker.join()


class _Worker:
    """One side in its process.

    Attributes:
        built: seconds that it took to import and to build.
    """

    def __init__(self, side: Side, case: Case):
        self._epochs = 1
        self._pipe, there = PROCESSES.Pipe()
        self._process = PROCESSES.Process(target=_serve, args=(there, side, case), daemon=True)
        self._process.start()
        there.close()  # so that the end of the process is the end of the pipe
        self.built = self._answer()

    def turn(self, length: float) -> float:
        """Seconds an epoch in a turn of about `length` seconds, going by the one before."""
        self._pipe.send(self._epochs)
        seconds = self._answer() / self._epochs
        self._epochs = max(1, round(length / seconds))
        return seconds

    def end(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._pipe.send(0)

    def join(self) -> None:
        self._process.join()

    def _answer(self) -> float:
        answer = self._pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer


def _wait_for_gpu() -> None:
    """A GPU is given work that it has not done yet."""
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def _serve(pipe: Connection, side: Side, case: Case) -> None:
    """Build, then train for as many epochs as are asked for, until none are."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            began = time.perf_counter()
            train = side(case)
            pipe.send(time.perf_counter() - began)
            while epochs := pipe.recv():
                began = time.perf_counter()
                train(epochs)
                _wait_for_gpu()
                pipe.send(time.perf_counter() - began)
    except ModuleNotFoundError as error:
        pipe.send(error)
    except Exception as error:
        traceback.print_exc()
        pipe.send(RuntimeError(f"a side failed: {error}"))
