"""Run directories as accidents and strangers leave them: section D of the catalogue, 81 to 99.

Each goes through the command line, to be measured, predicted from and gone on with: what is
intact is used, what is not is told in one line, and no file of it is touched.
"""

import functools
import json
import os
import random
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import tampering
from conftest import Command, Done, error_lines
from harness import Start, Tally
from outcome import outcome
from tampering import checkpoints, contents, rewrite_meta, rewrite_state, sign

MORE = "epochs=7"  # of a run of six
LONGEST = 2100  # characters of a line; torch lists every weight that does not fit
Change = Callable[[Path], object]


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tampering.with_three(tmp_path_factory.mktemp("whole")).path


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    """A finished run with three checkpoints: the best, the one before the last, the last."""
    return Path(shutil.copytree(whole, tmp_path / "runs" / whole.name, symlinks=True))


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """New rows, to predict from."""
    path = tmp_path / "rows.csv"
    names = [f"x{number}" for number in range(1, 9)]
    path.write_text(f"{','.join(names)}\n" + "0.5,1,-1,0,2,0.25,-2,1\n" * 3)
    return path


def ids(cases: Mapping[str, object]) -> list[str]:
    return [name.replace(" ", "_") for name in cases]


def best(run: Path) -> Path:
    return run / "checkpoints" / os.readlink(run / "checkpoints" / "best")


def last(run: Path) -> Path:
    return run / "checkpoints" / os.readlink(run / "checkpoints" / "last")


def refused(done: Done, run: Path, expected: str) -> None:
    assert done.returncode == 5, done.stderr
    (line,) = error_lines(done)
    assert line.startswith(str(run))
    assert expected in line
    assert len(line) < LONGEST


def flip(path: Path) -> None:
    path.write_bytes(tampering.flipped(path.read_bytes(), random.Random(0)))


def cut(path: Path) -> None:
    os.truncate(path, 100)


def empty(path: Path) -> None:
    path.write_bytes(b"")


# the last is damaged, the best is not

HURT_LAST: dict[str, tuple[Change, str]] = {
    "83 cut off": (lambda home: cut(home / "model.safetensors"), "model.safetensors: damaged"),
    "83 state cut off": (lambda home: cut(home / "state.pt"), "state.pt: damaged"),
    "84 a bit": (lambda home: flip(home / "model.safetensors"), "model.safetensors: damaged"),
    "84 a bit of the state": (lambda home: flip(home / "state.pt"), "state.pt: damaged"),
    "84 a bit of the description": (lambda home: flip(home / "meta.json"), "meta.json: damaged"),
    "84 a bit of the history": (lambda home: flip(home / "history.csv"), "history.csv: damaged"),
    "85 nothing in it": (lambda home: empty(home / "state.pt"), "state.pt: damaged"),
    "85 no state": (lambda home: (home / "state.pt").unlink(), "state.pt: no such file"),
    "88 no manifest": (lambda home: (home / "manifest.json").unlink(), "manifest.json: no such"),
    "88 an empty manifest": (lambda home: empty(home / "manifest.json"), "json: damaged"),
    "91 of a newer format": (
        lambda home: newer(home / "manifest.json"),
        "has format 2; this is nnarch 0.1.0, which reads format 1",
    ),
    "a directory for a file": (lambda home: as_directory(home / "state.pt"), "not a plain file"),
    "a pipe for a file": (lambda home: as_pipe(home / "state.pt"), "not a plain file"),
    "a link to a directory": (lambda home: linked_away(home), "epoch-0006: is a link; expected a"),
    "a file for a directory": (lambda home: as_file(home), "epoch-0006: is not there; expected a"),
    "nothing at all": (lambda home: shutil.rmtree(home), "epoch-0006: is not there; expected a"),
}


def newer(path: Path) -> None:
    told = json.loads(path.read_text())
    path.write_text(json.dumps(told | {"format": 2, "nnarch": "9.1"}))


def as_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def as_file(home: Path) -> None:
    shutil.rmtree(home)
    home.write_text("")


def linked_away(home: Path) -> None:
    away = home.rename(home.parents[2] / "away")
    home.symlink_to(away)


@pytest.mark.parametrize(("change", "expected"), HURT_LAST.values(), ids=ids(HURT_LAST))
def test_a_damaged_last_is_fallen_back_from(
    nnarch_here: Command, run: Path, change: Change, expected: str
) -> None:
    change(last(run))
    assert nnarch_here("eval", run).returncode == 0
    done = nnarch_here("resume", run, MORE)
    assert done.returncode == 0, done.stderr
    warnings = [line for line in done.stderr.splitlines() if "warning: " in line]
    assert len(warnings) == 1
    assert expected in warnings[0]
    assert f"{run} goes on after epoch 5 of 7" in done.stderr
    assert outcome(run)["epochs"][0] == 7
    assert not any(path.is_symlink() for path in checkpoints(run))


# the best is damaged, the last is not


@pytest.mark.parametrize("name", ["model.safetensors", "meta.json", "manifest.json"])
@pytest.mark.parametrize("hurt", [flip, cut, empty, Path.unlink])
def test_a_damaged_best_is_refused_and_gone_on_without(
    nnarch_here: Command, run: Path, rows: Path, name: str, hurt: Callable[[Path], object]
) -> None:
    path = best(run) / name
    path.write_bytes(path.read_bytes() * (1 + (name == "manifest.json")))  # no flip is harmless
    hurt(path)
    before = contents(run)
    for words in (["eval", run], ["predict", run, rows]):
        refused(nnarch_here(*words), run, str(path))
    assert contents(run) == before
    done = nnarch_here("resume", run, MORE)
    assert done.returncode == 0, done.stderr
    assert "goes on after epoch 6 of 7" in done.stderr
    assert f"warning: {path}" in done.stderr
    assert "warning: the best epoch so far is lost; the best from here on is kept" in done.stderr
    assert nnarch_here("eval", run).returncode == 0
    assert outcome(run)["epochs"] == (7, 7)


@pytest.mark.parametrize("name", ["state.pt", "history.csv"])
def test_a_best_without_its_state_is_the_best(nnarch_here: Command, run: Path, name: str) -> None:
    flip(best(run) / name)
    done = nnarch_here("resume", run, MORE)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr


def test_a_damaged_last_that_is_the_best_is_fallen_back_from(
    nnarch_here: Command, tmp_path: Path
) -> None:
    run = tampering.trained(tmp_path / "runs", epochs=3, monitor="last").path
    assert best(run) == last(run)
    flip(last(run) / "model.safetensors")
    refused(nnarch_here("eval", run), run, "epoch-0003/model.safetensors: damaged")
    done = nnarch_here("resume", run, MORE)
    assert done.returncode == 0, done.stderr
    assert f"{run} goes on after epoch 2 of 7" in done.stderr
    assert nnarch_here("eval", run).returncode == 0
    assert outcome(run)["epochs"] == (7, 7)


# none is intact


def everywhere(change: Change) -> Change:
    def changed(run: Path) -> None:
        for home in checkpoints(run):
            change(home)

    return changed


NONE_INTACT: dict[str, tuple[Change, str]] = {
    "83 cut off": (everywhere(lambda home: cut(home / "model.safetensors")), ": damaged"),
    "84 a bit": (everywhere(lambda home: flip(home / "meta.json")), "meta.json: damaged"),
    "85 nothing in it": (everywhere(lambda home: empty(home / "model.safetensors")), "damaged"),
    "88 no manifest": (
        everywhere(lambda home: (home / "manifest.json").unlink()),
        "manifest.json: no such file",
    ),
    "88 a manifest of a word": (
        everywhere(lambda home: (home / "manifest.json").write_text("hello")),
        "manifest.json: damaged",
    ),
    "88 a manifest of other files": (
        everywhere(
            lambda home: (home / "manifest.json").write_text(
                '{"format": 1, "sha256": {"../../run.json": "0"}}'
            )
        ),
        "manifest.json: damaged: it does not name the files of a checkpoint",
    ),
    "91 of a newer format": (
        everywhere(lambda home: newer(home / "manifest.json")),
        "has format 2; this is nnarch 0.1.0, which reads format 1",
    ),
    "91 a run of a newer format": (
        lambda run: (run / "run.json").write_text('{"format": 2, "versions": {"nnarch": "9.1"}}'),
        "has format 2, of nnarch 9.1; this is nnarch",
    ),
    "89 of another run": (
        everywhere(lambda home: rewrite_meta(home, lambda meta: meta.update(run="another"))),
        "is of another run, 'another'",
    ),
    "of another epoch": (
        everywhere(lambda home: rewrite_meta(home, lambda meta: meta.update(epoch=77))),
        "is of another epoch, 77",
    ),
    "no run.json": (lambda run: (run / "run.json").write_text("["), "run.json: damaged"),
}


@pytest.mark.parametrize(("change", "expected"), NONE_INTACT.values(), ids=ids(NONE_INTACT))
def test_where_none_is_intact_nothing_is_touched(
    nnarch_here: Command, run: Path, rows: Path, change: Change, expected: str
) -> None:
    change(run)
    before = contents(run)
    for words in (["eval", run], ["predict", run, rows], ["resume", run, MORE]):
        refused(nnarch_here(*words), run, expected)
    if (run / "run.json").read_text().startswith("{\n"):
        assert "; no checkpoint of the run is intact" in nnarch_here("resume", run, MORE).stderr
    assert contents(run) == {**before, "run.lock": (run / "run.lock").read_bytes()}


# what else may be there, or not

BEFORE_THE_FIRST: dict[str, Change] = {
    "no checkpoint": lambda run: [shutil.rmtree(home) for home in checkpoints(run)],
    "no directory of them": lambda run: shutil.rmtree(run / "checkpoints"),
    "the first half written": lambda run: (
        [shutil.rmtree(home) for home in checkpoints(run)],
        (run / "checkpoints" / ".epoch-0001.new").mkdir(),
        (run / "checkpoints" / ".epoch-0001.new" / "model.safetensors").write_bytes(b"{"),
    ),
}


@pytest.mark.parametrize("change", BEFORE_THE_FIRST.values(), ids=ids(BEFORE_THE_FIRST))
def test_82_a_run_killed_before_its_first_checkpoint(
    nnarch_here: Command, run: Path, rows: Path, whole: Path, change: Change
) -> None:
    if (run / "checkpoints").exists():
        for name in ("last", "best"):
            (run / "checkpoints" / name).unlink()
    change(run)
    about = json.loads((run / "run.json").read_text())
    for key in ("results", "ended", "exit_code", "seconds"):
        del about[key]
    (run / "run.json").write_text(json.dumps(about | {"status": "running"}))
    for words in (["eval", run], ["predict", run, rows]):
        refused(nnarch_here(*words), run, "no checkpoint yet; its first epoch has not ended")
    done = nnarch_here("resume", run)
    assert done.returncode == 0, done.stderr
    assert f"{run} had saved no epoch yet: begins with epoch 1 of 6" in done.stderr
    assert outcome(run) == outcome(whole)


@pytest.mark.parametrize("command", ["eval", "resume"])
def test_81_a_directory_that_is_empty_or_not_there(
    nnarch_light: Command, tmp_path: Path, command: str
) -> None:
    (tmp_path / "empty").mkdir()
    for name, expected in (
        ("empty", "empty: not a run directory: it holds no run.json"),
        ("nothing", "nothing: no such run, neither as a path nor in runs/"),
    ):
        done = nnarch_light(command, name)
        assert done.returncode == 5
        assert error_lines(done) == [expected]


EDITS = {
    "seed: 2": ("seed: 3", "seed is 3, was 2"),
    "lr: 0.03": ("lr: 0.01", "optimizer.lr is 0.01, was 0.03"),
    "[64, 48]": ("[64, 47]", "model.widths[1] is 47, was 48"),
}


@pytest.mark.parametrize(("old", "new", "expected"), [(o, *n) for o, n in EDITS.items()])
def test_90_an_edited_config_is_shown_with_what_differs(
    nnarch_here: Command, run: Path, rows: Path, old: str, new: str, expected: str
) -> None:
    text = (run / "resolved.yaml").read_text()
    if old.startswith("seed"):
        old = f"\n{old}"
        new = f"\n{new}"
    assert text.count(old) == 1
    (run / "resolved.yaml").write_text(text.replace(old, new))
    for words in (["eval", run], ["predict", run, rows], ["resume", run, MORE]):
        done = nnarch_here(*words)
        refused(done, run, "resolved.yaml: was edited since the run was trained by it: ")
        assert expected in done.stderr


def test_93_stray_temporaries_are_ignored_and_cleaned(nnarch_here: Command, run: Path) -> None:
    stray = [
        run / "checkpoints" / ".epoch-0009.new",
        run / "checkpoints" / ".last.0123abcd",
        run / ".run.json.89abcdef",
    ]
    shutil.copytree(last(run), stray[0])
    stray[1].symlink_to("epoch-0009")
    stray[2].write_text("{")
    notes = run / "notes.txt"
    notes.write_text("mine")
    assert nnarch_here("eval", run).returncode == 0
    assert all(os.path.lexists(path) for path in stray)
    done = nnarch_here("resume", run, MORE)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    assert not any(os.path.lexists(path) for path in stray)
    assert notes.read_text() == "mine"


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-9],
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: text + "7,0.5,0.",
        lambda text: text + text,
        lambda text: "epoch,loss\nx,y\n",
        lambda text: "\0" * 50,
    ],
)
def test_94_a_half_written_history_is_rebuilt(
    nnarch_here: Command, run: Path, change: Callable[[str], str]
) -> None:
    path = run / "history.csv"
    text = path.read_text()
    path.write_text(change(text))
    done = nnarch_here("resume", run, MORE)
    assert done.returncode == 0, done.stderr
    lines = path.read_text().splitlines(keepends=True)
    assert "".join(lines[:-1]) == text
    assert lines[-1].startswith("7,")


def test_95_a_run_that_is_complete_has_nothing_to_do(nnarch_light: Command, run: Path) -> None:
    before = contents(run)
    done = nnarch_light("resume", run)
    assert done.returncode == 0
    assert done.stderr == f"{run} is finished: nothing to do (epochs=N trains it longer)\n"
    assert done.stdout == f"{run}\n"
    assert contents(run) == {**before, "run.lock": (run / "run.lock").read_bytes()}


HELD = """\
import sys, time
from pathlib import Path
from nnarch.rundir import RunDir
with RunDir(Path(sys.argv[1])).lock():
    print("held", flush=True)
    time.sleep(100)
"""


def test_98_a_run_that_is_worked_on_is_busy_and_99_free_after_a_kill(
    nnarch_light: Command, nnarch_here: Command, run: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HELD, run], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        before = contents(run)
        for words in (["resume", run], ["resume", run, MORE]):
            done = nnarch_light(*words)  # without torch, so at once
            assert done.returncode == 6
            assert error_lines(done) == [
                f"{run}: held by process {holder.pid} on {socket.gethostname()}"
            ]
        assert contents(run) == before
        assert nnarch_here("eval", run).returncode == 0
        holder.kill()
    assert f"process {holder.pid}" in (run / "run.lock").read_text()
    done = nnarch_here("resume", run, MORE)
    assert done.returncode == 0, done.stderr


def test_98_of_ten_that_resume_at_once_one_does(child: Start, run: Path) -> None:
    children = [child("resume", run, "epochs=300") for _ in range(10)]
    codes = [each.wait() for each in children]
    assert sorted(codes) == [0] + [6] * 9
    for each, code in zip(children, codes, strict=True):
        assert code == 0 or each.stderr.startswith(f"error: {run}: held by process ")
    assert outcome(run)["epochs"][0] == 300


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_run_that_may_not_be_written(nnarch_here: Command, run: Path, rows: Path) -> None:
    before = contents(run)
    folders = [run, run / "checkpoints", *checkpoints(run)]
    for path in [run / "run.lock", *folders]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        for words in (["eval", run], ["predict", run, rows]):
            assert nnarch_here(*words).returncode == 0
        done = nnarch_here("resume", run, MORE)
    finally:
        for path in [run / "run.lock", *folders]:
            path.chmod(0o700 if path.is_dir() else 0o600)
    assert done.returncode == 7
    assert error_lines(done) == [f"{run}/run.lock: permission denied"]
    assert contents(run) == before


def without_links(run: Path) -> None:
    """As a tool leaves a copy that knows no links."""
    for name in ("last", "best"):
        target = (run / "checkpoints" / name).resolve()
        (run / "checkpoints" / name).unlink()
        shutil.copytree(target, run / "checkpoints" / name)


def link(run: Path, name: str, target: str | Path) -> None:
    (run / "checkpoints" / name).unlink()
    (run / "checkpoints" / name).symlink_to(target)


ODD: dict[str, tuple[Change, str | None]] = {  # what is wrong with its best; nothing where None
    "names that are none": (
        lambda run: [(run / "checkpoints" / name).mkdir() for name in ("epoch-00x", "epoch-7")],
        None,
    ),
    "an epoch far away": (lambda run: (run / "checkpoints" / "epoch-99999999999").mkdir(), None),
    "a file in the name of an epoch": (
        lambda run: (run / "checkpoints" / "epoch-0007").write_text("mine"),
        None,
    ),
    "a link in the name of an epoch": (
        lambda run: (run / "checkpoints" / "epoch-0007").symlink_to("/etc"),
        None,
    ),
    "digits of another script": (
        lambda run: (run / "checkpoints" / "epoch-\u0660\u0660\u0660\u0667").mkdir(),
        None,
    ),
    "directories in the place of links": (without_links, None),
    "best dangles": (
        lambda run: link(run, "best", "epoch-0099"),
        "epoch-0099: is not there; expected a directory",
    ),
    "best leads elsewhere": (lambda run: link(run, "best", "/etc"), "best: damaged: expected a"),
    "best leads up": (lambda run: link(run, "best", ".."), "best: damaged: expected a link to a"),
    "best leads to itself": (lambda run: link(run, "best", "best"), "best: damaged: expected a"),
    "best is missing": (
        lambda run: (run / "checkpoints" / "best").unlink(),
        "checkpoints/best: no such link; expected one such as to epoch-0007",
    ),
    "last dangles": (lambda run: link(run, "last", "epoch-0099"), None),
    "last leads elsewhere": (lambda run: link(run, "last", "/etc"), None),
    "last is missing": (lambda run: (run / "checkpoints" / "last").unlink(), None),
}


@pytest.mark.parametrize(("change", "expected"), ODD.values(), ids=ids(ODD))
def test_odd_names_and_links(
    nnarch_here: Command, run: Path, change: Change, expected: str | None
) -> None:
    name = best(run).name
    change(run)
    done = nnarch_here("eval", run)
    if expected:
        refused(done, run, expected)
    else:
        assert done.returncode == 0, done.stderr
    done = nnarch_here("resume", run, MORE)
    assert done.returncode == 0, done.stderr
    assert "goes on after epoch 6 of 7" in done.stderr
    assert best(run).name == name
    assert last(run).name == "epoch-0007"
    assert nnarch_here("eval", run).returncode == 0


# what a stranger writes, the sums made to agree


def forged(run: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Change the weights of every checkpoint."""
    for home in checkpoints(run):
        tensors = load_file(home / "model.safetensors")
        change(tensors)
        save_file(tensors, home / "model.safetensors")
        sign(home)


BIAS = "network.0.bias"
WEIGHTS: dict[str, Callable[[dict[str, torch.Tensor]], object]] = {
    "92 a tensor less": lambda tensors: tensors.pop(BIAS),
    "92 a tensor more": lambda tensors: tensors.update({"network.9.x": torch.ones(1)}),
    "92 a tensor of another shape": lambda tensors: tensors.update({BIAS: torch.ones(5)}),
    "92 no tensor": lambda tensors: tensors.clear(),
    "92 scaling of another shape": lambda tensors: tensors.update(
        {name: torch.ones(3) for name in tensors if name.startswith("preprocess")}
    ),
}


@pytest.mark.parametrize("change", WEIGHTS.values(), ids=ids(WEIGHTS))
def test_92_weights_that_do_not_fit(
    nnarch_here: Command, run: Path, rows: Path, change: Callable[..., object]
) -> None:
    forged(run, change)
    for words in (["eval", run], ["predict", run, rows]):
        refused(nnarch_here(*words), run, "best checkpoint does not fit together")


VALUES: list[Any] = [
    *(None, True, False, -1, 0, 7, 10**30, -1e300, 1e300, float("inf"), float("nan")),
    *("", "x", "\ud800", "../../etc", [], [1], [[]], {}, {"x": 1}),
]
TOLD = (
    *("epoch", "best_epoch", "run", "fingerprint", "threads", "device", "versions", "config"),
    *("task", "preprocess"),
)


HARMLESS = {  # codes beside 5: what measuring needs none of, what is as good, what is another's
    "threads": {0},
    "versions": {0},
    "device": {0, 7},  # a machine may have none of that name
    "fingerprint": {0, 4},  # the data is what differs
    "task": {0},
    "preprocess": {0},
}


@pytest.mark.share(2, len(VALUES))
@pytest.mark.parametrize("key", TOLD)
def test_a_description_of_odd_types_is_refused(
    nnarch_here: Command, run: Path, rows: Path, key: str, seed: int
) -> None:
    value = VALUES[(seed + 2 * TOLD.index(key)) % len(VALUES)]
    for home in checkpoints(run):
        rewrite_meta(home, lambda meta: meta.update({key: value}))
    for words in (["eval", run], ["predict", run, rows], ["resume", run, MORE]):
        done = nnarch_here(*words)
        assert done.returncode in {5} | HARMLESS.get(key, set()), (value, words, done.stderr)
        assert not done.returncode or len(error_lines(done)) == 1, (value, words)


@pytest.mark.parametrize("key", TOLD)
def test_a_description_that_lacks_something_is_refused(
    nnarch_here: Command, run: Path, key: str
) -> None:
    for home in checkpoints(run):
        rewrite_meta(home, lambda meta: meta.pop(key))
    done = nnarch_here("resume", run, MORE)
    if key in ("task", "preprocess"):  # which follow from the data
        assert done.returncode == 0, done.stderr
        return
    assert done.returncode == (4 if key == "fingerprint" else 5), done.stderr
    assert len(error_lines(done)) == 1


STATES: dict[str, dict[str, Any]] = {
    "adamw": {},
    "sgd": {"optimizer": {"name": "sgd", "momentum": 0.9, "lr": 0.01}},
    "nadam": {"optimizer": "nadam"},
    "adafactor": {"optimizer": "adafactor"},
    "lbfgs": {"optimizer": {"name": "lbfgs", "max_iter": 2}, "batch_size": "all"},
    "muon": {"optimizer": "muon"},
    "plateau": {"schedule": {"name": "plateau", "patience": 1}, "average": {"decay": 0.9}},
}
ODD_VALUES: list[Any] = [
    *(None, True, -1, 0, 10**30, 10**400, -1e300, 1e300, float("nan"), float("inf"), "x", ""),
    *([], [1], {}, {"x": 1}, (1, 2), b"x", torch.float32, torch.zeros(0), torch.zeros(3)),
    *(torch.tensor(1.5), torch.tensor(float("nan")), torch.zeros(2, 3, dtype=torch.int64)),
    *(torch.ones(5, dtype=torch.complex64), torch.tensor(True), torch.zeros(4).to_sparse()),
]


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to all that lies in a state; of a long list to a few items."""
    inside: Any = ()
    if isinstance(value, dict):
        inside = value.items()
    elif isinstance(value, list):
        inside = list(enumerate(value))[:3]
    return [at, *(way for key, inner in inside for way in places(inner, (*at, key)))]


def odd(state: dict[str, Any], chance: random.Random) -> str:
    """Change one thing in a state for the worse; what that is."""
    *way, last = chance.choice(places(state)[1:])
    holder: Any = state
    for key in way:
        holder = holder[key]
    what, value = chance.choice(["replaced"] * 6 + ["removed", "joined"]), chance.choice(ODD_VALUES)
    if what == "removed":
        del holder[last]
    elif what == "joined" and isinstance(holder, dict):
        holder["odd"] = value
    else:
        holder[last] = value
    return f"{[*way, last]} {what} {value!r:.40}"


@pytest.fixture(scope="session")
def trained_by(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    @functools.cache
    def one(name: str) -> Path:
        root = tmp_path_factory.mktemp(name)
        widths = {"model": {"widths": [8]}, "data": {"source": "synthetic", "rows": 60}}
        return tampering.trained(root, epochs=3, **widths, **STATES[name]).path

    return one


@pytest.mark.share(1, 40)
@pytest.mark.parametrize("name", STATES)
def test_a_state_that_does_not_fit_is_refused(
    nnarch_here: Command,
    tmp_path: Path,
    tally: Tally,
    trained_by: Callable[[str], Path],
    name: str,
    seed: int,
) -> None:
    """Never a bug of ours, and never a run that goes on to what is not finite."""
    chance = random.Random(seed)
    for number in range(4):
        run = Path(shutil.copytree(trained_by(name), tmp_path / str(number), symlinks=True))
        for home in checkpoints(run):
            if home != last(run):
                shutil.rmtree(home)
        told: list[str] = []
        rewrite_state(last(run), lambda state, told=told: told.append(odd(state, chance)))
        done = nnarch_here("resume", run, "epochs=4", "--quiet")
        tally("forged states")
        tally("forged states refused", int(done.returncode == 5))
        assert done.returncode in (0, 5), (told, done.stderr)
        if done.returncode:
            assert len(error_lines(done)) == 1, told
        shutil.rmtree(run)


ABOUT: dict[str, Any] = {
    "plugins": [None, 5, "x", [5], [{}], [{"sha256": 5, "path": 5}]],
    "seconds": ["x", [], 5, None],
    "resumed": ["x", 5, None],
    "loss": [5, None],
    "parameters": ["x", None],
    "id": ["x", None, 5, []],
}


@pytest.mark.parametrize("key", ABOUT)
def test_a_run_json_of_odd_types_is_refused(nnarch_here: Command, run: Path, key: str) -> None:
    about = json.loads((run / "run.json").read_text())
    for value in ABOUT[key]:
        (run / "run.json").write_text(json.dumps(about | {key: value}))
        before = contents(run)
        refused(nnarch_here("resume", run, MORE), run, "")
        assert contents(run) == {**before, "run.lock": (run / "run.lock").read_bytes()}


HISTORIES: dict[str, Callable[[str], str]] = {
    "nothing": lambda text: "",
    "a row less": lambda text: "".join(text.splitlines(keepends=True)[:-1]),
    "a row more": lambda text: text + "7" + text.splitlines()[-1][1:] + "\n",
    "other columns": lambda text: text.replace("val_rmse", "val_x"),
    "words": lambda text: text.replace("\n3,", "\nx,"),
    "another order": lambda text: text.replace("\n3,", "\n4,"),
}


@pytest.mark.parametrize("change", HISTORIES.values(), ids=ids(HISTORIES))
def test_a_history_that_does_not_fit_is_refused(
    nnarch_here: Command, run: Path, change: Callable[[str], str]
) -> None:
    for home in checkpoints(run):
        text = (home / "history.csv").read_text()
        (home / "history.csv").write_text(change(text))
        sign(home)
    done = nnarch_here("resume", run, MORE)
    refused(done, run, "the history of its checkpoint is not of a run after 6 epochs")
