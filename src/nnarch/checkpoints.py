"""The checkpoints of one run: which are kept, and which are the last and the best.

Each lies in a directory named after its epoch, which is never changed once it is there; `last`
and `best` are links to two of them, exchanged at once, so that at no instant there is none. Kept
are the two last, and the best as each of the two knew it: whichever of the two training goes on
from, all that belongs to it is there. A link of a stranger's is only followed to a neighbour.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nnarch import checkpoint, files
from nnarch.checkpoint import Checkpoint
from nnarch.errors import RunError

_NAME = re.compile(r"epoch-(\d{4,})")
Check = Callable[[Checkpoint, Path], object]


@dataclass(frozen=True)
class Resumable:
    """A state to go on from.

    Attributes:
        checkpoint: the newest that is intact.
        best: whether the best one that it knows of is intact too.
        faults: what is wrong with newer ones.
    """

    checkpoint: Checkpoint
    best: bool
    faults: list[str]


class Checkpoints:
    """Those in the directory `home`.

    Args:
        check: given each that is loaded, and its place; raises RunError where it is not the run's.
    """

    def __init__(self, home: Path, check: Check = lambda saved, path: None):
        self.home, self._check = home, check

    def save(self, last: Checkpoint, best: Checkpoint | None) -> None:
        """Make `last`, and `best` where there is a new one, the current ones; drop what is old.

        Raises: MachineError where the disk is full or may not be written.
        """
        before = self._current()
        if best is not None and _name(best) != _name(last):
            checkpoint.save(best, self.home / _name(best))
        checkpoint.save(last, self.home / _name(last))
        with files.machine_faults(self.home):
            if best is not None:
                files.link(self.home / "best", _name(best))
            files.link(self.home / "last", _name(last))
        kept = before | self._current()
        for _, path in self._all():
            if path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)

    def load(self, which: str, state: bool = False) -> Checkpoint:
        """The `best` or the `last`.

        Raises: RunError where there is none, or it is damaged.
        """
        while True:
            path = self.path(which)
            try:
                return self._loaded(path, state)
            except RunError:
                if self.path(which) == path:
                    raise  # else a training process has put a new one there meanwhile

    @property
    def epochs(self) -> list[int]:
        """Those that there is a checkpoint of."""
        return sorted(epoch for epoch, _ in self._all())

    def path(self, which: str) -> Path:
        """Where the `best` or the `last` lies."""
        if name := self._linked(which):
            return self.home / name
        path = self.home / which
        if path.is_symlink():
            raise RunError(f"{path}: damaged: expected a link to a neighbour such as epoch-0007")
        return path  # a copy, by a tool that knows no links

    def resumable(self) -> Resumable | None:
        """The newest state that is intact, one whose best is intact too if there is any.

        Raises: RunError where there are checkpoints, and none is intact.
        """
        faults, without_best = [], None
        for epoch, path in sorted(self._all(), reverse=True):
            if _is_directory(path) and not checkpoint.has_state(path):
                continue
            try:
                saved = self._loaded(path, state=True)
            except RunError as error:
                faults.append(str(error))
                continue
            if fault := self._fault_of_best(saved):
                without_best = without_best or Resumable(saved, False, [*faults, fault])
                faults.append(f"epoch {epoch}: {fault}")
            else:
                return Resumable(saved, True, faults)
        if not without_best and faults:
            raise RunError(f"{faults[0]}; no checkpoint of the run is intact")
        return without_best

    def _loaded(self, path: Path, state: bool = False) -> Checkpoint:
        """The one in `path`, if it is of this run and of the epoch that `path` is named after."""
        if not _is_directory(path):
            found = "is a link" if path.is_symlink() else "is not there"
            raise RunError(f"{path}: {found}; expected a directory")
        saved = _its_own(checkpoint.load(path, state), path)
        self._check(saved, path)
        return saved

    def _fault_of_best(self, saved: Checkpoint) -> str | None:
        """What is wrong with the best checkpoint that `saved` knows of."""
        if (best := saved.meta["best_epoch"]) == saved.meta["epoch"]:
            return None
        try:
            self._loaded(self.home / _named(best))
        except RunError as error:
            return str(error)
        return None

    def go_back_to(self, resumable: Resumable | None) -> None:
        """Make the checkpoint that training goes on from the last, and its best the best.

        Raises: MachineError where the disk may not be written.
        """
        with files.machine_faults(self.home):
            self.home.mkdir(exist_ok=True)
            files.tidy(self.home)
            for _, path in self._all():
                if not _is_directory(path):
                    path.unlink(missing_ok=True)
            if resumable is None:
                return
            meta = resumable.checkpoint.meta
            files.link(self.home / "last", _named(meta["epoch"]))
            if resumable.best:
                files.link(self.home / "best", _named(meta["best_epoch"]))

    def _current(self) -> set[str]:
        """The neighbours that `last` and `best` link to."""
        return {name for which in ("last", "best") if (name := self._linked(which))}

    def _linked(self, which: str) -> str | None:
        """The neighbour that `last` or `best` links to."""
        try:
            name = os.readlink(self.home / which)
        except OSError:
            return None
        return name if _NAME.fullmatch(name) else None

    def _all(self) -> Iterator[tuple[int, Path]]:
        """Epoch and place of each checkpoint that is there, or should be: the last one is."""
        try:
            names = {*os.listdir(self.home), self._linked("last") or ""}
        except OSError:
            return
        for name in names:
            if match := _NAME.fullmatch(name):
                yield int(match[1]), self.home / name


def _is_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _named(epoch: int) -> str:
    return f"epoch-{epoch:04}"


def _name(saved: Checkpoint) -> str:
    return _named(saved.meta["epoch"])


def _its_own(saved: Checkpoint, path: Path) -> Checkpoint:
    """`saved`, if it is of the epoch that its directory is named after."""
    epoch, best = saved.meta.get("epoch"), saved.meta.get("best_epoch")
    if _NAME.fullmatch(path.name) and (type(epoch) is not int or _named(epoch) != path.name):
        raise RunError(f"{path}: is of another epoch, {epoch!r:.80}")
    if type(epoch) is not int or type(best) is not int or not 0 < best <= epoch:
        raise RunError(f"{path}: damaged: epoch {epoch!r:.80}, best epoch {best!r:.80}")
    return saved
