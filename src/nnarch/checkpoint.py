"""A checkpoint on disk: weights, what inference needs, and a state for going on.

A checkpoint is a directory of a few files. Weights are safetensors and descriptions are JSON, so
that opening one can execute nothing; `manifest.json` holds the SHA-256 of each file, since a
flipped bit in a tensor is a valid tensor. A checkpoint is written beside its place, read again,
and renamed into it: what stands under its name is whole, whenever a process is killed, and is
never changed afterwards. The sums show damage; they do not tell who wrote it.
"""

import hashlib
import io
import json
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnarch import files
from nnarch.errors import MachineError, RunError, reason
from nnarch.version import VERSION

if TYPE_CHECKING:
    from torch import Tensor

MODEL, META, STATE, HISTORY = "model.safetensors", "meta.json", "state.pt", "history.csv"
MANIFEST = "manifest.json"
FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """What is saved at the end of an epoch.

    Attributes:
        tensors: weights and fitted preprocessing.
        meta: what inference needs to know beside them, JSON.
        state: what training needs to go on: tensors, numbers and containers of them.
        history: the rows of the epochs so far, which belong to the state.
    """

    tensors: "Mapping[str, Tensor]"
    meta: Mapping[str, Any]
    state: Mapping[str, Any] | None = None
    history: str = ""

    def below(self, prefix: str) -> "dict[str, Tensor]":
        """The tensors whose names begin with `prefix`, by the rest of their names."""
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(prefix)
        }


def save(checkpoint: Checkpoint, directory: Path) -> None:
    """Make `directory` this checkpoint; it appears whole or not at all.

    Raises: MachineError where the disk is full, may not be written, or gives back something else.
    """
    write(contents(checkpoint), directory)


def contents(checkpoint: Checkpoint) -> dict[str, bytes]:
    """The files of a checkpoint by their names."""
    made = {MODEL: _weights(checkpoint.tensors), META: _json(checkpoint.meta)}
    if checkpoint.state is not None:
        made[STATE] = _state(checkpoint.state)
        made[HISTORY] = checkpoint.history.encode()
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in made.items()}
    return made | {MANIFEST: _json({"format": FORMAT, "sha256": sums})}


def write(contents: Mapping[str, bytes], directory: Path) -> None:
    """Make `directory` the checkpoint of these files, as `save` makes one."""
    staged = directory.with_name(f".{directory.name}.new")
    with files.machine_faults(directory):
        try:
            shutil.rmtree(staged, ignore_errors=True)
            staged.mkdir()
            files.write_all(staged, contents)
            _verify(staged)
            shutil.rmtree(directory, ignore_errors=True)
            staged.rename(directory)
        except BaseException:
            shutil.rmtree(staged, ignore_errors=True)
            raise
        files.sync_directory(directory.parent)


def _verify(staged: Path) -> None:
    """Read again what was written."""
    try:
        _checked(staged, list(_sums(staged)))
    except RunError as error:
        raise MachineError(f"{error}; the disk did not keep what was written") from error


def load(directory: Path, state: bool = False) -> Checkpoint:
    """The checkpoint in `directory`, every file that is used checked against the manifest.

    Raises: RunError where a file is missing, damaged or of another format.
    """
    import safetensors.torch

    contents = _checked(directory, [MODEL, META, *([STATE, HISTORY] if state else [])])
    try:
        tensors = safetensors.torch.load(contents[MODEL])
        meta = dict(json.loads(contents[META]))
        if not state:
            return Checkpoint(tensors, meta)
        return Checkpoint(tensors, meta, _opened(contents[STATE]), contents[HISTORY].decode())
    except Exception as error:  # the sums agree, so whoever wrote it wrote something else
        raise RunError(f"{directory}: not a checkpoint of nnarch: {_first_line(error)}") from error


def has_state(directory: Path) -> bool:
    """Whether training can go on from the checkpoint in `directory`; damaged, it may say so too.

    A checkpoint that is only the best has none.
    """
    try:
        return STATE in _sums(directory)
    except RunError:
        return (directory / STATE).exists()


def sha256(directory: Path) -> str:
    """The SHA-256 of a checkpoint's manifest, which holds those of its files.

    Raises: RunError where there is none.
    """
    try:
        return hashlib.sha256(files.read(directory / MANIFEST)).hexdigest()
    except OSError as error:
        raise RunError(f"{directory / MANIFEST}: {reason(error)}") from error


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, indent=1).encode()


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

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch says of such a file is advice to trust it
            return dict(torch.load(io.BytesIO(state), weights_only=True, map_location="cpu"))
    except MemoryError:
        raise
    except Exception as error:
        expected = "numbers, tensors and containers of them"
        raise ValueError(f"{STATE} holds something other than {expected}") from error


def _sums(directory: Path) -> dict[str, str]:
    path = directory / MANIFEST
    try:
        manifest = json.loads(files.read(path))
        found, sums = manifest["format"], dict(manifest["sha256"])
    except FileNotFoundError:
        raise RunError(f"{path}: no such file; the checkpoint is missing") from None
    except (ValueError, KeyError, TypeError, RecursionError, OSError) as error:
        raise RunError(f"{path}: damaged: {_first_line(error)}") from error
    if found != FORMAT:
        raise RunError(f"{directory}: {other_format(found)}")
    if not {MODEL, META} <= set(sums) <= {MODEL, META, STATE, HISTORY}:
        raise RunError(f"{path}: damaged: it does not name the files of a checkpoint")
    return sums


def other_format(found: Any, made_by: Any = None) -> str:
    """What to say of something on disk whose format is not ours."""
    by = f", of nnarch {made_by:.20}" if isinstance(made_by, str) else ""
    return f"has format {found!r:.80}{by}; this is nnarch {VERSION}, which reads format {FORMAT}"


def _checked(directory: Path, names: list[str]) -> dict[str, bytes]:
    sums = _sums(directory)
    return {name: _content(directory / name, sums.get(name)) for name in names}


def _content(path: Path, expected: str | None) -> bytes:
    try:
        data = files.read(path)
    except OSError as error:
        raise RunError(f"{path}: {reason(error)}") from error
    if hashlib.sha256(data).hexdigest() != expected:
        raise RunError(f"{path}: damaged: its SHA-256 is not the one in {MANIFEST}")
    return data


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
