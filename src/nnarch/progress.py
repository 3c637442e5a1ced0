"""How far a search has come: plain data, which the search tells and the console draws.

It knows no terminal and no clock, so what is drawn can be held against what was told.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from nnarch.trial import Trial

MANY = 10**9  # trials, where time alone ends a search


@dataclass(frozen=True)
class Progress:
    """A search at one moment.

    Attributes:
        done, failed, pruned, refused: how many trials have ended so.
        running: how many train at the moment.
        total: how many there are to be.
        best: of those that are done; None where there is none.
        objective: by which it is the best.
        seconds: since the search began, or went on.
        before: how many of those that ended did so before that.
        limit: of the seconds; None where there is none.
        ended: trials that have ended since the last that was told, whose faults are to be said.
    """

    done: int = 0
    failed: int = 0
    pruned: int = 0
    refused: int = 0
    running: int = 0
    total: int = 0
    best: Trial | None = None
    objective: str = "val_loss"
    seconds: float = 0.0
    before: int = 0
    limit: float | None = None
    ended: Sequence[Trial] = ()

    @property
    def over(self) -> int:
        """How many trials have ended, one way or another."""
        return self.done + self.failed + self.pruned + self.refused

    @property
    def counted(self) -> str:
        """How many trials have ended, and of how many, where anything but time ends the search.

        >>> Progress(done=3, total=16).counted, Progress(done=3, total=MANY).counted
        ('3/16 trials', '3 trials')
        """
        return f"{self.over:,}{f'/{self.total:,}' if self.total < MANY else ''} trials"

    @property
    def share(self) -> float:
        """How much of the search is behind, from 0 to 1, by trials or by the time that it has.

        >>> Progress(done=3, failed=1, total=16).share
        0.25
        >>> Progress(done=1, total=100, seconds=30, limit=60).share
        0.5
        """
        by_time = self.seconds / self.limit if self.limit else 0.0
        by_trials = self.over / self.total if self.total else 1.0
        return min(1.0, max(by_trials, by_time))

    @property
    def rate(self) -> float:
        """Trials a second."""
        return (self.over - self.before) / self.seconds if self.seconds > 0 else 0.0

    @property
    def left(self) -> float | None:
        """Seconds that are left; None where nothing tells.

        >>> Progress(done=30, total=90, seconds=10, before=10).left
        30.0
        """
        by_trials = max(0, self.total - self.over) / self.rate if self.rate else None
        by_time = max(0.0, self.limit - self.seconds) if self.limit else None
        known = [value for value in (by_trials, by_time) if value is not None]
        return min(known, default=None)
