"""What tests share: the command line as a user runs it, and a config that trains in a moment."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]

TINY = """\
name: tiny
data: {source: synthetic, rows: 60, features: 3}
model: {widths: [4]}
epochs: 2
threads: 1
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A config file that trains in a moment."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture
def nnarch(tmp_path: Path) -> Command:
    """Runs `nnarch` with the given words, in `tmp_path`, in a process of its own."""

    def run(
        *words: str | Path, stdin: str | bytes | None = None, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "nnarch", *map(str, words)],
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            cwd=tmp_path,
            env={**os.environ, **(env or {})},
            timeout=120,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

    return run
