"""A report of data as a page of plain text: short, in aligned columns, for a terminal's width."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

PARTS = ("train", "val", "test")
MOST_COLUMNS, MOST_CLASSES, MOST_NAMES = 40, 12, 6
LONGEST = 28  # of a name
GAP = "  "

Report = Mapping[str, Any]


def as_text(report: Report, width: int = 80) -> str:
    """What `datareport.report` gives, for reading in `width` columns."""
    blocks = [_facts(report, width)]
    if _counts_classes(report):
        blocks.append(_classes(report, width))
    if "columns" in report:
        blocks.append(_columns(report["columns"], width))
    blocks.append(_baselines(report["baselines"], width))
    hidden = [note for note in report["notes"] if not _is_shown(note, report)]
    said = [*hidden, *(f"warning: {warning}" for warning in report["warnings"])]
    blocks += ["\n".join(_wrapped(line, width) for line in said)] if said else []
    page = "\n\n".join([_wrapped(report["about"], width), *blocks])
    return "".join(sign if sign.isprintable() or sign == "\n" else "?" for sign in page)


def _is_shown(note: str, report: Report) -> bool:
    """Whether the table of columns says the same."""
    columns = report.get("columns", ())
    return note.startswith("ignored: ") and 0 < len(columns) <= MOST_COLUMNS


def _counts_classes(report: Report) -> bool:
    return bool(report["target"]) and "train" in report["target"][0]


# The first lines


def _facts(report: Report, width: int) -> str:
    rows = report["rows"]
    sizes = ", ".join(f"{rows['parts'][part]:,} {part}" for part in PARTS)
    lines = [(rows["noun"], f"{rows['total']:,}: {sizes}; {rows['parted']}")]
    if not _counts_classes(report):
        lines += _targets(report["target"])
    lines.append(("inputs", _samples(report["samples"])))
    indent = max(len(name) for name, _ in lines) + len(GAP)
    return "\n".join(
        textwrap.fill(
            text, width, initial_indent=f"{name:{indent}}", subsequent_indent=" " * indent
        )
        for name, text in lines
    )


def _targets(targets: Sequence[Report]) -> list[tuple[str, str]]:
    lines = []
    for one in targets[:MOST_NAMES]:
        bounds = f"{_number(one['minimum'])} .. {_number(one['maximum'])}"
        hint = f"; {one['hint']}" if one["hint"] else ""
        mean, skew = _number(one["mean"]), f"{one['skewness']:.2g}"
        name = "" if lines else "target"
        lines.append((name, f"{one['name']}: {bounds}, mean {mean}, skewness {skew}{hint}"))
    more = len(targets) - len(lines)
    return lines + ([("", f"and {more:,} more")] if more else [])


def _samples(samples: Report) -> str:
    shape = " x ".join(map(str, samples["shape"]))
    if samples["kind"] == "table":
        columns, numbers = samples["features"], samples["shape"][0]
        what = "token" if samples.get("vocabulary") else "number"
        return f"{_many(columns, 'column')} -> {_many(numbers, what)} a row"
    if samples["kind"] == "array":
        return f"{shape} numbers ({samples['type']})"
    if samples["kind"] == "series":
        seen, told = _names(samples["channels"]), _names(samples["predicted"])
        back, ahead = (_many(samples[key], "step") for key in ("lookback", "horizon"))
        steps = _many(samples["steps"], "step")
        return f"{back} of {seen}, to tell {ahead} of {told}; the series has {steps}"
    return (
        f"{samples['context']} tokens of {samples['vocabulary']:,}; from "
        f"{samples['documents']:,} documents"
    )


def _many(count: int, noun: str) -> str:
    """
    >>> _many(1, "row"), _many(2000, "row")
    ('1 row', '2,000 rows')
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_NAMES]) + (", …" if len(names) > MOST_NAMES else "")


# Tables


def _classes(report: Report, width: int) -> str:
    """How many rows of each part are of each class: the commonest of them, if there are many."""
    classes = report["target"]
    if len(classes) > MOST_CLASSES:
        classes = sorted(classes, key=lambda one: -one["train"]["count"])[: MOST_CLASSES - 1]
    rows = [[_cell(one["name"]), *(_share(one[part]) for part in PARTS)] for one in classes]
    more = len(report["target"]) - len(classes)
    heading = ["label" if report["task"] == "multilabel" else "class", *PARTS]
    return _table([heading, *rows], width, {1, 2, 3}) + (f"\nand {more:,} more" if more else "")


def _share(counted: Report) -> str:
    return f"{counted['count']:,} {counted['share']:6.1%}"


def _columns(columns: Sequence[Report], width: int) -> str:
    rows = [
        [
            _cell(one["name"]),
            one["kind"],
            f"{one['missing']:.1%}" if one["missing"] else "",
            _held(one),
            one["becomes"],
        ]
        for one in columns[:MOST_COLUMNS]
    ]
    more = len(columns) - len(rows)
    heading = ["column", "kind", "empty", "training rows", "becomes"]
    return _table([heading, *rows], width, {2}) + (f"\nand {more:,} more columns" if more else "")


def _held(one: Report) -> str:
    if "distinct" in one:
        words = ", ".join(one["commonest"])
        more = ", …" if one["distinct"] > len(one["commonest"]) else ""
        return _cell(f"{one['distinct']:,}: {words}{more}") if words else ""
    if "minimum" not in one or one["kind"] == "boolean":
        return ""
    least, most = (
        v if isinstance(v, str) else _number(v) for v in (one["minimum"], one["maximum"])
    )
    return f"{least} .. {most}"


def _baselines(found: Sequence[Report], width: int) -> str:
    names = list(found[0]["figures"])
    columns = [_alike([one["figures"][name] for one in found]) for name in names]
    rows = [[one["name"], *cells] for one, *cells in zip(found, *columns, strict=True)]
    return _table([["to beat on test rows", *names], *rows], width, {*range(1, len(names) + 1)})


def _alike(values: Sequence[float]) -> list[str]:
    """Figures of one column, with as many decimals as show four digits of the smaller ones.

    >>> _alike([0.61404, -0.00477]), _alike([113395.4, float("nan")]), _alike([2027.0, 3.5])
    (['0.6140', '-0.0048'], ['113,395', '-'], ['2,027.000', '3.500'])
    """
    sizes = [abs(value) for value in values if value and math.isfinite(value)]
    digits = [3 - math.floor(math.log10(size)) for size in sizes]
    if not digits or not -6 < min(digits) < 12:
        return [_number(value) for value in values]
    decimals = max(0, min(max(digits), max(min(digits), 4)))
    return [
        f"{round(value, decimals) + 0.0:,.{decimals}f}" if math.isfinite(value) else _number(value)
        for value in values
    ]


def _table(rows: Sequence[Sequence[str]], width: int, right: set[int]) -> str:
    """A heading and rows in aligned columns, cut at the width; empty columns are left out."""
    columns = [*zip(*rows, strict=True)]
    widths = [max(map(len, column)) for column in columns]
    kept = [i for i, column in enumerate(columns) if any(column[1:])]
    lines = [
        GAP.join(f"{row[i]:>{widths[i]}}" if i in right else f"{row[i]:{widths[i]}}" for i in kept)
        for row in rows
    ]
    return "\n".join(_short(line.rstrip(), max(width, 40)) for line in lines)


def _cell(text: str) -> str:
    return _short(" ".join(text.split()), LONGEST)


def _short(text: str, most: int) -> str:
    """
    >>> _short("a longish name", 9)
    'a longis…'
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _number(value: float) -> str:
    """A figure at the length that a person compares.

    >>> _number(0.000123456), _number(1234567.8), _number(2012.0), _number(float("nan"))
    ('0.0001235', '1,234,568', '2012', '-')
    """
    if value != value:
        return "-"
    if 1e4 <= abs(value) < 1e9:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def _wrapped(line: str, width: int) -> str:
    return textwrap.fill(line, width, subsequent_indent="  ", break_on_hyphens=False)
