"""Two runs held against each other, to the last bit.

What a clock tells is left out: the seconds of an epoch, and the names that runs get from it.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from nnarch import history
from nnarch.checkpoint import Checkpoint
from nnarch.rundir import RunDir


def differences(run: RunDir, reference: RunDir) -> list[str]:
    """Where two runs differ: in a tensor of a checkpoint, a row of the history, or a figure."""
    one, other = dict(_told(run)), dict(_told(reference))
    return [
        f"{place}: {one.get(place)} instead of {other.get(place)}"
        for place in sorted(one.keys() | other.keys())
        if one.get(place) != other.get(place)
    ]


def _told(run: RunDir) -> Iterator[tuple[str, str]]:
    """All that a run came to, place by place, as text that is equal if the bits are."""
    about = run.about
    yield from _leaves("run.json", {key: about.get(key) for key in ("status", "results", "seed")})
    yield from _leaves("history.csv", _timeless(run.history_text))
    yield from _leaves("last", _content(run.load_checkpoint("last", state=True)))
    yield from _leaves("best", _content(run.load_checkpoint("best")))


def _content(saved: Checkpoint) -> dict[str, Any]:
    meta = {key: value for key, value in saved.meta.items() if key not in ("run", "config")}
    meta["seed"], meta["model"] = (saved.meta["config"][key] for key in ("seed", "model"))
    rows = _timeless(saved.history)
    return {"tensors": saved.tensors, "meta": meta, "state": saved.state, "history": rows}


def _timeless(text: str) -> list[history.Row]:
    return [
        {name: value for name, value in row.items() if name != "seconds"}
        for row in history.rows(text)
    ]


def _leaves(place: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(f"{place}.{key}", inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _leaves(f"{place}.{number}", inner)
    else:
        yield place, bits(value) if isinstance(value, Tensor) else repr(value)


def bits(tensor: Tensor) -> str:
    """Type, shape and every bit of a tensor; of a long one what tells it from any other."""
    data = bytes(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    shown = data.hex() if len(data) <= 16 else hashlib.sha256(data).hexdigest()
    return f"{tensor.dtype} {tuple(tensor.shape)} {shown}"
