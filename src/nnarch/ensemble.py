"""Several runs kept as one that answers with the mean of their answers.

Such a run directory holds copies of the members' best checkpoints and what `run.json` tells of
any run, so that it is measured and predicts like any, wherever it lies and whatever becomes of
the runs that it was made from. Its config is the first member's, which says where the data lies,
how it is parted and what is measured. Members may differ in network, columns and scaling; the
task, the rows that they were trained on and the loss must be the same, or their figures and the
ensemble's would say nothing of one another. All count alike, unless validation rows choose.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from nnarch import averaged, plugins, runconfig, trained
from nnarch import members as disk
from nnarch.averaged import Averaged, loss_of
from nnarch.checkpoint import Checkpoint
from nnarch.config import Config
from nnarch.errors import RunError, UsageError
from nnarch.evaluation import Evaluation
from nnarch.plugins import Plugin
from nnarch.predictor import Predictor
from nnarch.provenance import now, provenance
from nnarch.registry import metrics
from nnarch.rundir import RunDir
from nnarch.trained import Opened, RowsOf
from nnarch.validate import shortened

COMMAND = ("nnarch.ensemble.make",)  # what a run directory says it was made by


@dataclass(frozen=True)
class _Member:
    """A run that is to be one, and how often it counts."""

    run: RunDir
    saved: Checkpoint
    opened: Opened
    config: Config
    count: int = 1


def make(
    runs: Sequence[RunDir],
    root: Path,
    name: str = "ensemble",
    command: Sequence[str] = COMMAND,
    size: int | None = None,
) -> RunDir:
    """A new run directory below `root` of the average of `runs`, the best first, measured once.

    Nothing is written unless they fit together and their data can be read.

    Args:
        size: take so many of them, some more than once and others not at all, by which the
            validation loss of their mean is low (`averaged.chosen`); each once unless given.

    Raises: UsageError for fewer than two, one that is given twice or is an ensemble itself, or a
        size where the loss looks at more than predictions; RunError where one is damaged or not
        like the first; DataError where the data has changed.
    """
    began, started = time.monotonic(), now()
    members = _members(runs)
    _check_alike(members)
    first = members[0]
    parts = trained.own(first.opened, first.run, first.config.data, ("val", "test"))
    members = members if size is None else _chosen(members, parts["val"], size)
    first, whole, used = members[0], _averaged(members), _plugins(members)
    figures = {part: trained.measured(whole, first.run, rows) for part, rows in parts.items()}
    about = {
        "status": "running",
        "kind": disk.ENSEMBLE,
        **provenance(command),
        "overrides": [],
        **_about(members, whole.predictor),
        "plugins": [{"path": str(one.path), "sha256": one.sha256} for one in used],
        "started": started,
    }
    given, resolved = first.config.text, first.config.to_yaml()
    with RunDir.create(root, name, given, resolved, about, plugins.sources(used)) as run:
        disk.save(run, [one.saved for one in members], [one.count for one in members])
        run.log(f"the average of {', '.join(str(one.run) for one in members)}")
        seconds = round(time.monotonic() - began, 3)
        ending = {"status": "finished", "exit_code": 0, "ended": now(), "seconds": seconds}
        results = _results(figures, [spec["name"] for spec in whole.metrics])
        run.write_about(run.about | ending | {"results": results})
    return run


def _members(runs: Sequence[RunDir]) -> list[_Member]:
    """The best network of each."""
    if len(runs) < 2:
        raise UsageError(f"ensemble: got {len(runs)} runs; expected two or more")
    found: dict[str, _Member] = {}
    for run in runs:
        if disk.is_ensemble(run):
            raise UsageError(f"{run}: is an ensemble itself; expected runs that were trained")
        saved = run.load_checkpoint()
        if other := found.get(digest := run.checkpoint_sha256()):
            raise UsageError(f"{run}: is the same network as {other.run}; expected it once")
        opened = trained.together(run, [saved])
        found[digest] = _Member(run, saved, opened, runconfig.load(run, saved.meta))
    return list(found.values())


def _check_alike(members: Sequence[_Member]) -> None:
    """See that all were trained for the same, on the same rows, as the first was.

    Raises: RunError with the first that was not.
    """
    first = members[0]
    expected = _facts(first)
    for one in members[1:]:
        for what, fact in _facts(one).items():
            if fact != expected[what]:
                raise RunError(
                    f"{one.run}: cannot be averaged with {first.run}: its {what} is "
                    f"{shortened(fact)}; expected {shortened(expected[what])}"
                )


def _facts(member: _Member) -> dict[str, Any]:
    """What has to be the same, by what a user calls it."""
    config, task = member.config, member.opened.predictor.task
    assert config.loss is not None, "the config of a run is complete"
    return {
        "task": str(task),
        "order of classes": task.classes,
        "data's fingerprint": member.opened.meta.get("fingerprint"),
        "data.split": config.data["split"],
        "loss": config.loss["name"],
    }


def _chosen(members: Sequence[_Member], rows: RowsOf, size: int) -> list[_Member]:
    """Those whose mean has a low loss on `rows`, each as often as it counts there."""
    if size < 1:
        raise UsageError(f"ensemble: got a size of {size}; expected one or more")
    results = [trained.measured(one.opened, one.run, rows).result for one in members]
    predictor = members[0].opened.predictor

    def cost(mean: Tensor) -> float | None:
        result = replace(results[0], prediction=mean)
        return loss_of(predictor.loss, result, predictor.preprocess.target)

    if cost(results[0].prediction) is None:
        raise UsageError(
            f"ensemble: {members[0].run} is trained by a loss that looks at more than predictions; "
            "expected each member once, without a size"
        )
    counts = averaged.chosen([one.prediction for one in results], cost, size)
    pairs = zip(members, counts, strict=True)
    return [replace(one, count=count) for one, count in pairs if count]


def _averaged(members: Sequence[_Member]) -> Opened:
    """The mean of all, to be measured by the first member's metrics."""
    first = members[0]
    try:
        predictor = Averaged(
            [one.opened.predictor for one in members], [one.count for one in members]
        )
    except ValueError as error:
        raise RunError(f"{first.run}: cannot be averaged with the others: {error}") from error
    return Opened(predictor, first.opened.metrics, first.opened.meta)


def _plugins(members: Sequence[_Member]) -> list[Plugin]:
    """The user's files that a member needs; each is loaded, or it would not have been opened."""
    needed = {told["sha256"] for one in members for told in one.run.about["plugins"]}
    return [plugin for plugin in plugins.loaded() if plugin.sha256 in needed]


def _about(members: Sequence[_Member], predictor: Predictor) -> dict[str, Any]:
    """What `run.json` tells of it, some of which is what the first member's tells."""
    abouts = [one.run.about for one in members]
    shared = ("seeds", "device", "threads", "data", "loss")
    flops = [about.get("flops") or 0 for about in abouts]
    return {
        **{key: abouts[0].get(key) for key in shared},
        "task": asdict(predictor.task),
        "model": disk.ENSEMBLE,
        "parameters": sum(weight.numel() for weight in predictor.network.parameters()),
        "flops": sum(flops) if all(flops) else None,
        "members": [one.saved.meta.get("run") for one in members],
        "counts": [one.count for one in members],
    }


def _results(figures: Mapping[str, Evaluation], measured: Sequence[str]) -> dict[str, Any]:
    """As a run's, without epochs, of which it has none."""
    both = {part: {"loss": one.loss, **one.metrics} for part, one in figures.items()}
    return {
        "epochs": None,
        "best_epoch": None,
        "best": {f"val_{name}": value for name, value in both["val"].items()},
        "test": both["test"],
        "higher": [f"val_{name}" for name in measured if metrics.get(name).facts["higher"]],
    }
