"""`nnarch eval` and `nnarch predict`: a trained network at work."""

from pathlib import Path
from typing import Annotated

import typer

from nnarch import console
from nnarch.commands.arguments import (
    AsJson,
    Debug,
    Force,
    Plugins,
    Quiet,
    RunsDir,
    RunWord,
    import_plugins,
    listed,
)
from nnarch.commands.output import put
from nnarch.errors import UsageError


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
    from nnarch.listing import runlist

    if split not in ("train", "val", "test"):
        raise UsageError(f"--split: got {split!r}; expected train, val or test")
    found = runlist.find(run, runs_dir)
    _ = found.about  # a damaged one is told before torch is imported
    import_plugins(plugin)
    wanted = listed(metrics)

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
        put(disk.to_json(answer))
        return
    if not quiet:
        console.say(f"{found}: {data or split} rows: {rows:,}")
        if table:
            console.confusion(task.classes, table)
    for name, value in figures.items():
        put(f"{name} {value:.6g}")


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
    from nnarch import framefile
    from nnarch.listing import runlist

    if output:
        framefile.check(output, force)
    found = runlist.find(run, runs_dir)
    _ = found.about  # a damaged one is told before torch is imported
    import_plugins(plugin)

    from nnarch import trained

    frames = trained.predict(found, Path(data), listed(keep))
    if output:
        rows = framefile.write(frames, output)
        if not quiet:
            console.say(f"{rows:,} predictions in {output}")
        return
    for number, frame in enumerate(frames):
        put(framefile.as_csv(frame, header=number == 0).removesuffix("\n"))
