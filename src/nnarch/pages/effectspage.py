"""What a person reads of what mattered in a search: the open values, and the size of the network.

How sure a difference is stands beside it, and where points are too few to tell, that is said
instead.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nnarch.console import bare_table
from nnarch.pages.searchpage import figure, labels, one_line

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from nnarch.findings.effects import Difference, Effects, Influence

MATTERED = 10  # rows of the table


def blocks(effects: "Effects") -> "list[RenderableType]":
    """One below the other: what clearly mattered, what did not, and the sizes of networks."""
    from rich.text import Text

    from nnarch.findings.effects import LEAST

    objective, count = one_line(effects.objective), f"{effects.points:,} finished points"
    if effects.points < LEAST:
        return [Text(f"what mattered: {count} are too few to tell; expected {LEAST}")]
    if not effects.influences:
        return []
    names = labels(one.name for one in effects.influences)
    told = {names[one.name]: (one, *_levels(one, effects)) for one in effects.influences}
    clear = [name for name, (_, _, worse) in told.items() if worse]
    unclear = [name for name in told if name not in clear]
    explained = f"of whose variance the open values explain {effects.explained:.0%}"
    found: list[RenderableType] = []
    if clear:
        found.append(Text(f"what mattered to {objective}, by {count}, {explained}:"))
        found.append(_influences([told[name] for name in clear[:MATTERED]], clear, effects))
        said = "no clear difference"
    else:
        said = f"what mattered to {objective}: {count}, {explained}, tell no clear difference"
    if more := clear[MATTERED:]:
        found.append(Text(one_line(f"clear differences of smaller shares: {', '.join(more)}")))
    if unclear:
        found.append(Text(one_line(f"{said}: {', '.join(unclear)}")))
    if effects.fenced:
        points = "1 point" if effects.fenced == 1 else f"{effects.fenced:,} points"
        found.append(Text(f"far worse than the rest, {points} counted as less bad than that"))
    if effects.sizes:
        found += [Text("by the size of the network:"), _sizes(effects)]
    return found


def _influences(
    told: "Sequence[tuple[Influence, str, list[str]]]", names: Sequence[str], effects: "Effects"
) -> "Table":
    """How much each open value mattered, and how much worse than its best the others are."""
    from rich.text import Text

    worse = "times as much" if effects.scale == "log" else "by how much"
    table = bare_table()
    table.add_column("open value")
    table.add_column("share", justify="right")
    table.add_column("best")
    table.add_column(f"worse, all else equal, {worse} (95% interval)")
    for name, (one, best, levels) in zip(names, told, strict=False):
        cells = (Text(one_line(cell)) for cell in (name, f"{one.importance:.0%}", best))
        table.add_row(*cells, Text("\n".join(map(one_line, levels))))
    return table


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

    table = bare_table()
    for name in ("parameters", "points", f"best {effects.objective}", "median"):
        table.add_column(Text(one_line(name)), justify="right", no_wrap=True)
    for size in effects.sizes:
        span = f"{size.low:,} to {size.high:,}" if size.low < size.high else f"{size.low:,}"
        figures = (figure(effects.objective, value) for value in (size.best, size.median))
        table.add_row(span, f"{size.count:,}", *figures)
    return table
