"""What a search knows of its trials: at once here, on disk when it is told to be."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nnarch import checkpoint
from nnarch.checkpoint import Checkpoint
from nnarch.searchdir import SearchDir
from nnarch.searching.tally import Tally
from nnarch.trial import Status, Trial


@pytest.fixture
def home(tmp_path: Path) -> Iterator[SearchDir]:
    with SearchDir.create(tmp_path, "s", "", "seed: 0\n", {"status": "running"}) as search:
        yield search


def told(home: SearchDir) -> Tally:
    return Tally(home, ["val_r2"], {"val_r2"}, keep=2)


def trial(number: int, r2: float = 0.0, status: Status = "finished", seed: int = 0) -> Trial:
    return Trial(f"{number}-{seed}", number, seed, {}, {}, {}, status, figures={"val_r2": r2})


TRIALS = [
    trial(0, 0.5),
    trial(0, 0.7, seed=1),
    trial(1, 0.9),
    trial(1, 0.1, seed=1),
    trial(2, 0.2, "pruned"),
    trial(3, status="refused"),
    trial(4, status="failed"),
]


def test_what_is_recorded_is_known_at_once_and_on_disk_after_it_was_committed(home: SearchDir):
    tally = told(home)
    assert (tally.before, tally.trials, tally.points, tally.rows()) == (0, [], 0, [])
    tally.record(TRIALS[:3])
    tally.record(TRIALS[3:])
    assert tally.trials == TRIALS
    assert tally.counts() == {"finished": 4, "pruned": 1, "refused": 1, "failed": 1}
    assert tally.points == 4, "a refused one is none"
    assert [row.number for row in tally.rows()] == [0, 1], "by the mean of the seeds, high first"
    assert tally.rows()[0].means == pytest.approx([0.6])
    assert home.trials.read() == []
    tally.commit()
    assert home.trials.read() == TRIALS
    tally.commit()
    assert home.trials.path.read_text().count("\n") == len(TRIALS), "each is written once"


def test_a_search_that_goes_on_knows_what_was_on_disk(home: SearchDir):
    first = told(home)
    first.record(TRIALS[:4])
    first.commit()
    first.record(TRIALS[4:])  # that no one committed
    tally = told(home)
    assert (tally.before, tally.trials) == (4, TRIALS[:4])
    assert tally.fresh() == []
    tally.record([trial(1, 0.8, seed=1)])
    assert (tally.before, len(tally.trials)) == (4, 4)
    assert [row.number for row in tally.rows()] == [1, 0], "as it ended last"


def test_what_is_fresh_is_told_once(home: SearchDir):
    tally = told(home)
    tally.record(TRIALS[:2])
    tally.record(TRIALS[2:3])
    tally.commit()
    assert tally.fresh() == TRIALS[:3]
    assert tally.fresh() == []
    tally.record(TRIALS[3:])
    assert tally.fresh() == TRIALS[3:]


def test_who_leads_is_a_trial_of_the_best_point(home: SearchDir, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("nnarch.searching.tally.SELDOM", 0)  # which would make it depend on time
    tally = told(home)
    assert tally.leader() is None
    tally.record(TRIALS[4:])
    assert tally.leader() is None, "none has finished"
    for recorded, leader in ((TRIALS[2:4], 1), (TRIALS[:2], 0), ([trial(9, 0.99)], 9)):
        tally.record(recorded)
        found = tally.leader()
        assert found is not None
        assert (found.number, found.status) == (leader, "finished")
    tally.record([trial(9, 0.3)])
    found = tally.leader()
    assert found
    assert found.number == 0, "as 9 ended last, it leads no more"


def test_what_the_best_points_came_to_is_on_disk(home: SearchDir):
    saved = Checkpoint({"network.w": torch.ones(1)}, {"epoch": 1, "best_epoch": 1}, {"epoch": 1})
    files = {name: checkpoint.contents(saved) for name in ("last", "best")}
    trials = [replace(trial(n, r2), id=f"{n:012x}") for n, r2 in enumerate((0.2, 0.5, 0.1, 0.9))]
    tally = told(home)
    for each in trials:
        tally.record([each], {each.id: files})
        tally.commit()
    again = told(home)
    again.record([trial(8, 0.7)])
    again.commit()
    kept = [each.id for each in trials if home.leaders.load(each.id)]
    assert kept == [trials[1].id, trials[3].id], "two are kept, whatever comes without weights"
