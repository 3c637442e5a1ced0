"""`nnarch train` and `nnarch resume`: one network, from its first epoch or from where it ended."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnarch import console
from nnarch.commands.arguments import (
    AsJson,
    ConfigWords,
    Debug,
    Plugins,
    Quiet,
    RunsDir,
    RunWord,
    files_and_overrides,
    import_plugins,
)
from nnarch.commands.output import put

if TYPE_CHECKING:
    from nnarch.config import Config
    from nnarch.experiment import Experiment
    from nnarch.interrupts import Stop
    from nnarch.rundir import RunDir


def train(
    config: ConfigWords,
    defaults: Annotated[
        bool, typer.Option("--defaults", help="Where a value is left open, take its default.")
    ] = False,
    trial: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Train this trial; CONFIG is the search's directory."),
    ] = None,
    runs_dir: RunsDir = Path("runs"),
    plugin: Plugins = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train one network into a new run directory, and print its path."""
    from nnarch import config as configs

    files, overrides = files_and_overrides(config)
    import_plugins(plugin)
    if trial is not None:
        loaded = _config_of_trial(files, trial, overrides)
    else:
        loaded = configs.load(files, overrides, defaults=defaults)

    from nnarch import files as disk
    from nnarch import folds

    done = []
    for number, one in enumerate(several := folds.configs(loaded), 1):
        title = f"fold {number} of {len(several)}" if len(several) > 1 else None
        run, about = _train(one, overrides, runs_dir, quiet, title)
        done.append({"run": str(run), **about})
        if not as_json:
            put(str(run))
    if len(done) == 1:
        if as_json:
            put(disk.to_json(done[0]))
        return
    figures = folds.summary([about["results"]["test"] for about in done])
    if not quiet:
        console.folds(figures, len(done))
    if as_json:
        put(disk.to_json({"folds": done, **figures}))


def _config_of_trial(files: list[str], trial: str, overrides: list[str]) -> "Config":
    """The config of a trial, by its id's unique beginning or its number, with some changes."""
    from nnarch import config as configs
    from nnarch import searchdir
    from nnarch.errors import UsageError

    if len(files) != 1:
        raise UsageError(f"--trial: got {len(files)} files; expected the directory of a search")
    trials = searchdir.SearchDir.open(Path(files[0])).trials.read()
    found = [each for each in trials if each.id.startswith(trial) or str(each.number) == trial]
    found = [each for each in found if each.config]
    if len({each.id for each in found}) != 1:
        raise UsageError(f"--trial: {len(found)} trials of {files[0]} are called {trial!r}")
    return configs.load(dict(found[0].config), overrides)


def _train(
    config: "Config", overrides: list[str], runs_dir: Path, quiet: bool, title: str | None
) -> "tuple[RunDir, dict[str, Any]]":
    """Train one network, with all that a person wants to see of it."""
    from nnarch import experiment, interrupts, opening, provenance
    from nnarch import run as runs

    ready = experiment.prepare(config)
    command = provenance.command_line()
    with interrupts.noted() as stop, runs.start(ready, runs_dir, command, overrides) as run:
        if not quiet:
            console.opening([*filter(None, [title]), *opening.sentences(ready)])
        return run, _epochs(ready, run, stop, quiet)


def _epochs(ready: "Experiment", run: "RunDir", stop: "Stop", quiet: bool) -> dict[str, Any]:
    """Train on to the end before a person's eyes; what `run.json` then says."""
    from nnarch import run as runs

    with console.progress(ready.config.epochs, quiet) as show:
        for record in runs.train(ready, run, stop):
            show(record)
    about = run.about
    if not quiet:
        console.summary(str(run), about)
    return about


def resume(
    run: RunWord,
    changes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="epochs, early_stopping, device, threads, or where the data lies now.",
        ),
    ] = None,
    changed_data: Annotated[
        bool,
        typer.Option("--changed-data", help="Go on although the data is not what it was."),
    ] = False,
    runs_dir: RunsDir = Path("runs"),
    plugin: Plugins = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train a run on from where it ended, to the same bits as if it had not, and print its path.

    It may have been interrupted, killed, or want more epochs: nnarch resume @last epochs=50
    """
    from nnarch import files as disk
    from nnarch import members, searchdir
    from nnarch.listing import runlist

    found, overrides = runlist.find(run, runs_dir, kind=None), changes or []
    if searchdir.is_search(found):
        _search_on(found, overrides, changed_data, plugin, as_json, quiet)
        return
    with found.lock():
        about = found.about  # a damaged one is told before torch is imported
        if about.get("status") == "finished" and not overrides:
            if not quiet:
                longer = "" if members.is_ensemble(found) else " (epochs=N trains it longer)"
                console.say(f"{found} is finished: nothing to do{longer}")
        else:
            about = _resume(found, overrides, changed_data, plugin, quiet)
    put(disk.to_json({"run": str(found), **about}) if as_json else str(found))


def _search_on(
    found: "RunDir",
    overrides: list[str],
    changed_data: bool,
    plugin: list[Path] | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Finish what is missing of a search."""
    from nnarch import searchdir
    from nnarch.commands.search import follow
    from nnarch.searching import config as searchconfig

    import_plugins(plugin)
    home = searchdir.SearchDir.open(found.path)
    with home.lock():
        explored = searchconfig.load(home, overrides)

        from nnarch.searching.exploring import resume as taken_up

        follow(taken_up(home, explored, changed_data), home, quiet, as_json)


def _resume(
    run: "RunDir",
    overrides: list[str],
    changed_data: bool,
    plugin: list[Path] | None,
    quiet: bool,
) -> dict[str, Any]:
    import_plugins(plugin)

    from nnarch import interrupts, provenance, resumption

    command = provenance.command_line()
    resumed = resumption.prepare(run, overrides, command, changed_data)
    with interrupts.noted() as stop:
        if not quiet:
            console.opening(resumed.sentences)
        return _epochs(resumed.experiment, run, stop, quiet)
