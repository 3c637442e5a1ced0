"""What a person reads when a search is over: the best, what mattered, and where to go from here.

Each block is made from plain data, and fits the width that it is drawn in. How sure a difference
is stands beside it, and where points are too few to tell, that is said instead.
"""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nnarch import console
from nnarch.console import duration, number
from nnarch.searchpage import cause_of, choices, figure, labels, one_line
from nnarch.trial import Trial

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from nnarch.effects import Difference, Effects, Influence
    from nnarch.ranking import Row

BEST, FRONT, MATTERED, CAUSES = 10, 20, 10, 5  # rows of each block
CHANCE = 0.05


@dataclass(frozen=True)
class Outcome:
    """What came of a search.

    Attributes:
        directory: of the search.
        trials: all of them.
        rows: best first, as `ranking.best` gives them.
        objectives: by name, of which those in `higher` are to be large.
        front: as `ranking.front` gives it, where there are several objectives; it is what is
            shown of the best then.
        effects: what mattered to the first objective; None where it was not asked.
        kept: directories of the runs that are kept, best first.
        command: what trains the best longer.
        seconds: that the search took.
    """

    directory: str
    trials: Sequence[Trial]
    rows: "Sequence[Row]"
    objectives: Sequence[str]
    higher: Collection[str] = ()
    front: "Sequence[Row]" = ()
    effects: "Effects | None" = None
    kept: Sequence[str] = ()
    command: str | None = None
    seconds: float = 0.0


def show(outcome: Outcome, out: "Console | None" = None) -> None:
    """Draw it, on standard error unless told otherwise.

    Where all is, and what to type next, is never broken into lines: it is there to be copied.
    """
    out = out or console.stderr()
    *parts, where = blocks(outcome)
    out.print("", *parts, sep="\n", soft_wrap=False)
    out.print(where, soft_wrap=True)


def blocks(outcome: Outcome) -> "list[RenderableType]":
    """One below the other, with an empty line between."""
    from rich.text import Text

    found: list[RenderableType] = [Text(_head(outcome))]
    if len(outcome.objectives) > 1 and outcome.front:
        found += [Text(_front_head(outcome)), _points(outcome, outcome.front[:FRONT])]
    elif outcome.rows:
        found.append(_points(outcome, outcome.rows[:BEST]))
    if sure := _sure(outcome):
        found.append(Text(sure))
    if outcome.effects:
        found += _mattered(outcome.effects)
    if causes := _causes(outcome.trials):
        found.append(Text("\n".join(causes)))
    found.append(Text("\n".join(_where(outcome))))
    return [part for block in found for part in (block, "")][:-1]


def _head(outcome: Outcome) -> str:
    counts = Counter(trial.status for trial in outcome.trials)
    parts = [f"{counts[name]:,} {name}" for name in ("finished", "pruned", "failed", "refused")]
    told = ", ".join(part for part in parts if not part.startswith("0 ")) or "none ended"
    return f"{len(outcome.trials):,} trials in {duration(outcome.seconds)}: {told}"


# The best


def _points(outcome: Outcome, rows: "Sequence[Row]") -> "Table":
    from rich.text import Text

    table, several = _table(), len(outcome.objectives) > 1
    table.add_column("" if several else "rank", justify="right")
    table.add_column("trial", justify="right")
    for name in outcome.objectives:
        table.add_column(Text(one_line(name)), justify="right", no_wrap=True)
    sized = "parameters" not in outcome.objectives
    if sized:
        table.add_column("parameters", justify="right", no_wrap=True)
    table.add_column("what was open")
    for rank, row in enumerate(rows, 1):
        first = row.trials[0]
        table.add_row(
            "" if several else str(rank),
            str(row.number),
            *_figures(outcome.objectives, row),
            *([number(first.parameters)] if sized else []),
            Text("  ".join(choices(first.shown))),
            style="bold" if rank == 1 and not several else "",
        )
    return table


def _figures(objectives: Sequence[str], row: "Row") -> list[str]:
    """Means, with the deviation over seeds where there are several."""
    told = []
    for name, mean, deviation in zip(objectives, row.means, row.deviations, strict=True):
        spread = f" ± {deviation:.2g}" if deviation else ""
        told.append(f"{figure(name, mean)}{spread}")
    if row.missing:
        told[0] += f" ({row.count} of {row.count + row.missing} seeds)"
    return told


def _sure(outcome: Outcome) -> str:
    """Which of the best ten the seeds do not tell from the best."""
    from nnarch.ranking import compared

    if not outcome.rows or len(outcome.objectives) > 1:
        return ""
    objective, first = outcome.objectives[0], outcome.rows[0]
    if first.count < 2:
        return ""
    close = []
    for rank, row in enumerate(outcome.rows[1:BEST], 2):
        test = compared(first.values(objective), row.values(objective))
        if test is None or test.p >= CHANCE:
            close.append(str(rank))
    if not close:
        return "its seeds tell the best from all others here"
    return f"its seeds do not tell the best from rank {', '.join(close)}"


def _front_head(outcome: Outcome) -> str:
    named = ", ".join(map(one_line, outcome.objectives))
    more = f"; {FRONT} of {len(outcome.front)} are shown" if len(outcome.front) > FRONT else ""
    return f"none is better in all of {named} than these{more}"


# What mattered


def _mattered(effects: "Effects") -> "list[RenderableType]":
    from rich.text import Text

    from nnarch.effects import LEAST

    objective = one_line(effects.objective)
    if effects.points < LEAST:
        said = f"what mattered: {effects.points} finished points are too few to tell"
        return [Text(f"{said}; expected {LEAST}")]
    if not effects.influences:
        return []
    worse = "times as much" if effects.scale == "log" else "by how much"
    head = (
        f"what mattered to {objective}, by {effects.points:,} finished points, of whose variance "
        f"the open values explain {effects.explained:.0%}; in brackets what is 95 % sure"
    )
    table = _table()
    table.add_column("open value")
    table.add_column("share", justify="right")
    table.add_column("best")
    table.add_column(f"worse, all else equal, and {worse}")
    names, unclear = labels(one.name for one in effects.influences), []
    for number_of, one in enumerate(effects.influences):
        best, worse = _levels(one, effects)
        if worse and number_of < MATTERED:
            cells = [names[one.name], f"{one.importance:.0%}", best]
            several = Text("\n".join(map(one_line, worse)))
            table.add_row(*(Text(one_line(cell)) for cell in cells), several)
        else:
            unclear.append(names[one.name])
    found: list[RenderableType] = [Text(head), *([table] if table.row_count else [])]
    if effects.fenced:
        told = f"{effects.fenced:,} points far worse than the rest count as less bad than they are"
        found.append(Text(told))
    if unclear:
        found.append(Text(one_line(f"no clear difference: {', '.join(unclear)}")))
    return [*found, *([_sizes(effects)] if effects.sizes else [])]


def _levels(one: "Influence", effects: "Effects") -> tuple[str, list[str]]:
    """The best, with what is not told from it, and what is worse."""
    best, worse = [one.best or "too few to tell"], []
    for level in one.levels:
        if level.name == one.best or level.difference is None:
            continue
        none = 1.0 if effects.scale == "log" else 0.0
        if level.difference.low <= none <= level.difference.high:
            best.append(level.name)
        else:
            worse.append(f"{level.name} {_difference(level.difference, effects.scale)}")
    return " or ".join(best), worse


def _difference(found: "Difference", scale: str) -> str:
    if scale == "log":
        return f"x{found.value:.3g} ({found.low:.3g} to {found.high:.3g})"
    return f"{found.value:+.3g} ({found.low:+.3g} to {found.high:+.3g})"


def _sizes(effects: "Effects") -> "Table":
    from rich.text import Text

    table = _table()
    for name in ("parameters", "points", f"best {effects.objective}", "median"):
        table.add_column(Text(one_line(name)), justify="right", no_wrap=True)
    for size in effects.sizes:
        span = f"{size.low:,} to {size.high:,}" if size.low < size.high else f"{size.low:,}"
        figures = (figure(effects.objective, value) for value in (size.best, size.median))
        table.add_row(span, f"{size.count:,}", *figures)
    return table


# What failed, and where all is


def _causes(trials: Sequence[Trial]) -> list[str]:
    """Failures by cause; causes that differ in numbers alone are one."""
    failed = [trial for trial in trials if trial.status == "failed"]
    said = {re.sub(r"\d+", "#", cause_of(trial)): cause_of(trial) for trial in reversed(failed)}
    counts = Counter(re.sub(r"\d+", "#", cause_of(trial)) for trial in failed)
    told = [f"{count:,} failed: {said[each]}" for each, count in counts.most_common(CAUSES)]
    more = sum(counts.values()) - sum(count for _, count in counts.most_common(CAUSES))
    return told + ([f"{more:,} failed otherwise"] if more else [])


def _where(outcome: Outcome) -> list[str]:
    lines = [] if outcome.rows else ["no trial finished, so none is the best"]
    lines += [f"run {rank}: {path}" for rank, path in enumerate(outcome.kept, 1)]
    lines.append(f"all trials: {outcome.directory}/trials.jsonl")
    if outcome.command:
        lines.append(f"train the best longer: {outcome.command}")
    return [one_line(line) for line in lines]


def _table() -> "Table":
    from rich.table import Table

    return Table(box=None, pad_edge=False, header_style="dim")
