"""A report of a network as a page of plain text: its layers as a tree, in aligned columns."""

from collections.abc import Iterator, Sequence

from nnarch.check.networkreport import Report, Steps
from nnarch.check.timing import Timing
from nnarch.models.summary import Row, Summary, runs

GAP = "  "
FIRST, LAST = 60, 20  # lines of a network that is too long to be shown
NARROWEST, LONGEST_PATH = 40, 24

Line = tuple[str, str, str, str, str]  # path, what it is, output, parameters, operations


def as_text(report: Report, width: int = 80) -> str:
    """What `networkreport.report` gives, for reading in `width` columns."""
    width = max(width, NARROWEST)
    blocks = [_facts(report), _layers(report.summary, width), _memory(report), _steps(report.steps)]
    if report.timing:
        blocks.append(_time(report.timing))
    page = "\n\n".join(blocks)
    lines = (_short(line, width) for line in page.splitlines())
    return "".join(s if s.isprintable() or s == "\n" else "?" for s in "\n".join(lines))


def _facts(report: Report) -> str:
    told = report.summary
    away = told.parameters - told.trainable
    frozen = f" ({told.trainable:,} train, {away:,} are frozen)" if away else ""
    return (
        f"{report.model}: {told.parameters:,} parameters{frozen}, "
        f"{_operations(told.flops)} FLOPs a sample"
    )


# Layers


def _layers(summary: Summary, width: int) -> str:
    lines = list(_lines(summary.rows, 0))
    left_out = len(lines) - FIRST - LAST
    if left_out > 1:
        lines = [*lines[:FIRST], *lines[-LAST:]]
    entered = ("", "input", _shape(summary.shape), "", "")
    heading = ("", "layer", "output", "parameters", "FLOPs")
    if summary.rows_are_calls:
        heading = ("", "module, as called", *heading[2:])
    told = _table([heading, entered, *lines], width)
    if left_out > 1:
        told.insert(2 + FIRST, f"… {left_out:,} more lines; --json has all")
    return "\n".join(told)


def _lines(rows: Sequence[Row], depth: int) -> Iterator[Line]:
    for row in rows:
        called = f" as {row.name}" if row.name and not row.path.endswith(row.name) else ""
        figures = ("", "") if row.chains else (f"{row.parameters:,}", _operations(row.flops))
        text = f"{'  ' * depth}{row.module}{called}"
        yield row.path, text, _shape(row.shape), figures[0], figures[1]
        if row.word == "repeat":
            yield from _times(row, depth + 1)
            continue
        for number, chain in enumerate(row.chains):
            if len(row.chains) > 1:
                what = f"branch {number + 1}" if chain else f"branch {number + 1}: as it comes"
                yield "", f"{'  ' * (depth + 1)}{what}", "", "", ""
            yield from _lines(chain, depth + 1 + (len(row.chains) > 1))
        if row.project:
            yield from _lines([row.project], depth + 1)


def _times(row: Row, depth: int) -> Iterator[Line]:
    """Repetitions that are alike as one."""
    for first, last in runs(row):
        if last - first + 1 < len(row.chains):
            which = f"time {first + 1}" + (f" to {last + 1}" if last > first else "")
            yield "", f"{'  ' * depth}{which}", "", "", ""
        yield from _lines(row.chains[first], depth + (last - first + 1 < len(row.chains)))


def _table(lines: Sequence[Line], width: int) -> list[str]:
    """Aligned columns; where they do not fit, what a layer is gives way to the figures."""
    lines = [(_short(line[0], LONGEST_PATH), *line[1:]) for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    over = sum(widths) + len(GAP) * (len(widths) - 1) - width
    if over > 0:
        widths[1] = max(16, widths[1] - over)
    made = []
    for line in lines:
        cells = [_short(cell, size) for cell, size in zip(line, widths, strict=True)]
        told = [f"{cells[0]:{widths[0]}}", f"{cells[1]:{widths[1]}}"]
        told += [f"{cell:>{size}}" for cell, size in zip(cells[2:], widths[2:], strict=True)]
        made.append(GAP.join(told).rstrip())
    return made


# Memory and time


def _memory(report: Report) -> str:
    held = report.memory
    figures = [
        ("weights", held.weights),
        ("buffers", held.buffers),
        ("gradients", held.gradients),
        (f"state of {report.optimizer}", held.optimizer),
        ("average of weights", held.average),
        ("activations", held.activations),
    ]
    rows = [
        (name, "not known" if value is None else size(value))
        for name, value in figures
        if value != 0
    ]
    at = f"memory to train, {held.precision}, batches of {held.batch_size:,}"
    rows = [(at, ""), *rows, ("together", size(held.total))]
    widest = max(len(name) for name, _ in rows[1:])
    lines = [rows[0][0], *(f"{name:{widest}}{GAP}{value:>9}" for name, value in rows[1:])]
    lines += held.notes
    if held.available is not None and held.total > held.available:
        lines.append(f"warning: that is more than the {size(held.available)} there are")
    return "\n".join(lines)


def _steps(steps: Steps) -> str:
    threads = f", {steps.threads} thread{'s' * (steps.threads > 1)}" * (steps.device == "cpu")
    return f"steps on {steps.device}{threads}: {steps.engine} ({steps.why})"


def _time(timing: Timing) -> str:
    return (
        f"an epoch takes {_seconds(timing.epoch)} ({_seconds(timing.fastest)} to "
        f"{_seconds(timing.slowest)}), all {timing.epochs:,} take {_seconds(timing.total)}\n"
        f"measured by {timing.steps} steps"
    )


def size(count: int) -> str:
    """
    >>> size(964), size(2048), size(3 * 2**30)
    ('964 B', '2.0 KiB', '3.0 GiB')
    """
    amount, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while amount >= 1024 and len(units) > 1:
        amount /= 1024
        units.pop(0)
    return f"{amount:.0f} B" if units[0] == "B" else f"{amount:.1f} {units[0]}"


def _seconds(value: float) -> str:
    """
    >>> _seconds(0.00432), _seconds(75), _seconds(3700)
    ('0.0043 s', '1 min 15 s', '1 h 1 min')
    """
    if value < 60:
        return f"{value:.2g} s" if value < 10 else f"{value:.0f} s"
    if value < 3600:
        return f"{value // 60:.0f} min {value % 60:.0f} s"
    return f"{value // 3600:.0f} h {value % 3600 // 60:.0f} min"


def _operations(count: int) -> str:
    """
    >>> _operations(480), _operations(1_234_567), _operations(4 * 10**12)
    ('480', '1.23 M', '4.00 T')
    """
    for unit, amount in (("T", 10**12), ("G", 10**9), ("M", 10**6)):
        if count >= amount:
            return f"{count / amount:.2f} {unit}"
    return f"{count:,}"


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
