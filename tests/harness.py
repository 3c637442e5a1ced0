"""The harness of `reliability/`: how much of it runs, what it counts, and children that start fast.

A test marked `share(quick, whole)` runs for as many values of its argument `seed`: `quick` of them
in the normal suite, `whole` of them under `pytest tests/reliability --whole`. What a test counts
is summed over all of them, in whichever process they ran, and printed at the end.
"""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

NO_TORCH = 'raise ImportError("torch was imported before it was needed")\n'
NURSERY = Path(__file__).with_name("nursery.py")
PATIENCE = 120.0  # seconds that any child is given


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--whole", action="store_true", help="all of tests/reliability, not a share")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "share(quick, whole): for how many seeds a test runs")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if mark := metafunc.definition.get_closest_marker("share"):
        quick, whole = mark.args
        metafunc.parametrize("seed", range(whole if metafunc.config.option.whole else quick))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    sums: Counter[str] = Counter()
    for ending in ("passed", "failed"):
        for report in terminalreporter.getreports(ending):
            for key, value in report.user_properties:
                if key.startswith("count "):
                    sums[key.removeprefix("count ")] += value
    if sums:
        terminalreporter.section("reliability")
    for what, count in sorted(sums.items()):
        terminalreporter.line(f"{count:>7,} {what}")


Tally = Callable[..., None]


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Tally:
    """`tally("kills")`, `tally("mismatches", 0)`: count what is printed at the end."""

    def count(what: str, number: int = 1) -> None:
        request.node.user_properties.append((f"count {what}", number))

    return count


class Child:
    """A command of nnarch in a process, and a session, of its own."""

    def __init__(self, ask: Callable[[dict[str, Any]], Any], pid: int, out: Path, err: Path):
        self.pid, self._ask, self._out, self._err = pid, ask, out, err
        self._code: int | None = None

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal; that it has ended meanwhile is no fault."""
        if not self.ended():
            os.kill(self.pid, number)

    def ended(self) -> bool:
        """Whether it has ended, without waiting."""
        if self._code is None:
            self._code = self._ask({"poll": self.pid})
        return self._code is not None

    @property
    def children(self) -> list[int]:
        """The processes that it has begun, and that have not been waited for."""
        try:
            told = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        except OSError:
            return []
        return list(map(int, told.split()))

    def wait(self, patience: float = PATIENCE) -> int:
        """Its exit code, negative if it died of a signal."""
        end = time.monotonic() + patience
        while not self.ended():
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
                raise TimeoutError(f"no end after {patience} s: {self.stderr}")
            time.sleep(0.002)
        assert self._code is not None
        return self._code

    @property
    def stdout(self) -> str:
        return self._out.read_text(errors="replace")

    @property
    def stderr(self) -> str:
        return self._err.read_text(errors="replace")


Start = Callable[..., Child]


@contextlib.contextmanager
def _begun(home: Path, *words: str, env: Mapping[str, str] | None = None) -> Iterator[Start]:
    """A nursery that keeps what its children say in `home`."""
    command, pipe = [sys.executable, NURSERY, *words], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=env) as process:
        assert process.stdin
        assert process.stdout
        numbers = itertools.count()
        assert process.stdout.readline() == "ready\n"

        def ask(order: dict[str, Any]) -> Any:
            assert process.stdin
            assert process.stdout
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        def start(
            cwd: Path, words: list[str], env: dict[str, str], save_every: float | None
        ) -> Child:
            number = next(numbers)
            out, err = (home / f"{number}.{name}" for name in ("out", "err"))
            order = {"words": words, "cwd": str(cwd), "env": env, "save_every": save_every}
            pid = ask(order | {"stdout": str(out), "stderr": str(err)})
            return Child(ask, pid, out, err)

        yield start
        process.stdin.close()


@pytest.fixture(scope="session")
def _nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    with _begun(tmp_path_factory.mktemp("children")) as start:
        yield start


@pytest.fixture(scope="session")
def light_nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Whose children stop where they import torch."""
    without = tmp_path_factory.mktemp("without") / "torch.py"
    without.write_text(NO_TORCH)
    path = os.pathsep.join([str(without.parent), os.environ["PYTHONPATH"]])
    home = tmp_path_factory.mktemp("children")
    with _begun(home, "light", env={**os.environ, "PYTHONPATH": path}) as start:
        yield start


@pytest.fixture
def child(_nursery: Start, tmp_path: Path) -> Start:
    """Starts `nnarch` with the given words, in `tmp_path`; returns at once.

    Its limits, signals and files are its own; torch is imported already. It saves every five
    seconds, as any run does, unless `save_every` says other ones.
    """

    def start(
        *words: str | Path,
        cwd: Path = tmp_path,
        env: dict[str, str] | None = None,
        save_every: float | None = None,
    ) -> Child:
        return _nursery(cwd, list(map(str, words)), env or {}, save_every)

    return start
