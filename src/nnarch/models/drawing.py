"""A drawing of a network, as SVG: its tree of layers from top to bottom.

The structure of a network is a tree, so its layout is a recursion: a chain stands one below the
other, branches side by side between a fork and what joins them, a residual beside a wire that
goes around it, equal repetitions once in a frame. Only named links cross the tree; they are
curves at the side. Names come from files of strangers, so that all text is escaped; there is
nothing in the picture that runs, and nothing that is fetched.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal
from xml.sax.saxutils import escape

from nnarch.models.summary import Row, Summary, runs

LETTER, LINE = 7.2, 17.0  # of 12-pixel monospace text
PAD, GAP, ASIDE, MARGIN = 12.0, 22.0, 28.0, 24.0
JOIN = 24.0
TIMES = "\N{MULTIPLICATION SIGN}"
LONGEST = 44  # letters in a box
SIGNS = {"residual": "+", "sum": "+", "mul": TIMES, "concat": "concat"}
COLORS = {  # fill and edge
    "layer": ("#dbe9fb", "#3b6ea5"),
    "plain": ("#eef0f2", "#7a828c"),
    "link": ("#f5e6fa", "#8a4fa3"),
    "join": ("#fff3d6", "#b07d12"),
    "frame": ("none", "#9aa3ad"),
}


@dataclass(frozen=True)
class Box:
    """A rectangle with lines of text; of a frame, they stand at its upper right."""

    kind: Literal["layer", "plain", "link", "join", "frame"]
    lines: tuple[str, ...]
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Figure:
    """A part of the drawing, which enters at the top of its axis and leaves at the bottom.

    Attributes:
        axis: x of the wire that comes in and of the one that goes out.
        wires: lines through two points or more.
        named: where the outputs are that links lead to, and `links` where each link ends.
    """

    width: float
    height: float
    axis: float
    boxes: tuple[Box, ...] = ()
    wires: tuple[tuple[tuple[float, float], ...], ...] = ()
    named: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    links: tuple[tuple[str, float, float], ...] = ()

    def moved(self, right: float, down: float) -> "Figure":
        """The same figure elsewhere; its size stays, its axis moves with it."""
        return replace(
            self,
            axis=self.axis + right,
            boxes=tuple(replace(b, x=b.x + right, y=b.y + down) for b in self.boxes),
            wires=tuple(tuple((x + right, y + down) for x, y in wire) for wire in self.wires),
            named={name: (x + right, y + down) for name, (x, y) in self.named.items()},
            links=tuple((name, x + right, y + down) for name, x, y in self.links),
        )


def as_svg(summary: Summary) -> str:
    """The picture of a network, as the text of an SVG file."""
    figure = layout(summary)
    curves = _curves(figure)
    width = figure.width + 2 * MARGIN + (ASIDE if curves else 0)
    height = figure.height + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="monospace" font-size="12">',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
        f'<g transform="translate({MARGIN:.0f} {MARGIN:.0f})">',
        *(_rectangle(box) for box in figure.boxes if box.kind == "frame"),
        *(_wire(wire, summary.rows_are_calls) for wire in figure.wires),
        *curves,
        *(_rectangle(box) for box in figure.boxes if box.kind != "frame"),
        "</g>",
        "</svg>",
    ]
    return "".join(f"{part}\n" for part in parts)


def layout(summary: Summary) -> Figure:
    """Where everything stands."""
    entered = _box("plain", ["input", _shape(summary.shape)])
    return _below([entered, *map(_row, summary.rows)])


def _row(row: Row) -> Figure:
    if row.word == "repeat":
        made = _below([_times(row, first, last) for first, last in runs(row)])
    elif row.chains:
        ways = [_chain(chain) for chain in row.chains]
        if row.word == "residual":
            ways.append(_chain([row.project] if row.project else []))
        made = _beside(ways, _box("join", [SIGNS[row.word]]), row.word == "residual")
    else:
        made = _leaf(row)
    if not row.name:
        return made
    return replace(made, named={**made.named, row.name: (made.axis, made.height)})


def _leaf(row: Row) -> Figure:
    shape = _shape(row.shape)
    if row.link is not None:
        made = _box("link", [row.module, shape])
        return replace(made, links=((row.link, made.width, made.height / 2),))
    count = f"{row.parameters:,} parameters" if row.parameters else ""
    told = " · ".join(filter(None, [shape, count]))
    name = f"{row.module} ({row.name})" if row.name else row.module
    return _box("layer" if row.parameters else "plain", [name, told])


def _chain(rows: Sequence[Row]) -> Figure:
    return _below([_row(row) for row in rows])


def _below(figures: Sequence[Figure]) -> Figure:
    """One below the other, on one axis."""
    if not figures:
        return Figure(PAD, 0.0, PAD / 2)
    axis = max(each.axis for each in figures)
    down, placed, wires = 0.0, [], []
    for number, each in enumerate(figures):
        if number:
            wires.append(((axis, down), (axis, down + GAP)))
            down += GAP
        placed.append(each.moved(axis - each.axis, down))
        down += each.height
    width = axis + max(each.width - each.axis for each in figures)
    return _together(placed, width, down, axis, wires)


def _beside(ways: Sequence[Figure], join: Figure, is_residual: bool) -> Figure:
    """Side by side, from a fork to what joins them; a residual stays on its body's axis."""
    right, placed = 0.0, []
    for each in ways:
        placed.append(each.moved(right, GAP))
        right += each.width + ASIDE
    width, low = right - ASIDE, 2 * GAP + max(each.height for each in ways)
    axis = placed[0].axis if is_residual else width / 2
    wires: list[tuple[tuple[float, float], ...]] = []
    for each in placed:
        if each.axis != axis:
            wires.append(((axis, 0.0), (each.axis, 0.0)))
        wires.append(((each.axis, 0.0), (each.axis, GAP)))
        wires.append(((each.axis, GAP + each.height), (each.axis, low - GAP / 2)))
        if each.axis != axis:
            wires.append(((each.axis, low - GAP / 2), (axis, low - GAP / 2)))
    wires.append(((axis, low - GAP / 2), (axis, low)))
    placed.append(join.moved(axis - join.axis, low))
    left = min(0.0, axis - join.axis)
    made = _together(placed, width, low + join.height, axis, wires).moved(-left, 0.0)
    return replace(made, width=max(width, axis + join.axis) - left)


def _times(row: Row, first: int, last: int) -> Figure:
    """A frame around repetitions that are alike."""
    inner = _chain(row.chains[first]).moved(PAD, PAD + LINE)
    label = f"{TIMES} {last - first + 1}"
    width = max(inner.width, inner.axis + LETTER * (len(label) + 1)) + 2 * PAD
    height = inner.height + 2 * PAD + LINE
    frame = Box("frame", (label,), 0.0, 0.0, width, height)
    ends = [
        ((inner.axis, 0.0), (inner.axis, PAD + LINE)),
        ((inner.axis, height - PAD), (inner.axis, height)),
    ]
    made = _together([inner], width, height, inner.axis, ends)
    return replace(made, boxes=(frame, *made.boxes))


def _together(
    figures: Sequence[Figure],
    width: float,
    height: float,
    axis: float,
    wires: Sequence[tuple[tuple[float, float], ...]],
) -> Figure:
    return Figure(
        width,
        height,
        axis,
        tuple(box for each in figures for box in each.boxes),
        (*(wire for each in figures for wire in each.wires), *wires),
        {name: place for each in figures for name, place in each.named.items()},
        tuple(link for each in figures for link in each.links),
    )


def _box(kind: Literal["layer", "plain", "link", "join"], lines: Sequence[str]) -> Figure:
    told = tuple(_short(line) for line in lines if line)
    width = max(JOIN, LETTER * max(map(len, told)) + 2 * PAD)
    height = JOIN if kind == "join" else LINE * len(told) + PAD
    return Figure(width, height, width / 2, (Box(kind, told, 0.0, 0.0, width, height),))


def _curves(figure: Figure) -> list[str]:
    """Links from an output to where it is used, by the right side of the drawing."""
    made, bend = [], GAP / 3
    for number, (name, x, y) in enumerate(figure.links):
        if name in figure.named:
            from_x, from_y = figure.named[name]
            from_y, side = from_y + bend, figure.width + ASIDE * (1 - 0.2 * (number % 4))
            way = (
                f"M{from_x:.1f} {from_y:.1f} H{side - bend:.1f} "
                f"Q{side:.1f} {from_y:.1f} {side:.1f} {from_y + bend:.1f} V{y - bend:.1f} "
                f"Q{side:.1f} {y:.1f} {side - bend:.1f} {y:.1f} H{x:.1f}"
            )
            made.append(
                f'<path d="{way}" fill="none" stroke="{COLORS["link"][1]}" stroke-dasharray="5 3"/>'
            )
    return made


def _wire(points: Sequence[tuple[float, float]], guessed: bool) -> str:
    told = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashes = ' stroke-dasharray="2 4"' if guessed else ""
    return f'<polyline points="{told}" fill="none" stroke="#555c64"{dashes}/>'


def _rectangle(box: Box) -> str:
    fill, edge = COLORS[box.kind]
    corner = 12 if box.kind == "join" else 6
    dashes = ' stroke-dasharray="6 4"' if box.kind == "frame" else ""
    shape = (
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" '
        f'height="{box.height:.1f}" rx="{corner}" fill="{fill}" stroke="{edge}"{dashes}/>'
    )
    return "\n".join([shape, *_text(box)])


def _text(box: Box) -> Iterator[str]:
    for number, line in enumerate(box.lines):
        x, anchor = box.x + box.width / 2, "middle"
        y = box.y + (box.height - LINE * len(box.lines)) / 2 + LINE * (number + 0.72)
        if box.kind == "frame":
            x, y, anchor = box.x + box.width - PAD, box.y + LINE, "end"
        color = "#1b1f24" if number == 0 else "#4b535c"
        told = escape("".join(sign if sign.isprintable() else "?" for sign in line))
        yield f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}">{told}</text>'


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
