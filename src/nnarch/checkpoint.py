"""A checkpoint on disk: weights, what inference needs, and a state for going on.

A checkpoint is a directory of four files. Weights are safetensors and descriptions are JSON, so
that opening one can execute nothing; `manifest.json` holds the SHA-256 of each file, since a
flipped bit in a tensor is a valid tensor. A new checkpoint is staged beside the old one and
renamed into its place, which keeps the old one, intact, as `previous` where it is asked for.
"""

import hashlib
import io
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnarch import files
from nnarch.errors import RunError

if TYPE_CHECKING:
    from torch import Tensor

MANIFEST = "manifest.json"
FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """What is saved at the end of an epoch.

    Attributes:
        tensors: weights and fitted preprocessing.
        meta: what inference needs to know beside them, JSON.
        state: what training needs to go on: tensors, numbers and containers of them.
    """

    tensors: "Mapping[str, Tensor]"
    meta: Mapping[str, Any]
    state: Mapping[str, Any] | None = None


def save(checkpoint: Checkpoint, directory: Path, previous: Path | None = None) -> None:
    """Make `directory` this checkpoint; what it held goes to `previous`, or away.

    Raises: MachineError where the disk is full or may not be written.
    """
    contents = {
        "model.safetensors": _weights(checkpoint.tensors),
        "meta.json": json.dumps(checkpoint.meta, indent=1).encode(),
    }
    if checkpoint.state is not None:
        contents["state.pt"] = _state(checkpoint.state)
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    contents[MANIFEST] = json.dumps({"format": FORMAT, "sha256": sums}, indent=1).encode()
    staged = directory.with_name(f".{directory.name}.new")
    old = previous or directory.with_name(f".{directory.name}.old")
    with files.machine_faults(directory):
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir(parents=True)
        for name, data in contents.items():
            files.write(staged / name, data)
        if directory.exists():
            shutil.rmtree(old, ignore_errors=True)
            directory.rename(old)
        staged.rename(directory)
        files.sync_directory(directory.parent)
        if not previous:
            shutil.rmtree(old, ignore_errors=True)


def load(directory: Path, state: bool = False) -> Checkpoint:
    """The checkpoint in `directory`, every file checked against the manifest.

    Raises: RunError where a file is missing, damaged or of a newer format.
    """
    import safetensors.torch

    names = ["model.safetensors", "meta.json", *(["state.pt"] if state else [])]
    sums = _sums(directory)
    contents = {name: _checked(directory / name, sums.get(name)) for name in names}
    try:
        tensors = safetensors.torch.load(contents["model.safetensors"])
        meta = json.loads(contents["meta.json"])
        return Checkpoint(tensors, meta, _opened(contents["state.pt"]) if state else None)
    except Exception as error:  # the sums agree, so whoever wrote it wrote something else
        raise RunError(f"{directory}: not a checkpoint of nnarch: {_first_line(error)}") from error


def _weights(tensors: "Mapping[str, Tensor]") -> bytes:
    import safetensors.torch

    return safetensors.torch.save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    )


def _state(state: Mapping[str, Any]) -> bytes:
    import torch

    torch.save(dict(state), buffer := io.BytesIO())
    return buffer.getvalue()


def _opened(state: bytes) -> dict[str, Any]:
    import torch

    return torch.load(io.BytesIO(state), weights_only=True, map_location="cpu")


def _sums(directory: Path) -> dict[str, str]:
    try:
        manifest = json.loads((directory / MANIFEST).read_bytes())
        found, sums = manifest["format"], dict(manifest["sha256"])
    except FileNotFoundError:
        raise RunError(f"{directory / MANIFEST}: no such file; the checkpoint is missing") from None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise RunError(f"{directory / MANIFEST}: damaged: {_first_line(error)}") from error
    if found != FORMAT:
        raise RunError(f"{directory}: has format {found}; this nnarch reads format {FORMAT}")
    return sums


def _checked(path: Path, expected: str | None) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    if hashlib.sha256(data).hexdigest() != expected:
        raise RunError(f"{path}: damaged: its SHA-256 is not the one in {MANIFEST}")
    return data


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
