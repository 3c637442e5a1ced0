"""The search directory: a directory as a run has, with `trials.jsonl` and the best as runs in it.

A search is named, locked and told of like a run, so what lists runs lists it, and `resume` finds
it by the same words; `kind` in its run.json tells them apart. What it keeps are ordinary runs
below `runs/`, which need the search for nothing.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nnarch import files, rundir
from nnarch.errors import RunError
from nnarch.leaders import Leaders
from nnarch.rundir import RunDir
from nnarch.trial import Trial
from nnarch.trials import Trials

KIND = "search"
TRIALS, RUNS, LEADERS = "trials.jsonl", "runs", "leaders"


class SearchDir:
    """One search on disk."""

    def __init__(self, path: Path):
        self.path = path
        self.trials, self.leaders = Trials(path / TRIALS), Leaders(path / LEADERS)
        self._home = RunDir(path)

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"SearchDir({str(self.path)!r})"

    @classmethod
    @contextlib.contextmanager
    def create(
        cls,
        root: Path,
        name: str,
        given: str,
        resolved: str,
        about: Mapping[str, Any],
        plugins: Mapping[str, bytes] | None = None,
    ) -> "Iterator[SearchDir]":
        """A new directory `<UTC time>-<name>-<hash>` below `root`, held until the end.

        Args:
            given: the open config as the user wrote it.
            resolved: the complete one, its open values still open.
            about: for `run.json`; what `search` says there under `identity` is what a later start
                finds it by, under `kept` the names of the runs that it keeps, best first.
            plugins: sources to be kept, to be read, never run.

        Raises: MachineError where it cannot be made.
        """
        told = {"kind": KIND, **about}
        with RunDir.create(root, name, given, resolved, told, plugins) as home:
            with files.machine_faults(home.path):
                (home.path / rundir.CHECKPOINTS).rmdir()  # those are its runs'
            yield cls(home.path)

    @classmethod
    def open(cls, path: Path) -> "SearchDir":
        """The search at `path`.

        Raises: RunError where there is none.
        """
        if not is_search(RunDir(path)):
            raise RunError(f"{path}: is a run; expected a search")
        return cls(path)

    @property
    def about(self) -> dict[str, Any]:
        """What `run.json` says; a search whose process is gone without a word is `interrupted`.

        Raises: RunError where it is missing or damaged.
        """
        return self._home.about

    def write_about(self, about: Mapping[str, Any]) -> None:
        self._home.write_about({"kind": KIND, **about})

    @property
    def config(self) -> Path:
        """The complete config, open where the search explores."""
        return self._home.config

    def write_config(self, resolved: str) -> None:
        """Replace the complete config, for a search that goes on otherwise."""
        self._home.write_config(resolved)

    @property
    def has_begun(self) -> bool:
        """Whether a trial of it has ended."""
        return self.trials.path.exists()

    @property
    def identities(self) -> list[str]:
        """What its config is known by, and was before it went on with another."""
        about = self.about
        return _words([_told(about, "identity"), *_words(_told(about, "earlier"))])

    @property
    def fingerprint(self) -> Any:
        """Of the data that its trials were trained on."""
        data = self.about.get("data")
        return data.get("fingerprint") if isinstance(data, dict) else None

    @property
    def is_exact(self) -> bool:
        """Whether every network is trained alone."""
        return _told(self.about, "exact") is True

    @property
    def objectives(self) -> list[str]:
        """What its trials are judged by, first of all by the first."""
        return _words(_told(self.about, "objectives"))

    @property
    def higher(self) -> list[str]:
        """Those objectives that are to be large."""
        return _words(_told(self.about, "higher"))

    @property
    def best(self) -> Trial | None:
        """A trial of the best point; None before the search is over, or where none finished.

        Raises: RunError where run.json or trials.jsonl is missing or damaged.
        """
        results = self.about.get("results")
        id = results.get("best_trial") if isinstance(results, dict) else None
        return next((trial for trial in self.trials.read() if trial.id == id), None)

    @property
    def runs_root(self) -> Path:
        """Where the runs that it keeps are made."""
        return self.path / RUNS

    def kept(self) -> list[RunDir]:
        """The runs that it keeps: those that run.json names, best first, then others by age.

        Raises: RunError where run.json is missing or damaged.
        """
        there, told = rundir.names(self.runs_root), _words(_told(self.about, "kept"))
        named = [name for name in told if name in there]
        return [RunDir(self.runs_root / name) for name in dict.fromkeys([*named, *there])]

    def log(self, line: str) -> None:
        """Add a line, with the time, to `log.txt`."""
        self._home.log(line)

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Hold the search against other processes; the kernel lets go when this one ends.

        Raises: RunBusy where another holds it.
        """
        return self._home.lock()

    def tidy(self) -> None:
        """Remove what a process that was killed while it wrote has left; for the holder."""
        with files.machine_faults(self.path):
            files.tidy(self.path)


def is_search(home: RunDir) -> bool:
    """Whether a run directory is a search's.

    Raises: RunError where its run.json is missing or damaged.
    """
    return home.about.get("kind") == KIND


def same(root: Path, identity: str) -> SearchDir | None:
    """The newest search below `root` whose run.json says this `search.identity`.

    A directory that is damaged hides no other.
    """
    for name in reversed(rundir.names(root)):
        with contextlib.suppress(RunError):
            search = SearchDir.open(root / name)
            if _told(search.about, "identity") == identity:
                return search
    return None


def _told(about: Mapping[str, Any], key: str) -> Any:
    """What run.json says at `search.key`, which a stranger may have written."""
    said = about.get("search")
    return said.get(key) if isinstance(said, dict) else None


def _words(told: Any) -> list[str]:
    """The words of a list, which a stranger may have written."""
    return [word for word in told if isinstance(word, str)] if isinstance(told, list) else []
