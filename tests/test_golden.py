"""Runs of every release so far still open, measure and predict as they did, and go on.

They lie in `golden/`, a directory a release, and are made by `golden/make.py`.
"""

import csv
import json
import shutil
from pathlib import Path

import pytest

from conftest import Command, error_lines
from nnarch.rundir import RunDir
from nnarch.version import VERSION

GOLDEN = Path(__file__).with_name("golden")
CASES = sorted(path.parent for path in GOLDEN.glob("*/*/expected.json"))
CLOSE = 1e-5
SIZE = 60_000  # bytes of a run: it is kept for ever


@pytest.fixture(params=CASES, ids=lambda case: str(case.relative_to(GOLDEN)))
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a golden run, with its data and what is expected of it."""
    return Path(shutil.copytree(request.param, tmp_path / "case", symlinks=True))


def expected(case: Path) -> dict:
    return json.loads((case / "expected.json").read_text(encoding="utf-8"))


def test_there_are_some() -> None:
    assert {case.name for case in CASES} >= {"table", "series", "killed"}


def test_it_measures_what_it_did(nnarch_here: Command, case: Path) -> None:
    done = nnarch_here("eval", case / "run", "--data", case / "data.csv", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for name, value in expected(case)["figures"].items():
        assert found[name] == pytest.approx(value, rel=CLOSE, abs=CLOSE), name


def test_it_predicts_what_it_did(nnarch_here: Command, case: Path) -> None:
    done = nnarch_here("predict", case / "run", case / "data.csv")
    assert done.returncode == 0, done.stderr
    found, told = (
        list(csv.reader(text.splitlines())) for text in (done.stdout, expected(case)["predictions"])
    )
    assert len(found) == len(told) >= 3
    assert found[0] == told[0]
    for row, other in zip(found[1:], told[1:], strict=True):
        for cell, value in zip(row, other, strict=True):
            if value[-1:].isdigit():
                assert float(cell) == pytest.approx(float(value), rel=CLOSE, abs=CLOSE)
            else:
                assert cell == value


def test_it_goes_on(nnarch_here: Command, case: Path) -> None:
    """The one that was killed to its end, the others to more epochs."""
    run, told = RunDir(case / "run"), expected(case)
    before = run.history_text
    killed = run.about["status"] == "interrupted"
    words = [] if killed else ["epochs=6"]
    done = nnarch_here("resume", run, f"data.path={case / 'data.csv'}", *words)
    assert done.returncode == 0, done.stderr
    assert "the data has changed" not in done.stderr
    assert f"goes on after epoch {told['epochs']} of " in done.stderr
    assert run.about["status"] == "finished"
    assert run.history_text.startswith(before)
    assert len(run.history) == (9 if killed else 6)


@pytest.mark.parametrize("name", ["run.json", "checkpoints/best/manifest.json"])
def test_a_format_of_the_future_is_refused_by_version(
    nnarch_here: Command, case: Path, name: str
) -> None:
    path = case / "run" / name
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    for words in (
        ["eval", case / "run", "--data", case / "data.csv"],
        ["predict", case / "run", case / "data.csv"],
    ):
        done = nnarch_here(*words)
        assert done.returncode == 5
        (line,) = error_lines(done)
        assert "has format 2" in line
        assert f"this is nnarch {VERSION}, which reads format 1" in line


def test_it_is_small_and_tells_nothing_of_where_it_was_made(case: Path) -> None:
    files = [path for path in case.rglob("*") if path.is_file() and not path.is_symlink()]
    assert sum(path.stat().st_size for path in files) < SIZE
    for path in files:
        text = path.read_bytes().decode(errors="ignore")
        for word in ("/home/", "/root", "/Users/", str(GOLDEN.parents[1])):
            assert word not in text, path
