"""Where a run came from: the command, the versions, the commit, the machine.

The working directory may be a stranger's, and git runs programs that a repository's own config
names: a file system monitor, hooks, filters over file contents, what fetches missing objects. So
each of these is taken away before git looks at a file. Listing the filters executes nothing.
"""

import contextlib
import functools
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from nnarch.version import VERSION

PACKAGES = ("torch", "numpy", "polars", "scikit-learn", "safetensors", "pydantic")
PATIENCE = 5.0  # seconds that git has to answer
ALONE = {  # git's environment: nothing is asked, fetched or written
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",  # a git that does not know the line before fetches by none
}
INERT = {"core.fsmonitor": "", "core.hooksPath": os.devnull}
FILTER = r"^filter\..*\.(clean|process|smudge|required)$"


def provenance(command: Sequence[str]) -> dict[str, Any]:
    """What `run.json` tells of how a run was started."""
    return {
        "command": list(command),
        "versions": versions(),
        "git": git(),
        "machine": {"system": platform.platform(), "processor": platform.machine()},
    }


def versions() -> dict[str, str]:
    """The versions of Python, of nnarch and of what it computes with."""
    return dict(_versions())


@functools.cache
def _versions() -> Mapping[str, str]:
    found = {"python": platform.python_version(), "nnarch": VERSION}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def git() -> dict[str, Any] | None:
    """The commit of the working directory, and whether files that git knows differ from it.

    None where there is no commit, no git, or none that can be asked safely. No filter is run, so
    that a file whose content one would change is `dirty` once it has been touched.
    """
    try:
        commit = _answer("rev-parse", "--verify", "HEAD").strip()
        filters = _filters()
        if any("=" in name for name in filters):  # which could not be emptied
            return None
        emptied = {name: "false" if name.endswith(".required") else "" for name in filters}
        changed = _answer(
            "status", "--porcelain", "-uno", "--ignore-submodules=all", config=INERT | emptied
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "dirty": bool(changed)}


def _filters() -> list[str]:
    """The settings that name a program for the contents of files, whichever file they are from."""
    try:
        return _answer("config", "--name-only", "--null", "--get-regexp", FILTER).split("\0")[:-1]
    except subprocess.CalledProcessError as error:
        if error.returncode == 1:  # there are none
            return []
        raise


def _answer(*words: str, config: dict[str, str] = INERT) -> str:
    """What git says, with `config` laid over the repository's own."""
    given = [word for name, value in config.items() for word in ("-c", f"{name}={value}")]
    return subprocess.run(
        ["git", *given, *words],
        env={**os.environ, **ALONE},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        errors="surrogateescape",
        check=True,
        timeout=PATIENCE,
    ).stdout


def command_line() -> list[str]:
    """The command as it was typed."""
    return ["nnarch", *sys.argv[1:]]


def now() -> str:
    """The time, as `run.json` tells it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
