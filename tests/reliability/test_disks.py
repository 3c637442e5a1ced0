"""Disks that are full, of a limited number of files, read-only, or gone: nothing saved is lost.

The disks are real: a tmpfs in a mount namespace of its own, which ends with the process that holds
it. Each has one size of twenty, from too small for a run's directory to just enough; once it is
made larger the run goes on, and what comes of it is compared with a run on a disk that had room.
"""

import contextlib
import os
import re
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import nnarch
from harness import Child, Start, Tally
from nnarch.listing import runlist
from nnarch.rundir import RunDir
from outcome import halfway, outcome

CONFIG = """\
name: kept
data: {source: synthetic, rows: 80, features: 4, noise: 1}
model: {widths: [64, 48], dropout: 0.2, normalization: batch}
optimizer: {name: adamw, lr: 0.02}
epochs: 20
batch_size: 16
threads: 1
"""
DONE = 12  # epochs of a run that is to go on
ROOMY = "size=64m,nr_inodes=10000"
PAGE = 4096  # what a tmpfs counts in
SIZES = 20


class Disk:
    """A tmpfs with such options, at `path`."""

    def __init__(self, at: Path, flags: str):
        at.mkdir()
        self._shell = subprocess.Popen(
            ["unshare", flags, "sh"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._at, self.path = at, Path(f"/proc/{self._shell.pid}/root{at}")
        try:
            self._do(f"mount -t tmpfs -o {ROOMY} tmpfs '{at}'")
        except OSError:
            self.close()
            raise

    def _do(self, command: str) -> None:
        assert self._shell.stdin
        assert self._shell.stdout
        self._shell.stdin.write(f"{command} && echo done || echo failed\n")
        self._shell.stdin.flush()
        answer = self._shell.stdout.readline()
        if answer != "done\n":
            raise OSError(f"{command}: {answer.strip()}")

    def become(self, options: str) -> None:
        self._do(f"mount -o remount,{options} '{self._at}'")

    def cover(self) -> None:
        """Make it read-only for all that is opened from now on; a run holds its lock for ever."""
        self._do(f"mount --bind '{self._at}' '{self._at}'")
        self._do(f"mount -o remount,bind,ro '{self._at}'")

    def uncover(self) -> None:
        self._do(f"umount '{self._at}'")

    def fill(self) -> Path:
        """A file that takes all the room there is."""
        path = self.path / "filler"
        with open(path, "wb") as file:
            while (room := os.statvfs(self.path)).f_bavail:
                size, free = os.fstat(file.fileno()).st_size, room.f_bavail * room.f_frsize
                with contextlib.suppress(OSError):  # a run may have taken some of it meanwhile
                    os.posix_fallocate(file.fileno(), size, free)
        return path

    def used(self, what: str) -> int:
        """How many pages, or inodes, are taken."""
        room = os.statvfs(self.path)
        return room.f_files - room.f_ffree if what == "nr_inodes" else room.f_blocks - room.f_bfree

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError), self._shell:
            self._shell.kill()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk of our own, with much room."""
    made, refusals = None, []
    for number, flags in enumerate(("-m", "-rm")):
        try:
            made = Disk(tmp_path / f"disk{number}", flags)
            break
        except OSError as error:
            refusals.append(str(error))
    if made is None:
        pytest.skip(f"a disk of our own is not allowed here: {'; '.join(refusals)}")
    yield made
    made.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`kept.yaml`, a run of it that is done with some epochs, and one that is finished."""
    root = tmp_path_factory.mktemp("home")
    (root / "kept.yaml").write_text(CONFIG)
    halfway(root / "kept.yaml", DONE, root / "begun")
    nnarch.train(root / "kept.yaml", runs_dir=root / "finished")
    return root


@pytest.fixture(scope="module")
def undisturbed(home: Path) -> dict[str, Any]:
    return outcome(only_run(home / "finished"))


def only_run(root: Path) -> Path:
    (run,) = runlist.runs(root)
    return run.path


def placed(home: Path, disk: Disk) -> Path:
    """The run that is to go on, on the disk."""
    shutil.copytree(home / "begun", disk.path / "runs", symlinks=True)
    return only_run(disk.path / "runs")


def refusal(child: Child) -> str:
    """The one line that it ended with for a reason of the machine's."""
    assert child.wait() == 7, child.stderr
    assert child.stdout == ""
    (line,) = child.stderr.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


def check_resumable(child: Start, run: Path, undisturbed: dict[str, Any], *words: str) -> bool:
    again = child("resume", run, "--quiet", *words)
    assert again.wait() == 0, again.stderr
    assert not list(run.rglob(".*")), "something half-written"
    return outcome(run) == undisturbed


def limit(seed: int, most: int) -> int:
    """One of `SIZES` numbers from 1 to `most`, spread evenly, not the smallest first."""
    return 1 + (seed * 9 + 9) % SIZES * (most - 1) // (SIZES - 1)


@pytest.mark.share(3, SIZES)
@pytest.mark.parametrize("what", ["size", "nr_inodes"])
def test_a_new_run_on_a_disk_of_any_size(
    what: str,
    child: Start,
    home: Path,
    undisturbed: dict[str, Any],
    disk: Disk,
    tally: Tally,
    seed: int,
) -> None:
    shutil.copytree(home / "finished", disk.path / "measured", symlinks=True)
    enough = disk.used(what) + 4  # a file is written beside its place, so there is one more
    shutil.rmtree(disk.path / "measured")
    size = limit(seed, enough + 1)
    disk.become(f"size={size * PAGE}" if what == "size" else f"nr_inodes={size}")
    words = ["train", home / "kept.yaml", "--runs-dir", disk.path / "runs", "--quiet"]
    trained = child(*words)
    tally("disks of a new run", 1)
    if trained.wait() == 0:
        tally("of which had room")
        assert outcome(only_run(disk.path / "runs")) == undisturbed
        return
    check_line(refusal(trained), disk, what)
    made = runlist.runs(disk.path / "runs")
    if not made:
        assert not (disk.path / "runs").exists() or not os.listdir(disk.path / "runs")
    else:
        assert made[0].about["status"] in ("failed", "interrupted")
        assert not list(made[0].path.rglob(".*")), "something half-written"
    disk.become(ROOMY)
    if not made:
        assert child(*words).wait() == 0
    same = check_resumable(child, only_run(disk.path / "runs"), undisturbed)
    tally("mismatches after a full disk", not same)
    assert same


def check_line(line: str, disk: Disk, what: str) -> None:
    """That it names a file on the disk, and what there is too little of."""
    assert line.startswith(f"{disk.path}/runs"), line
    assert ": no space left on device; " in line, line
    assert re.search(r"[\d,]+ bytes are free there(, for \d+ more files)?$", line), line
    assert line.endswith("more files") == (what == "nr_inodes"), line
    if what == "size":
        free_bytes = int(
            line.removesuffix(" bytes are free there").rpartition("; ")[2].replace(",", "")
        )
        assert free_bytes < 64 * 2**20, "of another disk"


@pytest.mark.share(3, SIZES)
@pytest.mark.parametrize("what", ["size", "nr_inodes"])
def test_a_run_that_goes_on_on_a_disk_of_any_size(
    what: str,
    child: Start,
    home: Path,
    undisturbed: dict[str, Any],
    disk: Disk,
    tally: Tally,
    seed: int,
) -> None:
    empty = disk.used(what)
    run = placed(home, disk)
    before, used = outcome(run), disk.used(what)
    size = used - 1 + limit(seed, used - empty)
    disk.become(f"size={size * PAGE}" if what == "size" else f"nr_inodes={size}")
    resumed = child("resume", run, "--quiet")
    tally("disks of a run that goes on", 1)
    if resumed.wait() == 0:
        tally("of which had room, to go on")
        assert outcome(run) == undisturbed
        return
    check_line(refusal(resumed), disk, what)
    lost = outcome(run)["epochs"] < before["epochs"]
    tally("checkpoints lost on a full disk", lost)
    assert not lost
    disk.become(ROOMY)
    same = check_resumable(child, run, undisturbed)
    tally("mismatches after a full disk", not same)
    assert same


def wait_for(happens: Callable[[], bool], child: Child) -> None:
    end = time.monotonic() + 60
    while not happens():
        assert not child.ended(), child.stderr
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.002)


def has_epochs(root: Path) -> bool:
    return any(path.read_text().count("\n") > DONE + 3 for path in root.glob("*/history.csv"))


@pytest.fixture
def lasting(child: Start, home: Path, disk: Disk) -> tuple[Child, Path]:
    """A run on the disk that goes on for as long as it can, and its directory."""
    run = placed(home, disk)
    resumed = child("resume", run, "epochs=1000000", "--quiet")
    wait_for(lambda: has_epochs(disk.path / "runs"), resumed)
    return resumed, run


def test_a_disk_that_fills_up_in_the_middle(
    child: Start, lasting: tuple[Child, Path], undisturbed: dict[str, Any], disk: Disk
) -> None:
    """The next that needs a new page is a row of the history."""
    resumed, run = lasting
    filler = disk.fill()
    line = refusal(resumed)
    assert line == f"{run}/history.csv: no space left on device; 0 bytes are free there"
    about = RunDir(run).about
    assert about["status"] in ("failed", "interrupted")
    filler.unlink()
    assert outcome(run)["epochs"][0] >= DONE
    if outcome(run)["epochs"][0] == DONE:
        assert check_resumable(child, run, undisturbed, "epochs=20")


def test_a_disk_that_becomes_read_only_in_the_middle(
    child: Start, lasting: tuple[Child, Path], undisturbed: dict[str, Any], disk: Disk
) -> None:
    resumed, run = lasting
    disk.cover()
    assert refusal(resumed) == f"{run}/history.csv: read-only file system"
    before = outcome(run)
    disk.uncover()
    assert before["epochs"][0] >= DONE
    if before["epochs"][0] == DONE:
        assert check_resumable(child, run, undisturbed, "epochs=20")


def test_a_disk_that_is_read_only_from_the_beginning(child: Start, home: Path, disk: Disk) -> None:
    """Told before an epoch is computed; what is there can be measured all the same."""
    run = placed(home, disk)
    disk.become("ro")
    trained = child("train", home / "kept.yaml", "--runs-dir", disk.path / "runs")
    assert refusal(trained) == f"{disk.path}/runs: read-only file system"
    resumed = child("resume", run)
    assert refusal(resumed) == f"{run}/run.lock: read-only file system"
    measured = child("eval", run, "--quiet")
    assert measured.wait() == 0, measured.stderr


def test_a_directory_that_may_not_be_written(child: Start, home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "begun", tmp_path / "runs", symlinks=True)
    run = only_run(tmp_path / "runs")
    before = outcome(run)
    for path in (tmp_path / "runs", run, run / "checkpoints"):
        path.chmod(0o555)
    try:
        if os.access(run, os.W_OK):
            pytest.skip("whoever runs this may write anywhere")
        trained = child("train", home / "kept.yaml", "--runs-dir", tmp_path / "runs")
        assert refusal(trained) == f"{tmp_path}/runs: permission denied"
        resumed = child("resume", run, "--quiet")
        assert "permission denied" in refusal(resumed)
        assert outcome(run) == before
    finally:
        for path in (tmp_path / "runs", run, run / "checkpoints"):
            path.chmod(0o755)


def test_a_run_that_is_deleted_is_not_half_made_again(lasting: tuple[Child, Path]) -> None:
    resumed, run = lasting
    gone = run.rename(run.parent / "going")
    assert refusal(resumed) == f"{run}/history.csv: no such file or directory"
    shutil.rmtree(gone)
    assert os.listdir(run.parent) == []


def test_so_too_where_all_runs_are_deleted(lasting: tuple[Child, Path]) -> None:
    resumed, run = lasting
    shutil.rmtree(run.parent.rename(run.parent.parent / "going"))
    assert refusal(resumed) == f"{run}/history.csv: no such file or directory"
    assert not run.parent.exists()


def test_a_run_that_is_renamed_ends_and_goes_on_under_its_new_name(
    child: Start, lasting: tuple[Child, Path], undisturbed: dict[str, Any]
) -> None:
    resumed, run = lasting
    moved = run.rename(run.parent / "renamed")
    assert refusal(resumed) == f"{run}/history.csv: no such file or directory"
    assert not run.exists()
    assert RunDir(moved).about["status"] == "interrupted"
    if outcome(moved)["epochs"][0] == DONE:
        assert check_resumable(child, moved, undisturbed, "epochs=20")


def test_a_limit_on_the_size_of_files(
    child: Start, home: Path, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    """The signal that goes with it is one that Python ignores."""
    limited = child("train", home / "kept.yaml", "--quiet")
    resource.prlimit(limited.pid, resource.RLIMIT_FSIZE, (20_000, 20_000))
    line, run = refusal(limited), only_run(tmp_path / "runs")
    assert line.startswith(f"runs/{run.name}/checkpoints/epoch-")
    assert line.endswith(": file too large")
    about = RunDir(run).about
    assert (about["status"], about["exit_code"], about["error"]) == ("failed", 7, line)
    assert check_resumable(child, run, undisturbed)


def test_temporary_files_on_a_full_disk(child: Start, disk: Disk, tmp_path: Path) -> None:
    """Where the rows of a table go that is larger than memory."""
    (tmp_path / "table.csv").write_text(TABLE + "1,1,1\n" * 20_000)
    data = "{source: csv, path: table.csv, target: y, stream: always}"
    (tmp_path / "table.yaml").write_text(f"data: {data}\n")
    disk.become("size=64k")
    refused = child("train", "table.yaml", env={"TMPDIR": str(disk.path)})
    line = refusal(refused)
    assert line.startswith(f"{disk.path}: no space left on device, after ")
    assert line.endswith("expected room for 8 bytes a cell (TMPDIR says where)")
    assert os.listdir(disk.path) == []


TABLE = "a,b,y\n" + "".join(f"{n},{n % 7},{n * 2}\n" for n in range(200))
WRITING = {
    "init": ["init", "table.csv", "-t", "y", "-o", "{}/out.yaml"],
    "check": ["check", "table.yaml", "--graph", "{}/out.svg"],
    "predict to csv": ["predict", "run", "table.csv", "-o", "{}/out.csv"],
    "predict to parquet": ["predict", "run", "table.csv", "-o", "{}/out.parquet"],
    "predict to jsonl": ["predict", "run", "table.csv", "-o", "{}/out.jsonl"],
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table, its config, and a network that was trained on it."""
    root = tmp_path_factory.mktemp("tables")
    (root / "table.csv").write_text(TABLE)
    config = {"source": "csv", "path": str(root / "table.csv"), "target": "y"}
    run = nnarch.train({"data": config, "epochs": 1, "threads": 1}, runs_dir=root)
    run.path.rename(root / "run")
    (root / "table.yaml").write_text("data: {source: csv, path: table.csv, target: y}\n")
    return root


@pytest.mark.parametrize("words", WRITING.values(), ids=WRITING)
def test_an_output_on_a_full_disk(words: list[str], child: Start, tables: Path, disk: Disk) -> None:
    """What was there stays; nothing else is left."""
    filled = [word.format(disk.path) for word in words]
    disk.fill()
    writing = child(*filled, cwd=tables)
    line = refusal_after_words(writing)
    assert line == f"{filled[-1]}: no space left on device; 0 bytes are free there"
    assert os.listdir(disk.path) == ["filler"]


def refusal_after_words(child: Child) -> str:
    """As `refusal`, of a command that says what it found before it writes."""
    assert child.wait() == 7, child.stderr
    assert child.stdout == ""
    line = child.stderr.splitlines()[-1]
    assert line.startswith("error: ")
    assert child.stderr.count("error: ") == 1
    return line.removeprefix("error: ")
