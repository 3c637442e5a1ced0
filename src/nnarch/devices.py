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

from nnarch import garbage, requirements
from nnarch.errors import OUT_OF_MEMORY, MachineError, is_out_of_memory

requirements.check("torch", torch.__version__)  # an older one would fail somewhere, some time


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


def room(device: torch.device) -> float:
    """The bytes that a GPU has left; no bound is known of other devices."""
    return float(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else math.inf


def sent(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """`tensor` on `device`; to a GPU it travels while the processor goes on."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


@contextlib.contextmanager
def computing(device: torch.device, count: int) -> Iterator[None]:
    """Compute with `count` threads and bit for bit the same every time, then put all back.

    Raises: MachineError where memory runs out.
    """
    garbage.as_usual()
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
