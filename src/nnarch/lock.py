"""A file that one process at a time holds.

The lock is the kernel's (`flock`), which lets go however the holder ends, so that nothing has to
be cleaned up after a kill. Who holds it is written inside, for whoever is refused. On a network
file system it is as good as that system's own locks.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from nnarch import files
from nnarch.errors import RunBusy

LONGEST = 200  # characters of a holder's name


@contextlib.contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold `path`, which is made if it is not there, for as long as this lasts.

    Raises: RunBusy where another holds it, which is named.
    """
    with contextlib.ExitStack() as held:
        with files.machine_faults(path):
            file = held.enter_context(files.opened_to_append(path))
            try:
                _take(file)
            except BlockingIOError:
                file.seek(0)
                holder = file.read(LONGEST).strip() or "another process"
                raise RunBusy(f"{path.parent}: held by {holder}") from None
            file.truncate(0)
            file.write(f"process {os.getpid()} on {os.uname().nodename}\n")
            file.flush()
        yield


def is_held(path: Path) -> bool:
    """Whether a process holds `path`."""
    if not path.is_file():
        return False
    try:
        with open(path) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _take(file: IO[str]) -> None:
    """Lock `file`, trying for a tenth of a second: who asks for its state holds it an instant."""
    for _ in range(10):
        with contextlib.suppress(BlockingIOError):
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(0.01)
    return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
