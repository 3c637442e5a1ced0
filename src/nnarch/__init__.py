"""nnarch: train and explore neural-network architectures in PyTorch from one YAML file.

The command line's words, from Python: `build` a plain `nn.Module`, `train` it into a run
directory (`cross_validate`: into one a fold), `search` what a config leaves open, `resume` either,
`evaluate` a run, `load` it to predict; `register` a component of your own. Importing this package
is instant: torch comes with the first call.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from nnarch.version import VERSION

if TYPE_CHECKING:
    from torch import nn

    from nnarch.config import Config
    from nnarch.predictor import Predictor
    from nnarch.registry import Builder
    from nnarch.rundir import RunDir
    from nnarch.searchdir import SearchDir
    from nnarch.searching.exploring import Exploring

__version__ = VERSION
__all__ = ["build", "cross_validate", "evaluate", "load", "register", "resume", "search", "train"]

COMMAND = ["nnarch.train"]  # what a run directory says it was made by
ConfigLike = str | Path | Sequence[str | Path] | Mapping[str, Any]
Each = Callable[[Any], object] | None
Home = TypeVar("Home", "RunDir", "SearchDir")


def build(config: ConfigLike, *overrides: str, **changes: Any) -> "nn.Module":
    """The untrained network that a config describes, a plain `nn.Module`.

    Args:
        config: path of a YAML file, several to be merged, or a mapping.
        overrides: laid over it, as on the command line: `"optimizer.lr=0.1"`.
        changes: the same for top-level keys, with values of Python: `epochs=3`.

    >>> import torch
    >>> model = build({"data": "synthetic", "model": {"widths": [20]}})
    >>> model(torch.randn(1, 10)).shape
    torch.Size([1, 1])
    """
    from nnarch import config as configs
    from nnarch import experiment

    ready = experiment.prepare(configs.load(config, overrides, changes))
    return ready.training.network


def train(
    config: ConfigLike,
    *overrides: str,
    runs_dir: str | Path = "runs",
    each: Each = None,
    **changes: Any,
) -> "RunDir":
    """Train the network of a config into a new run directory, and return that.

    Args:
        config: path of a YAML file, several to be merged, or a mapping.
        overrides: laid over it, as on the command line: `"optimizer.lr=0.1"`.
        runs_dir: where the run directory goes.
        each: called with the record of every epoch.
        changes: the same for top-level keys, with values of Python: `epochs=3`.

    Raises: nnarch.errors.NnarchError, whose subclasses say what kind of fault it is.
    """
    from nnarch import config as configs

    return _trained(configs.load(config, overrides, changes), overrides, runs_dir, each)


def _trained(
    config: "Config",
    overrides: Sequence[str],
    runs_dir: str | Path,
    each: Each,
) -> "RunDir":
    from nnarch import experiment
    from nnarch import run as runs

    ready = experiment.prepare(config)
    with runs.start(ready, Path(runs_dir), COMMAND, overrides) as run:
        for record in runs.train(ready, run):
            if each:
                each(record)
    return run


def search(
    config: ConfigLike,
    *overrides: str,
    runs_dir: str | Path = "runs",
    exact: bool = False,
    ensemble: int = 0,
    each: Each = None,
    **changes: Any,
) -> "SearchDir":
    """Explore what a config leaves open, and return the search's directory.

    It holds `.trials.read()`, the `.best` of them, and `.kept()`, the runs that were made of the
    best. Where the same search is below `runs_dir` already, what is missing of it is done.

    Args:
        config: path of a YAML file, several to be merged, or a mapping.
        overrides: laid over it, as on the command line: `"search.trials=20"`.
        runs_dir: where the search's directory goes.
        exact: train every network alone: slower, to the same bits as `train`.
        ensemble: keep the best so many as one averaged predictor too, the last of `.kept()`.
        each: called with the `nnarch.progress.Progress` now and then.
        changes: as overrides for top-level keys, with values of Python.

    Raises: nnarch.errors.NnarchError; SearchFailed where trials failed, after all else is done.
    """
    from nnarch import exploration

    explored = exploration.load(config, overrides, changes)

    from nnarch.searching.exploring import prepare, start

    exploring = prepare(explored, exact)
    with start(exploring, Path(runs_dir), ["nnarch.search"], overrides) as home:
        _explore(exploring, home, each, ensemble)
    return home


def _explore(exploring: "Exploring", home: "SearchDir", each: Each, ensemble: int = 0) -> None:
    from nnarch.errors import SearchFailed
    from nnarch.searching import search as searching

    # Closed at once, should `each` raise: a notebook keeps what was raised, and all that it holds.
    with contextlib.closing(searching.explore(exploring, home, ensemble_of=ensemble)) as states:
        try:
            for state in states:
                if each:
                    each(state)
        except SearchFailed as error:
            error.add_note(f"what came of the others is in {home}")
            raise


@overload
def resume(
    run: Home,
    *overrides: str,
    runs_dir: str | Path = ...,
    each: Each = ...,
    changed_data: bool = ...,
) -> Home: ...


@overload
def resume(
    run: str | Path,
    *overrides: str,
    runs_dir: str | Path = ...,
    each: Each = ...,
    changed_data: bool = ...,
) -> "RunDir | SearchDir": ...


def resume(
    run: "RunDir | SearchDir | str | Path",
    *overrides: str,
    runs_dir: str | Path = "runs",
    each: Each = None,
    changed_data: bool = False,
) -> "RunDir | SearchDir":
    """Train a run on from where it ended, to the same bits as if it had not; or finish a search.

    A run that is finished stays as it is, unless it is to have more epochs.

    Args:
        run: a run, a search, its directory, or what the command line takes for one (`@last`).
        overrides: `"epochs=50"`, or another of epochs, early_stopping, device, threads, or a new
            place of the data; of a search `"search.trials=200"`, or another of search.keep,
            seconds, trial_seconds and workers.
        each: called with the record of every epoch; as of `search`.
        changed_data: go on although the data is not what it was.
    """
    from nnarch import searchdir
    from nnarch.listing import runlist

    found = runlist.find(str(run), Path(runs_dir), kind=None)
    if searchdir.is_search(found):
        return _resume_search(searchdir.SearchDir.open(found.path), overrides, each, changed_data)
    with found.lock():
        if found.about.get("status") == "finished" and not overrides:
            return found

        from nnarch import resumption
        from nnarch import run as runs

        resumed = resumption.prepare(found, overrides, ["nnarch.resume"], changed_data)
        for record in runs.train(resumed.experiment, found):
            if each:
                each(record)
    return found


def _resume_search(
    home: "SearchDir", overrides: Sequence[str], each: Each, changed_data: bool
) -> "SearchDir":
    from nnarch.searching import config as searchconfig

    with home.lock():
        explored = searchconfig.load(home, overrides)

        from nnarch.searching.exploring import resume

        _explore(resume(home, explored, changed_data), home, each)
    return home


def cross_validate(
    config: ConfigLike,
    *overrides: str,
    runs_dir: str | Path = "runs",
    each: Each = None,
    **changes: Any,
) -> "list[RunDir]":
    """Train a network for each of the config's `data.split.folds`; their run directories.

    Args: as of `train`. `evaluate` gives the figures of each.
    """
    from nnarch import config as configs
    from nnarch import folds

    several = folds.configs(configs.load(config, overrides, changes))
    return [_trained(one, overrides, runs_dir, each) for one in several]


def evaluate(
    run: "RunDir | str | Path",
    split: str = "test",
    *,
    data: str | Path | None = None,
    metrics: Sequence[str] = (),
    runs_dir: str | Path = "runs",
) -> dict[str, float]:
    """Loss and metrics of a trained network, by name.

    Args:
        run: a run, its directory, or what the command line takes for one (`@last`).
        split: `train`, `val` or `test` rows of its own data.
        data: a file to measure instead, with the same columns.
        metrics: more of them than the run was trained with.
    """
    from nnarch import trained
    from nnarch.listing import runlist

    found = runlist.find(str(run), Path(runs_dir))
    measured = trained.evaluate_run(found, split, Path(data) if data else None, metrics)
    return {"loss": measured.loss, **measured.metrics}


def load(run: "RunDir | str | Path", *, runs_dir: str | Path = "runs") -> "Predictor":
    """The trained network of a run: `.predict(table)`, and `.network`, a plain `nn.Module`."""
    from nnarch import trained
    from nnarch.listing import runlist

    return trained.load(runlist.find(str(run), Path(runs_dir)))


def register(kind: str, *, name: str | None = None, **facts: Any) -> "Callable[[Builder], Builder]":
    """Add a component of your own: `@nnarch.register("activation")` above a function or class.

    The file that holds it is named on the command line, `--plugin my_layers.py`. What builders of
    a kind are given and return, `nnarch components KIND` tells.

    Args:
        kind: as `nnarch components` lists them.
        name: what a config calls it; the function's own name unless given.
        facts: what a kind wants to know beforehand, such as the `tasks` that a loss is for.

    Raises: ValueError where the name is taken, TypeError where a signature is no schema.
    """
    from nnarch import registry

    return registry.register(kind, name=name, **facts)
