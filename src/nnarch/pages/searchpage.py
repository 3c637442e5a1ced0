"""What a person sees of a search while it runs: a live table, or a line now and then.

The table stands below whatever else is said; a trial that failed is told above it, once. What is
drawn is made from a `Progress` alone, and nothing here knows how it came about.
"""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nnarch import console
from nnarch.console import LINES, duration, number
from nnarch.printable import printable
from nnarch.progress import Progress
from nnarch.trial import Trial, text_of

if TYPE_CHECKING:
    from rich.console import RenderableType

FAULTS = 5  # that are told; later ones are counted
LONGEST = 160  # of a fault
CHOICES = 6  # of the best trial that a line tells


@contextlib.contextmanager
def progress(total: int, quiet: bool = False) -> Iterator[Callable[[Progress], None]]:
    """A live table on a terminal, lines elsewhere; give it how far the search has come."""
    if quiet:
        yield lambda state: None
        return
    if not sys.stderr.isatty():
        yield _Spoken().show
        return
    from rich.live import Live

    out, faults = console.stderr(), _Faults()
    start = table(Progress(total=total))
    with Live(start, console=out, transient=True, redirect_stdout=False) as live:

        def show(state: Progress) -> None:
            for line in faults.of(state.ended):
                out.print(line, markup=False, emoji=False)
            live.update(table(state))

        yield show


class _Spoken:
    """Says how far a search has come a few times in all."""

    def __init__(self) -> None:
        self._told = 0
        self._faults = _Faults()

    def show(self, state: Progress) -> None:
        for said in self._faults.of(state.ended):
            console.say(said)
        if (reached := int(state.share * LINES + 1e-9)) > self._told:
            self._told = reached
            console.say(line(state))


class _Faults:
    """What is said of trials that failed: each of the first, then no more."""

    def __init__(self) -> None:
        self._count = 0

    def of(self, ended: Iterable[Trial]) -> Iterator[str]:
        for trial in ended:
            if trial.status != "failed":
                continue
            self._count += 1
            if self._count <= FAULTS:
                yield f"trial {trial.number} failed: {cause_of(trial)}"
            if self._count == FAULTS:
                yield "trials that fail from here on are counted"


def cause_of(trial: Trial) -> str:
    """Why a trial came to nothing, on one line.

    >>> cause_of(Trial("", 0, 0, {}, {}, {}, "failed", reason="no\\nway"))
    'no way'
    """
    said = printable(" ".join((trial.reason or "no reason was given").split()))
    return said if len(said) <= LONGEST else f"{said[: LONGEST - 1]}…"


def line(state: Progress) -> str:
    """How far a search has come, on one line."""
    parts = [state.counted, *_counts(state, ("failed", "pruned"))]
    if state.best:
        shown = choices(state.best.shown)
        some = ", ".join(shown[:CHOICES]) + (", …" if len(shown) > CHOICES else "")
        parts.append(f"{_best(state)}{f': {some}' if some else ''}")
    return "  ".join([*parts, *_pace(state)])


def table(state: Progress) -> "RenderableType":
    """How far a search has come: a bar, what became of the trials, and the best of them."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    def cut(text: str, style: str = "") -> Text:
        return Text(text, style=style, no_wrap=True, overflow="ellipsis")

    head = Table.grid(padding=(0, 2), expand=True)
    pace = _pace(state)
    head.add_column(no_wrap=True)
    head.add_column(ratio=1)
    for _ in pace:
        head.add_column(no_wrap=True)
    bar = ProgressBar(total=1.0, completed=state.share)
    head.add_row(state.counted, bar, *pace)
    counts = _counts(state, ("finished", "running", "failed", "pruned", "refused"))
    rows: list[RenderableType] = [head, cut("  ".join(counts), "dim")]
    if state.best:
        rows.append(cut(_best(state), "bold"))
        rows.append(cut("  ".join(choices(state.best.shown))))
    return Group(*rows)


def _counts(state: Progress, names: Sequence[str]) -> list[str]:
    """What there are of any, but for those that finished, which are always told."""
    found = [(name, getattr(state, "done" if name == "finished" else name)) for name in names]
    return [f"{count:,} {name}" for name, count in found if count or name == "finished"]


def _pace(state: Progress) -> list[str]:
    told = [f"{number(float(f'{state.rate:.2g}'))} trials/s"] if state.rate else []
    return told + ([f"{duration(state.left)} left"] if state.left is not None else [])


def _best(state: Progress) -> str:
    assert state.best, "there is none"
    value = figure(state.objective, state.best.objective(state.objective))
    return f"best {one_line(state.objective)} {value} (trial {state.best.number})"


def one_line(text: str) -> str:
    """A name or value of whoever's making.

    >>> print(one_line("a" + chr(10) + "b"))
    a\\nb
    """
    return printable(text).replace("\n", "\\n")


def figure(objective: str, value: float | None) -> str:
    """
    >>> figure("val_loss", 0.123456), figure("parameters", 12345.0)
    ('0.1235', '12,345')
    """
    counted = objective in ("parameters", "flops") and value is not None
    return f"{value:,.0f}" if counted else number(value)


def choices(shown: Mapping[str, Any]) -> list[str]:
    """What was open, and what was chosen.

    >>> choices({"model.activation": "gelu", "optimizer.lr": 0.001})
    ['activation=gelu', 'lr=0.001']
    """
    names = labels(shown)
    return [one_line(f"{names[path]}={text_of(value)}") for path, value in shown.items()]


def labels(paths: Iterable[str]) -> dict[str, str]:
    """The shortest endings that tell dotted paths apart and say something.

    >>> labels(["optimizer.name", "model.widths.0", "optimizer.lr"])
    {'optimizer.name': 'optimizer.name', 'model.widths.0': 'widths.0', 'optimizer.lr': 'lr'}
    """
    given = list(paths)
    return {path: next(e for e in _endings(path) if _only_one(e, given)) for path in given}


def _endings(path: str) -> Iterator[str]:
    parts = path.split(".")
    for count in range(1, len(parts)):
        if not parts[-count].isdigit() and parts[-count:] != ["name"]:
            yield ".".join(parts[-count:])
    yield path


def _only_one(ending: str, paths: Sequence[str]) -> bool:
    ends = [path == ending or path.endswith(f".{ending}") for path in paths]
    return sum(ends) == 1 or ending in paths
