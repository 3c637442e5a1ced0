"""`nnarch search`: explore what a config leaves open."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nnarch import console
from nnarch.commands.arguments import (
    AsJson,
    ConfigWords,
    Debug,
    Plugins,
    Quiet,
    RunsDir,
    files_and_overrides,
    import_plugins,
)
from nnarch.commands.output import put

if TYPE_CHECKING:
    from nnarch.pages.searchsummary import Outcome
    from nnarch.searchdir import SearchDir
    from nnarch.searching.exploring import Exploring
    from nnarch.trial import Trial


def search(
    config: ConfigWords,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the space and some of its points; train none.")
    ] = False,
    exact: Annotated[
        bool, typer.Option("--exact", help="Train every network alone: slower, to the same bits.")
    ] = False,
    ensemble: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Keep the best N as one averaged predictor too."),
    ] = 0,
    runs_dir: RunsDir = Path("runs"),
    plugin: Plugins = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Explore the networks that a config leaves open, and print the search's directory.

    The same command again finishes what is missing.
    """
    from nnarch import exploration as explorations

    files, overrides = files_and_overrides(config)
    import_plugins(plugin)
    explored = explorations.load(files, overrides)

    from nnarch import provenance
    from nnarch.pages import preview
    from nnarch.searching.exploring import prepare, start

    exploring = prepare(explored, exact)
    if dry_run:
        put(preview.as_text(exploring))
        return
    command = provenance.command_line()
    with start(exploring, runs_dir, command, overrides) as home:
        if home.has_begun and not quiet:
            console.say(f"goes on with the same search, {home}: what is missing of it is tried")
        follow(exploring, home, quiet, as_json, ensemble)


def follow(
    exploring: "Exploring", home: "SearchDir", quiet: bool, as_json: bool, ensemble: int = 0
) -> None:
    """Search to the end before a person's eyes, then say what was found."""
    from nnarch import interrupts
    from nnarch.errors import SearchFailed
    from nnarch.pages import searchpage
    from nnarch.searching import search as searching
    from nnarch.searching.opening import sentences

    failure = None
    if not quiet:
        console.opening(sentences(exploring))
    with interrupts.noted() as stop:
        try:
            total = exploring.points * exploring.exploration.search.seeds
            with searchpage.progress(total, quiet) as show:
                for state in searching.explore(exploring, home, stop, ensemble):
                    show(state)
        except SearchFailed as error:
            failure = error
    _tell(exploring, home, quiet, as_json)
    if failure:
        raise failure


def _tell(exploring: "Exploring", home: "SearchDir", quiet: bool, as_json: bool) -> None:
    from nnarch import files as disk
    from nnarch.pages import searchsummary

    outcome = _outcome(exploring, home)
    if not quiet:
        searchsummary.show(outcome)
    put(disk.to_json({"run": str(home), **home.about}) if as_json else str(home))


def _outcome(exploring: "Exploring", home: "SearchDir") -> "Outcome":
    from nnarch.findings import effects, ranking
    from nnarch.pages.searchsummary import Outcome

    trials, objectives, higher = home.trials.read(), home.objectives, home.higher
    rows = ranking.best(trials, objectives, higher)
    several = len(objectives) > 1
    return Outcome(
        str(home),
        trials,
        rows,
        objectives,
        higher,
        ranking.front(rows, objectives, higher) if several else (),
        effects.measured(rows, objectives[0], objectives[0] in higher) if rows else None,
        list(_kept(home, trials)),
        home.about.get("seconds", 0.0),
        home.about["results"]["time_over"],
        exploring.exploration.search.seconds,
    )


def _kept(home: "SearchDir", trials: "Sequence[Trial]") -> "Iterator[tuple[str, str]]":
    """What each of the runs is that the search keeps now, with what the test gave, and where."""
    numbers = {trial.id: trial.number for trial in trials}
    named = home.about["search"]["kept"]
    for run in (run for run in home.kept() if run.path.name in named):
        about = run.about
        number = numbers.get(about.get("trial", ""))
        what = f"trial {number}" if number is not None else f"{len(about['members'])} averaged"
        tested = [f"{name} {console.number(v)}" for name, v in about["results"]["test"].items()]
        yield f"{what}, test {', '.join(tested)}", str(run)
