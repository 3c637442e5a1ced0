"""Processes that work beside this one, and what becomes of their work when one of them dies.

Each has one thread: many small tasks are done soonest so, and a process that is forked waits for
ever for the other threads that this one has computed with. They are forked, so that data which is
read already is theirs too without a copy; where there is no fork, data is sent to them once. They
die with this process, however it ends, and leave signals of the keyboard to it.

It knows nothing of searching: what a task is and what it tells is between who sends it and the
function that does it.
"""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

Work = Callable[[Any], Iterator[Any]]  # a task to what it tells
PARENT_DEATH = 1  # PR_SET_PDEATHSIG
TOP_PAD, TRIM, MMAP = -2, -1, -3  # of mallopt


@dataclass(frozen=True)
class Told:
    """What a worker tells of its task."""

    worker: int
    message: Any


@dataclass(frozen=True)
class Done:
    """A worker is done with its task.

    Attributes:
        fault: why it did not come to its end: the traceback of a bug, or how the process died.
        died: whether there is a new process in its place, which knows nothing of what was before.
    """

    worker: int
    fault: str | None = None
    died: bool = False


class Workers:
    """So many processes, which each do one task at a time."""

    def __init__(self, count: int, make: Callable[[], Work]):
        """Args:
        make: called in each process, gives what does its tasks.
        """
        method = "fork" if sys.platform == "linux" else "spawn"
        self._context = multiprocessing.get_context(method)
        self._make = make
        self._limits: dict[int, float] = {}  # when a worker's time is over
        self._crew = [self._started() for _ in range(count)]

    @property
    def count(self) -> int:
        return len(self._crew)

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        for process, connection in self._crew:
            process.kill()
            connection.close()
        for process, _connection in self._crew:
            process.join()

    def send(self, worker: int, task: Any, seconds: float | None = None) -> None:
        """Give a worker, which has none, its task; after so many seconds it is killed."""
        if seconds is not None:
            self._limits[worker] = time.monotonic() + seconds
        with contextlib.suppress(OSError):  # it has died, which `heard` will tell
            self._crew[worker][1].send(task)

    def heard(self, seconds: float) -> list[Told | Done]:
        """What the workers have told, after waiting for it so long at most."""
        by_connection = {connection: n for n, (_, connection) in enumerate(self._crew)}
        found: list[Told | Done] = []
        connections: list[Any] = list(by_connection)
        for ready in wait(connections, seconds):
            connection: Any = ready
            found.append(self._read(by_connection[connection], connection))
        now = time.monotonic()
        for worker in [worker for worker, limit in self._limits.items() if now > limit]:
            found.append(self._replaced(worker, "did not answer in the time that it had"))
        return found

    def _read(self, worker: int, connection: Connection) -> Told | Done:
        try:
            kind, message = connection.recv()
        except (EOFError, OSError):
            process = self._crew[worker][0]
            process.join()
            return self._replaced(worker, _ending(process.exitcode))
        if kind == "told":
            return Told(worker, message)
        self._limits.pop(worker, None)
        return Done(worker, message)

    def _replaced(self, worker: int, fault: str) -> Done:
        process, connection = self._crew[worker]
        process.kill()
        process.join()
        connection.close()
        self._limits.pop(worker, None)
        self._crew[worker] = self._started()
        return Done(worker, fault, died=True)

    def _started(self) -> tuple[Any, Connection]:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_serve, args=(theirs, self._make, os.getpid()), daemon=True
        )
        with warnings.catch_warnings():  # of threads, which a worker does without
            warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)
            process.start()
        theirs.close()
        return process, ours


class Here:
    """The same face for work in this very process, where a fault is everybody's."""

    count = 1

    def __init__(self, make: Callable[[], Work]):
        self._work = make()
        self._task: Iterator[Any] = iter(())

    def __enter__(self) -> "Here":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def send(self, worker: int, task: Any, seconds: float | None = None) -> None:
        self._task = self._work(task)

    def heard(self, seconds: float) -> list[Told | Done]:
        for message in self._task:
            return [Told(0, message)]
        return [Done(0)]


def _serve(connection: Connection, make: Callable[[], Work], parent: int) -> None:
    """The life of a worker."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _die_with(parent)
    torch.set_num_threads(1)
    keep_memory()
    work = make()
    while True:
        try:
            task = connection.recv()
        except (EOFError, OSError):
            return
        fault = None
        try:
            for message in work(task):
                connection.send(("told", message))
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                return
            fault = traceback.format_exc()
        except Exception:
            fault = traceback.format_exc()
        with contextlib.suppress(BrokenPipeError):
            connection.send(("done", fault))


def _die_with(parent: int) -> None:
    """Have the kernel end this process when its parent ends, where it can."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PARENT_DEATH, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def keep_memory() -> None:
    """Have memory that was given back be taken again, not fetched from the system each time.

    A stack makes and frees tensors of a few hundred kilobytes, of which the C library would give
    every one back at once.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            options = ctypes.CDLL(None).mallopt
            for option, value in ((MMAP, 32 << 20), (TRIM, 1 << 30), (TOP_PAD, 64 << 20)):
                options(option, value)


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return f"the process that trained it was ended by {signal.Signals(-code).name}"
    return f"the process that trained it ended with {code}"
