"""A run with several checkpoints, and what a disk or a stranger may do to its files.

A disk loses bits, blocks and ends of files. A stranger writes what he likes and makes the sums
agree again, which `sign` does. What was there before is compared by `frozen`, to the bit.
"""

import hashlib
import json
import os
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import nnarch
from nnarch import keeper
from nnarch.rundir import RunDir

CONFIG: dict[str, Any] = {
    "name": "kept",
    "data": {"source": "synthetic", "rows": 80, "features": 8, "noise": 2.0},
    "model": {"widths": [64, 48], "dropout": 0.2, "normalization": "batch"},
    "optimizer": {"name": "adamw", "lr": 0.03},
    "epochs": 6,
    "batch_size": 16,
    "threads": 1,
}
FILES = ("model.safetensors", "meta.json", "state.pt", "history.csv", "manifest.json")
BLOCK = 4096


def trained(root: Path, **changes: Any) -> RunDir:
    """A finished run that saved each of its epochs; the two last and the best are there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeper, "SAVE_EVERY", 0.0)
        return nnarch.train({**CONFIG, **changes}, runs_dir=root)


def with_three(root: Path, **changes: Any) -> RunDir:
    """One of whose epochs the best is neither of the two last."""
    for seed in range(100):
        run = trained(root / str(seed), seed=seed, **changes)
        if len(checkpoints(run)) == 3:
            return run
    raise AssertionError("no seed has its best epoch early")


def checkpoints(run: RunDir | Path) -> list[Path]:
    """The directories of its checkpoints, oldest first."""
    return sorted(Path(run, "checkpoints").glob("epoch-*"))


# what a disk does


def flipped(data: bytes, chance: random.Random) -> bytes:
    place, bit = chance.randrange(len(data)), chance.randrange(8)
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


def truncated(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.choice([0, chance.randrange(len(data))])]


def zeroed(data: bytes, chance: random.Random) -> bytes:
    """A block of zeros in the place of one that is not."""
    starts = [at for at in range(0, len(data), BLOCK) if any(data[at : at + BLOCK])]
    start = chance.choice(starts)
    end = min(start + BLOCK, len(data))
    return data[:start] + bytes(end - start) + data[end:]


def lengthened(data: bytes, chance: random.Random) -> bytes:
    return data + chance.choice([b"\0", b"\n", b"}", data])


def emptied(data: bytes, chance: random.Random) -> bytes:
    return b""


# what a stranger does


def sign(directory: Path) -> None:
    """Make the manifest agree with what is there, as whoever forges a checkpoint would."""
    path = directory / "manifest.json"
    told = json.loads(path.read_text())
    for name in told["sha256"]:
        told["sha256"][name] = hashlib.sha256((directory / name).read_bytes()).hexdigest()
    path.write_text(json.dumps(told))


def rewrite_meta(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what a checkpoint says of itself, and sign it."""
    path = directory / "meta.json"
    change(meta := json.loads(path.read_text()))
    path.write_text(json.dumps(meta))
    sign(directory)


def rewrite_state(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the state that training goes on from, and sign it."""
    path = directory / "state.pt"
    change(state := torch.load(path, weights_only=True))
    torch.save(state, path)
    sign(directory)


# what was there


def frozen(value: Any) -> Any:
    """`value` as something that equals another only if all in it is the same to the bit."""
    if isinstance(value, Tensor):
        whole = value.detach().contiguous().flatten()
        return value.dtype, tuple(value.shape), bytes(whole.view(torch.uint8).numpy())
    if isinstance(value, Mapping):
        return {key: frozen(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [frozen(inner) for inner in value]
    return type(value), value


def contents(directory: Path) -> dict[str, bytes | str]:
    """All that lies below a directory: files by their bytes, links by where they lead."""
    found: dict[str, bytes | str] = {}
    for at, folders, names in os.walk(directory):
        for path in (Path(at, name) for name in [*folders, *names]):
            name = str(path.relative_to(directory))
            if path.is_symlink():
                found[name] = os.readlink(path)
            elif path.is_file():
                found[name] = path.read_bytes()
    return found
