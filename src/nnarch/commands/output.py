"""Standard output, which carries data alone, whoever reads it."""

import io
import os
import sys

from nnarch.printable import printable


def put(text: str, masked: bool = False) -> None:
    """Data, on standard output; that nobody reads on, as in `| head`, is no fault.

    Args:
        masked: `text` is harmless to a terminal already, as what is styled for one has to be.
    """
    try:
        print(text if masked or not sys.stdout.isatty() else printable(text), flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise


def prepare_streams() -> None:
    """Any name of a file or class can be printed, whatever the locale, and to nobody too."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller, as in `>&-`
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
