"""A compiled network goes on exactly too: compiling takes its time, so not every day."""

import shutil
from pathlib import Path

import pytest

from test_exact_resume import check


@pytest.mark.share(0, 1)
@pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_network_goes_on_exactly(seed: int, tmp_path: Path):
    check({"compile": True, "seed": seed}, tmp_path, left=[2])
