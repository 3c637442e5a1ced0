"""Run directories: one for each start, found again by name or merit, honest about their state."""

import fcntl
import json
import math
import os
import platform
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nnarch import history
from nnarch.errors import MachineError, NnarchError, RunBusy, RunError, UsageError
from nnarch.listing import runlist
from nnarch.rundir import RunDir

NAME = re.compile(r"\d{8}-\d{6}-tiny-[0-9a-f]{6}")


def create(root: Path, resolved: str = "seed: 0\n", name: str = "tiny") -> RunDir:
    with RunDir.create(root, name, "given\n", resolved, {"status": "created"}) as run:
        return run


def placed(root: Path, name: str, **about: Any) -> RunDir:
    """A run of a chosen name, as one that began at another time has."""
    run = RunDir(root / name)
    run.path.mkdir(parents=True)
    run.config.write_text("seed: 0\n")
    run.write_about(about)
    return run


def scored(root: Path, name: str, **best: float) -> RunDir:
    return placed(root, name, status="finished", results={"best": best, "higher": ["val_r2"]})


def test_a_new_directory_holds_both_configs_and_is_named_after_time_and_run(tmp_path: Path):
    before = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    root = tmp_path / "new" / "runs"
    made = RunDir.create(root, "tiny", "a: 1 # mine\n", "a: 1\nb: ä\n", {"seed": 0})
    with made as run, pytest.raises(RunBusy), RunDir(run.path).lock():
        pytest.fail("a new run is held from its first moment")
    with run.lock():
        pass
    after = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    assert NAME.fullmatch(run.path.name)
    assert before <= run.path.name[:15] <= after
    assert (run.path / "config.yaml").read_text() == "a: 1 # mine\n"
    assert run.config.read_text(encoding="utf-8") == "a: 1\nb: ä\n"
    assert run.about == {"format": 1, "id": run.path.name, "seed": 0}
    assert sorted(os.listdir(run)) == [
        "checkpoints", "config.yaml", "resolved.yaml", "run.json", "run.lock",
    ]  # fmt: skip
    assert os.listdir(root) == [run.path.name]


def test_a_start_that_fails_leaves_nothing(tmp_path: Path):
    with pytest.raises(TypeError), RunDir.create(tmp_path, "tiny", "", "", {"of": object()}):
        pytest.fail("there is no JSON of this")
    assert os.listdir(tmp_path) == []


def test_what_a_start_left_that_was_killed_long_ago_is_cleared(tmp_path: Path):
    def let_it_be_old(name: str, seconds: float) -> None:
        then = time.time() - seconds
        os.utime(tmp_path / name, (then, then))

    names = {".00000000.new": 7200, ".11111111.new": 60, ".22222222.new": 7200, ".mine.new": 7200}
    for name, age in names.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").touch()
        let_it_be_old(name, age)
    with RunDir(tmp_path / ".22222222.new").lock():
        let_it_be_old(".22222222.new", 7200)
        run = create(tmp_path)
    left = {".11111111.new", ".22222222.new", ".mine.new", run.path.name}
    assert set(os.listdir(tmp_path)) == left


def test_a_clock_that_was_put_back_leaves_the_order(tmp_path: Path):
    placed(tmp_path, "29991231-235959-a-000000")
    run = create(tmp_path)
    assert run.path.name.startswith("30000101-000000-tiny-")
    assert runlist.find("@last", tmp_path).path == run.path


def test_twenty_threads_that_start_at_once_get_twenty_directories(tmp_path: Path):
    barrier = threading.Barrier(20)

    def start(number: int) -> Path:
        barrier.wait()
        return create(tmp_path).path

    with ThreadPoolExecutor(20) as threads:
        made = list(threads.map(start, range(20)))
    assert len(set(made)) == 20
    assert [run.path for run in runlist.runs(tmp_path)] == sorted(made)


STARTED_AT_ONCE = """
import os, sys
from pathlib import Path

from nnarch.rundir import RunDir

waiting, go = os.pipe()
children = []
for number in range(20):
    children.append(os.fork())
    if not children[-1]:
        os.close(go)
        os.read(waiting, 1)  # until all are there, and the parent closes its end
        with RunDir.create(Path(sys.argv[1]), "tiny", "", "seed: 0", {}) as run:
            (run.path / f"mine-{number}").touch()
        os._exit(0)
os.close(go)
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""


def test_twenty_processes_that_start_at_once_get_twenty_directories(tmp_path: Path):
    done = subprocess.run([sys.executable, "-c", STARTED_AT_ONCE, tmp_path], timeout=60)
    assert done.returncode == 0
    made = runlist.runs(tmp_path)
    assert len(made) == 20
    owners = [list(run.path.glob("mine-*")) for run in made]
    assert all(len(owner) == 1 for owner in owners)
    assert len({owner[0].name for owner in owners}) == 20


def test_a_place_that_cannot_hold_runs_is_said_in_one_line(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError) as failed:
        create(tmp_path / "file" / "runs")
    assert failed.value.lines == [f"{tmp_path}/file/runs: not a directory"]
    assert failed.value.exit_code == 7


def test_runs_are_listed_by_age_and_nothing_else_is(tmp_path: Path):
    names = ["20250101-000001-b-ffffff", "20250101-000000-z-000000", "20240101-000000-a-b-0f0f0f"]
    for name in names:
        placed(tmp_path, name)
    (tmp_path / "20250101-000002-a-file-000000").write_text("")
    for other in ("notes", ".last.new", "20250101-000000-run", "20250101-000000-run-xyzxyz"):
        (tmp_path / other).mkdir()
    assert [run.path.name for run in runlist.runs(tmp_path)] == sorted(names)
    assert runlist.runs(tmp_path / "missing") == []


# finding a run


def test_a_run_is_found_by_path_name_or_unique_beginning(tmp_path: Path):
    one = placed(tmp_path, "20250101-000000-one-aaaaaa")
    placed(tmp_path, "20250102-000000-two-bbbbbb")
    for selector in (str(one), f"{one}/", one.path.name, "20250101", "20250101-000000-on"):
        assert runlist.find(selector, tmp_path).path == one.path


def test_a_path_needs_no_name_of_ours(tmp_path: Path):
    placed(tmp_path, "20250101-000000-one-aaaaaa").path.rename(tmp_path / "my best")
    assert runlist.find(str(tmp_path / "my best"), tmp_path / "none").path == tmp_path / "my best"


def test_a_path_wins_over_a_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    placed(tmp_path / "runs", "20250101-000000-one-aaaaaa")
    here = placed(tmp_path, "2025")
    monkeypatch.chdir(tmp_path)
    assert runlist.find("2025", tmp_path / "runs").path.resolve() == here.path


MISSAID = {
    "nothing": ("", "got '' for a run; expected a path, a name, @last or @best:val_loss"),
    "ambiguous": (
        "2025",
        "2025: 2 runs begin so: 20250101-000000-one-aaaaaa, 20250102-000000-two-bbbbbb",
    ),
    "a file": ("{root}/file", "{root}/file: is a file; expected a run directory"),
    "unknown word": ("@first", "@first: expected @last or @best: and a column such as val_loss"),
    "no column": ("@best:", "@best:: expected @last or @best: and a column such as val_loss"),
}
NOT_FOUND = {
    "no such": ("nope", "nope: no such run, neither as a path nor in {root}/"),
    "another directory": (
        "{root}/other",
        "{root}/other: not a run directory: it holds no run.json",
    ),
    "column of none": ("@best:val_f1", "@best:val_f1: no run in {root}/ has val_f1"),
}
CASES = [
    *(pytest.param(UsageError, *case, id=name) for name, case in MISSAID.items()),
    *(pytest.param(RunError, *case, id=name) for name, case in NOT_FOUND.items()),
]


@pytest.mark.parametrize(("kind", "selector", "said"), CASES)
def test_what_is_not_found_is_said_why(
    kind: type[NnarchError], selector: str, said: str, tmp_path: Path
):
    scored(tmp_path, "20250101-000000-one-aaaaaa", val_loss=1.0)
    scored(tmp_path, "20250102-000000-two-bbbbbb", val_loss=2.0)
    (tmp_path / "file").write_text("")
    (tmp_path / "other").mkdir()
    with pytest.raises(kind) as failed:
        runlist.find(selector.format(root=tmp_path), tmp_path)
    assert failed.value.lines == [said.format(root=tmp_path)]


@pytest.mark.parametrize("selector", ["a" * 5000, "a\0b", "../" * 2000, "\udce9"])
def test_a_selector_that_cannot_be_a_path_is_one_line(selector: str, tmp_path: Path):
    with pytest.raises(RunError) as failed:
        runlist.find(selector, tmp_path)
    assert len(failed.value.lines) == 1


@pytest.mark.parametrize("selector", ["@last", "@best:val_loss"])
def test_where_there_are_no_runs_none_is_the_last_or_the_best(selector: str, tmp_path: Path):
    for root in (tmp_path, tmp_path / "missing"):
        with pytest.raises(RunError, match="there are no runs in"):
            runlist.find(selector, root)


def test_the_last_run_began_last_even_within_one_second(tmp_path: Path):
    for number, name in enumerate(["c-000002", "b-000001", "a-000003"]):
        run = placed(tmp_path, f"20250101-000000-{name}")
        os.utime(run.config, ns=(0, 1000 + number))
    assert runlist.find("@last", tmp_path).path.name == "20250101-000000-a-000003"
    placed(tmp_path, "20250101-000001-z-000000")
    assert runlist.find("@last", tmp_path).path.name == "20250101-000001-z-000000"


def test_the_best_run_has_the_lowest_loss_or_the_highest_score(tmp_path: Path):
    scored(tmp_path, "20250101-000000-a-000000", val_loss=2.0, val_r2=0.9)
    scored(tmp_path, "20250102-000000-b-000000", val_loss=1.0, val_r2=0.5)
    scored(tmp_path, "20250103-000000-c-000000", val_loss=3.0, val_r2=-0.5)
    placed(tmp_path, "20250104-000000-d-000000", status="created")
    assert runlist.find("@best:val_loss", tmp_path).path.name[-8] == "b"
    assert runlist.find("@best:val_r2", tmp_path).path.name[-8] == "a"


GARBAGE = [
    "",
    "{",
    "null",
    "[]",
    '"running"',
    "{}",
    '{"format": 99, "versions": [], "results": {"best": {"val_loss": -1}}}',
    '{"format": 1, "results": null}',
    '{"format": 1, "results": []}',
    '{"format": 1, "results": {"best": null, "higher": null}}',
    '{"format": 1, "results": {"best": {"val_loss": null}, "higher": []}}',
    '{"format": 1, "results": {"best": {"val_loss": "low"}, "higher": []}}',
    '{"format": 1, "results": {"best": {"val_loss": NaN}, "higher": []}}',
    '{"format": 1, "results": {"best": {"val_loss": []}, "higher": []}}',
    "[" * 100_000,
    "\udcff",
]


def test_runs_that_hold_garbage_hide_no_other(tmp_path: Path):
    for number, text in enumerate(GARBAGE):
        broken = RunDir(tmp_path / f"20250101-0000{number:02}-broken-000000")
        broken.path.mkdir()
        (broken.path / "run.json").write_bytes(text.encode(errors="surrogateescape"))
    for name in ("20250102-000000-pipe-000000", "20250103-000000-empty-000000"):
        (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / "20250102-000000-pipe-000000" / "run.json")
    good = scored(tmp_path, "20250101-000059-good-000000", val_loss=1.0)
    assert runlist.find("@best:val_loss", tmp_path).path == good.path
    assert len(runlist.runs(tmp_path)) == len(GARBAGE) + 3
    assert runlist.find("@last", tmp_path).path.name == "20250103-000000-empty-000000"


# what a run says of itself


def test_what_is_written_about_a_run_is_read_again(tmp_path: Path):
    run = create(tmp_path)
    run.write_about({"status": "finished", "words": "größe", "loss": math.nan, "list": (1, 2.5)})
    assert run.about == {
        "format": 1,
        "status": "finished",
        "words": "größe",
        "loss": None,
        "list": [1, 2.5],
    }


@pytest.mark.parametrize("text", GARBAGE[:7] + GARBAGE[-2:], ids=lambda text: ascii(text[:20]))
def test_a_damaged_run_json_is_named(text: str, tmp_path: Path):
    run = create(tmp_path)
    (run.path / "run.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(RunError) as failed:
        _ = run.about
    assert failed.value.lines[0].startswith(f"{run.path}")
    assert failed.value.exit_code == 5


def test_a_missing_run_json_is_named(tmp_path: Path):
    run = create(tmp_path)
    (run.path / "run.json").unlink()
    with pytest.raises(RunError, match=r"run\.json: no such file or directory"):
        _ = run.about


def test_a_run_of_a_newer_nnarch_is_refused_by_version(tmp_path: Path):
    run = create(tmp_path)
    newer = {"format": 2, "versions": {"nnarch": "9.1"}}
    (run.path / "run.json").write_text(json.dumps(newer))
    said = r"has format 2, of nnarch 9\.1; this is nnarch .*, which reads format 1"
    with pytest.raises(RunError, match=said):
        _ = run.about


HOLDS_THE_LOCK = """
import sys, time
from pathlib import Path

from nnarch.rundir import RunDir

with RunDir(Path(sys.argv[1])).lock():
    print("held", flush=True)
    time.sleep(100)
"""


@pytest.fixture
def held(tmp_path: Path):
    """A run that another process works on, and that process."""
    run = create(tmp_path)
    run.write_about({"status": "running"})
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS_THE_LOCK, run], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield run, process
        process.kill()


def test_a_run_is_busy_while_a_process_works_on_it_and_free_once_that_is_killed(held):
    run, process = held
    assert run.about["status"] == "running"
    with pytest.raises(RunBusy) as busy, run.lock():
        pytest.fail("two processes hold one run")
    assert busy.value.exit_code == 6
    host = platform.node()
    assert busy.value.lines == [f"{run.path}: held by process {process.pid} on {host}"]

    process.send_signal(signal.SIGKILL)
    process.wait()
    assert run.about["status"] == "interrupted"
    with run.lock():
        assert run.about["status"] == "running"
        said = (run.path / "run.lock").read_text()
        assert said == f"process {os.getpid()} on {host}\n"
    assert run.about["status"] == "interrupted"


def test_looking_at_a_run_neither_takes_nor_breaks_its_lock(held):
    run, _ = held
    for _ in range(3):
        assert run.about["status"] == "running"
    with pytest.raises(RunBusy), run.lock():
        pytest.fail("the lock was broken")


def test_a_run_that_is_only_looked_at_is_not_busy(tmp_path: Path):
    run, over = create(tmp_path), threading.Event()
    run.write_about({"status": "running"})
    with run.lock():
        pass

    def look() -> None:
        while not over.is_set():
            _ = run.about

    with ThreadPoolExecutor(1) as threads:
        looking = threads.submit(look)
        try:
            for _ in range(500):
                with run.lock():
                    pass
        finally:
            over.set()
        looking.result()


@pytest.mark.parametrize("status", ["created", "finished", "failed", "diverged", "interrupted"])
def test_only_a_running_run_can_turn_out_to_be_interrupted(status: str, tmp_path: Path):
    run = create(tmp_path)
    run.write_about({"status": status})
    assert run.about["status"] == status


def test_a_run_is_busy_within_one_process_too(tmp_path: Path):
    run = create(tmp_path)
    with run.lock(), pytest.raises(RunBusy), RunDir(run.path).lock():
        pytest.fail("held twice")
    with run.lock():
        pass


def test_of_ten_that_want_a_run_one_gets_it(tmp_path: Path):
    run, begin, over = create(tmp_path), threading.Barrier(10), threading.Barrier(10, timeout=60)

    def work(number: int) -> bool:
        begin.wait()
        try:
            with run.lock():
                over.wait()
                return True
        except RunBusy:
            over.wait()
            return False

    with ThreadPoolExecutor(10) as threads:
        assert sum(threads.map(work, range(10))) == 1


def test_a_lock_that_is_held_without_a_name_is_still_a_lock(tmp_path: Path):
    run = create(tmp_path)
    with open(run.path / "run.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(RunBusy, match="held by another process"), run.lock():
            pytest.fail("held twice")


def test_what_goes_wrong_under_a_lock_is_told_as_it_is(tmp_path: Path):
    run = create(tmp_path)
    with pytest.raises(FileNotFoundError, match="elsewhere"), run.lock():
        (tmp_path / "elsewhere").read_text()
    with pytest.raises(NnarchError, match="a fault"), run.lock():
        raise NnarchError("a fault")
    with run.lock():
        pass


# history, log, checkpoints, plugins


def test_history_comes_back_to_the_last_digit(tmp_path: Path):
    run = create(tmp_path)
    assert run.history == []
    rows = [
        {"epoch": 1, "train_loss": 0.1 + 0.2, "val_loss": 1e-300, "lr": 1 / 3},
        {"epoch": 2, "train_loss": math.inf, "val_loss": 5e-324, "lr": 1e22},
    ]
    run.append_history(history.lines(rows[0]))
    run.append_history(history.lines(rows[1], list(rows[0])))
    assert run.history == rows
    text = (run.path / "history.csv").read_text()
    assert text.startswith("epoch,train_loss,val_loss,lr\n1,0.30000000000000004,")
    lost = {"epoch": 3, "train_loss": math.nan, "val_loss": 1.0, "lr": 0.1}
    run.append_history(history.lines(lost, list(rows[0])))
    assert math.isnan(run.history[2]["train_loss"])


def test_a_line_that_was_half_written_is_left_out(tmp_path: Path):
    run = create(tmp_path)
    run.append_history(history.lines({"epoch": 1, "loss": 0.5}))
    whole = (run.path / "history.csv").read_bytes()
    run.append_history(history.lines({"loss": 0.12345, "epoch": 2}, ["epoch", "loss"]))
    longer = (run.path / "history.csv").read_bytes()
    for length in range(len(whole), len(longer)):
        (run.path / "history.csv").write_bytes(longer[:length])
        assert run.history == [{"epoch": 1, "loss": 0.5}]
    (run.path / "history.csv").write_bytes(longer)
    assert run.history == [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.12345}]


@pytest.mark.parametrize(
    "text",
    [
        "epoch,loss\n1\n",
        "epoch,loss\n1,0.5,7\n",
        "epoch,loss\n1,fast\n",
        "epoch,loss\n1,\n",
        "epoch,loss\n\x00\xff,1\n",
        "epoch,loss\n1," + "9" * 200_000 + "x\n",
        "epoch,loss\n1,0.5\r2,0.4\n",
    ],
    ids=lambda text: ascii(text[11:20]),
)
def test_a_damaged_history_is_named(text: str, tmp_path: Path):
    run = create(tmp_path)
    (run.path / "history.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(RunError, match=r"history\.csv: damaged"):
        _ = run.history


def test_the_log_has_a_line_with_the_time_for_each(tmp_path: Path):
    run = create(tmp_path)
    run.log("größe")
    run.log("a file called \udce9")  # a byte that is no character
    lines = (run.path / "log.txt").read_text(encoding="utf-8").splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == ["größe", r"a file called \udce9"]
    assert all(datetime.fromisoformat(line.split()[0]).tzinfo for line in lines)


def test_a_run_without_a_checkpoint_says_that_its_first_epoch_has_not_ended(tmp_path: Path):
    with pytest.raises(RunError, match="no checkpoint yet; its first epoch has not ended"):
        create(tmp_path).load_checkpoint()


def test_the_source_of_a_plugin_is_kept_as_it_was(tmp_path: Path):
    sources = {"mine.py": b"raise SystemExit  # \xff\n"}
    with RunDir.create(tmp_path, "tiny", "", "", {}, sources) as run:
        assert (run.path / "plugins" / "mine.py").read_bytes() == sources["mine.py"]


@pytest.mark.parametrize("name", ["history.csv", "log.txt", "run.lock"])
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_grows_is_never_written_through_a_link_or_into_a_pipe(
    name: str, kind: str, tmp_path: Path
):
    run, elsewhere = create(tmp_path), tmp_path / "precious"
    elsewhere.write_text("precious")
    (run.path / name).unlink(missing_ok=True)
    if kind == "link":
        (run.path / name).symlink_to(elsewhere)
    else:
        os.mkfifo(run.path / name)
    write = {
        "history.csv": lambda: run.append_history("1,2\n"),
        "log.txt": lambda: run.log("hello"),
        "run.lock": lambda: run.lock().__enter__(),
    }
    with pytest.raises(MachineError, match=name):
        write[name]()
    assert elsewhere.read_text() == "precious"


def test_a_run_is_a_path_wherever_one_is_wanted(tmp_path: Path):
    run = create(tmp_path)
    assert os.fspath(run) == str(run) == str(run.path)
    assert repr(run) == f"RunDir({str(run.path)!r})"


def test_listing_runs_does_not_wait_for_torch(tmp_path: Path):
    scored(tmp_path, "20250101-000000-a-000000", val_loss=2.0)
    code = (
        "import sys; from pathlib import Path; from nnarch.listing import runlist; "
        f"runlist.find('@best:val_loss', Path({str(tmp_path)!r})).history; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
