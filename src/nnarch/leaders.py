"""The best trials of a search so far, as checkpoints that runs are made of.

A search that finds a network keeps that very network: to train its config once more would take as
long again, and come to other numbers wherever rounding is amplified. What the best trials came to
lies on disk while the search goes on, so that it is there after a kill as well.
"""

import contextlib
import re
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from nnarch import checkpoint, files
from nnarch.checkpoint import Checkpoint
from nnarch.errors import RunError

Contents = Mapping[str, Mapping[str, bytes]]  # of the checkpoints LAST and BEST, file by file
LAST, BEST = "last", "best"
_ID = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True)
class Leader:
    """What the training of a trial came to.

    Attributes:
        last: of its last epoch, with state and history.
        best: of its best one.
    """

    last: Checkpoint
    best: Checkpoint


class Leaders:
    """Those in the directory `home`, each under its trial's id."""

    def __init__(self, home: Path):
        self.home = home

    def keep(self, ids: Collection[str], fresh: Mapping[str, Contents]) -> None:
        """Keep what there is of `ids`, some of which are `fresh`, and nothing else.

        Raises: MachineError where the disk is full or may not be written.
        """
        with files.machine_faults(self.home):
            if self.home.is_symlink():
                raise RunError(f"{self.home}: is a link; expected a directory")
            for id in filter(fresh.__contains__, ids):
                (self.home / id).mkdir(parents=True, exist_ok=True)
                for name in (BEST, LAST):
                    checkpoint.write(fresh[id][name], self.home / id / name)
            for path in self.home.glob("*"):
                if _ID.fullmatch(path.name) and path.name not in ids:
                    shutil.rmtree(path, ignore_errors=True)

    def load(self, id: str) -> Leader | None:
        """What is kept of a trial; None where that is nothing, or damaged."""
        if not _ID.fullmatch(id):  # a stranger may have written anything there
            return None
        with contextlib.suppress(RunError):
            last = checkpoint.load(self.home / id / LAST, state=True)
            return Leader(last, checkpoint.load(self.home / id / BEST))
        return None

    def clear(self) -> None:
        """Keep nothing any more, since what is worth it is a run by now."""
        if self.home.exists():
            self.keep((), {})
            with files.machine_faults(self.home), contextlib.suppress(OSError):
                self.home.rmdir()
