"""Where a run came from: the command, the versions, the commit, the machine."""

import importlib.metadata
import platform
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

PACKAGES = ("nnarch", "torch", "numpy", "polars", "scikit-learn", "safetensors", "pydantic")


def provenance(command: Sequence[str]) -> dict[str, Any]:
    """What `run.json` tells of how a run was started."""
    return {
        "command": list(command),
        "versions": versions(),
        "git": _git(),
        "machine": {"system": platform.platform(), "processor": platform.machine()},
    }


def versions() -> dict[str, str]:
    """The versions of Python, of nnarch and of what it computes with."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _git() -> dict[str, Any] | None:
    """The commit of the working directory, and whether files differ from it."""
    try:
        commit, status = (
            subprocess.run(
                ["git", *words], capture_output=True, text=True, check=True, timeout=5
            ).stdout.strip()
            for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "-uno"))
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "dirty": bool(status)}


def command_line() -> list[str]:
    """The command as it was typed."""
    return ["nnarch", *sys.argv[1:]]
