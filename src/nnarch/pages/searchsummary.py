"""What a person reads when a search is over: the best, what mattered, and where to go from here.

Each block is made from plain data, and fits the width that it is drawn in. How sure a difference
is stands beside it, and where points are too few to tell, that is said instead.
"""

import math
import shlex
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nnarch import causes, console
from nnarch.console import bare_table, duration, number
from nnarch.pages import effectspage
from nnarch.pages.searchpage import cause_of, choices, figure, one_line
from nnarch.trial import Trial

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from nnarch.findings.effects import Effects
    from nnarch.findings.ranking import Row

BEST, FRONT, CAUSES = 10, 20, 5  # rows of each block
ENDINGS = ("finished", "pruned", "broken off", "failed", "refused")
CHANCE = 0.05
LONGER = 4  # times the epochs of the best, to see whether it gets better yet


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
        kept: the runs that are kept, best first: what each is, and its directory.
        seconds: that the search took.
        time_over: whether it ended since its time was over.
        limit: of the seconds; None where there is none.
    """

    directory: str
    trials: Sequence[Trial]
    rows: "Sequence[Row]"
    objectives: Sequence[str]
    higher: Collection[str] = ()
    front: "Sequence[Row]" = ()
    effects: "Effects | None" = None
    kept: Sequence[tuple[str, str]] = ()
    seconds: float = 0.0
    time_over: bool = False
    limit: float | None = None

    @property
    def broken_off(self) -> int:
        """How many trials the end of the time broke off."""
        return sum(trial.is_broken_off for trial in self.trials)


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
        found += effectspage.blocks(outcome.effects)
    if reasons := _reasons(outcome.trials):
        found.append(Text("\n".join(reasons)))
    found.append(Text("\n".join(_where(outcome))))
    return [part for block in found for part in (block, "")][:-1]


def _head(outcome: Outcome) -> str:
    counts = Counter(
        "broken off" if trial.is_broken_off else trial.status for trial in outcome.trials
    )
    parts = [f"{counts[name]:,} {name}" for name in ENDINGS if counts[name]]
    told = ", ".join(parts) or "none ended"
    return f"{len(outcome.trials):,} trials in {duration(outcome.seconds)}: {told}"


# The best


def _points(outcome: Outcome, rows: "Sequence[Row]") -> "Table":
    from rich.text import Text

    table, several = bare_table(), len(outcome.objectives) > 1
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
    from nnarch.findings.ranking import compared

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
    named = " and ".join(map(one_line, outcome.objectives))
    more = f"; {FRONT} of {len(outcome.front)} are shown" if len(outcome.front) > FRONT else ""
    return f"trade-offs: what is better in one of {named} is worse in another{more}"


# What failed, and where all is


def _reasons(trials: Sequence[Trial]) -> list[str]:
    """Why trials failed or were refused, the commonest causes."""
    lines = []
    for status in ("failed", "refused"):
        found = causes.counted(cause_of(trial) for trial in trials if trial.status == status)
        lines += [f"{count:,} {status}: {cause}" for cause, count in found[:CAUSES]]
        if more := sum(count for _, count in found[CAUSES:]):
            lines.append(f"{more:,} {status} otherwise")
    return lines


def _where(outcome: Outcome) -> list[str]:
    lines = [] if outcome.rows else ["no trial finished, so none is the best"]
    lines += [f"{what}: {path}" for what, path in outcome.kept]
    lines.append(f"all trials: {outcome.directory}/trials.jsonl")
    if found := outcome.front or outcome.rows:
        lines.append(_longer(outcome, found[0]))
    if outcome.time_over:
        lines.append(_on(outcome))
    return [one_line(line) for line in lines]


def _longer(outcome: Outcome, row: "Row") -> str:
    """What to type to train the best longer: of several objectives, that in the first."""
    trial, home = row.trials[0], shlex.quote(outcome.directory)
    epochs = LONGER * int(trial.config["epochs"])
    command = f"nnarch train {home} --trial {trial.id} epochs={epochs}"
    return f"train trial {trial.number} longer: {command}"


def _on(outcome: Outcome) -> str:
    """What to type to go on where the time was over, which is counted from the beginning."""
    assert outcome.limit is not None, "else it could not be over"
    count, limit = outcome.broken_off, outcome.limit
    broken = f"{count:,} trial{'s were' if count != 1 else ' was'} broken off"
    seconds = math.ceil(outcome.seconds + limit)
    command = f"nnarch resume {shlex.quote(outcome.directory)} search.seconds={seconds}"
    return f"its {limit:g} seconds were over, {broken}; to go on for as long again: {command}"
