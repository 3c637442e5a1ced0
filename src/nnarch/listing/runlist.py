"""The runs below a directory, and which of them is meant.

Only names and run.json are read, so that thousands of runs are listed in an instant; a run that is
damaged hides no other. Searches lie among the runs, and are told apart where one is meant. The
runs that a search keeps lie in it: a name or `@best` means one of these too, and `@last` never,
which is whatever was begun last.
"""

import contextlib
import math
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Literal

from nnarch import rundir
from nnarch.errors import RunError, UsageError, reason
from nnarch.rundir import ABOUT, RunDir
from nnarch.searchdir import KIND as SEARCH
from nnarch.searchdir import RUNS, SearchDir, is_search

Kind = Literal["run", "search"]


def runs(root: Path) -> list[RunDir]:
    """The run directories below `root`, oldest first."""
    return [RunDir(root / name) for name in rundir.names(root)]


def kept(found: Iterable[RunDir]) -> Iterator[RunDir]:
    """The runs that those of `found` keep which are searches."""
    for search in found:
        yield from runs(search.path / RUNS)


def find(selector: str, root: Path, kind: Kind | None = "run") -> RunDir:
    """The run that is meant: a path, a name's unique beginning, `@last` or `@best:val_loss`.

    Args:
        kind: whether a run or a search is expected; None where either will do.

    Raises: UsageError where it says no run, several, or one of the other kind, RunError where
        there is none.
    """
    found = _found(selector, root, kind)
    with contextlib.suppress(RunError):  # a damaged one is told by whoever opens it
        if kind and is_search(found) != (kind == "search"):
            raise UsageError(f"{selector}: {_other_kind(found, kind)}")
    return found


def runs_of(selector: str, root: Path) -> Path:
    """Where the runs lie that a search keeps.

    Raises: UsageError or RunError as `find` does.
    """
    return find(selector, root, "search").path / RUNS


def _other_kind(found: RunDir, expected: str) -> str:
    if expected == "search":
        return "is a run; expected a search"
    if best := SearchDir(found.path).kept():
        return f"is a search; expected a run, such as the best that it keeps, {best[0]}"
    return "is a search, which keeps no run yet; expected a run"


def _found(selector: str, root: Path, kind: Kind | None) -> RunDir:
    if not selector:
        raise UsageError("got '' for a run; expected a path, a name, @last or @best:val_loss")
    path = Path(selector)
    try:
        if (path / ABOUT).is_file():
            return RunDir(path)
    except OSError as error:
        raise RunError(f"{selector}: {reason(error)}") from error
    if selector.startswith("@"):
        return _chosen(selector, root, kind)
    there = runs(root)
    matches = _beginning(selector, there) or _beginning(selector, kept(there))
    if len(matches) > 1:
        names = ", ".join(run.path.name for run in matches[:5])
        raise UsageError(f"{selector}: {len(matches)} runs begin so: {names}")
    if matches:
        return matches[0]
    if path.is_file():
        raise UsageError(f"{selector}: is a file; expected a run directory")
    if path.is_dir():
        raise RunError(f"{selector}: not a run directory: it holds no {ABOUT}")
    raise RunError(f"{selector}: no such run, neither as a path nor in {root}/")


def _beginning(name: str, there: Iterable[RunDir]) -> list[RunDir]:
    return [run for run in there if run.path.name.startswith(name)]


def _chosen(selector: str, root: Path, kind: Kind | None) -> RunDir:
    found = runs(root)
    if not found:
        raise RunError(f"{selector}: there are no runs in {root}/")
    if selector == "@last":  # names tell the second, files which of its runs was the last
        return max(found, key=lambda run: (run.path.name[:15], _began(run)))
    if not (match := re.fullmatch(r"@best:(\w+)", selector)):
        raise UsageError(f"{selector}: expected @last or @best: and a column such as val_loss")
    scored = []
    for run in chain(found, kept(found)):
        # A run that is damaged, or not over, has no score.
        with contextlib.suppress(RunError, KeyError, TypeError, ValueError):
            about = run.about
            results = about["results"]
            score = float(results["best"][match[1]])
            if math.isfinite(score) and (about.get("kind") == SEARCH) == (kind == "search"):
                scored.append((-score if match[1] in results["higher"] else score, run))
    if not scored:
        raise RunError(f"{selector}: no run in {root}/ has {match[1]}")
    return min(scored, key=lambda pair: pair[0])[1]


def _began(run: RunDir) -> int:
    """When its config was written; a run that was killed before that is older than others."""
    try:
        return run.config.stat().st_mtime_ns
    except OSError:
        return 0
