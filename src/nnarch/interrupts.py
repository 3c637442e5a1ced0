"""Signals that ask a run to stop.

The first SIGINT, SIGTERM or SIGHUP is only noted, so that whoever works can finish the epoch and
save; a second one ends the process at once, which is safe too, since files are replaced whole.
Before there is anything to save, and after the run is over, each of the three ends the command
by an exception, so that what is under way is cleaned up.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE = 5.0  # seconds that an epoch which is under way has to end by itself


class BrokenOff(Exception):
    """Work that was under way when its time ran out."""


class Ended(BaseException):
    """A signal came where there is nothing to save.

    It is no KeyboardInterrupt, which libraries that read a command line make an ending of their own
    of, one that says neither which signal it was nor anything else.
    """

    def __init__(self, signal_number: int):
        self.signal_number = signal_number
        super().__init__(signal.Signals(signal_number).name)


class Stop:
    """Whether, by which signal and when a stop was asked for."""

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._asked_at = 0.0

    def ask(self, signal_number: int) -> None:
        if self.signal_number is not None:
            os._exit(128 + signal_number)
        self.signal_number, self._asked_at = signal_number, time.monotonic()

    def check(self) -> None:
        """Raises: BrokenOff once a stop was asked for `GRACE` seconds ago."""
        if self.signal_number is not None and time.monotonic() - self._asked_at > GRACE:
            raise BrokenOff


@contextlib.contextmanager
def noted() -> Iterator[Stop]:
    """Note signals instead of dying of them, for as long as this lasts; after one, to the end.

    Raises: Ended where one came so late that whoever works did not hear of it.
    """
    stop = Stop()
    before = {number: signal.getsignal(number) for number in _heard()}
    for number in before:
        signal.signal(number, lambda received, frame: stop.ask(received))
    try:
        yield stop
    finally:
        if stop.signal_number is None:  # after one, those before would take a second for the first
            for number, handler in before.items():
                signal.signal(number, handler)
    if stop.signal_number is not None:
        raise Ended(stop.signal_number)


def end_by_exception() -> None:
    """From now on let a signal raise `Ended`; a second one ends the process at once."""
    stop = Stop()

    def end(received: int, frame: object) -> NoReturn:
        stop.ask(received)
        raise Ended(received)

    for number in _heard():
        signal.signal(number, end)


def end_at_once() -> None:
    """From now on let a signal end the process, of which nothing is left but to exit."""
    for number in _heard():
        signal.signal(number, signal.SIG_DFL)


def _heard() -> list[signal.Signals]:
    """All but those that the caller ignores, as nohup and a script's background jobs do."""
    return [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
