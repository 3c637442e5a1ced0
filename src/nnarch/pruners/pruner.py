"""What a pruner is: a plan of how long trials train before the poor ones are left.

It says beforehand how many begin together, after which epochs they are compared, and how many go
on; who these are is the search's to tell. So it works the same for one objective and for several,
and for networks that train in one computation, which is packed again with those that are left.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Bracket:
    """Trials that are begun together and compared with each other.

    Attributes:
        trials: how many begin.
        rungs: epochs after which they are compared, rising; the last is the whole training.
        kept: how many go on after each rung but the last.
    """

    trials: int
    rungs: tuple[int, ...]
    kept: tuple[int, ...]


class Pruner(Protocol):
    """A strategy of stopping."""

    def brackets(self, epochs: int, at_once: int, points: float = math.inf) -> Iterator[Bracket]:
        """Brackets without end.

        Args:
            epochs: of a whole training.
            at_once: how many trials a bracket should have at least, so that they fill a stack.
            points: that are tried in all.
        """
        ...
