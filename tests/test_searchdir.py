"""Search directories: found again by what they explore, and told from runs."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from nnarch import searchdir
from nnarch.errors import NnarchError, RunBusy, RunError, UsageError
from nnarch.listing import runlist
from nnarch.rundir import RunDir
from nnarch.searchdir import SearchDir
from nnarch.trial import Trial


def create(root: Path, identity: str = "a", status: str = "running", name: str = "s") -> SearchDir:
    about = {"status": status, "search": {"identity": identity}}
    with SearchDir.create(root, name, "given\n", "seed: 0\n", about) as search:
        return search


def keep(search: SearchDir, name: str) -> RunDir:
    with RunDir.create(search.runs_root, name, "", "seed: 1\n", {"status": "finished"}) as run:
        return run


def test_a_search_holds_what_a_run_does_and_its_trials(tmp_path: Path) -> None:
    about = {"status": "running", "search": {"identity": "a"}}
    with SearchDir.create(tmp_path, "s", "mine\n", "open: 1\n", about, {"p.py": b"x"}) as search:
        with pytest.raises(RunBusy), search.lock():
            pytest.fail("a new search is held from its first moment")
        search.trials.append([Trial("a", 0, 0, {}, {}, {}, "finished")])
        search.log("one\x1b")
        assert search.about["status"] == "running"
    assert sorted(os.listdir(search)) == [
        "config.yaml", "log.txt", "plugins", "resolved.yaml", "run.json", "run.lock",
        "trials.jsonl",
    ]  # fmt: skip
    assert (search.path / "config.yaml").read_text() == "mine\n"
    assert search.config.read_text() == "open: 1\n"
    assert "one\\x1b\n" in (search.path / "log.txt").read_text()
    again = SearchDir.open(search.path)
    assert [trial.id for trial in again.trials.read()] == ["a"]
    told = {"format": 1, "kind": "search", "id": search.path.name, **about}
    assert again.about == {**told, "status": "interrupted"}  # nobody holds it any more
    again.write_about({**again.about, "status": "finished"})
    assert again.about == {**told, "status": "finished"}


def test_a_run_or_a_damaged_directory_is_no_search(tmp_path: Path) -> None:
    with RunDir.create(tmp_path, "r", "", "", {}) as run:
        pass
    with pytest.raises(RunError, match="is a run; expected a search"):
        SearchDir.open(run.path)
    with pytest.raises(RunError, match=r"run\.json"):
        SearchDir.open(tmp_path)


def test_the_runs_that_it_keeps_are_ordinary_and_told_best_first(tmp_path: Path) -> None:
    search = create(tmp_path)
    assert search.kept() == []
    first, second, third = (keep(search, name).path for name in ("one", "two", "three"))
    named = [third.name, first.name]
    for told, expected in [
        ({"kept": named}, [third, first, second]),
        ({"kept": ["../..", "gone", *named, 1, [], named[0]]}, [third, first, second]),
        ({"kept": "all"}, sorted([first, second, third])),
        ("nothing", sorted([first, second, third])),
    ]:
        search.write_about({"search": told})
        assert [run.path for run in search.kept()] == expected
    assert runlist.find(str(third), tmp_path).about["status"] == "finished"


def test_the_newest_search_of_the_same_is_found(tmp_path: Path) -> None:
    assert searchdir.same(tmp_path / "none", "a") is None
    create(tmp_path, "a")
    other = create(tmp_path, "b")
    done = create(tmp_path, "a", "finished", name="z")
    with RunDir.create(tmp_path, "r", "", "", {"search": {"identity": "a"}}):
        pass
    broken = create(tmp_path, "a", name="zz")
    (broken.path / "run.json").write_text("{")
    stranger = create(tmp_path, "a", name="zzz")
    (stranger.path / "run.json").write_text(json.dumps({"format": 1, "kind": "search",
                                                       "search": ["a"]}))  # fmt: skip

    def found(search: SearchDir | None) -> Any:
        return search and search.path

    assert found(searchdir.same(tmp_path, "a")) == done.path
    assert found(searchdir.same(tmp_path, "b")) == other.path
    assert searchdir.same(tmp_path, "c") is None


def test_a_search_is_no_run_and_says_which_of_its_runs_is_the_best(tmp_path: Path) -> None:
    search = create(tmp_path)
    with pytest.raises(UsageError) as failed:
        runlist.find("@last", tmp_path)
    assert failed.value.lines == ["@last: is a search, which keeps no run yet; expected a run"]
    kept = keep(search, "best")
    with pytest.raises(NnarchError) as failed:
        runlist.find(str(search), tmp_path)
    expected = f"{search}: is a search; expected a run, such as the best that it keeps, {kept}"
    assert failed.value.lines == [expected]
    for kind in ("search", None):
        assert runlist.find(search.path.name, tmp_path, kind).path == search.path
    assert runlist.find(str(kept), tmp_path).path == kept.path
    with pytest.raises(UsageError, match="is a run; expected a search"):
        runlist.find(str(kept), tmp_path, "search")


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    search = create(tmp_path)
    (search.path / ".run.json.0123abcd").touch()
    before = search.config.read_text()
    search.tidy()
    search.write_config(before + "more: 1\n")
    assert ".run.json.0123abcd" not in os.listdir(search)
    assert search.config.read_text() == before + "more: 1\n"
