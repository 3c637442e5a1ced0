"""What needs no network does not wait for torch: help, listings and mistakes are instant."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nnarch import devices, garbage

HEAVY = ("torch", "numpy", "polars", "sklearn", "safetensors")
COMMAND = """\
import sys
from nnarch import cli
sys.argv = ["nnarch", *sys.argv[1:]]
try:
    cli.main()
finally:
    print("loaded:", *sys.modules, file=sys.stderr)
"""


def loaded(program: str, folder: Path, *words: str) -> tuple[int, set[str]]:
    """The exit code of `program`, and the modules that it had imported in the end."""
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    *_, names = done.stderr.partition("loaded: ")
    assert names, done.stderr
    return done.returncode, set(names.split())


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("--help", 0),
        ("--version", 0),
        ("train --help", 0),
        ("eval --help", 0),
        ("components --help", 0),
        ("schema --help", 0),
        ("components", 0),
        ("components model", 0),
        ("components data csv", 0),
        ("components metric f1 --json", 0),
        ("schema", 0),
        ("trian", 2),
        ("components modle", 2),
        ("train wrong.yaml", 3),
        ("train nothing.yaml", 3),
        ("train right.yaml epochs=0", 3),
        ("train right.yaml --plugin none.py", 3),
        ("eval nothing", 5),
        ("eval @last", 5),
    ],
)
def test_a_command_that_needs_no_network(tmp_path: Path, words: str, code: int) -> None:
    (tmp_path / "right.yaml").write_text("data: {source: sklearn, dataset: iris}\n")
    (tmp_path / "wrong.yaml").write_text("data: {source: csv, path: x, target: y}\nepochs: 0\n")
    ended, modules = loaded(COMMAND, tmp_path, *words.split())
    assert ended == code
    assert not modules.intersection(HEAVY)


@pytest.mark.parametrize(
    "module",
    ["nnarch", "nnarch.cli", "nnarch.config", "nnarch.describe", "nnarch.rundir", "nnarch.plugins"],
)
def test_an_import(tmp_path: Path, module: str) -> None:
    program = f"import sys, {module}\nprint('loaded:', *sys.modules, file=sys.stderr)"
    _, modules = loaded(program, tmp_path)
    assert not modules.intersection(HEAVY)


def test_every_registered_component_is_known_without_them(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from nnarch.registry import REGISTRIES\n"
        "assert all(one.schema for registry in REGISTRIES.values() for one in registry)\n"
        "print('loaded:', *sys.modules, file=sys.stderr)"
    )
    _, modules = loaded(program, tmp_path)
    assert not modules.intersection(HEAVY)


def test_garbage_is_looked_for_as_usual_once_something_is_computed() -> None:
    before = gc.get_threshold()
    gc.set_threshold(*garbage.USUAL)
    try:
        garbage.seldom()
        assert gc.get_threshold() != garbage.USUAL
        with devices.computing(torch.device("cpu"), 1):
            assert gc.get_threshold() == garbage.USUAL
        gc.set_threshold(999)
        with devices.computing(torch.device("cpu"), 1):
            assert gc.get_threshold()[0] == 999, "a program's own setting"
    finally:
        gc.set_threshold(*before)
