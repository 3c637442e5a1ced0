"""How a command ends: every fault of a user is a line, and an exit code of its kind.

A script has to tell a config that will never work from a disk that was full, so each kind of
fault has its code. What is not the user's fault is a bug of ours: it too is one line, which names
the file that its traceback went to.
"""

import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import Any

import typer

from nnarch import console, requirements
from nnarch.errors import OUT_OF_MEMORY, NnarchError, is_out_of_memory, reason
from nnarch.interrupts import Ended, end_at_once
from nnarch.printable import printable

MOST_LINES = 30  # of one error; a list of a thousand wrong numbers needs no thousand
MOST_CHARACTERS = 2000


def code_of(command: Callable[[], Any]) -> int:
    """Run `command`; the exit code, after saying what went wrong where something did."""
    try:
        return _code_of(command)
    except Ended as error:
        end_at_once()
        _say("interrupted")
        return 128 + error.signal_number
    except KeyboardInterrupt:
        end_at_once()
        _say("interrupted")
        return 130


def _code_of(command: Callable[[], Any]) -> int:
    try:
        code = command()
        return code if isinstance(code, int) else 0
    except typer.Exit as error:
        return error.exit_code
    except Exception as error:
        if "--debug" in sys.argv:
            traceback.print_exception(error)
        return _ending(error)


def _ending(error: Exception) -> int:
    """Say what went wrong, a line a fault; the exit code."""
    if isinstance(error, NnarchError):
        for line in error.lines[:MOST_LINES]:
            _say(line)
        if more := error.lines[MOST_LINES:]:
            _say(f"and {len(more):,} more")
        return error.exit_code
    if isinstance(error, typer.Abort):
        _say("interrupted")
        return 130
    if words := getattr(error, "format_message", None):  # click's, of whichever click it is
        if message := words():  # none where help was asked for by saying nothing
            _say(message)
        return 2
    if said := requirements.fault(error):
        _say(said)
        return 7
    if is_out_of_memory(error):
        _say(OUT_OF_MEMORY)
        return 7
    if isinstance(error, OSError):
        gone = isinstance(error, FileNotFoundError)  # which a stream never is
        unnamed = "the working directory" if gone else "standard output"
        _say(f"{error.filename or unnamed}: {reason(error)}")
        return 7
    if place := _in_a_plugin(error):
        _say(f"{place}: {type(error).__name__}: {error}; --debug shows how it came there")
        return 3
    return _bug(error)


def _in_a_plugin(error: Exception) -> str | None:
    """The innermost place in a file of the user's own that an error came through."""
    from nnarch import plugins

    files = {str(plugin.path) for plugin in plugins.loaded()}
    frames = traceback.extract_tb(error.__traceback__)
    own = [f"{frame.filename}:{frame.lineno}" for frame in frames if frame.filename in files]
    return own[-1] if own else None


def _bug(error: Exception) -> int:
    """A fault of ours: one line, and the traceback in a file that it names."""
    said = f"a bug in nnarch: {type(error).__name__}: {error}"[:200]
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="nnarch-error-", suffix=".log", encoding="utf-8", delete=False,
            errors="backslashreplace",
        ) as file:  # fmt: skip
            file.write(" ".join(sys.argv) + "\n\n")
            traceback.print_exception(error, file=file)
    except OSError:
        _say(f"{said}; there is no room for its traceback, which --debug shows")
    else:
        _say(f"{said}; the traceback is in {file.name}")
    return 1


def _say(message: str) -> None:
    """An error, on one line."""
    line = printable(" ".join(message.splitlines()))
    console.say(f"error: {line[:MOST_CHARACTERS]}")
