"""Searches in a hostile machine: whoever is killed, and whatever runs out, no trial is lost by it.

What has to come of a search is known without training anything: a sampler that draws at random
proposes the same points each time, of which some break a bound, and some diverge at once for their
absurd learning rate. The process of a search is killed at any moment, and gone on with; so are its
workers, who are replaced. In the end each trial is there, with the status that it has to have.
"""

import os
import random
import resource
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Child, Start, Tally
from nnarch.exploration import load
from nnarch.searchdir import SearchDir
from nnarch.searching.exploring import prepare
from nnarch.searching.proposals import Proposals
from nnarch.trial import Trial

TRIALS = 100
ABSURD = 1e30
OPEN = """\
name: poisoned
data: {source: synthetic, rows: 60, features: 3}
model: {widths: {repeat: {int: [1, 2]}, of: {int: [2, 40]}}, activation: {choice: [relu, tanh]}}
optimizer: {name: sgd, lr: {choice: [0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 1.0e+30]}}
search: {trials: 100, keep: 0, workers: 2, sampler: random, constraints: [params < 1000]}
"""
KINDS = {
    "halving": ["search.pruner=halving", "epochs=27"],
    "in stacks": ["epochs=40"],
    "one by one": ["--exact", "epochs=8"],
}
RUNGS = ((1, 33), (3, 11), (9, 3))  # of that halving: epochs, and how many then go on
ALONE = """\
name: lasting
data: {source: synthetic, rows: 60, features: 3}
model: {widths: [4]}
optimizer: {name: sgd, lr: {choice: [0.001, 1.0e+30]}}
epochs: 200
search: {trials: 2, keep: 0, workers: 2, sampler: grid}
"""
LARGE = """\
name: large
data: {source: synthetic, rows: 30, features: 3}
model: {widths: [5000, 5000]}
optimizer: {name: sgd, lr: {float: [1e-3, 3e-3]}}
epochs: 1
search: {trials: 16, keep: 0, workers: 1, sampler: random}
"""
ROOM = 1200 * 2**20  # bytes, for a few networks of `LARGE`, not for all


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "open.yaml").write_text(OPEN)
    return tmp_path


def begun(place: Path) -> SearchDir | None:
    found = [path for path in place.glob("runs/*") if path.name[:1] != "."]
    return SearchDir.open(found[0]) if found else None


def words(place: Path, kind: str) -> list[str]:
    """What a user types next."""
    search = begun(place)
    return ["resume", str(search), "-q"] if search else ["search", "open.yaml", "-q", *KINDS[kind]]


def written(place: Path) -> int:
    """How many trials are on disk."""
    return sum(path.read_bytes().count(b"\n") for path in place.glob("runs/*/trials.jsonl"))


def moment(process: Child, place: Path, chance: random.Random) -> None:
    """Wait for any moment of a search, the sooner the better; it may be over by then."""
    before = written(place)
    enough = before + chance.randint(0, max(0, TRIALS - before))
    while process.children == [] or written(place) < enough:
        if process.ended():
            return
        time.sleep(0.001)
    time.sleep(chance.uniform(0, 0.03))


def kill_a_worker(process: Child, place: Path, chance: random.Random, tally: Tally) -> None:
    moment(process, place, chance)
    if workers := process.children:
        os.kill(chance.choice(workers), signal.SIGKILL)
        tally("kills of a worker of a search")


def kill(process: Child, place: Path, chance: random.Random, tally: Tally) -> None:
    if chance.random() < 0.2:
        time.sleep(chance.uniform(0, 0.4))  # while it starts
    else:
        moment(process, place, chance)
    workers = process.children
    process.kill()
    tally("kills of a search", process.wait() == -signal.SIGKILL)
    end = time.monotonic() + 10
    while left := [pid for pid in workers if is_alive(pid)]:
        assert time.monotonic() < end, f"left behind: {left}"
        time.sleep(0.001)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def expected(config: Path, kind: str) -> dict[str, str]:
    """The status of each trial of a search that nobody disturbs, unless it is pruned."""
    options = [word for word in KINDS[kind] if "=" in word]
    explored = load(config, options)
    planned, refused = Proposals(explored, prepare(explored).datasets).ask(TRIALS)
    absurd = {each.trial.id for each in planned if each.trial.shown["optimizer.lr"] == ABSURD}
    statuses = {each.trial.id: "finished" for each in planned}
    return {
        **statuses,
        **dict.fromkeys(absurd, "failed"),
        **{trial.id: "refused" for trial in refused},
    }


def faults(place: Path, kind: str) -> Iterator[str]:
    """What is not as it would be had nothing happened."""
    search, wanted = begun(place), expected(place / "open.yaml", kind)
    assert search
    ids = [Trial.from_json(line).id for line in search.trials.path.read_bytes().splitlines()]
    if again := [id for id, times in Counter(ids).items() if times > 1]:
        yield f"twice: {again}"
    trials = {trial.id: trial for trial in search.trials.read()}
    if lost := wanted.keys() - trials.keys():
        yield f"lost: {lost}"
    if ghosts := trials.keys() - wanted.keys():
        yield f"never proposed: {ghosts}"
    pruned = [trial for trial in trials.values() if trial.status == "pruned"]
    done = {id: trial.status for id, trial in trials.items() if trial.status != "pruned"}
    if other := {id: trials[id] for id, status in done.items() if wanted.get(id) != status}:
        yield f"ended otherwise: {[(each.status, each.reason) for each in other.values()]}"
    if kind == "halving":
        began = sum(status == "finished" for status in wanted.values())
        if Counter(trial.epochs for trial in pruned) != lengths(began):
            yield f"pruned after {Counter(trial.epochs for trial in pruned)}"
    elif pruned:
        yield f"pruned: {len(pruned)}"
    if search.about["status"] != "finished":
        yield search.about["status"]


def lengths(trials: int) -> Counter[int]:
    """How many of so many are pruned after each number of epochs."""
    found: Counter[int] = Counter()
    for epochs, kept in RUNGS:
        found[epochs], trials = trials - kept, kept
    return found


@pytest.mark.share(1, 60)
def test_killed_and_bereft_of_workers_a_search_ends_with_exactly_its_trials(
    seed: int, child: Start, place: Path, tally: Tally
) -> None:
    chance, kind = random.Random(seed), list(KINDS)[seed % len(KINDS)]
    process = child(*words(place, kind))
    if is_killed_first := seed % 2 == 0:
        kill(process, place, chance, tally)
        process = child(*words(place, kind))
    kill_a_worker(process, place, chance, tally)
    if not is_killed_first:
        kill(process, place, chance, tally)
        process = child(*words(place, kind))
    assert process.wait() == 9, process.stderr  # some trials failed
    found = list(faults(place, kind))
    tally("searches compared")
    tally("searches that lost a trial, or had one twice or otherwise", bool(found))
    assert found == []


def test_a_worker_may_die_that_has_nothing_to_do(child: Start, tmp_path: Path) -> None:
    (tmp_path / "open.yaml").write_text(ALONE)
    process = child("search", "open.yaml", "-q", "--exact")
    while not written(tmp_path):
        assert not process.ended(), process.stderr
        time.sleep(0.001)
    for worker in process.children:
        os.kill(worker, signal.SIGKILL)
    assert process.wait() == 9, process.stderr
    search = begun(tmp_path)
    assert search
    assert sorted(trial.status for trial in search.trials.read()) == ["failed", "finished"]


@pytest.mark.share(0, 12)
def test_a_disk_without_room_for_its_trials_costs_only_those_that_it_had_no_room_for(
    seed: int, child: Start, place: Path, tally: Tally
) -> None:
    chance, kind = random.Random(seed), list(KINDS)[seed % len(KINDS)]
    process = child(*words(place, kind))
    limit = chance.randint(4_000, 120_000)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, limit))
    assert process.wait() == 7
    search = begun(place)
    assert search
    assert (
        process.stderr == f"error: {search.path.relative_to(place)}/trials.jsonl: file too large\n"
    )
    assert search.about["status"] == "failed"
    tally("trials on a disk that became full", len(search.trials.read()))
    process = child(*words(place, kind))
    assert process.wait() == 9, process.stderr
    assert list(faults(place, kind)) == []


@pytest.mark.share(0, 1)
def test_networks_that_fit_by_themselves_do_not_have_to_fit_together(
    seed: int, child: Start, tmp_path: Path
) -> None:
    (tmp_path / "open.yaml").write_text(LARGE)
    process = child("search", "open.yaml", "-q")
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + ROOM
    resource.prlimit(process.pid, resource.RLIMIT_AS, (limit, limit))
    assert process.wait() == 0, process.stderr
    search = begun(tmp_path)
    assert search
    assert Counter(trial.status for trial in search.trials.read()) == {"finished": 16}
