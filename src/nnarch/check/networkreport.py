"""What a network is and what it takes to train, before a second is spent on training.

The network is looked at as `nnarch.experiment` has made it ready; its layers, operations and
memory are told by measuring the same network without memory. It is plain data, for programs;
`networkpage` makes a page of it.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from nnarch import experiment, machine
from nnarch.check.timing import Timing
from nnarch.errors import ConfigError, cause
from nnarch.experiment import Experiment
from nnarch.models import footprint, summary, written
from nnarch.models import network as networks
from nnarch.models.summary import Summary
from nnarch.optim.statesize import state_bytes

RECURRENT = nn.RNNBase | nn.RNNCellBase


@dataclass(frozen=True)
class Memory:
    """Bytes that training holds at the same time.

    Attributes:
        batch_size: rows that go through the network at once.
        precision: of the computation.
        weights, buffers: the network's own.
        gradients: of what trains.
        optimizer: the largest state that the optimizer comes to; None where only steps would tell.
        average: the moving average of the weights, if there is one.
        activations: kept from forward to backward; None where the network has to compute to know.
        available: of the device or the machine; None where nothing says so.
        notes: what is to be known of these figures.
    """

    batch_size: int
    precision: str
    weights: int
    buffers: int
    gradients: int
    optimizer: int | None
    average: int
    activations: int | None
    available: int | None
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """Of all that is known."""
        known = self.weights + self.buffers + self.gradients + self.average
        return known + (self.optimizer or 0) + (self.activations or 0)


@dataclass(frozen=True)
class Steps:
    """What computes the steps of training, and why that."""

    engine: str
    why: str
    device: str
    threads: int


@dataclass(frozen=True)
class Report:
    """A network as `check` tells of it."""

    model: str
    optimizer: str
    outputs: int
    summary: Summary
    memory: Memory
    steps: Steps
    timing: Timing | None = None

    def as_data(self) -> dict[str, Any]:
        """All of it as plain data, for JSON."""
        told = self.summary
        rows = [
            {
                "path": row.path,
                "depth": depth,
                "kind": row.word,
                "module": row.module,
                "shape": list(row.shape),
                "parameters": row.parameters,
                "flops": row.flops,
            }
            for depth, row in told.walk()
        ]
        made: dict[str, Any] = {
            "model": self.model,
            "inputs": list(told.shape),
            "outputs": self.outputs,
            "parameters": told.parameters,
            "trainable": told.trainable,
            "flops": told.flops,
            "layers": rows,
            "memory": {**asdict(self.memory), "total": self.memory.total},
            "steps": asdict(self.steps),
        }
        if self.timing:
            made["time"] = {**asdict(self.timing), "total": self.timing.total}
        return made


def report(ready: Experiment, timing: Timing | None = None) -> Report:
    """What the network of `ready` is, and what it takes."""
    config, inputs = ready.config, ready.dataset.inputs
    with config.locating("model"):
        described, network = networks.unallocated(config.model, inputs, ready.loss.outputs)
        _freeze(network, ready.training.network)
        told = summary.summary_of(network, described.plan, inputs)
    memory = _memory(ready, network)
    names = config.model["name"], config.optimizer["name"]
    steps = Steps(ready.engine.name, ready.engine.why, str(ready.device), ready.threads)
    return Report(*names, ready.loss.outputs, told, memory, steps, timing)


def _freeze(network: nn.Module, like: nn.Module) -> None:
    for ours, theirs in zip(network.parameters(), like.parameters(), strict=True):
        ours.requires_grad_(theirs.requires_grad)


def _memory(ready: Experiment, network: nn.Module) -> Memory:
    config, real = ready.config, ready.training.network
    batch_size, dtype = ready.settings.batch_size, experiment.DTYPES[config.precision]
    network = network.to(dtype)
    weights = _bytes(real.parameters())
    buffers = _bytes(real.buffers())
    kept, notes = _activations(network, ready, batch_size, dtype)
    if config.precision == "bf16":
        notes.append("activations are counted in float32; bf16 keeps some in half of that")
    return Memory(
        batch_size,
        config.precision,
        weights,
        buffers,
        _bytes(each for each in real.parameters() if each.requires_grad),
        state_bytes(lambda of: experiment.training_of(config, of).optimizer, network),
        weights + buffers if config.average else 0,
        kept,
        _available(ready.device),
        tuple(notes),
    )


def _activations(
    network: nn.Module, ready: Experiment, batch_size: int, dtype: torch.dtype
) -> tuple[int | None, list[str]]:
    rows = networks.rows_of(ready.dataset.inputs, batch_size)
    rows = rows.to(dtype) if rows.is_floating_point() else rows
    try:
        kept = footprint.activations(network, rows)
    except Exception as error:  # a module of the user's own, which looks at what it is given
        return None, [f"activations are not known before training: {cause(error)}"]
    recurrent = ready.device.type == "cpu" and any(
        isinstance(module, RECURRENT) for module in network.modules()
    )
    return kept, ["recurrent layers keep a few times as much on the CPU"] if recurrent else []


def _bytes(tensors: Any) -> int:
    return sum(each.numel() * each.element_size() for each in tensors)


def _available(device: torch.device) -> int | None:
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    memory = machine.memory()
    return int(memory) if math.isfinite(memory) else None


def expanded(ready: Experiment) -> str:
    """The model of a config written layer by layer, as YAML.

    Raises: ConfigError where it builds its network by itself.
    """
    config = ready.config
    with config.locating("model"):
        found = networks.expanded(config.model, ready.dataset.inputs, ready.loss.outputs)
        if found is None:
            raise ConfigError(
                f"{config.model['name']} builds its network by itself; expected one that gives a "
                "list of layers"
            )
        return written.as_yaml(found)


def beside(network: Report, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The report of a network beside that of its data."""
    return {**(data or {}), "network": network.as_data()}
