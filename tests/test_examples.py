"""Every example in a docstring gives what it says."""

import doctest
import importlib
import pkgutil

import pytest

import nnarch

NAMES = ["nnarch", *(found.name for found in pkgutil.walk_packages(nnarch.__path__, "nnarch."))]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "nnarch.__main__"])
def test_examples_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [test for name in ("nnarch", "nnarch.config", "nnarch.tree", "nnarch.validate")
             for test in finder.find(importlib.import_module(name)) if test.examples]  # fmt: skip
    assert len(found) >= 8
