"""The network made faster by torch.compile, tried before a run begins.

torch compiles at the first call, which is in the midst of the first epoch, and needs a compiler
of the machine for it. So one batch goes through the network, forward and backward, before
anything is written; what fails there is told in a line. Names and values of weights stay, and a
run directory says nothing of how its network was computed.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from nnarch.errors import MachineError, cause
from nnarch.optim.stepper import Stepper

NEEDS = "compile: true needs a C++ compiler, such as g++ or clang++, and this machine has none"
LONG = 200  # characters of another's message


def compile(
    network: nn.Module, optimizer: torch.optim.Optimizer | Stepper, attempt: Callable[[], Any]
) -> None:
    """Have `network` compiled by `attempt`, which goes forward and backward once.

    Weights, buffers, gradients and the training mode are as before. The random state is the
    caller's to keep.

    Raises: MachineError where torch cannot compile it here.
    """
    mode = network.training
    buffers = [(buffer, buffer.clone()) for buffer in network.buffers()]
    attempt()  # what fails already here is no fault of the compiler
    if isinstance(optimizer, Stepper):
        optimizer.settle()
    network.zero_grad(set_to_none=True)
    try:
        network.compile()
        attempt()
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        raise MachineError(_told(error)) from error
    finally:
        for buffer, before in buffers:
            buffer.copy_(before)
        network.zero_grad(set_to_none=True)
        network.train(mode)


def _told(error: Exception) -> str:
    said = cause(error)
    if "C++ compiler" in said or "InvalidCxxCompiler" in said:
        return NEEDS
    said = said if len(said) <= LONG else f"{said[:LONG]}..."
    return f"compile: torch cannot compile this network here: {said}; expected compile: false"
