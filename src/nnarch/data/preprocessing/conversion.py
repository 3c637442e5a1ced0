"""A column told as another kind: words that are numbers, numbers that name categories, dates.

A config may say that a column is not what it looks like, and a file may show a column in another
way than the training file did: a category of "1" and "2" reads as numbers where no other word is
in sight. What is not the same thing in both tellings is refused, with the word at fault.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nnarch.data.formats import dates
from nnarch.data.preprocessing.statistics import Statistics, gather
from nnarch.data.table import Column, ColumnKind
from nnarch.data.task import spelt
from nnarch.errors import DataError
from nnarch.lazy import LazyModule

if TYPE_CHECKING:
    import polars as pl
else:
    pl = LazyModule("polars")

WORDS = ("categorical", "text")
BOOLEANS = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1"), 1.0),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0"), 0.0),
}
TOLD = {0.0: "false", 1.0: "true"}
EXPECTED = {
    "numeric": "a number",
    "boolean": "true or false, yes or no, 1 or 0",
    "datetime": "a date such as 2024-05-31 or 2024-05-31T23:59:59",
}
MOMENTS = ("missing", "mean", "deviation", "minimum", "maximum", "integral")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def as_kind(column: Column, values: Tensor, kind: ColumnKind) -> tuple[Column, Tensor]:
    """The cells `values` (N,) of a column, told as `kind`.

    Raises: DataError where a word is not of this kind, or numbers are no dates.
    """
    if column.kind == kind or bool(values.isnan().all()):
        words = column.words if kind in WORDS else ()
        return replace(column, kind=kind, words=words), values
    if kind in WORDS:
        if column.kind in WORDS:
            return replace(column, kind=kind), values
        return _worded(column, values, kind)
    if column.kind in WORDS:
        words, codes = held(column.words, values)
        return Column(column.name, kind), look_up(_meanings(column.name, words, kind), codes)
    if (column.kind, kind) == ("boolean", "numeric"):
        return Column(column.name, kind), values
    if (column.kind, kind) == ("numeric", "boolean"):
        other = values[(values != 0) & (values != 1) & ~values.isnan()]
        if not len(other):
            return Column(column.name, kind), values
        raise _unlike(column.name, spelt(float(other[0])), kind)
    cells = "dates" if column.kind == "datetime" else "numbers"
    raise DataError(f"data: column {column.name!r} holds {cells}; expected {EXPECTED[kind]}")


def coded(column: Column, values: Tensor, words: Sequence[str]) -> Tensor:
    """The cells (N,) as indices of `words`; `len(words)` for any other word."""
    index = {word: float(code) for code, word in enumerate(words)}
    if column.kind in ("boolean", "numeric"):  # its words are gone; those of training say the same
        for code, word in enumerate(words):
            index.setdefault(_as_told(word, column.kind), float(code))
    column, values = as_kind(column, values, "categorical")
    those, values = held(column.words, values)
    return look_up([index.get(word, float(len(words))) for word in those], values)


def held(words: tuple[str, ...], codes: Tensor) -> tuple[tuple[str, ...], Tensor]:
    """The words that `codes` (N,) stand for, without others if there are many, and their codes."""
    if len(words) <= len(codes):
        return words, codes
    filled = ~codes.isnan()
    used, places = codes[filled].long().unique(return_inverse=True)
    fewer = codes.clone()
    fewer[filled] = places.double()
    return tuple(words[code] for code in used.tolist()), fewer


def look_up(meanings: Sequence[float], codes: Tensor) -> Tensor:
    """What each code stands for; NaN for NaN."""
    table = torch.tensor([*meanings, torch.nan], dtype=torch.float64)
    return table[codes.nan_to_num(len(meanings)).long()]


def restated(statistics: Statistics, kinds: Mapping[str, ColumnKind]) -> Statistics:
    """The statistics as they are where the columns named are told as other kinds.

    Words are counted, so what they mean is known of every row; which words there are among
    numbers is known of the sample.
    """
    changed = [
        i
        for i, column in enumerate(statistics.columns)
        if kinds.get(column.name, column.kind) != column.kind
    ]
    columns, counts = list(statistics.columns), list(statistics.counts)
    sample = statistics.sample.clone() if changed else statistics.sample
    moments = {name: getattr(statistics, name).clone() for name in MOMENTS}
    for i in changed:
        one = _retold(statistics.take([i]), kinds[columns[i].name])
        columns[i], counts[i], sample[:, i] = one.columns[0], one.counts[0], one.sample[:, 0]
        for name in MOMENTS:
            moments[name][i] = getattr(one, name)[0]
    told: dict[str, Any] = {**moments, "columns": tuple(columns), "counts": tuple(counts)}
    return replace(statistics, sample=sample, **told)


def _as_told(word: str, kind: ColumnKind) -> str:
    """How a column of numbers or booleans says a word, after `as_kind`; the word if it cannot."""
    value = _number(word) if kind == "numeric" else _boolean(word)
    if value is None:
        return word
    return spelt(value) if kind == "numeric" else TOLD[value]


def _retold(one: Statistics, kind: ColumnKind) -> Statistics:
    column, sample, counts = one.columns[0], one.sample[:, 0], one.counts[0]
    if counts is None:
        values = sample
    else:
        codes = torch.arange(len(counts)).repeat_interleave(counts).double()
        values = torch.cat([codes, torch.full((int(one.missing),), torch.nan).double()])
        seen = counts > 0  # what other rows say is not to be known here, nor to be refused
        column, values, sample = _only(column, seen, values, sample)
    told, values = as_kind(column, values, kind)
    _, sample = as_kind(column, sample, kind)
    made = gather([values.unsqueeze(1)], [told], torch.arange(0))
    return replace(made, sample=sample.unsqueeze(1))


def _only(
    column: Column, seen: Tensor, values: Tensor, sample: Tensor
) -> tuple[Column, Tensor, Tensor]:
    places = (seen.cumsum(0) - 1).tolist()
    words = tuple(word for word, kept in zip(column.words, seen.tolist(), strict=True) if kept)
    return replace(column, words=words), look_up(places, values), look_up(places, sample)


def _worded(column: Column, values: Tensor, kind: ColumnKind) -> tuple[Column, Tensor]:
    spell: Callable[[float], str] = spelt
    if column.kind == "boolean":
        spell = TOLD.__getitem__
    elif column.kind == "datetime":
        spell = _date
    filled = ~values.isnan()
    distinct, codes = values[filled].unique(return_inverse=True)
    indices = torch.full_like(values, torch.nan)
    indices[filled] = codes.double()
    return Column(column.name, kind, tuple(map(spell, distinct.tolist()))), indices


def _date(seconds: float) -> str:
    return str((EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None)).removesuffix(" 00:00:00")


def _meanings(name: str, words: Sequence[str], kind: ColumnKind) -> list[float]:
    """What each word of the column `name` says as `kind`. Raises: DataError where it says none."""
    meanings: list[float] = []
    if kind == "datetime":
        found = dates.seconds(pl.Series(words, dtype=pl.String), "year first").to_list()
    else:
        found = [_boolean(word) if kind == "boolean" else _number(word) for word in words]
    for word, value in zip(words, found, strict=True):
        if value is None:
            raise _unlike(name, word, kind)
        meanings.append(value)
    return meanings


def _boolean(word: str) -> float | None:
    return BOOLEANS.get(word.strip().lower())


def _number(word: str) -> float | None:
    try:
        value = float(word)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in word else None


def _unlike(name: str, word: str, kind: ColumnKind) -> DataError:
    shown = word if len(word) <= 60 else f"{word[:57]}..."
    return DataError(f"data: column {name!r} holds {shown!r}; expected {EXPECTED[kind]}")
