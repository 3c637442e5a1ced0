"""Signals that ask a run to stop.

The first SIGINT, SIGTERM or SIGHUP is only noted, so that whoever works can finish the epoch and
save; a second one ends the process at once, which is safe too, since files are replaced whole.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """Whether, by which signal and when a stop was asked for."""

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._asked_at = 0.0

    def ask(self, signal_number: int) -> None:
        if self.signal_number is not None:
            os._exit(128 + signal_number)
        self.signal_number, self._asked_at = signal_number, time.monotonic()

    def seconds_ago(self) -> float | None:
        """How long ago it was asked for, or None."""
        return None if self.signal_number is None else time.monotonic() - self._asked_at


@contextlib.contextmanager
def noted() -> Iterator[Stop]:
    """Note signals instead of dying of them, for as long as this lasts."""
    stop = Stop()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    # A signal that the caller ignores (nohup, a script's background job) stays ignored.
    heard = [number for number in SIGNALS if before[number] is not signal.SIG_IGN]
    for number in heard:
        signal.signal(number, lambda received, frame: stop.ask(received))
    try:
        yield stop
    finally:
        for number in heard:
            signal.signal(number, before[number])
