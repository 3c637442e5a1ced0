"""What tests of hostile input share: gadgets that would leave a canary, and a command under watch.

A canary is a file that exists only once something was executed. Every payload goes through the
command line as a user would type it, in a process that is watched while it lives: how long it
takes, how much memory it ever has, and what is on the disk afterwards.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import Child, Start, Tally

SECONDS = 20.0  # for a command that refuses; a busy machine needs more than the tenth it takes
MEMORY = 512  # MB that it may take beyond what it began with
LONGEST = 700  # characters of its one line


class Gadget:
    """What a stranger might pickle: opening it makes a file."""

    def __init__(self, canary: Path):
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.canary,)


def program(canary: Path) -> str:
    """Python that leaves the canary."""
    return f"open({str(canary)!r}, 'w').close()\n"


def resident(pid: int, what: str = "VmHWM") -> int:
    """The most memory that a process ever had, in MB; 0 once it has ended."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        line = next(line for line in lines if line.startswith(f"{what}:"))
        return int(line.split()[1]) // 1024
    return 0


def watched(child: Child, seconds: float = SECONDS, memory: int = MEMORY) -> int:
    """Wait for its end, and never let it have more than it is given; the exit code."""
    began, start = time.monotonic(), resident(child.pid, "VmRSS")
    while not child.ended():
        if (most := resident(child.pid) - start) > memory:
            child.kill()
            pytest.fail(f"took {most} MB and more")
        if time.monotonic() - began > seconds:
            child.kill()
            pytest.fail(f"did not end within {seconds} s")
        time.sleep(0.002)
    return child.wait()


def contents(folder: Path) -> set[tuple[str, int, int]]:
    """All that lies in a folder but locks, links not followed, and how large and how old it is."""
    found = set()
    for at, folders, names in os.walk(folder):
        for name in {*folders, *names} - {"run.lock"}:
            path = os.path.join(at, name)
            about = os.lstat(path)
            size = 0 if name in folders else about.st_size
            found.add((path, size, 0 if name in folders else about.st_mtime_ns))
    return found


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """The file that is never to exist; it lies outside of where commands are run."""
    path = tmp_path / "outside" / "canary"
    path.parent.mkdir()
    yield path
    assert not path.exists()


@pytest.fixture
def here(tmp_path: Path, canary: Path) -> Path:
    """Where commands are run: an empty directory below one that nothing may be written to."""
    path = tmp_path / "here"
    path.mkdir()
    return path


Refused = Callable[..., str]


@pytest.fixture
def refused(child: Start, here: Path, canary: Path, tally: Tally) -> Refused:
    """A command that must refuse, with one line and the code of its kind; the line.

    It executes nothing, and writes nothing.
    """

    def run(*words: str | Path, code: int, **limits: Any) -> str:
        before = contents(here.parent)
        done = child(*words, cwd=here, env={"XDG_CACHE_HOME": str(here), "TMPDIR": str(here)})
        ended = watched(done, **limits)
        tally("payloads")
        tally("canaries found", int(canary.exists()))
        assert ended == code, done.stderr[:2000]
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        assert line.startswith("error: ")
        assert line.isprintable()
        assert len(line) < LONGEST
        assert contents(here.parent) == before, "something was written"
        return line.removeprefix("error: ")

    return run
