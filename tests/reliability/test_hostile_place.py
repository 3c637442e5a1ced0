"""The place where nnarch is run, and the terminal that it speaks to.

The working directory is often where a stranger's archive was unpacked: nothing in it is Python to
us, nor a program. And what a column, a class or a file is called is never a command to a terminal.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import Command
from harness import Start, Tally
from hostile import program, watched

DATA = "data: {source: synthetic, rows: 60, features: 3}\nmodel: {widths: [4]}\nepochs: 1\n"
# Of Python's own, those that are not loaded yet when it finds nnarch.
OURS = ["torch", "numpy", "polars", "yaml", "pydantic", "typer", "rich", "sklearn", "safetensors"]
PYTHON_S = ["json", "csv", "random", "tempfile", "hashlib", "subprocess", "platform", "secrets"]
UNASKED = ["sitecustomize", "usercustomize", "conftest", "nnarch_plugin", "plugins", "setup"]


def entry_points(folder: Path) -> None:
    """A package, to all appearances, that torch, pydantic and pytest would load by themselves."""
    about = folder / "evil-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    groups = ("torch.backends", "pydantic", "pytest11", "nnarch", "nnarch.plugins", "polars")
    (about / "entry_points.txt").write_text("".join(f"[{one}]\nevil = evil\n" for one in groups))


@pytest.fixture
def mined(here: Path, canary: Path) -> Path:
    """A working directory with Python under every name that nnarch imports."""
    for name in [*OURS, *PYTHON_S, *UNASKED, "evil"]:
        (here / f"{name}.py").write_text(program(canary))
    entry_points(here)
    (here / "t.yaml").write_text(DATA)
    return here


@pytest.mark.parametrize("words", [["components"], ["train", "t.yaml"]], ids=["no-torch", "torch"])
def test_python_in_the_working_directory_is_not_run(
    nnarch: Command, mined: Path, canary: Path, words: list[str], tally: Tally
) -> None:
    done = nnarch(*words, cwd=mined)
    assert done.returncode == 0, done.stderr
    assert not canary.exists()
    tally("payloads", len(list(mined.glob("*.py"))))
    tally("canaries found", int(canary.exists()))


def test_python_beside_the_data_is_not_run(
    child: Start, mined: Path, canary: Path, tally: Tally
) -> None:
    (mined / "data").mkdir()
    for path in mined.glob("*.py"):
        shutil.copy(path, mined / "data")
    (mined / "data" / "t.csv").write_text("x,y\n" + "1,2\n2,3\n4,1\n" * 10)
    (mined / "data" / "t.yaml").write_text("data: {source: csv, path: t.csv, target: y}\n")
    done = child("train", "data/t.yaml", "epochs=1", cwd=mined)
    assert watched(done) == 0, done.stderr
    tally("payloads")


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_what_a_repository_would_have_git_run_is_not_run(
    child: Start, here: Path, canary: Path, tally: Tally
) -> None:
    """Each way that git knows is tried by tests/test_provenance.py; this is all of it in a run."""
    evil = here / "evil.sh"
    evil.write_text(f"#!/bin/sh\ntouch '{canary}'\n")
    evil.chmod(0o755)
    (here / "t.yaml").write_text(DATA)
    git = ["git", "-c", "user.name=Nobody", "-c", "user.email=nobody@localhost"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "data"]):
        subprocess.run([*git, *words], cwd=here, check=True, capture_output=True)
    (here / ".git" / "info").mkdir(exist_ok=True)
    (here / ".git" / "info" / "attributes").write_text("* filter=evil\n")
    for hook in ("post-index-change", "fsmonitor-watchman"):
        (here / ".git" / "hooks").mkdir(exist_ok=True)
        shutil.copy(evil, here / ".git" / "hooks" / hook)
    with (here / ".git" / "config").open("a") as config:
        config.write(f"[core]\n\tfsmonitor = {evil}\n\tpager = {evil}\n\tsshCommand = {evil}\n")
        config.write(f'[filter "evil"]\n\tclean = {evil}\n\tprocess = {evil}\n\trequired = true\n')
        config.write(f"[diff]\n\texternal = {evil}\n[alias]\n\tstatus = !{evil}\n")
    os.utime(here / "t.yaml", (0, 0))
    done = child("train", "t.yaml", cwd=here)
    assert watched(done) == 0, done.stderr
    assert not canary.exists()
    tally("payloads")
    tally("canaries found", int(canary.exists()))


ESCAPES = "\x1b]0;owned\x07\x1b[2J\x1b[31m\x9b31m\x7f\u202e%s{0.__class__}[bold red]"
ROWS = "".join(f"{i}.5,{'a' if i % 2 else 'b'}{ESCAPES}\n" for i in range(40))
TALKS = {
    "train": ["train", "t.yaml"],
    "check": ["check", "t.yaml"],
    "init": ["init", "t.csv", "-t", "2"],
    "eval": ["eval", "@last"],
}


@pytest.mark.parametrize("words", TALKS.values(), ids=TALKS)
def test_no_name_is_a_command_to_the_terminal(
    child: Start, here: Path, words: list[str], tally: Tally
) -> None:
    (here / "t.csv").write_text(f"x{ESCAPES},y{ESCAPES}\n{ROWS}")
    escaped = ESCAPES.encode("unicode_escape").decode().replace("\\x7f", "\\u007f")
    target = f"y{escaped}".replace('"', '\\"')
    (here / "t.yaml").write_text(
        f'data: {{source: csv, path: t.csv, target: "{target}"}}\nepochs: 1\n'
    )
    if words[0] == "eval":
        assert child("train", "t.yaml", cwd=here).wait() == 0
    done = child(*words, cwd=here)
    assert watched(done) == 0, done.stderr
    shown = (done.stdout + done.stderr).replace("\n", "")
    assert shown.isprintable()
    assert "owned" in shown or words[0] == "eval"
    tally("payloads")
