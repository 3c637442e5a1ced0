"""Figures as Markdown, ready to be pasted."""

import os
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ["torch", "scikit-learn", "skorch", "lightning", "keras"]
NONE = "-"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """A table whose first `words` columns are words and the others figures.

    >>> print(table(["widths", "ratio"], [["20", "3.1"]]))
    | widths | ratio |
    |:-------|------:|
    | 20     |   3.1 |
    """
    lines = [list(head), *map(list, rows)]
    lengths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = [
        ":" + "-" * (length + 1) if place < words else "-" * (length + 1) + ":"
        for place, length in enumerate(lengths)
    ]
    shown = [
        "".join(
            f"| {cell:<{length}} " if place < words else f"| {cell:>{length}} "
            for place, (cell, length) in enumerate(zip(line, lengths, strict=True))
        )
        + "|"
        for line in lines
    ]
    return "\n".join([shown[0], "|" + "|".join(rule) + "|", *shown[1:]])


def seconds(value: float) -> str:
    """A time in three digits, and the unit that needs no zeros.

    >>> seconds(1.2345), seconds(0.012345), seconds(0.000012345)
    ('1.23 s', '12.3 ms', '12.3 µs')
    """
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if value * factor >= 1:
            return f"{digits(value * factor)} {unit}"
    return f"{digits(value * 1e6)} µs"


def digits(value: float) -> str:
    """A positive number in three digits.

    >>> digits(0.523), digits(4.126), digits(41.26), digits(412.6)
    ('0.52', '4.13', '41.3', '413')
    """
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def machine() -> str:
    """What the figures were measured on, in a line."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    packages = ", ".join(f"{name} {found}" for name in PACKAGES if (found := _version(name)))
    return (
        f"{_processor()}, {os.cpu_count()} cores, load {load:.1f}, "
        f"Python {platform.python_version()}, {packages}"
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
