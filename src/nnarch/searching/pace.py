"""How many points are tried together, in one round after the other.

A sampler that learns hears of a round when all of it is over, so its rounds are small; one that
does not gains from large ones, which fill stacks. Where time is limited a round that does not end
is lost. So the first is small, and each that follows is what a part of the time that is left is
enough for, going by the one before.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain

from nnarch.pruners.pruner import Bracket
from nnarch.registry import pruners
from nnarch.sections import Search

LISTENING = 16, 64  # points of a round of a sampler that learns from them
DEAF = {"random": 1024, "grid": 1024, "quasirandom": 1024}  # of one that does not
FIRST, LEAST = 6, 4  # points for each worker, of the first round and of any where time is limited
PART = 3  # of the time that is left, which a round is to take


def brackets(
    search: Search,
    points: int,
    epochs: int,
    workers: int,
    left: Callable[[], int],
    deadline: float,
) -> Iterator[Bracket]:
    """Rounds, until no points are left or time is over.

    Args:
        points: that are tried in all.
        epochs: of a whole training.
        left: how many points are to be tried yet.
        deadline: the moment (`time.monotonic`) at which all end.
    """
    few, many = LISTENING
    usual = DEAF.get(search.sampler["name"], min(many, max(few, points // 8)))
    size = usual if search.seconds is None else min(usual, FIRST * workers)
    pruning = None
    if search.pruner:
        pruning = pruners.build(search.pruner).brackets(epochs, min(size, points), points)
        done, pending = points - left(), next(pruning)
        while done >= pending.trials:  # by what the search did before it was ended
            done, pending = done - pending.trials, next(pruning)
        pruning = chain([pending], pruning)
    while (there := left()) > 0 and (began := time.monotonic()) < deadline:
        bracket = next(pruning) if pruning else Bracket(size, (epochs,), ())
        yield replace(bracket, trials=min(bracket.trials, there))
        if search.seconds is not None:
            now = time.monotonic()
            each = (now - began) / max(1, there - left())
            size = int(max(LEAST * workers, min(usual, (deadline - now) / PART / max(each, 1e-6))))
