"""Where a run computes: the device, the threads, and torch's global switches.

What torch keeps for the whole process (threads, random state, deterministic algorithms) is set
for the length of a run and put back after it, so that a caller's own program is not changed.
"""

import contextlib
import math
import os
import random
from collections.abc import Iterator

import numpy as np
import torch

from nnarch import requirements
from nnarch.errors import OUT_OF_MEMORY, MachineError, is_out_of_memory

requirements.check("torch", torch.__version__)  # an older one would fail somewhere, some time

# Below this many operations a step, handing work to a second thread costs more than it saves.
SMALL_STEP = 1e8


def available() -> list[str]:
    """The devices of this machine, by the names that a config gives them."""
    cuda = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return ["cpu", *cuda, *(["mps"] if torch.backends.mps.is_available() else [])]


def choose(name: str) -> torch.device:
    """The device that `name` means; `auto` takes a GPU where there is one.

    Raises: MachineError, with the devices that are there, where this one is not.
    """
    devices = available()
    if name == "auto":
        name = devices[1] if len(devices) > 1 else "cpu"
    if name == "cuda":
        name = "cuda:0"
    if name not in devices:
        raise MachineError(f"device: {name} is not on this machine; it has {', '.join(devices)}")
    return torch.device(name)


def cores() -> int:
    """The CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> float:
    """The bytes of memory that this process may use; no bound is known where nothing says one.

    The least of the machine's, of the control group's and of the limit on address space.
    """
    return min(_of_machine(), _of_control_group(), _of_address_space())


def _of_machine() -> float:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return math.inf


def _of_control_group() -> float:
    """The limit that Linux's control groups set, of either version, as containers do."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8") as groups:
            lines = [line.strip().split(":", 2) for line in groups]
    except OSError:
        return math.inf
    limits = [math.inf]
    for _, controllers, group in lines:
        if controllers in ("", "memory"):
            name = "memory/{}/memory.limit_in_bytes" if controllers else "{}/memory.max"
            limits += [_limit(name.format(above)) for above in _upwards(group)]
    return min(limits)


def _upwards(group: str) -> list[str]:
    """A control group and those that it is in.

    >>> _upwards("/a/b")
    ['a/b', 'a', '']
    """
    parts = [part for part in group.split("/") if part]
    return ["/".join(parts[:length]) for length in range(len(parts), -1, -1)]


def _limit(name: str) -> float:
    try:
        with open(f"/sys/fs/cgroup/{name}", encoding="utf-8") as limit:
            return int(limit.read())
    except (OSError, ValueError):  # there is none, or it says max
        return math.inf


def _of_address_space() -> float:
    try:
        import resource
    except ImportError:  # not a Unix
        return math.inf
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return math.inf if limit == resource.RLIM_INFINITY else limit


def threads(wanted: int | str, step_flops: float) -> int:
    """How many threads to compute with; `auto` looks at the operations of one step."""
    if isinstance(wanted, int):
        return min(wanted, cores())
    return 1 if step_flops < SMALL_STEP else cores()


@contextlib.contextmanager
def computing(device: torch.device, count: int) -> Iterator[None]:
    """Compute with `count` threads and bit for bit the same every time, then put all back.

    Raises: MachineError where memory runs out.
    """
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    chance = random.getstate(), np.random.get_state()
    gpus = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        torch.set_num_threads(count)
        if gpus:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise MachineError(OUT_OF_MEMORY) from error
            raise
        finally:
            torch.set_num_threads(before[0])
            random.setstate(chance[0])
            np.random.set_state(chance[1])
            if gpus:
                torch.use_deterministic_algorithms(before[1])
