"""Runs that begin at once: each has a directory of its own, and is whole at the end."""

from pathlib import Path

import pytest

from harness import Start, Tally
from nnarch.listing import runlist

AT_ONCE = (20, 100)


@pytest.mark.share(1, len(AT_ONCE))
def test_simultaneous_starts_never_share_a_directory(
    child: Start, tiny: Path, tally: Tally, seed: int
) -> None:
    begun = [child("train", tiny, "--quiet") for _ in range(AT_ONCE[seed])]
    assert [one.wait() for one in begun] == [0] * len(begun), [one.stderr for one in begun]
    runs = runlist.runs(tiny.parent / "runs")
    assert sorted(one.stdout for one in begun) == [f"runs/{run.path.name}\n" for run in runs]
    assert [run.about["id"] for run in runs] == [run.path.name for run in runs]
    assert {run.about["status"] for run in runs} == {"finished"}
    assert {run.config.read_text() for run in runs} == {runs[0].config.read_text()}
    for run in runs:
        assert [row["val_loss"] for row in run.history] == [r["val_loss"] for r in runs[0].history]
        run.load_checkpoint()
    tally("simultaneous starts", len(begun))
    tally("shared directories", len(begun) - len(runs))


@pytest.mark.share(1, 3)
def test_runs_are_evaluated_while_others_begin(
    child: Start, finished: Path, tiny: Path, tally: Tally, seed: int
) -> None:
    """`@last` may be a run that has nothing to measure yet, which is then said."""
    begun, asked = [], []
    for _ in range(20):
        begun.append(child("train", tiny, "--quiet"))
        asked.append(child("eval", "@last"))
    for one in asked:
        assert one.wait() in (0, 5), one.stderr
        if one.wait() == 5:
            (line,) = one.stderr.splitlines()
            assert line.startswith("error: runs/")
        else:
            assert one.stdout.startswith("loss ")
        tally("evaluations of a run while others begin")
    assert [one.wait() for one in begun] == [0] * len(begun), [one.stderr for one in begun]
    last = child("eval", "@last")
    assert last.wait() == 0, last.stderr
    assert len(runlist.runs(finished.parent)) == 1 + len(begun)
    tally("of which found it too young", sum(one.wait() == 5 for one in asked))
