"""What a search knows of its trials: at once here, on disk when it is told to be."""

from collections.abc import Iterator
from pathlib import Path

import pytest

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
