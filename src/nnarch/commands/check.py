"""`nnarch check`: all that can be told of a config without training."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from nnarch.commands.arguments import (
    AsJson,
    ConfigWords,
    Debug,
    Force,
    Plugins,
    check_new,
    files_and_overrides,
    import_plugins,
)
from nnarch.commands.output import put
from nnarch.errors import UsageError


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
    if graph:
        check_new(graph, force)
    from nnarch import config as configs
    from nnarch import files as disk

    files, overrides = files_and_overrides(config)
    import_plugins(plugin)
    loaded = configs.load(files, overrides)

    from nnarch import experiment, folds
    from nnarch.check import datareport, networkpage, networkreport

    known, data, dataset = experiment.data_of(folds.configs(loaded)[0])
    ready = experiment.with_data(known, dataset)
    if expand:
        put(networkreport.expanded(ready).removesuffix("\n"))
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
        put(disk.to_json(networkreport.beside(report, about_data)))
        return
    width = shutil.get_terminal_size().columns
    pages = [networkpage.as_text(report, width)]
    if about_data:
        pages.append(datareport.as_text(about_data, width))
    put("\n\n".join(pages))
