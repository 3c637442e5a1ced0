"""What a machine may lack or do: memory, files, a torch, a terminal, a home, a clock that is right.

Through the command line, in processes of their own. Exit code 7 and one line say what it is; a run
that had begun goes on with what it had. Full disks are in reliability/test_disks.py, signals in
test_signals.py beside it.
"""

import json
import os
import pty
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import SOURCE, Command, error_lines
from harness import Child, Start
from nnarch import checkpoint, requirements
from nnarch.listing import runlist
from nnarch.rundir import RunDir

TABLE = "a,b,y\n" + "".join(f"{n},{n % 7},{n * 2}\n" for n in range(200))
ENDLESS = "epochs=1000000"


def refusal(child: Child, code: int = 7) -> str:
    """The one line that it ended with."""
    assert child.wait() == code, child.stderr
    (line,) = child.stderr.splitlines()
    assert line.startswith("error: ")
    assert child.stdout == ""
    return line.removeprefix("error: ")


def only_run(folder: Path) -> RunDir:
    (run,) = runlist.runs(folder / "runs")
    return run


def wait_for(happens: Callable[[], bool], child: Child) -> None:
    end = time.monotonic() + 60
    while not happens():
        assert not child.ended(), child.stderr
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)


def has_epochs(folder: Path, count: int = 2) -> bool:
    return any(path.read_text().count("\n") > count for path in folder.glob("runs/*/history.csv"))


@pytest.fixture
def going_on(child: Start, tiny: Path) -> Child:
    """A run of `TINY` that ends by itself in hours."""
    begun = child("train", tiny, ENDLESS, "--quiet")
    wait_for(lambda: has_epochs(tiny.parent), begun)
    return begun


# memory, processes, files


def test_a_process_that_the_system_kills_leaves_a_run_to_go_on_with(
    child: Start, going_on: Child, tmp_path: Path
) -> None:
    going_on.kill(signal.SIGKILL)
    assert going_on.wait() == -signal.SIGKILL
    assert only_run(tmp_path).about["status"] == "interrupted"
    again = child("resume", "@last", "epochs=5", "--quiet")
    assert again.wait() == 0, again.stderr
    assert len(only_run(tmp_path).history) == 5


HUNGRY = """\
import torch
from nnarch import register


@register("activation")
class hungry(torch.nn.Module):
    \"\"\"A rectifier that wants very much memory in one batch, and little in all others.\"\"\"

    def __init__(self):
        super().__init__()
        self.left = 10

    def forward(self, x):
        self.left -= self.training
        return torch.relu(x if self.left else torch.empty(2**33))
"""


def test_memory_that_runs_out_in_the_middle(child: Start, tmp_path: Path, tiny: Path) -> None:
    (tmp_path / "hungry.py").write_text(HUNGRY)
    plugin = ["--plugin", "hungry.py", "--quiet"]
    words = ["model.activation=hungry", "batch_size=16", "epochs=5", *plugin]
    limited = child("train", tiny, *words)
    resource.prlimit(limited.pid, resource.RLIMIT_AS, (2**34, 2**34))
    line = refusal(limited)
    assert line == "out of memory; try a smaller batch_size, fewer rows or a smaller model"
    run = only_run(tmp_path)
    about = run.about
    assert (about["status"], about["exit_code"], about["error"]) == ("failed", 7, line)
    assert run.load_checkpoint("last").meta["epoch"] == len(run.history) == 3
    again = child("resume", run, *plugin)  # which has eaten by now
    assert again.wait() == 0, again.stderr
    assert len(run.history) == 5


def test_memory_that_is_too_little_from_the_beginning(child: Start, tiny: Path) -> None:
    """What can be estimated is refused before it is tried."""
    limited = child("train", tiny, "data.rows=100000000", "--quiet")
    resource.prlimit(limited.pid, resource.RLIMIT_AS, (2**32, 2**32))
    assert "rows of 3 features take 8.2 GiB of memory" in refusal(limited)
    assert not (tiny.parent / "runs").exists()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_memory_of_a_gpu_that_runs_out(nnarch: Command, tiny: Path) -> None:
    words = ["data.rows=400000", "model.widths=[40000, 40000]", "batch_size=all", "device=cuda"]
    done = nnarch("train", tiny, *words, "--quiet")
    assert done.returncode == 7, done.stderr
    assert error_lines(done)[0].startswith("out of memory; try a smaller batch_size")


@pytest.mark.parametrize("most", [3, 4, 6, 10])
def test_too_many_open_files(most: int, child: Start, tiny: Path) -> None:
    """Three are open from the beginning; whatever the next is for, it is refused in one line."""
    limited = child("train", tiny, "--quiet")
    wait_for(lambda: os.readlink(f"/proc/{limited.pid}/fd/2").endswith(".err"), limited)
    resource.prlimit(limited.pid, resource.RLIMIT_NOFILE, (most, most))
    if limited.wait() == 0:
        assert most > 6
        return
    assert refusal(limited).endswith(": too many open files")
    (run, *_) = runlist.runs(tiny.parent / "runs") or [None]
    assert run is None or run.about["status"] in ("failed", "interrupted")


@pytest.mark.parametrize("device", ["cuda:9", "mps"])
def test_a_device_that_is_not_there(device: str, nnarch_here: Command, tiny: Path) -> None:
    done = nnarch_here("train", tiny, f"device={device}")
    assert done.returncode == 7
    (line,) = error_lines(done)
    assert line.startswith(f"device: {device} is not on this machine; it has cpu")
    assert not (tiny.parent / "runs").exists()


def test_there_are_no_workers_to_be_killed(nnarch_light: Command, tiny: Path) -> None:
    """Rows are read by the process that trains, so no worker can die, nor its shared memory end."""
    done = nnarch_light("train", tiny, "num_workers=2")
    assert done.returncode == 3
    assert "num_workers: unknown key" in error_lines(done)[0]


def test_a_run_that_a_live_process_holds(child: Start, going_on: Child, tmp_path: Path) -> None:
    """Even one that is stopped; but not one that is dead. How it died does not matter."""
    run = only_run(tmp_path)
    holder = f"process {going_on.pid} on {socket.gethostname()}"
    for number in (signal.SIGCONT, signal.SIGSTOP):
        going_on.kill(number)
        began = time.monotonic()
        assert refusal(child("resume", run, "epochs=5", "--quiet"), 6).endswith(f"held by {holder}")
        assert time.monotonic() - began < 2
    assert child("eval", run).wait() in (0, 5)
    going_on.kill(signal.SIGKILL)
    going_on.wait()
    again = child("resume", run, "epochs=5", "--quiet")
    assert again.wait() == 0, again.stderr


# what is installed

STUBS = {
    "missing": (
        "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')",
        "torch cannot be imported: ModuleNotFoundError: No module named 'torch'",
    ),
    "broken": (
        "raise OSError('libtorch_cpu.so: cannot open shared object file')",
        "torch cannot be imported: OSError: libtorch_cpu.so: cannot open shared object file",
    ),
    "half there": ("", "torch cannot be imported: ImportError: cannot import name 'Tensor'"),
    "too old": ("__version__ = '2.9.1+cu128'", "torch 2.9.1+cu128 is too old"),
}


@pytest.mark.parametrize(("stub", "expected"), STUBS.values(), ids=STUBS)
def test_a_torch_that_is_of_no_use(
    stub: str, expected: str, nnarch: Command, tiny: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("torch")
    (home / "torch.py").write_text(stub)
    path = os.pathsep.join([str(home), os.environ["PYTHONPATH"]])
    done = nnarch("train", tiny, env={"PYTHONPATH": path})
    assert done.returncode == 7
    (line,) = error_lines(done)
    assert line.startswith(expected)
    assert line.endswith("expected torch>=2.10,<2.14: pip install 'torch>=2.10,<2.14'")
    assert not (tiny.parent / "runs").exists()


def test_what_is_needed_is_what_the_project_says_it_needs() -> None:
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    listed = re.search(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert listed
    names = set(re.findall(r'"(.+?)"', listed[1]))
    assert set(requirements.NEEDED.values()) == {n for n in names if not n.startswith("typer")}


# the clock


def test_a_clock_that_is_put_back(child: Start, finished: Path, tiny: Path) -> None:
    future = finished.rename(finished.with_name("20990101-000000-tiny-ffffff"))
    for _ in range(2):
        trained = child("train", tiny, "--quiet")
        assert trained.wait() == 0, trained.stderr
        last = child("resume", "@last", "--quiet")  # which is finished, and only named
        assert (last.wait(), last.stdout) == (0, trained.stdout)
        assert future.name not in trained.stdout
    assert len(runlist.runs(tiny.parent / "runs")) == 3


# terminals and streams

NNARCH = f'"{sys.executable}" -m nnarch'


def test_nowhere_to_speak_no_home_no_locale_no_place_for_temporary_files(tiny: Path) -> None:
    bare = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ["PYTHONPATH"], "LC_ALL": "C"}
    done = subprocess.run(
        ["bash", "-c", f"{NNARCH} train tiny.yaml >&- 2>&-"],
        cwd=tiny.parent,
        env=bare | {"TMPDIR": "/nonexistent"},
    )
    assert done.returncode == 0
    assert only_run(tiny.parent).about["status"] == "finished"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no such device")
def test_a_log_whose_disk_is_full_does_not_end_what_it_tells_of(tiny: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{NNARCH} train tiny.yaml 2>/dev/full"],
        cwd=tiny.parent,
        capture_output=True,
        text=True,
    )
    run = only_run(tiny.parent)
    assert (done.returncode, done.stdout) == (0, f"runs/{run.path.name}\n")
    assert run.about["status"] == "finished"


def test_a_terminal_that_is_closed(tiny: Path) -> None:
    """The window goes while the live line is drawn: a hang-up, and nowhere to say anything."""
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(tiny.parent)
        os.execv(sys.executable, [sys.executable, "-m", "nnarch", "train", "tiny.yaml", ENDLESS])
    while not has_epochs(tiny.parent):
        os.read(terminal, 1000)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    run = only_run(tiny.parent)
    about = run.about
    assert (about["status"], about["exit_code"]) == ("interrupted", 129)
    assert run.load_checkpoint("last").meta["epoch"] == len(run.history)


# surroundings


@pytest.mark.parametrize("name", ["HOME", "TMPDIR", "XDG_CACHE_HOME"])
def test_a_place_that_may_not_be_written_or_is_not_there(
    name: str, child: Start, tmp_path: Path
) -> None:
    """Rows of a large table go to a temporary file, of which the system has places enough."""
    (tmp_path / "t.csv").write_text(TABLE)
    (tmp_path / "c.yaml").write_text(
        "data: {source: csv, path: t.csv, target: y, stream: always}\n"
    )
    trained = child("train", "c.yaml", "epochs=1", env={name: "/proc/nowhere"})
    assert trained.wait() == 0, trained.stderr
    assert "stays on disk" in trained.stderr


def test_a_working_directory_that_is_gone(tiny: Path) -> None:
    """Told before torch is imported, which would end the process without a word of ours."""
    script = f"mkdir gone; cd gone; rmdir ../gone; {NNARCH} train {tiny} --runs-dir {tiny.parent}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tiny.parent,
        env={**os.environ, "PYTHONPATH": SOURCE},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (7, ""), done.stderr
    assert done.stderr == "error: the working directory: no such file or directory\n"


def test_a_mask_that_lets_nobody_else_read(nnarch_here: Command, tiny: Path) -> None:
    before = os.umask(0o077)
    try:
        done = nnarch_here("train", tiny, "--quiet")
    finally:
        os.umask(before)
    assert done.returncode == 0, done.stderr
    run = only_run(tiny.parent).path
    for path in (run, *run.rglob("*")):
        assert path.is_symlink() or path.stat().st_mode & 0o077 == 0, path


NAMES = {
    "signs": "  größe 🙂 名前 $HOME 'a' \"b\" `c` [red]x[blue] %s {y} #z & ; * ",
    "newline": "two\nlines",
    "long": "n" * 200,
    "an option": "-q=b",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_odd_names_of_everything(name: str, child: Start, tmp_path: Path) -> None:
    """Of directories, of the config, the data, the plugin, the runs, and of what is written."""
    home = tmp_path / name
    home.mkdir()
    (home / f"{name}.csv").write_text(TABLE)
    (home / f"{name}.py").write_text(
        "import nnarch\n\n@nnarch.register('activation')\ndef odd():\n"
        "    import torch\n    return torch.nn.Tanh()\n"
    )
    config = {"source": "csv", "path": f"{name}.csv", "target": "y"}
    text = {
        "name": "odd",
        "data": config,
        "model": {"widths": [4], "activation": "odd"},
        "epochs": 1,
    }
    written = json.dumps({**text, "threads": 1}, ensure_ascii=False)
    (home / f"{name}.yaml").write_text(written)
    plugin = ["--plugin", home / f"{name}.py"]
    trained = child("train", home / f"{name}.yaml", "--runs-dir", home / "runs", *plugin)
    assert trained.wait() == 0, trained.stderr
    run = only_run(home)
    assert run.about["status"] == "finished"
    moved = run.path.rename(home / f"{name}.run")
    words = [moved, home / f"{name}.csv", "-o", home / f"{name}.out.csv", *plugin]
    predicted = child("predict", *words)
    assert predicted.wait() == 0, predicted.stderr
    assert (home / f"{name}.out.csv").read_text().count("\n") == 201


def test_names_that_are_no_text(child: Start, tiny: Path) -> None:
    """Whatever the system takes for a name will do; only what a config holds has to be text."""
    home = tiny.parent / os.fsdecode(b"caf\xe9")
    home.mkdir()
    moved = tiny.rename(home / f"{home.name}.yaml")
    trained = child("train", moved, "--runs-dir", home, "--quiet")
    assert trained.wait() == 0, trained.stderr
    (home / "t.csv").write_text(TABLE)
    refused = child("train", moved, "data={source: csv, path: t.csv, target: y}")
    assert refusal(refused, 3).endswith(
        r"caf\udce9/t.csv: is not UTF-8, as what stands in a config has to be"
    )


# numbers

SPIKE = """\
import torch
from nnarch import register


@register("activation")
class spiking(torch.nn.Module):
    \"\"\"A rectifier that goes wild in one batch.

    Options:
        at: Which batch.
    \"\"\"

    def __init__(self, *, at: int = 20):
        super().__init__()
        self.left = at

    def forward(self, x):
        self.left -= self.training
        return torch.relu(x) * (1e38 if self.left == 0 else 1.0)
"""
WILD = {
    "rate": (["optimizer={name: sgd, lr: 1e30}"], r"epoch 1, batch 2 is (nan|inf)"),
    "rate of adam": (["optimizer.lr=1e30"], r"epoch 1, batch 2 is (nan|inf)|not finite"),
    "spike": (
        ["model.activation=spiking", "epochs=50", "--plugin", "spike.py"],
        r"the loss of epoch 7, batch 2 is (nan|inf)",
    ),
    "data": (
        ["data={source: csv, path: wild.csv, target: y, scaling: none}"],
        r"batch \d+ is (nan|inf)",
    ),
    "target": (
        ["data={source: csv, path: wild.csv, target: a, target_scaling: none}"],
        r"batch \d+ is (nan|inf)",
    ),
}


@pytest.mark.parametrize(("words", "expected"), WILD.values(), ids=WILD)
def test_a_loss_that_is_no_number_is_never_saved(
    words: list[str], expected: str, child: Start, tiny: Path, tmp_path: Path
) -> None:
    (tmp_path / "spike.py").write_text(SPIKE)
    (tmp_path / "wild.csv").write_text(TABLE.replace("50,1,", "1e38,1,"))
    trained = child("train", tiny, *words, "batch_size=16", "--quiet")
    line = refusal(trained, 8)
    assert line.startswith("training diverged: ")
    assert re.search(expected, line), line
    run = only_run(tmp_path)
    about = run.about
    assert (about["status"], about["exit_code"], about["error"]) == ("diverged", 8, line)
    saved = [checkpoint.load(path, state=True) for path in run.path.rglob("epoch-*")]
    assert bool(saved) == bool(run.history)
    for tensor in (tensor for one in saved for tensor in tensors([one.tensors, one.state])):
        assert not tensor.is_floating_point() or tensor.isfinite().all()


def tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from tensors(inner)
