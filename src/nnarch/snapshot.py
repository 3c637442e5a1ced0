"""A training at the end of an epoch, as what is saved of it.

Beside the weights a checkpoint holds what inference needs to know of the data and the config, and
what going on needs to compare; all that is the same for every epoch.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from nnarch import history
from nnarch.checkpoint import Checkpoint
from nnarch.config import Config
from nnarch.data.dataset import Dataset
from nnarch.provenance import versions
from nnarch.training import Record, Training


class Snapshots:
    """Makes checkpoints of the trainings of one config."""

    def __init__(self, config: Config, dataset: Dataset, device: torch.device, threads: int):
        self._scaling = _prefixed("preprocess.", dataset.preprocess.state_dict())
        self._meta = {
            "preprocess": dataset.preprocess.spec,
            "task": asdict(dataset.task),
            "config": config.model_dump(mode="json"),
            "fingerprint": dataset.fingerprint,
            "device": str(device),
            "threads": threads,
            "versions": versions(),
        }

    def of(self, training: Training, best_epoch: int) -> Checkpoint:
        """The epoch that has just ended, apart from what the next one changes."""
        state = _copied(training.state())
        weights = _copied(training.model.state_dict()) if training.average else state["network"]
        return Checkpoint(self._tensors(weights), self._meta_of(training.epoch, best_epoch), state)

    def best(self, weights: Mapping[str, Tensor], epoch: int) -> Checkpoint:
        """The best epoch, of which there are the weights."""
        return Checkpoint(self._tensors(weights), self._meta_of(epoch, epoch))

    def _tensors(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return _prefixed("network.", weights) | self._scaling

    def _meta_of(self, epoch: int, best_epoch: int) -> dict[str, Any]:
        return {"epoch": epoch, "best_epoch": best_epoch, **self._meta}


def history_row(record: Record, seconds: float) -> history.Row:
    """An epoch as a row of the history."""
    row = {"epoch": record.epoch, "train_loss": record.train_loss, "val_loss": record.val_loss}
    row |= {f"val_{name}": value for name, value in record.metrics.items()}
    return row | {"lr": record.lr, "seconds": round(seconds, 6)}


def _copied(value: Any) -> Any:
    """`value` with every tensor in it copied, wherever it lies."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, Mapping):
        return {key: _copied(inner) for key, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, list) else value


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}
