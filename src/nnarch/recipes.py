"""Settings that suit a set of data: a network and its training, by the data's kind and size.

Rules of thumb for networks that train in minutes on a small machine, found on real data sets: how
wide, how long, how much regularised. They are where a first config begins, not what is best.
"""

from typing import Any

from nnarch.data.dataset import Dataset
from nnarch.data.preprocessing.sequenceinputs import SeriesInputs
from nnarch.data.preprocessing.tableinputs import TableInputs

FEW = 1000  # training rows, below which a network is kept small
MANY = 20_000
BATCHES = ((200_000, 1024), (MANY // 2, 256), (FEW, 128), (400, 32), (0, 16))
WIDE = 500  # numbers a row, as free text makes them
RANKED = 5000  # training rows, from which on numbers are scaled by rank


def scaling(rows: int) -> str:
    """Ranks take the edge off outliers, and smooth over what few rows say of sizes."""
    return "quantile" if rows >= RANKED else "standard"


def training(ready: Dataset) -> dict[str, Any]:
    """The keys of a config beside its data."""
    made, rows = ready.preprocess.inputs, len(ready.parts["train"])
    if isinstance(made, SeriesInputs):
        return _of_series(made.shape[1], len(ready.task.targets))
    if not isinstance(made, TableInputs):
        return _of_samples(rows)
    return _of_words() if made.shape[0] > WIDE else _of_table(rows)


def _of_series(channels: int, outputs: int) -> dict[str, Any]:
    model = {"name": "nlinear"} if outputs % channels == 0 else {"widths": [64]}
    return {
        "model": model,
        "loss": "mse",
        "optimizer": {"name": "adam", "lr": 1e-3},
        "schedule": {"name": "cosine"},
        "batch_size": 32,
        "epochs": 10,
        "early_stopping": {"patience": 3},
        "metrics": ["scaled_mse", "scaled_mae", "rmse"],
    }


def _of_samples(rows: int) -> dict[str, Any]:
    """Of images, of tokens."""
    batch = 128 if rows >= 4 * FEW else 32
    return {
        "model": {"widths": [256, 128], "activation": "relu", "dropout": 0.2},
        "optimizer": {"name": "adamw", "lr": 1e-3, "weight_decay": 0.01},
        "schedule": {"name": "cosine", "warmup": 1},
        "batch_size": batch,
        "epochs": _epochs(rows, batch, steps=8000),
        "early_stopping": {"patience": 10},
    }


def _of_words() -> dict[str, Any]:
    """Of many numbers of which few are not zero: a small network, soon done."""
    return {
        "model": {"widths": [64], "activation": "relu", "dropout": 0.5},
        "optimizer": {"name": "adamw", "lr": 3e-4, "weight_decay": 0.01},
        "batch_size": 128,
        "epochs": 30,
        "early_stopping": {"patience": 5},
    }


def _of_table(rows: int) -> dict[str, Any]:
    few = rows < FEW
    batch = next(size for least, size in BATCHES if rows >= least)
    epochs = _epochs(rows, batch, steps=3000 if few else 8000 if rows < MANY else 12_000)
    return {
        "model": {
            "widths": [64, 64] if few else [256, 128],
            "activation": "relu",
            "dropout": 0.3 if few else 0.2 if rows < MANY else 0.1,
        },
        "optimizer": {
            "name": "adamw",
            "lr": 1e-3 if few else 2e-3,
            "weight_decay": 0.1 if few else 0.01,
        },
        "schedule": {"name": "cosine", "warmup": min(2, epochs // 10)},
        "batch_size": batch,
        "epochs": epochs,
        "early_stopping": {"patience": max(10, epochs // 5)},
    }


def _epochs(rows: int, batch: int, steps: int) -> int:
    """So many epochs that training takes about so many steps, within reason."""
    return max(3, min(200, round(steps * batch / rows)))
