"""What can go wrong, as a user should hear of it.

Every mistake that a user can make or meet is one exception with one exit code and one line a
fault: where, what was given, what is accepted. They share a root, so that the command line can
catch exactly these and show no traceback; anything else that escapes is a bug in nnarch, and
is treated as one. Our own invariants are asserted, never raised as these.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

Path = tuple[str | int, ...]  # of a value in a config


@lru_cache(1024)
def undotted(text: str) -> Path:
    """The path that `text` means.

    >>> undotted("model.widths[1]")
    ('model', 'widths', 1)
    """
    parts = re.findall(r"([^][.]+)|\[([0-9]{1,9})\]", text)
    return tuple(int(index) if index else name for name, index in parts)


class Fault(NamedTuple):
    """What is wrong with the value at `path`."""

    path: Path
    message: str


def cause(error: BaseException) -> str:
    """What an exception of another's making says, on one line.

    >>> cause(ValueError("no\\nway"))
    'ValueError: no way'
    """
    return " ".join(f"{type(error).__name__}: {error}".split())


def reason(error: OSError) -> str:
    """What the operating system says of a refusal, without the path that it is about."""
    return (error.strerror or str(error)).lower()


OUT_OF_MEMORY = "out of memory; try a smaller batch_size, fewer rows or a smaller model"
_ALLOCATION = ("out of memory", "allocate memory", "alloc_failed", "bad_alloc")


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether a lack of memory is behind an exception; each library tells of it in its own way.

    >>> is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"))
    True
    """
    while error is not None:
        said = str(error).lower()
        if isinstance(error, MemoryError) or any(words in said for words in _ALLOCATION):
            return True
        error = error.__cause__ or error.__context__
    return False


class NnarchError(Exception):
    """The root of what nnarch tells its user; `exit_code` is what the command line ends with."""

    exit_code = 1

    @property
    def lines(self) -> list[str]:
        """One line a fault, ready to be shown."""
        return [" ".join(str(self).splitlines())]


class UsageError(NnarchError):
    """The command was called in a way that it does not take."""

    exit_code = 2


class ConfigError(NnarchError):
    """A config that cannot be used; it holds every fault found, a line each."""

    exit_code = 3

    def __init__(self, faults: str | Iterable[str]):
        self.faults = [faults] if isinstance(faults, str) else list(faults)
        assert self.faults, "a config error without a fault"
        super().__init__("\n".join(self.faults))

    @property
    def lines(self) -> list[str]:
        return [" ".join(fault.splitlines()) for fault in self.faults]


class DataError(NnarchError):
    """Data that is missing, damaged, or not what the config says of it."""

    exit_code = 4


class RunError(NnarchError):
    """A run directory or checkpoint that is missing, damaged or incompatible."""

    exit_code = 5


class RunBusy(NnarchError):
    """A run that another process is working on."""

    exit_code = 6


class MachineError(NnarchError):
    """The machine does not give what the run needs: disk, permission, memory, device."""

    exit_code = 7


class Diverged(NnarchError):
    """Training reached a loss or a weight that is not a finite number."""

    exit_code = 8


class SearchFailed(NnarchError):
    """A search came to its end with trials that failed, or with none that finished."""

    exit_code = 9


class Interrupted(NnarchError):
    """The run was told to stop by a signal; its checkpoint is saved."""

    def __init__(self, message: str, signal_number: int):
        self.exit_code = 128 + signal_number
        super().__init__(message)
