"""The file of a search's trials: `trials.jsonl`, a line each.

It is the truth about a search: whatever else a search knows is made anew from it. Lines are only
added, whole and flushed to the disk, so a kill loses what it interrupts and no more; what it left
of a line is ignored, and cut off before the next is added.
"""

from collections.abc import Sequence
from pathlib import Path

from nnarch import files
from nnarch.errors import RunError, reason
from nnarch.trial import Trial


class Trials:
    """The trials that a file holds."""

    def __init__(self, path: Path):
        self.path = path

    def read(self) -> list[Trial]:
        """Each trial once, in the order in which they first ended.

        One that was tried again is as it ended last; one that has finished stays as it is.

        Raises: RunError where the file cannot be read, or a line is damaged.
        """
        found: dict[str, Trial] = {}
        for number, line in enumerate(self._lines(), 1):
            trial = self._trial(line, number)
            known = found.get(trial.id)
            if known is None or known.status != "finished":
                found[trial.id] = trial
        return list(found.values())

    def append(self, trials: Sequence[Trial]) -> None:
        """Add trials, all or none.

        Raises: MachineError where the disk is full or may not be written.
        """
        if trials:
            files.append_lines(self.path, "".join(f"{trial.to_json()}\n" for trial in trials))

    def _lines(self) -> list[bytes]:
        try:
            return files.read(self.path).split(b"\n")[:-1]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RunError(f"{self.path}: {reason(error)}") from error

    def _trial(self, line: bytes, number: int) -> Trial:
        try:
            return Trial.from_json(line)
        except (ValueError, TypeError, RecursionError) as error:
            raise RunError(f"{self.path}: line {number}: damaged: {error}") from error
