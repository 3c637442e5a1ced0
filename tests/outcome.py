"""What a run came to, so that two can be compared bit for bit, and runs half done or not kept."""

import contextlib
from pathlib import Path
from typing import Any

import torch

from nnarch import config as configs
from nnarch import experiment
from nnarch import run as runs
from nnarch.rundir import RunDir
from nnarch.training import Record, train


def halfway(config: Path, epochs: int, root: Path) -> Path:
    """A run of `config` below `root` of which so many epochs are done, and that nobody works on."""
    ready = experiment.prepare(configs.load(config))
    with (
        runs.start(ready, root, ["nnarch"]) as run,
        contextlib.closing(runs.train(ready, run)) as records,
    ):
        while next(records).epoch < epochs:
            pass
    return run.path


def trained(ready: experiment.Experiment) -> list[Record]:
    """The epochs of an experiment, with nothing on disk."""
    return list(
        train(
            ready.training,
            ready.engine,
            ready.loss,
            ready.rows["train"],
            ready.dataset.preprocess.target.scale,
            lambda: ready.evaluate("val"),
            ready.settings,
        )
    )


def outcome(path: Path) -> dict[str, Any]:
    """All that a run learnt and measured, but not how long it took.

    Both checkpoints are checked against their sums on the way.
    """
    run = RunDir(path)
    history = [{k: v for k, v in row.items() if k != "seconds"} for row in run.history]
    last, best = run.load_checkpoint("last", state=True), run.load_checkpoint("best")
    return {
        "history": history,
        "results": run.about.get("results"),
        "last": _bytes({"tensors": last.tensors, "state": last.state}),
        "best": _bytes(best.tensors),
        "epochs": (last.meta["epoch"], best.meta["epoch"]),
    }


def _bytes(value: Any) -> Any:
    """`value` with the bytes of each tensor in its place, which compare as they should."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.numpy().tobytes()
    if isinstance(value, dict):
        return {key: _bytes(inner) for key, inner in value.items()}
    return [_bytes(inner) for inner in value] if isinstance(value, list) else value
