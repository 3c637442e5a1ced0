"""Hyperband: successive halving that begins early, later, and not at all, in turn."""

import math
from collections.abc import Iterator
from itertools import cycle

from nnarch.options import Count
from nnarch.pruners.halving import Factor, bracket, most_halvings
from nnarch.pruners.pruner import Bracket
from nnarch.registry import pruners


@pruners.register(name="hyperband")
class Hyperband:
    """Brackets of successive halving that begin to compare at different epochs (Li et al., 2018).

    Some networks learn slowly at first, and would be lost at an early rung; nobody knows
    beforehand, so each beginning gets the same number of epochs to spend. A bracket that would
    have fewer trials than train at once has as many, as long as there are enough for all.

    Options:
        factor: Of so many trials one is kept at a rung.
        min_epochs: Least that a trial trains; a run of fewer than `factor` times as many is whole.
    """

    def __init__(self, *, factor: Factor = 3, min_epochs: Count = 1):
        self._factor, self._least = factor, min_epochs

    def brackets(self, epochs: int, at_once: int, points: float = math.inf) -> Iterator[Bracket]:
        most = most_halvings(epochs, self._least, self._factor)
        sizes = {s: -(-(most + 1) * self._factor**s // (s + 1)) for s in range(most, -1, -1)}
        least = min(at_once, points / len(sizes))  # so that there is one of each beginning
        return cycle(
            bracket(max(trials, math.ceil(least)), halvings, epochs, self._factor)
            for halvings, trials in sizes.items()
        )
