"""A checkpoint on disk: weights, what inference needs, and a state for going on.

A checkpoint is a directory of four files. Weights are safetensors and descriptions are JSON, so
that opening one can execute nothing; `manifest.json` holds the SHA-256 of each file, since a
flipped bit in a tensor is a valid tensor. A new checkpoint is staged beside the old one and
renamed into its place, which keeps the old one, intact, as `previous` where it is asked for.
Between two renames there is a moment without a checkpoint in that place; whoever is killed then
leaves the old one aside, where both `load` and the next `save` find it.
"""

import contextlib
import hashlib
import io
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnarch import files
from nnarch.errors import RunError, reason

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

    def below(self, prefix: str) -> "dict[str, Tensor]":
        """The tensors whose names begin with `prefix`, by the rest of their names."""
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(prefix)
        }


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
    old = previous or _aside(directory)
    with files.machine_faults(directory):
        _stage(contents, staged)
        if old.exists() and not directory.exists():
            old.rename(directory)
        if directory.exists():
            shutil.rmtree(old, ignore_errors=True)
            directory.rename(old)
        staged.rename(directory)
        files.sync_directory(directory.parent)
        if not previous:
            shutil.rmtree(old, ignore_errors=True)


def _stage(contents: Mapping[str, bytes], staged: Path) -> None:
    """Write all files into the new directory `staged`, or leave nothing of it."""
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    try:
        for name, data in contents.items():
            files.write(staged / name, data)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise


def _aside(directory: Path) -> Path:
    return directory.with_name(f".{directory.name}.old")


def load(directory: Path, state: bool = False) -> Checkpoint:
    """The checkpoint in `directory`, every file checked against the manifest.

    Raises: RunError where a file is missing, damaged or of a newer format.
    """
    while True:
        found = _place(directory)
        try:
            return _loaded(found[0], state)
        except RunError:
            if _place(directory) == found:
                raise  # else a training process has put a new one there meanwhile


def _place(directory: Path) -> tuple[Path, int, int]:
    """Where the checkpoint of `directory` is, and which one it is."""
    for path in (directory, _aside(directory)):
        with contextlib.suppress(OSError):
            status = path.stat()
            return path, status.st_ino, status.st_mtime_ns
    return directory, 0, 0


def _loaded(directory: Path, state: bool) -> Checkpoint:
    import safetensors.torch

    names = ["model.safetensors", "meta.json", *(["state.pt"] if state else [])]
    sums = _sums(directory)
    contents = {name: _checked(directory / name, sums.get(name)) for name in names}
    try:
        tensors = safetensors.torch.load(contents["model.safetensors"])
        meta = dict(json.loads(contents["meta.json"]))
        return Checkpoint(tensors, meta, _opened(contents["state.pt"]) if state else None)
    except Exception as error:  # the sums agree, so whoever wrote it wrote something else
        raise RunError(f"{directory}: not a checkpoint of nnarch: {_first_line(error)}") from error


def sha256(directory: Path) -> str:
    """The SHA-256 of a checkpoint's manifest, which holds those of its files.

    Raises: RunError where there is none.
    """
    path = _place(directory)[0] / MANIFEST
    try:
        return hashlib.sha256(files.read(path)).hexdigest()
    except OSError as error:
        raise RunError(f"{path}: {reason(error)}") from error


def _weights(tensors: "Mapping[str, Tensor]") -> bytes:
    import safetensors.torch

    return safetensors.torch.save(
        # a copy of each, since safetensors refuses weights that two layers share
        {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
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
        manifest = json.loads(files.read(directory / MANIFEST))
        found, sums = manifest["format"], dict(manifest["sha256"])
    except FileNotFoundError:
        raise RunError(f"{directory / MANIFEST}: no such file; the checkpoint is missing") from None
    except (ValueError, KeyError, TypeError, RecursionError, OSError) as error:
        raise RunError(f"{directory / MANIFEST}: damaged: {_first_line(error)}") from error
    if found != FORMAT:
        raise RunError(f"{directory}: has format {found}; this nnarch reads format {FORMAT}")
    return sums


def _checked(path: Path, expected: str | None) -> bytes:
    try:
        data = files.read(path)
    except OSError as error:
        raise RunError(f"{path}: {reason(error)}") from error
    if hashlib.sha256(data).hexdigest() != expected:
        raise RunError(f"{path}: damaged: its SHA-256 is not the one in {MANIFEST}")
    return data


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
