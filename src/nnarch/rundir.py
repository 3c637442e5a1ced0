"""The run directory: what lies in it, and how it is named.

Nothing else knows this layout. A directory is filled and locked before it gets its name, by a
rename that two starts cannot both succeed at, so that a run is whole as soon as it is there. The
lock is the kernel's, which lets go however a process ends; and all that lies here is plain text,
JSON, CSV and safetensors, so opening a run from a stranger runs nothing. torch is only needed for
the weights, so listing runs is instant.
"""

import contextlib
import csv
import dataclasses
import errno
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from nnarch import checkpoint, files, history, lock
from nnarch.checkpoint import Checkpoint
from nnarch.checkpoints import Checkpoints, Resumable
from nnarch.errors import RunError, reason
from nnarch.printable import printable

FORMAT = 1
ABOUT, CONFIG, RESOLVED, HISTORY = "run.json", "config.yaml", "resolved.yaml", "history.csv"
LOG, LOCK, CHECKPOINTS, PLUGINS = "log.txt", "run.lock", "checkpoints", "plugins"
_NAME = re.compile(r"\d{8}-\d{6}-.+-[0-9a-f]{6}")
_STAGED = re.compile(r"\.[0-9a-f]{8}\.new")
_STAMP = "%Y%m%d-%H%M%S"
LEFT_BEHIND = 3600.0  # seconds; no start takes so long


class RunDir:
    """One run on disk."""

    def __init__(self, path: Path):
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"RunDir({str(self.path)!r})"

    @cached_property
    def _checkpoints(self) -> Checkpoints:
        return Checkpoints(self.path / CHECKPOINTS, self._check_own)

    @classmethod
    @contextlib.contextmanager
    def create(
        cls,
        root: Path,
        name: str,
        given: str,
        resolved: str,
        about: Mapping[str, Any],
        plugins: Mapping[str, bytes] | None = None,
    ) -> "Iterator[RunDir]":
        """A new directory `<UTC time>-<name>-<hash>` below `root`, held until the end.

        Args:
            given: the config as the user wrote it.
            resolved: the complete one.
            about: for `run.json`, to which the run's name is added as `id`.
            plugins: sources to be kept, to be read, never run.

        Raises: MachineError where it cannot be made.
        """
        staged = root / f".{os.urandom(4).hex()}.new"
        with contextlib.ExitStack() as held:
            with files.machine_faults(root):
                root.mkdir(parents=True, exist_ok=True)
                _clear(root)
                try:
                    staged.mkdir()
                    run = cls(staged)
                    held.enter_context(run.lock())
                    (staged / CHECKPOINTS).mkdir()
                    files.write(staged / CONFIG, given)
                    files.write(staged / RESOLVED, resolved)
                    run._keep_plugins(plugins or {})
                    run = cls(run._named(root, name, resolved, about))
                except BaseException:
                    shutil.rmtree(staged, ignore_errors=True)
                    raise
            yield run

    def _keep_plugins(self, sources: Mapping[str, bytes]) -> None:
        if sources:
            (self.path / PLUGINS).mkdir()
        for name, source in sources.items():
            files.write(self.path / PLUGINS / name, source)

    def _named(self, root: Path, name: str, resolved: str, about: Mapping[str, Any]) -> Path:
        """Give the directory, which is complete but for `run.json`, the first name that is free."""
        for attempt in range(10_000):
            digest = hashlib.sha256(f"{resolved}{attempt or ''}".encode()).hexdigest()[:6]
            path = root / f"{_stamp(root)}-{name}-{digest}"
            self.write_about({"id": path.name, **about})
            try:
                self.path.rename(path)  # a directory that is not empty is never replaced
                files.sync_directory(root)
                return path
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise
        raise RunError(f"{root}: too many runs began in this second")

    @property
    def about(self) -> dict[str, Any]:
        """What `run.json` says; a run whose process is gone without a word reads `interrupted`.

        Raises: RunError where it is missing or damaged.
        """
        about = _json(os.path.join(self.path, ABOUT))  # at a third of what a Path costs
        if about.get("format") != FORMAT:
            versions = about.get("versions")
            made = versions.get("nnarch") if isinstance(versions, dict) else None
            raise RunError(f"{self.path}: {checkpoint.other_format(about.get('format'), made)}")
        if about.get("status") == "running" and not lock.is_held(self.path / LOCK):
            about["status"] = "interrupted"
        return about

    def write_about(self, about: Mapping[str, Any]) -> None:
        files.write(self.path / ABOUT, files.to_json({"format": FORMAT, **about}, indent=1) + "\n")

    @property
    def config(self) -> Path:
        """The complete config that the run was made from."""
        return self.path / RESOLVED

    def write_config(self, resolved: str) -> None:
        """Replace the complete config, for a run that goes on otherwise."""
        files.write(self.config, resolved)

    @property
    def history(self) -> list[history.Row]:
        """A mapping an epoch, from column to number; a half-written last line is left out.

        Raises: RunError where a number is none.
        """
        try:
            return history.rows(self.history_text)
        except (ValueError, TypeError, csv.Error) as error:
            raise RunError(f"{self.path / HISTORY}: damaged: {error}") from error

    @property
    def history_text(self) -> str:
        """The history as it lies there.

        Raises: RunError where it cannot be read.
        """
        try:
            return files.read(self.path / HISTORY).decode()
        except FileNotFoundError:
            return ""
        except (OSError, ValueError) as error:
            raise RunError(f"{self.path / HISTORY}: damaged: {error}") from error

    def append_history(self, lines: str) -> None:
        """Add the lines of an epoch."""
        files.append(self.path / HISTORY, lines)

    def log(self, line: str) -> None:
        """Add a line, with the time, to `log.txt`."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        files.append(self.path / LOG, f"{now} {printable(line)}\n")

    def save_checkpoint(self, last: Checkpoint, best: Checkpoint | None = None) -> None:
        """Make `last`, and `best` where there is a new one, the current checkpoints."""
        named = {"run": self._id()}
        signed = dataclasses.replace(last, meta={**last.meta, **named})
        if best is not None:
            best = dataclasses.replace(best, meta={**best.meta, **named})
        self._checkpoints.save(signed, best)

    def load_checkpoint(self, which: str = "best", state: bool = False) -> Checkpoint:
        """The `best` or `last` checkpoint.

        Raises: RunError where there is none yet, or it is damaged or another run's.
        """
        home = self._checkpoints.home
        if not os.path.lexists(home / which):
            if not self._checkpoints.epochs:
                raise RunError(f"{self.path}: no checkpoint yet; its first epoch has not ended")
            if not os.path.lexists(home / "last"):  # which the first save ends with
                raise RunError(
                    f"{self.path}: no checkpoint yet; its first was broken off: "
                    f"nnarch resume {self.path}"
                )
            raise RunError(f"{home / which}: no such link; expected one such as to epoch-0007")
        return self._checkpoints.load(which, state)

    def resumable(self) -> Resumable | None:
        """The newest intact state, or None where the first epoch has not ended.

        Raises: RunError where there are checkpoints, and none is intact or this run's.
        """
        return self._checkpoints.resumable()

    def go_back_to(self, resumable: Resumable | None) -> None:
        """Make links and history those of the state that training goes on from.

        What else a process that was killed has left is removed.
        """
        if self._checkpoints.home.is_symlink():
            raise RunError(f"{self._checkpoints.home}: is a link; expected a directory")
        self._checkpoints.go_back_to(resumable)
        with files.machine_faults(self.path):
            files.tidy(self.path)
        files.write(self.path / HISTORY, resumable.checkpoint.history if resumable else "")

    def checkpoint_sha256(self, which: str = "best") -> str:
        """What tells a checkpoint from any other: the SHA-256 of its manifest."""
        return checkpoint.sha256(self._checkpoints.path(which))

    def _check_own(self, saved: Checkpoint, path: Path) -> None:
        if (run := saved.meta.get("run")) != self._id():
            raise RunError(f"{path}: is of another run, {run!r:.80}")

    def _id(self) -> Any:
        """What the run was called when it began, whatever its directory is called now."""
        with contextlib.suppress(RunError):
            return _json(self.path / ABOUT).get("id")
        return None

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Hold the run against other processes; the kernel lets go when this one ends.

        Raises: RunBusy where another holds it.
        """
        return lock.hold(self.path / LOCK)


def _clear(root: Path) -> None:
    """Remove what starts that were killed before their run had a name have left, a while ago."""
    for path in root.glob(".*.new"):
        with contextlib.suppress(OSError):
            is_old = time.time() - path.lstat().st_mtime > LEFT_BEHIND
            if is_old and _STAGED.fullmatch(path.name) and not lock.is_held(path / LOCK):
                shutil.rmtree(path)


def names(root: Path) -> list[str]:
    """What the run directories below `root` are called, oldest first."""
    try:
        with os.scandir(root) as entries:
            return sorted(e.name for e in entries if _NAME.fullmatch(e.name) and e.is_dir())
    except OSError:
        return []


def _stamp(root: Path) -> str:
    """The time now; a second after the newest run's where the clock has been put back since."""
    now = datetime.now(UTC)
    if earlier := names(root):
        with contextlib.suppress(ValueError, OverflowError):
            latest = datetime.strptime(earlier[-1][:15], _STAMP).replace(tzinfo=UTC)
            now = max(now, latest + timedelta(seconds=1)) if now < latest else now
    return now.strftime(_STAMP)


def _json(path: str | Path) -> dict[str, Any]:
    try:
        value = json.loads(files.read(path))
    except OSError as error:
        raise RunError(f"{path}: {reason(error)}") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: damaged: {error}") from error
    if not isinstance(value, dict):
        raise RunError(f"{path}: damaged: not a mapping")
    return value
