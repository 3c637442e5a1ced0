"""The command line: one short function a command, which parses, calls one job and shows.

Only what a command needs is imported, inside it, so that help is instant. Standard output
carries data alone; how a fault is told, and what the process ends with, stands in `ending`.
"""

import io
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnarch import console, ending
from nnarch.errors import UsageError
from nnarch.printable import printable

if TYPE_CHECKING:
    from nnarch.config import Config
    from nnarch.experiment import Experiment
    from nnarch.interrupts import Stop
    from nnarch.rundir import RunDir

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train and explore neural-network architectures in PyTorch from one YAML file.",
)

ConfigWords = Annotated[
    list[str],
    typer.Argument(
        metavar="CONFIG... [KEY=VALUE]...",
        help="YAML files, merged left to right (- is standard input), then what to change.",
    ),
]
RunWord = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="A path, a name's unique beginning, @last or @best:val_loss."
    ),
]
RunsDir = Annotated[Path, typer.Option(help="Where run directories are.")]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Plugins = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE", help="A Python file with components of your own."),
]


@app.callback(invoke_without_command=True)
def nnarch(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        from nnarch import __version__

        _print(f"nnarch {__version__}")
        raise typer.Exit


@app.command()
def init(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A file or a folder of data.")],
    target: Annotated[
        list[str] | None,
        typer.Option("--target", "-t", help="The column to predict, by name or number; repeat it."),
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="A column of dates that the rows are steps of.")
    ] = None,
    horizon: Annotated[
        int | None, typer.Option(min=1, help="How many steps of a series to predict.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write; standard output if not.")
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write a starter config for a file of data, and say what was inferred."""
    from nnarch import files as disk
    from nnarch import provenance

    if output and output.exists() and not force:
        raise UsageError(f"{output}: is there already; --force replaces it")
    if output and not output.parent.is_dir():
        raise UsageError(f"{output.parent}: no such directory")

    from nnarch import starter

    columns = [name for given in target or [] for name in given.split(",")]
    made = starter.start(Path(data), columns, time, horizon)
    if not quiet:
        console.opening(made.said)
    text = made.text(provenance.command_line())
    if output:
        disk.write(output, text)
        if not quiet:
            console.say(f"train it: nnarch train {output}")
    else:
        _print(text.removesuffix("\n"))


@app.command()
def check(
    config: ConfigWords,
    network: Annotated[
        bool, typer.Option("--network", help="Tell of the network alone, not of the data.")
    ] = False,
    expand: Annotated[
        bool, typer.Option("--expand", help="Print the model layer by layer, as YAML; no more.")
    ] = False,
    time: Annotated[
        bool, typer.Option("--time", help="Train a few steps on a copy, to tell how long it takes.")
    ] = False,
    graph: Annotated[
        Path | None,
        typer.Option(metavar="FILE.svg", help="A file to write a drawing of the network to."),
    ] = None,
    force: Force = False,
    plugin: Plugins = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Try a config without training: its network layer by layer, what it takes, and its data.

    Of the network: shapes, parameters, operations, memory. Of the data: columns, gaps, balance,
    leaks, and what is to be beaten. What passes check trains.
    """
    if expand and (network or time or graph or as_json):
        raise UsageError("--expand prints the model and no more; expected no other option beside")
    if graph and graph.suffix.lower() != ".svg":
        raise UsageError(f"--graph: got {graph}; expected a file that ends in .svg")
    if graph and graph.exists() and not force:
        raise UsageError(f"{graph}: is there already; --force replaces it")
    if graph and not graph.parent.is_dir():
        raise UsageError(f"{graph.parent}: no such directory")
    from nnarch import config as configs
    from nnarch import files as disk

    files, overrides = _words(config)
    _import(plugin)
    loaded = configs.load(files, overrides)

    from nnarch import experiment, folds
    from nnarch.check import datareport, networkpage, networkreport

    known, data, dataset = experiment.data_of(folds.configs(loaded)[0])
    ready = experiment.with_data(known, dataset)
    if expand:
        _print(networkreport.expanded(ready).removesuffix("\n"))
        return
    timing = None
    if time:
        from nnarch.check import timing as timings

        timing = timings.measure(ready)
    report = networkreport.report(ready, timing)
    if graph:
        from nnarch.models import drawing

        disk.write(graph, drawing.as_svg(report.summary))
    about_data = None if network else datareport.report_on(known, data, dataset)
    if as_json:
        _print(disk.to_json(networkreport.beside(report, about_data)))
        return
    width = shutil.get_terminal_size().columns
    pages = [networkpage.as_text(report, width)]
    if about_data:
        pages.append(datareport.as_text(about_data, width))
    _print("\n\n".join(pages))


@app.command()
def train(
    config: ConfigWords,
    runs_dir: RunsDir = Path("runs"),
    plugin: Plugins = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train one network into a new run directory, and print its path."""
    from nnarch import config as configs

    files, overrides = _words(config)
    _import(plugin)
    loaded = configs.load(files, overrides)

    from nnarch import files as disk
    from nnarch import folds

    done = []
    for number, one in enumerate(several := folds.configs(loaded), 1):
        title = f"fold {number} of {len(several)}" if len(several) > 1 else None
        run, about = _train(one, overrides, runs_dir, quiet, title)
        done.append({"run": str(run), **about})
        if not as_json:
            _print(str(run))
    if len(done) == 1:
        if as_json:
            _print(disk.to_json(done[0]))
        return
    figures = folds.summary([about["results"]["test"] for about in done])
    if not quiet:
        console.folds(figures, len(done))
    if as_json:
        _print(disk.to_json({"folds": done, **figures}))


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


@app.command()
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
    from nnarch import runlist

    found, overrides = runlist.find(run, runs_dir), changes or []
    with found.lock():
        about = found.about  # a damaged one is told before torch is imported
        if about.get("status") == "finished" and not overrides:
            if not quiet:
                console.say(f"{found} is finished: nothing to do (epochs=N trains it longer)")
        else:
            about = _resume(found, overrides, changed_data, plugin, quiet)
    _print(disk.to_json({"run": str(found), **about}) if as_json else str(found))


def _resume(
    run: "RunDir",
    overrides: list[str],
    changed_data: bool,
    plugin: list[Path] | None,
    quiet: bool,
) -> dict[str, Any]:
    _import(plugin)

    from nnarch import interrupts, provenance, resumption

    command = provenance.command_line()
    resumed = resumption.prepare(run, overrides, command, changed_data)
    with interrupts.noted() as stop:
        if not quiet:
            console.opening(resumed.sentences)
        return _epochs(resumed.experiment, run, stop, quiet)


@app.command(name="eval")
def evaluate(
    run: RunWord,
    split: Annotated[str, typer.Option(help="The rows to measure: train, val or test.")] = "test",
    data: Annotated[
        Path | None, typer.Option(help="A file to measure instead, with the same columns.")
    ] = None,
    metrics: Annotated[str, typer.Option(help="More metrics, such as f1,roc_auc.")] = "",
    runs_dir: RunsDir = Path("runs"),
    plugin: Plugins = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure a trained network: the loss, the task's metrics, and which classes it confuses."""
    from nnarch import runlist

    if split not in ("train", "val", "test"):
        raise UsageError(f"--split: got {split!r}; expected train, val or test")
    found = runlist.find(run, runs_dir)
    _ = found.about  # a damaged one is told before torch is imported
    _import(plugin)
    wanted = _listed(metrics)

    from nnarch import files as disk
    from nnarch import trained
    from nnarch.metrics import confusion

    measured = trained.evaluate_run(found, split, data, wanted)
    figures = {"loss": measured.loss, **measured.metrics}
    task, rows = measured.result.task, len(measured.result.target)
    table = confusion(measured.result) if task.classes else None
    if as_json:
        answer = {"run": str(found), "split": None if data else split, "rows": rows, **figures}
        if table:
            answer |= {"classes": task.classes, "confusion": table}
        _print(disk.to_json(answer))
        return
    if not quiet:
        console.say(f"{found}: {data or split} rows: {rows:,}")
        if table:
            console.confusion(task.classes, table)
    for name, value in figures.items():
        _print(f"{name} {value:.6g}")


@app.command()
def predict(
    run: RunWord,
    data: Annotated[str, typer.Argument(metavar="DATA", help="A file with the same columns.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A .csv, .tsv, .jsonl or .parquet file to write."),
    ] = None,
    keep: Annotated[
        str, typer.Option(help="Columns of DATA to give back beside the predictions: id,name.")
    ] = "",
    force: Force = False,
    runs_dir: RunsDir = Path("runs"),
    plugin: Plugins = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Predict from new rows: numbers in the target's units, or classes and their probabilities."""
    from nnarch import framefile, runlist

    if output:
        framefile.check(output, force)
    found = runlist.find(run, runs_dir)
    _ = found.about  # a damaged one is told before torch is imported
    _import(plugin)

    from nnarch import trained

    frames = trained.predict(found, Path(data), _listed(keep))
    if output:
        rows = framefile.write(frames, output)
        if not quiet:
            console.say(f"{rows:,} predictions in {output}")
        return
    for number, frame in enumerate(frames):
        _print(framefile.as_csv(frame, header=number == 0).removesuffix("\n"))


@app.command()
def components(
    kind: Annotated[str | None, typer.Argument(help="Such as model or optimizer.")] = None,
    name: Annotated[str | None, typer.Argument(help="Such as mlp or adamw.")] = None,
    plugin: Plugins = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List what a config may name: kinds, their members, or one member's options."""
    from nnarch import describe
    from nnarch import files as disk

    _import(plugin)
    if as_json:
        _print(disk.to_json(describe.components(kind, name), indent=1))
    else:
        _print(describe.as_text(kind, name, shutil.get_terminal_size().columns))


@app.command()
def schema(plugin: Plugins = None, debug: Debug = False) -> None:
    """Print the JSON Schema of a config, for editors to complete and check it with."""
    from nnarch import describe
    from nnarch import files as disk

    _import(plugin)
    _print(disk.to_json(describe.schema(), indent=1))


def main() -> None:
    """Run the command line; every ending is an exit code, and no fault of a user a traceback."""
    from nnarch import interrupts

    interrupts.end_by_exception()
    _prepare_streams()
    code = ending.code_of(lambda: app(standalone_mode=False))
    interrupts.end_at_once()
    sys.exit(code)


def _print(text: str) -> None:
    """Data, on standard output; that nobody reads on, as in `| head`, is no fault."""
    try:
        print(printable(text) if sys.stdout.isatty() else text, flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise


def _prepare_streams() -> None:
    """Any name of a file or class can be printed, whatever the locale, and to nobody too."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller, as in `>&-`
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _words(words: list[str]) -> tuple[list[str], list[str]]:
    """Config files and overrides, told apart by the equals sign unless such a file exists."""
    files = [word for word in words if "=" not in word or os.path.isfile(word)]
    overrides = [word for word in words if word not in files]
    if not files:
        raise UsageError("missing a CONFIG file before the overrides")
    return files, overrides


def _listed(names: str) -> list[str]:
    """Names that stand between commas."""
    return [name.strip() for name in names.split(",") if name.strip()]


def _import(plugins: list[Path] | None) -> None:
    if plugins:
        from nnarch import plugins as plugin_files

        plugin_files.load(plugins)
