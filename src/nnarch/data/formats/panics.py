"""Calls of polars on files that may be damaged.

Rust writes to standard error what it panics about, on lines of its own and past Python, before
polars makes an exception of it. The exception tells whoever reads the file; the lines would only
hide what he says.
"""

import contextlib
import os
import threading
from collections.abc import Iterator

_ALONE = threading.RLock()  # or one thread would keep what another has put in place of the terminal


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """Nothing that this process writes to standard error is seen in the `with` block."""
    with _ALONE:
        try:
            kept = os.dup(2)
        except OSError:  # closed by the caller, as in `2>&-`
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)
