"""Successive halving: of those that trained equally long, the best go on."""

import math
from collections.abc import Iterator
from itertools import repeat
from typing import Annotated

from pydantic import Field

from nnarch.options import WHOLE, Count
from nnarch.pruners.pruner import Bracket
from nnarch.registry import pruners

Factor = Annotated[int, Field(ge=2, le=100), WHOLE]


@pruners.register(name="halving")
class Halving:
    """Successive halving: one in `factor` goes on to train `factor` times as long.

    Jamieson & Talwalkar, 2016. Rungs lie at whole epochs, counted from the last one back. A
    bracket has enough trials for one to train to the end, or as many as train at once.

    Options:
        factor: Of so many trials one is kept at a rung.
        min_epochs: Least that a trial trains; a run of fewer than `factor` times as many is whole.
    """

    def __init__(self, *, factor: Factor = 3, min_epochs: Count = 1):
        self._factor, self._least = factor, min_epochs

    def brackets(self, epochs: int, at_once: int, points: float = math.inf) -> Iterator[Bracket]:
        halvings = most_halvings(epochs, self._least, self._factor)
        trials = max(self._factor**halvings, at_once)
        return repeat(bracket(trials, halvings, epochs, self._factor))


def most_halvings(epochs: int, least: int, factor: int) -> int:
    """The largest s with `least` * `factor`^s <= `epochs`, at least 0.

    >>> most_halvings(81, 1, 3), most_halvings(80, 1, 3), most_halvings(5, 10, 3)
    (4, 3, 0)
    """
    halvings = 0
    while least * factor ** (halvings + 1) <= epochs:
        halvings += 1
    return halvings


def bracket(trials: int, halvings: int, epochs: int, factor: int) -> Bracket:
    """So many trials, of which one in `factor` is kept, so many times.

    >>> bracket(27, 2, 81, 3)
    Bracket(trials=27, rungs=(9, 27, 81), kept=(9, 3))
    """
    rungs = tuple(epochs // factor**left for left in range(halvings, -1, -1))
    kept = tuple(max(1, trials // factor**done) for done in range(1, halvings + 1))
    return Bracket(trials, rungs, kept)
