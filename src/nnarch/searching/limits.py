"""How long trials may take: each by itself, and all of a search together.

Training asks before every step, and ends by what is raised here; whoever trains decides what that
makes of a trial.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from nnarch.trial import NO_TIME


class OutOfTime(Exception):
    """The time that the search has is over."""


class TookTooLong(Exception):
    """The time that one trial has is over."""


@dataclass(frozen=True)
class Limits:
    """How long trials may take.

    Attributes:
        until: epochs after which they wait to be told to go on.
        deadline: the moment (`time.monotonic`) at which all end.
        seconds: that one of them may take.
    """

    until: float = math.inf
    deadline: float = math.inf
    seconds: float = math.inf

    def clock(self, began: float, trials: int, other: Callable[[], None]) -> Callable[[], None]:
        """What raises OutOfTime or TookTooLong when it is time.

        Args:
            began: the moment at which so many `trials`, which share the time, began.
            other: is called each time before.
        """

        def check() -> None:
            other()
            now = time.monotonic()
            if now > self.deadline:
                raise OutOfTime(NO_TIME)
            if (now - began) / trials > self.seconds:
                raise TookTooLong(f"took longer than search.trial_seconds, {self.seconds:g}")

        return check
