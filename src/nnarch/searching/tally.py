"""What a search knows so far: every trial that has ended, here and on disk.

Trials come in by stacks. They are counted at once, and are on disk when the stack's last one is,
after the weights of those that may be kept; which point leads is looked up seldom enough to cost
nothing, however many there are.
"""

import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

from nnarch.findings import ranking
from nnarch.findings.ranking import Row
from nnarch.leaders import Contents
from nnarch.searchdir import SearchDir
from nnarch.trial import Trial

SELDOM = 50  # times as long as ranking takes pass until it is done again


class Tally:
    """The trials of a search that are over.

    Attributes:
        before: how many there were when the search went on.
        leaders: gives those of some trials that would be kept; processes can be told it.
    """

    def __init__(
        self, home: SearchDir, objectives: Sequence[str], higher: Collection[str], keep: int
    ):
        """Args:
        higher: objectives that are to be large.
        keep: how many of the best points are to be made runs of.
        """
        self._home, self._objectives, self._higher = home, objectives, higher
        self._trials = {trial.id: trial for trial in home.trials.read()}
        self.before = len(self._trials)
        self._fresh: list[Trial] = []  # that ended since the last that was told
        self._uncommitted: list[Trial] = []
        self.leaders = partial(ranking.leaders, count=keep, objectives=objectives, higher=higher)
        self._left: dict[str, Contents] = {}
        self._leading = self.leaders(self._trials.values())
        self._leader: Trial | None = None
        self._next = 0.0  # when to look again who leads
        self._has_changed = True  # since it was looked at

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

    def ranked(self, trials: Iterable[Trial]) -> list[Row]:
        """The points of `trials` from the best to the worst."""
        return ranking.best(trials, self._objectives, self._higher)

    def rows(self) -> list[Row]:
        """All points from the best to the worst."""
        return self.ranked(self._trials.values())

    def leader(self) -> Trial | None:
        """A trial of the best point, as of a moment ago."""
        if self._has_changed and (began := time.monotonic()) >= self._next:
            rows = self.rows()
            self._leader = rows[0].trials[0] if rows else None
            self._has_changed = False
            took = time.monotonic() - began
            self._next = began + SELDOM * took
        return self._leader

    def record(
        self, trials: Iterable[Trial], left: Mapping[str, Contents] = MappingProxyType({})
    ) -> None:
        """Know of trials that have ended.

        Args:
            left: checkpoints of some of them, by their ids.
        """
        for trial in trials:
            self._trials[trial.id] = trial
            self._fresh.append(trial)
            self._uncommitted.append(trial)
            self._has_changed = True
        self._left |= left

    def commit(self) -> None:
        """Bring what is known to the disk."""
        if self._left:
            numbers = {trial.number for trial in (*self._leading, *self._uncommitted)}
            among = [trial for trial in self._trials.values() if trial.number in numbers]
            self._leading = self.leaders(among)
            self._home.leaders.keep([trial.id for trial in self._leading], self._left)
            self._left = {}
        if self._uncommitted:
            self._home.trials.append(self._uncommitted)
            self._uncommitted = []

    def fresh(self) -> list[Trial]:
        """What ended since this was asked last."""
        fresh, self._fresh = self._fresh, []
        return fresh
