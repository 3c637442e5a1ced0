"""`nnarch search`: explore what a config leaves open."""

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
    files_and_overrides,
    import_plugins,
)
from nnarch.commands.output import put

if TYPE_CHECKING:
    from nnarch.exploring import Exploring
    from nnarch.searchdir import SearchDir
    from nnarch.searchsummary import Outcome


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

    from nnarch import preview, provenance
    from nnarch.exploring import prepare, start

    exploring = prepare(explored, exact)
    if dry_run:
        put(preview.as_text(exploring))
        return
    command = provenance.command_line()
    with start(exploring, runs_dir, command, overrides) as home:
        if home.has_begun and not quiet:
            console.say(f"{home} is the same search: what is missing of it is done")
        follow(exploring, home, quiet, as_json, ensemble)


def follow(
    exploring: "Exploring", home: "SearchDir", quiet: bool, as_json: bool, ensemble: int = 0
) -> None:
    """Search to the end before a person's eyes, then say what was found."""
    from nnarch import interrupts, searching, searchpage
    from nnarch.errors import SearchFailed
    from nnarch.exploring import sentences

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
    _tell(home, quiet, as_json)
    if failure:
        raise failure


def _tell(home: "SearchDir", quiet: bool, as_json: bool) -> None:
    from nnarch import files as disk
    from nnarch import searchsummary

    about: dict[str, Any] = home.about
    if not quiet:
        searchsummary.show(_outcome(home))
    put(disk.to_json({"run": str(home), **about}) if as_json else str(home))


def _outcome(home: "SearchDir") -> "Outcome":
    from nnarch import effects, ranking
    from nnarch.searchsummary import Outcome

    trials, objectives, higher = home.trials.read(), home.objectives, home.higher
    rows = ranking.best(trials, objectives, higher)
    longer = None
    if rows:
        epochs = 4 * int(rows[0].trials[0].config["epochs"])
        longer = f"nnarch train {home} --trial {rows[0].trials[0].id} epochs={epochs}"
    return Outcome(
        str(home),
        trials,
        rows,
        objectives,
        higher,
        ranking.front(rows, objectives, higher) if len(objectives) > 1 else (),
        effects.measured(rows, objectives[0], objectives[0] in higher) if rows else None,
        [str(run) for run in home.kept()],
        longer,
        home.about.get("seconds", 0.0),
    )
