"""What a person sees: a live line while training, tables at the end, errors, all on stderr.

Standard output belongs to data, so that scripts can read it. rich is imported when something is
drawn, and nothing here knows how a figure came about.
"""

import contextlib
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, cast

from nnarch.printable import printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from nnarch.training import Record

LINES = 10  # how often a run speaks where nobody watches


def stderr() -> "Console":
    """rich's view of standard error; made anew, since tests and callers redirect it."""
    from rich.console import Console

    heard = cast(IO[str], _Unheeded(sys.stderr))
    return Console(file=heard, highlight=False, soft_wrap=not sys.stderr.isatty())


class _Unheeded:
    """A stream of which it does not matter whether anybody hears it."""

    def __init__(self, stream: Any):
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> None:
        with _unheeded():
            self._stream.write(text)

    def flush(self) -> None:
        with _unheeded():
            self._stream.flush()


@contextlib.contextmanager
def _unheeded() -> Iterator[None]:
    """Fall silent where a reader has gone, a terminal was closed or the disk of a log is full."""
    try:
        yield
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def say(line: str) -> None:
    """A message; where nobody can read it any more, work goes on in silence."""
    _write(printable(line))


def _write(text: str) -> None:
    with _unheeded():
        print(text, file=sys.stderr, flush=True)


def _draw(*parts: "RenderableType") -> None:
    out = stderr()
    with out.capture() as drawn:
        out.print(*parts, sep="\n")
    _write(drawn.get().removesuffix("\n"))


def number(value: float | int | None) -> str:
    """A figure at the length that a person compares.

    >>> number(0.000123456), number(1234567.0), number(0.5), number(10000)
    ('0.0001235', '1.235e+06', '0.5', '10,000')
    """
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def duration(seconds: float) -> str:
    """
    >>> duration(0.4), duration(75), duration(3700)
    ('0.4 s', '1 min 15 s', '1 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"


def opening(sentences: Sequence[str]) -> None:
    """What is about to happen."""
    for sentence in sentences:
        say(sentence)


@contextlib.contextmanager
def progress(epochs: int, quiet: bool = False) -> "Iterator[Callable[[Record], None]]":
    """A live line on a terminal, or a line now and then elsewhere; give it each record."""
    if quiet:
        yield lambda record: None
        return
    if not sys.stderr.isatty():
        yield lambda record: _line_now_and_then(record, epochs)
        return
    from rich import progress as bars

    columns = [
        bars.TextColumn("epoch {task.completed}/{task.total}"),
        bars.BarColumn(bar_width=28),
        bars.TextColumn("{task.description}"),
        bars.TimeRemainingColumn(compact=True),
        bars.TextColumn("left"),
    ]
    with bars.Progress(*columns, console=stderr(), transient=True) as bar:
        line = bar.add_task("", total=epochs)
        yield lambda record: bar.update(line, completed=record.epoch, description=_figures(record))


def _figures(record: "Record") -> str:
    metrics = "".join(f"  val_{name} {number(value)}" for name, value in record.metrics.items())
    return f"loss {number(record.train_loss)}  val_loss {number(record.val_loss)}{metrics}"


def _line_now_and_then(record: "Record", epochs: int) -> None:
    if record.epoch * LINES // epochs > (record.epoch - 1) * LINES // epochs:
        say(f"epoch {record.epoch}/{epochs}  {_figures(record)}")


def bare_table() -> "Table":
    """A table of columns and nothing else."""
    from rich.table import Table

    return Table(box=None, pad_edge=False, header_style="dim")


def summary(run: str, about: Mapping[str, Any]) -> None:
    """The closing table of a training run."""
    results = about["results"]
    best, test = results["best"], results["test"]
    table = bare_table()
    for name in ("", "train", "val", "test"):
        table.add_column(name, justify="right" if name else "left")
    for name in test:
        values = [best.get(f"{part}_{name}") for part in ("train", "val")]
        label = f"loss ({about['loss']})" if name == "loss" else name
        table.add_row(label, *map(number, values), f"[bold]{number(test[name])}[/bold]")
    _draw(
        f"\nbest epoch [bold]{results['best_epoch']}[/bold] of {results['epochs']}, "
        f"{about['parameters']:,} parameters, {duration(about['seconds'])}\n",
        table,
    )
    say(f"\nevaluate: nnarch eval {shlex.quote(run)}")


def folds(figures: Mapping[str, Mapping[str, float]], count: int) -> None:
    """The mean over folds and the deviation from it."""
    table = bare_table()
    for name in ("test rows", "mean", "sd"):
        table.add_column(name, justify="left" if name == "test rows" else "right")
    for name, mean in figures["mean"].items():
        table.add_row(name, f"[bold]{number(mean)}[/bold]", number(figures["sd"][name]))
    _draw(f"\n{count} folds\n", table)


def confusion(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> None:
    """True classes down, predicted ones across."""
    from rich.text import Text

    table = bare_table()
    table.add_column("true \\ predicted", style="dim")
    for name in classes:
        table.add_column(Text(printable(name)), justify="right")
    for i, (name, row) in enumerate(zip(classes, counts, strict=True)):
        cells = [
            Text(str(count), style="bold" if i == j else "red" if count else "dim")
            for j, count in enumerate(row)
        ]
        table.add_row(Text(printable(name)), *cells)
    _draw(table)
