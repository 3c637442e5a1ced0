"""The members of an ensemble on disk: `members/1`, `members/2`, ... in its run directory.

Each is a checkpoint like any other, whole, under sums and never changed, and tells by its `run`
which run it was of; `run.json` lists the same, so that none can be another's. By its `count` it
tells how often it counts in their mean. They are copies: the runs that they are from may be gone.
"""

from collections.abc import Sequence
from typing import Any

from nnarch import checkpoint, files
from nnarch.checkpoint import Checkpoint
from nnarch.errors import RunError
from nnarch.rundir import CHECKPOINTS, RunDir

ENSEMBLE, MEMBERS = "ensemble", "members"  # the `kind` of such a run, and where its members lie


def is_ensemble(run: RunDir) -> bool:
    """Raises: RunError where `run.json` is missing or damaged."""
    return run.about.get("kind") == ENSEMBLE


def save(run: RunDir, saved: Sequence[Checkpoint], counts: Sequence[int]) -> None:
    """Make these the members of a run directory that has none.

    Args:
        counts: how often each counts.

    Raises: MachineError where the disk is full or may not be written.
    """
    home = run.path / MEMBERS
    with files.machine_faults(home):
        (run.path / CHECKPOINTS).rmdir()  # of a training, which there is none of
        home.mkdir()
    for number, (one, count) in enumerate(zip(saved, counts, strict=True), 1):
        meta = {**one.meta, "count": count}
        checkpoint.save(Checkpoint(one.tensors, meta), home / str(number))


def load(run: RunDir) -> list[Checkpoint]:
    """The members of a run directory, in their order.

    Raises: RunError where one is missing, damaged or another run's.
    """
    about = run.about
    if about.get("status") != "finished":
        raise RunError(f"{run}: its members were not all written; expected it to be made again")
    names: Any = about.get("members")
    if not isinstance(names, list) or not names:
        raise RunError(f"{run}: damaged: run.json does not say members")
    return [_loaded(run, number, name) for number, name in enumerate(names, 1)]


def _loaded(run: RunDir, number: int, name: Any) -> Checkpoint:
    path = run.path / MEMBERS / str(number)
    if path.is_symlink() or path.parent.is_symlink():
        raise RunError(f"{path}: is a link; expected a directory")
    saved = checkpoint.load(path)
    if (found := saved.meta.get("run")) != name:
        raise RunError(f"{path}: is of another run, {found!r:.80}; expected {name!r:.80}")
    return saved
