"""What a search knows so far: every trial that has ended, here and on disk.

Trials come in by stacks. They are counted at once, and are on disk when the stack's last one is;
which point leads is looked up seldom enough to cost nothing, however many there are.
"""

import time
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from nnarch import ranking
from nnarch.ranking import Row
from nnarch.searchdir import SearchDir
from nnarch.trial import Trial

SELDOM = 50  # times as long as ranking takes pass until it is done again


class Tally:
    """The trials of a search that are over.

    Attributes:
        before: how many there were when the search went on.
    """

    def __init__(self, home: SearchDir, objectives: Sequence[str], higher: Collection[str]):
        """Args:
        higher: objectives that are to be large.
        """
        self._home, self._objectives, self._higher = home, objectives, higher
        self._trials = {trial.id: trial for trial in home.trials.read()}
        self.before = len(self._trials)
        self._fresh: list[Trial] = []  # that ended since the last that was told
        self._uncommitted: list[Trial] = []
        self._leader: Trial | None = None
        self._next = 0.0  # when to look again who leads
        self._ranked = -1  # how many trials there were when it was looked at

    @property
    def trials(self) -> list[Trial]:
        return list(self._trials.values())

    @property
    def points(self) -> int:
        """How many points have been tried."""
        return len({each.number for each in self._trials.values() if each.status != "refused"})

    def counts(self) -> Counter[str]:
        """How many trials have each status."""
        return Counter(trial.status for trial in self._trials.values())

    def rows(self) -> list[Row]:
        """Points from the best to the worst."""
        return ranking.best(self._trials.values(), self._objectives, self._higher)

    def leader(self) -> Trial | None:
        """A trial of the best point, as of a moment ago."""
        if self._ranked != len(self._trials) and (began := time.monotonic()) >= self._next:
            rows = self.rows()
            self._leader = rows[0].trials[0] if rows else None
            self._ranked = len(self._trials)
            took = time.monotonic() - began
            self._next = began + SELDOM * took
        return self._leader

    def record(self, trials: Iterable[Trial]) -> None:
        """Know of trials that have ended."""
        for trial in trials:
            self._trials[trial.id] = trial
            self._fresh.append(trial)
            self._uncommitted.append(trial)

    def commit(self) -> None:
        """Bring what is known to the disk."""
        if self._uncommitted:
            self._home.trials.append(self._uncommitted)
            self._uncommitted = []

    def fresh(self) -> list[Trial]:
        """What ended since this was asked last."""
        fresh, self._fresh = self._fresh, []
        return fresh
