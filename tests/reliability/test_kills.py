"""`kill -9` at any instant: an epoch is lost at most, and what comes after is the same to the bit.

A run is killed, resumed, killed again, and at last left alone; it then must be the run that
nobody touched. Processes are killed at any time, while they start, and while a file that they
write stands half-written beside its place.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from bits import differences
from harness import Child, Start, Tally
from nnarch.errors import RunError
from nnarch.files import TEMPORARY
from nnarch.listing import runlist
from nnarch.rundir import RunDir

CONFIGS = {
    "chance": """\
data: {source: synthetic, rows: 900, features: 8, noise: 0.5}
model: {widths: [32, 32], dropout: 0.3, normalization: batch}
optimizer: {name: adamw, lr: 0.01}
schedule: {name: one_cycle, warmup: 3}
average: {decay: 0.98}
early_stopping: {patience: 6}
epochs: 60
batch_size: 16
threads: 1
""",
    "streamed": """\
data: {source: csv, path: table.csv, target: y, stream: always}
model: {widths: [32]}
optimizer: {name: adamw, lr: 0.02}
schedule: {name: plateau, patience: 1, factor: 0.5}
epochs: 15
batch_size: 64
threads: 1
""",
    "short": """\
data: {source: synthetic, rows: 60, features: 3, noise: 1}
model: {widths: [4], dropout: 0.2}
optimizer: {name: adam, lr: 0.03}
epochs: 400
threads: 1
""",
}
SAVE_EVERY = (0.0, 0.05, 0.2, 5.0)  # seconds; the last is what nnarch does
KILLS = 4  # of a run, before it is left alone
IMPORTS = 2.5  # seconds, about, until a command has imported torch


@dataclass(frozen=True)
class Whole:
    """A run that nobody touched.

    Attributes:
        seconds: how long its process lived.
    """

    name: str
    run: RunDir
    seconds: float


@pytest.fixture(scope="session")
def wholes(_nursery: Start, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Whole]:
    known: dict[str, Whole] = {}

    def whole(name: str) -> Whole:
        if name not in known:
            place = tmp_path_factory.mktemp(name)
            write(name, place)
            began = time.monotonic()
            process = _nursery(place, ["train", f"{name}.yaml", "-q"], {}, None)
            assert process.wait() == 0, process.stderr
            seconds = time.monotonic() - began
            known[name] = Whole(name, runlist.runs(place / "runs")[0], seconds)
        return known[name]

    return whole


def write(name: str, place: Path) -> None:
    (place / f"{name}.yaml").write_text(CONFIGS[name])
    chance = random.Random(0)
    rows = ((chance.gauss(0, 1), chance.gauss(0, 1), chance.gauss(0, 1)) for _ in range(6000))
    lines = (
        f"{a},{b},{c},{'yes' if a * b + c > chance.gauss(0, 0.5) else 'no'}" for a, b, c in rows
    )
    (place / "table.csv").write_text("\n".join(["a,b,c,y", *lines]))


# When a process is killed: each waits for the instant, and returns at once.

Instant = Callable[[Child, Path, random.Random, float], None]


def any_time(process: Child, place: Path, chance: random.Random, seconds: float) -> None:
    time.sleep(chance.uniform(0, seconds / 2))


def at_its_start(process: Child, place: Path, chance: random.Random, seconds: float) -> None:
    time.sleep(chance.uniform(0, 0.05))


def as_it_begins_to_write(
    process: Child, place: Path, chance: random.Random, seconds: float
) -> None:
    """In a start the directory itself, in a resume what brings it to where it goes on from."""
    _wait_for_a_write(process, place, chance)


def as_it_writes(process: Child, place: Path, chance: random.Random, seconds: float) -> None:
    time.sleep(chance.uniform(0, seconds / 2))
    _wait_for_a_write(process, place, chance)


INSTANTS: tuple[Instant, ...] = (any_time, at_its_start, as_it_begins_to_write, as_it_writes)
WEIGHTS = (2, 1, 1, 4)


def _wait_for_a_write(process: Child, place: Path, chance: random.Random) -> None:
    """Until something half-written stands there that did not before, and an instant on."""
    before = half_written(place)
    while half_written(place) <= before and not process.ended():
        time.sleep(0.0002)
    end = time.monotonic() + chance.choice([0, 0.001, 0.01]) * chance.random()
    while time.monotonic() < end:
        pass


def half_written(place: Path) -> set[Path]:
    return set(_half_written(place / "runs"))


def _half_written(directory: Path) -> Iterator[Path]:
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if TEMPORARY.fullmatch(entry.name):
                    yield Path(entry)
                elif entry.is_dir(follow_symlinks=False) and not entry.name.startswith("epoch-"):
                    yield from _half_written(Path(entry))
    except FileNotFoundError:
        return


@dataclass
class Patient:
    """A run on its way through several processes.

    Attributes:
        known: which of `last` and `best` have been there, and so have to be.
        faults: what was not as it must be after a kill.
    """

    name: str
    place: Path
    save_every: float
    tally: Tally
    known: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    @property
    def run(self) -> RunDir | None:
        return next(iter(runlist.runs(self.place / "runs")), None)

    @property
    def words(self) -> list[str]:
        """What a user types next; a run that got no name is started again."""
        return ["resume", "@last", "-q"] if self.run else ["train", f"{self.name}.yaml", "-q"]

    @property
    def is_done(self) -> bool:
        return self.run is not None and self.run.about["status"] == "finished"

    def survives(self, process: Child, instant: Callable[[], None]) -> None:
        """Kill `process` at an instant, and look at what it left."""
        began, before, text = self.run, half_written(self.place), self._history()
        instant()
        process.kill()
        if (code := process.wait()) == 0:
            return  # it was done before
        torn = {path.parent.name == "checkpoints" for path in half_written(self.place) - before}
        self.tally("kills")
        self.tally("kills during a save", True in torn)
        self.tally("kills during another write", False in torn)
        if began and text.startswith(self._history()):
            self.tally("kills during a resume")
        if code != -signal.SIGKILL:
            self.faults.append(f"exit code {code}: {process.stderr}")
        self.faults += self._look()

    def _history(self) -> str:
        return self.run.history_text if self.run else ""

    def _look(self) -> Iterator[str]:
        if not (run := self.run):
            return
        try:
            found = run.resumable()
        except RunError as error:
            yield str(error)
            return
        yield from found.faults if found else []
        for which in ("last", "best"):
            try:
                run.load_checkpoint(which, state=which == "last")
                self.known.add(which)
            except RunError as error:
                if which in self.known or "no checkpoint yet" not in str(error):
                    yield str(error)
        lost = run.history[found.checkpoint.meta["epoch"] if found else 0 :]
        # neither the epoch that followed a save, whose time holds that of the save, nor that
        # which a save was to follow
        if sum(row["seconds"] for row in lost[1:-1]) > self.save_every:
            yield f"{len(lost)} epochs lost that took more than {self.save_every} s"

    def ends_as(self, whole: Whole, process: Child) -> None:
        """Leave `process` alone, and hold what comes of it against the run that nobody touched."""
        if code := process.wait():
            self.faults.append(f"exit code {code}: {process.stderr}")
        self.tally("runs that could not be opened", bool(self.faults))
        assert self.faults == []
        assert self.run
        found = differences(self.run, whole.run)
        self.tally("runs compared")
        self.tally("mismatches", bool(found))
        assert found == []


@pytest.mark.share(4, 60)
def test_a_run_that_is_killed_again_and_again_ends_as_if_nothing_had_happened(
    seed: int, wholes: Callable[[str], Whole], child: Start, tmp_path: Path, tally: Tally
):
    chance = random.Random(seed)
    whole = wholes(list(CONFIGS)[seed % len(CONFIGS)])
    write(whole.name, tmp_path)
    patient = Patient(whole.name, tmp_path, chance.choice(SAVE_EVERY), tally)
    for _ in range(KILLS):
        if patient.is_done:
            break
        (instant,) = chance.choices(INSTANTS, WEIGHTS)
        process = child(*patient.words, save_every=patient.save_every)
        patient.survives(process, partial(instant, process, tmp_path, chance, whole.seconds))
    patient.ends_as(whole, child(*patient.words))


@pytest.mark.share(1, 10)
def test_so_it_does_if_what_is_killed_is_the_command_as_a_user_starts_it(
    seed: int, wholes: Callable[[str], Whole], child: Start, tmp_path: Path, tally: Tally
):
    chance = random.Random(seed)
    whole = wholes(list(CONFIGS)[seed % len(CONFIGS)])
    write(whole.name, tmp_path)
    patient = Patient(whole.name, tmp_path, SAVE_EVERY[-1], tally)
    for _ in range(1 + seed % 2):
        process = command(tmp_path, *patient.words)
        patient.survives(process, lambda: time.sleep(chance.uniform(0, IMPORTS + whole.seconds)))
    patient.ends_as(whole, child(*patient.words))


def command(place: Path, *words: str) -> Child:
    out, err = place / "out", place / "err"
    with open(out, "w") as stdout, open(err, "w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "nnarch", *words], cwd=place, stdout=stdout, stderr=stderr
        )
    return Child(lambda order: process.poll(), process.pid, out, err)


@pytest.mark.share(1, 5)
def test_of_epochs_that_are_short_five_seconds_are_lost_at_most(
    seed: int, child: Start, tmp_path: Path, tally: Tally
):
    write("short", tmp_path)
    patient = Patient("short", tmp_path, SAVE_EVERY[-1], tally)
    process = child(*patient.words, "epochs=1000000")
    seconds = SAVE_EVERY[-1] + random.Random(seed).uniform(0.3, 2.5)
    patient.survives(process, lambda: time.sleep(seconds))
    assert patient.faults == []
    assert patient.run
    assert patient.run.resumable() or sum(row["seconds"] for row in patient.run.history) < 5.1
