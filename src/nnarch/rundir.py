"""The run directory: what lies in it, how it is named and found.

Nothing else knows this layout. A directory is made with `mkdir`, which two starts cannot both
succeed at; it is locked while a process works on it, by the kernel, which lets go however that
process ends; and all it holds is plain text, JSON, CSV and safetensors, so opening one from a
stranger runs nothing. torch is only needed for the weights, so listing runs is instant.
"""

import contextlib
import csv
import dataclasses
import fcntl
import hashlib
import json
import math
import os
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from nnarch import checkpoint, files
from nnarch.checkpoint import Checkpoint
from nnarch.errors import RunBusy, RunError, UsageError, reason

FORMAT = 1
ABOUT, CONFIG, RESOLVED, HISTORY = "run.json", "config.yaml", "resolved.yaml", "history.csv"
LOG, LOCK = "log.txt", "run.lock"
_NAME = re.compile(r"\d{8}-\d{6}-.+-[0-9a-f]{6}")


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

    @classmethod
    def create(cls, root: Path, name: str, given: str, resolved: str) -> "RunDir":
        """A new directory `<UTC time>-<name>-<hash>` below `root`, holding the two configs.

        Raises: MachineError where it cannot be made.
        """
        with files.machine_faults(root):
            root.mkdir(parents=True, exist_ok=True)
            path = _made(root, name, resolved)
        files.write(path / CONFIG, given)
        files.write(path / RESOLVED, resolved)
        return cls(path)

    @property
    def about(self) -> dict[str, Any]:
        """What `run.json` says; a run whose process is gone without a word reads `interrupted`.

        Raises: RunError where it is missing or damaged.
        """
        about = _json(self.path / ABOUT)
        if about.get("format") != FORMAT:
            versions = about.get("versions")
            made = versions.get("nnarch") if isinstance(versions, dict) else None
            raise RunError(
                f"{self.path}: has format {about.get('format')}, of nnarch "
                f"{made or 'another version'}; this nnarch reads format {FORMAT}"
            )
        if about.get("status") == "running" and not self._is_locked():
            about["status"] = "interrupted"
        return about

    def write_about(self, about: Mapping[str, Any]) -> None:
        files.write(self.path / ABOUT, files.to_json({"format": FORMAT, **about}, indent=1) + "\n")

    @property
    def config(self) -> Path:
        """The complete config that the run was made from."""
        return self.path / RESOLVED

    @property
    def history(self) -> list[dict[str, float]]:
        """A mapping an epoch, from column to number; a half-written last line is left out.

        Raises: RunError where a number is none.
        """
        try:
            lines = files.read(self.path / HISTORY).decode().split("\n")[:-1]
            return [
                {key: float(value) for key, value in row.items()} for row in csv.DictReader(lines)
            ]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, csv.Error) as error:
            raise RunError(f"{self.path / HISTORY}: damaged: {error}") from error

    def append_history(self, row: Mapping[str, float | int]) -> None:
        """Add an epoch; the first one decides the columns."""
        with (
            files.machine_faults(self.path / HISTORY),
            open(self.path / HISTORY, "a+", newline="", encoding="utf-8") as file,
        ):
            file.seek(0)
            header = next(csv.reader(file), None)
            writer = csv.DictWriter(file, header or list(row), lineterminator="\n")
            if not header:
                writer.writeheader()
            writer.writerow(row)

    def log(self, line: str) -> None:
        """Add a line, with the time, to `log.txt`."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with (
            files.machine_faults(self.path / LOG),
            open(self.path / LOG, "a", encoding="utf-8", errors="backslashreplace") as file,
        ):
            file.write(f"{now} {line}\n")

    def save_plugin(self, name: str, source: bytes) -> None:
        """Keep the source of a plugin, to be read, never run."""
        home = self.path / "plugins"
        with files.machine_faults(self.path):
            home.mkdir(exist_ok=True)
        if (home / name).exists():
            name = f"{hashlib.sha256(source).hexdigest()[:6]}-{name}"
        files.write(home / name, source)

    def save_checkpoint(self, which: str, saved: Checkpoint) -> None:
        """Make `saved` the `last` or the `best` checkpoint; of `last` the one before is kept."""
        home = self.path / "checkpoints"
        previous = home / "previous" if which == "last" else None
        meta = {**saved.meta, "run": self._id()}
        checkpoint.save(dataclasses.replace(saved, meta=meta), home / which, previous)

    def load_checkpoint(self, which: str = "best", state: bool = False) -> Checkpoint:
        """The `best` or `last` checkpoint.

        Raises: RunError where there is none yet, or it is damaged or another run's.
        """
        home = self.path / "checkpoints"
        if not home.is_dir():
            raise RunError(f"{self.path}: no checkpoint yet; its first epoch has not ended")
        saved = checkpoint.load(home / which, state)
        if saved.meta.get("run") != self._id():
            raise RunError(f"{home / which}: is of another run, {saved.meta.get('run')!r}")
        return saved

    def checkpoint_sha256(self, which: str = "best") -> str:
        """What tells a checkpoint from any other: the SHA-256 of its manifest."""
        return checkpoint.sha256(self.path / "checkpoints" / which)

    def _id(self) -> Any:
        """What the run was called when it began, whatever its directory is called now."""
        with contextlib.suppress(RunError):
            return _json(self.path / ABOUT).get("id")
        return None

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run against other processes; the kernel lets go when this one ends.

        Raises: RunBusy where another holds it.
        """
        with contextlib.ExitStack() as held:
            with files.machine_faults(self.path):
                file = held.enter_context(open(self.path / LOCK, "a+"))
                try:
                    _take(file)
                except BlockingIOError:
                    file.seek(0)
                    holder = file.read().strip() or "another process"
                    raise RunBusy(f"{self.path}: held by {holder}") from None
                file.truncate(0)
                file.write(f"process {os.getpid()} on {os.uname().nodename}\n")
                file.flush()
            yield

    def _is_locked(self) -> bool:
        if not (self.path / LOCK).is_file():
            return False
        try:
            with open(self.path / LOCK) as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False


def _take(file: TextIO) -> None:
    """Lock `file`, trying for a tenth of a second: who asks for its state holds it an instant."""
    for _ in range(10):
        with contextlib.suppress(BlockingIOError):
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(0.01)
    return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def runs(root: Path) -> list[RunDir]:
    """The run directories below `root`, oldest first."""
    try:
        with os.scandir(root) as entries:
            names = [e.name for e in entries if _NAME.fullmatch(e.name) and e.is_dir()]
    except OSError:
        return []
    return [RunDir(root / name) for name in sorted(names)]


def find(selector: str, root: Path) -> RunDir:
    """The run that is meant: a path, a name's unique beginning, `@last` or `@best:val_loss`.

    Raises: UsageError where it says no run or several, RunError where there is none.
    """
    if not selector:
        raise UsageError("got '' for a run; expected a path, a name, @last or @best:val_loss")
    path = Path(selector)
    try:
        if (path / ABOUT).is_file():
            return RunDir(path)
    except OSError as error:
        raise RunError(f"{selector}: {reason(error)}") from error
    if selector.startswith("@"):
        return _chosen(selector, root)
    matches = [run for run in runs(root) if run.path.name.startswith(selector)]
    if len(matches) > 1:
        names = ", ".join(run.path.name for run in matches[:5])
        raise UsageError(f"{selector}: {len(matches)} runs begin so: {names}")
    if matches:
        return matches[0]
    if path.is_file():
        raise UsageError(f"{selector}: is a file; expected a run directory")
    if path.is_dir():
        raise RunError(f"{selector}: not a run directory: it holds no {ABOUT}")
    raise RunError(f"{selector}: no such run, neither as a path nor in {root}/")


def _chosen(selector: str, root: Path) -> RunDir:
    found = runs(root)
    if not found:
        raise RunError(f"{selector}: there are no runs in {root}/")
    if selector == "@last":  # names tell the second, files which of its runs was the last
        return max(found, key=lambda run: (run.path.name[:15], _began(run)))
    if not (match := re.fullmatch(r"@best:(\w+)", selector)):
        raise UsageError(f"{selector}: expected @last or @best: and a column such as val_loss")
    scored = []
    for run in found:
        # A run that is damaged, or not over, has no score.
        with contextlib.suppress(RunError, KeyError, TypeError, ValueError):
            results = run.about["results"]
            score = float(results["best"][match[1]])
            if math.isfinite(score):
                scored.append((-score if match[1] in results["higher"] else score, run))
    if not scored:
        raise RunError(f"{selector}: no run in {root}/ has {match[1]}")
    return min(scored, key=lambda pair: pair[0])[1]


def _began(run: RunDir) -> int:
    """When its config was written; a run that was killed before that is older than others."""
    try:
        return run.config.stat().st_mtime_ns
    except OSError:
        return 0


def _made(root: Path, name: str, resolved: str) -> Path:
    for attempt in range(10_000):
        digest = hashlib.sha256(f"{resolved}{attempt or ''}".encode()).hexdigest()[:6]
        path = root / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{name}-{digest}"
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            return path
    raise RunError(f"{root}: too many runs began in this second")


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(files.read(path))
    except OSError as error:
        raise RunError(f"{path}: {reason(error)}") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: damaged: {error}") from error
    if not isinstance(value, dict):
        raise RunError(f"{path}: damaged: not a mapping")
    return value
