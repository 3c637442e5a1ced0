"""Which columns of a table are learnt from, and as what.

A table holds more than features: row numbers, names, columns that say the same of every row. They
are left out, and said to be, since a network would learn them by heart; a config that names a
column in `data.columns` or `data.types` has the last word. All is seen from training rows.
"""

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from torch import Tensor

from nnarch.data.preprocessing import bagofwords, cycles
from nnarch.data.preprocessing.conversion import as_kind, coded, restated
from nnarch.data.preprocessing.statistics import Statistics
from nnarch.data.table import Column, ColumnKind
from nnarch.errors import ConfigError, DataError
from nnarch.registry import suggestion

MOST_CATEGORIES = 255
FEW_ROWS = 100  # below, a word that stands once is a category too
MOST_NAMES = 30  # in a message

NAME_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
IDENTIFYING = {"id", "uuid", "guid", "key", "index", "idx", "no", "nr"}
NUMBERS = ("row", "record", "serial", "line", "case", "sample")


@dataclass(frozen=True)
class Feature:
    """A column that is learnt from.

    Attributes:
        words: the categories, each with its index as code, one more code being that of any other
            word; or a text's vocabulary; empty for other kinds.
        gaps: whether cells were empty in training.
        rare: whether training rows held other words.
        cycles: the names of those `cycles.CYCLES` that training times move in.
    """

    name: str
    kind: ColumnKind
    words: tuple[str, ...] = ()
    gaps: bool = False
    rare: bool = False
    cycles: tuple[str, ...] = ()


def choose(
    columns: Sequence[Column],
    statistics: Statistics,
    options: Mapping[str, Any],
    excluded: Collection[str] = (),
) -> tuple[list[Feature], list[str]]:
    """The features, and what was left out, in words.

    Args:
        columns: of the table.
        statistics: of its training rows.
        options: `columns`, `ignore`, `types` and `text` of a config's `data`.
        excluded: columns with another use, left out unless `columns` names them.

    Raises: ConfigError for a name that is no column, DataError where nothing is left, or a column
    that is used cannot be.
    """
    types = options.get("types") or {}
    named = {*(options.get("columns") or ()), *types}
    statistics = restated(statistics.take(_used(columns, options, excluded)), types)
    features: list[Feature] = []
    ignored: dict[str, list[str]] = {}
    for i, column in enumerate(statistics.columns):
        one = statistics.take([i])
        if column.name not in types and _reads_as_text(one):
            one = restated(one, {column.name: "text"})
        feature = _feature(one)
        hopeless = _hopeless(feature, one)
        if hopeless and column.name in named:
            raise DataError(f"data: column {column.name!r} cannot be learnt from: {hopeless}")
        reason = hopeless or ("" if column.name in named else _useless(one))
        if reason:
            ignored.setdefault(reason, []).append(column.name)
        else:
            features.append(feature)
    told = {column.name for column in columns if column.kind == "text"} | types.keys()
    if options.get("text") == "tokens":
        told |= {feature.name for feature in features}  # by what reads them so
    return features, _notes(features, ignored, told)


def why_not(one: Statistics) -> str:
    """Why nothing is to be learnt from a column, which nobody named; empty where something is."""
    if _reads_as_text(one):
        one = restated(one, {one.columns[0].name: "text"})
    return _hopeless(_feature(one), one) or _useless(one)


def expressed(column: Column, values: Tensor, feature: Feature) -> Tensor:
    """The cells (N,) of a column of any table as the numbers that `feature` stands for.

    Those are codes of its words, `len(words)` for any other word; or (N, V) counts for a text.

    Raises: DataError where a cell is not of the feature's kind, or the column cannot be used.
    """
    if column.fault:
        raise DataError(column.fault)
    if feature.kind == "categorical":
        return coded(column, values, feature.words)
    column, values = as_kind(column, values, feature.kind)
    return (
        bagofwords.bags(column.words, values, feature.words) if feature.kind == "text" else values
    )


def name_of_no(column: str, names: Sequence[str]) -> str:
    """What a message adds to the name of a column that is not there."""
    known = list(names)
    if len(known) > MOST_NAMES:
        known = get_close_matches(column, known, MOST_NAMES, cutoff=0)
        known.append(f"... ({len(names)} columns)")
    return suggestion(column, known)


def _used(
    columns: Sequence[Column], options: Mapping[str, Any], excluded: Collection[str]
) -> list[int]:
    """Indices of the columns that the config and the split leave, none of which has a fault."""
    names = [column.name for column in columns]
    wanted, types = options.get("columns"), options.get("types") or {}
    ignore = options.get("ignore") or ()
    for key, given in (("columns", wanted or ()), ("ignore", ignore), ("types", types)):
        if unknown := [name for name in given if name not in names and name not in excluded]:
            advice = name_of_no(unknown[0], names)
            raise ConfigError(f"data.{key}: no column is called {unknown[0]!r}; {advice}")
    if twice := [name for name in wanted or () if (wanted or ()).count(name) > 1]:
        raise ConfigError(f"data.columns: {twice[0]!r} is named twice; expected it once")
    if both := [name for name in ignore if name in (wanted or ())]:
        raise ConfigError(f"data.ignore: {both[0]!r} is in data.columns too; expected it in one")
    left_out = {*ignore, *(name for name, kind in types.items() if kind == "ignore")}
    left_out |= set(excluded) if wanted is None else set(names) - set(wanted)
    used = [i for i, name in enumerate(names) if name not in left_out]
    for i in used:
        if columns[i].fault:
            raise DataError(columns[i].fault)
    return used


def _feature(one: Statistics) -> Feature:
    column, gaps = one.columns[0], bool(one.missing)
    if column.kind == "datetime":
        return Feature(column.name, column.kind, gaps=gaps, cycles=cycles.moving(one.sample[:, 0]))
    if column.kind not in ("categorical", "text"):
        return Feature(column.name, column.kind, gaps=gaps)
    counts = one.counts[0]
    assert counts is not None
    if column.kind == "text":
        return Feature(column.name, "text", bagofwords.vocabulary(column.words, counts), gaps)
    often = {word: n for word, n in zip(column.words, counts.tolist(), strict=True) if n}
    least = 1 if one.rows < FEW_ROWS else 2
    usual = [word for word in _in_order(often) if often[word] >= least]
    commonest = sorted(usual, key=lambda word: -often[word])[:MOST_CATEGORIES]
    rare = len(often) > len(commonest)
    return Feature(column.name, "categorical", _in_order(commonest), gaps, rare)


def _hopeless(feature: Feature, one: Statistics) -> str:
    """Why nothing can be learnt from a column, whatever the config says."""
    if not int(one.filled):
        return "empty"
    return "no word stands in two rows" if feature.kind == "text" and not feature.words else ""


def _useless(one: Statistics) -> str:
    """Why nothing is to be learnt from a column, as far as can be seen."""
    column, filled, counts = one.columns[0], int(one.filled), one.counts[0]
    distinct = int((counts > 0).sum()) if counts is not None else None
    constant = distinct == 1 if distinct is not None else bool(one.minimum == one.maximum)
    if constant and filled == one.rows:
        return "constant"
    if column.kind == "numeric" and bool(one.integral) and _counts_rows(one):
        return "identifiers"
    if column.kind != "categorical" or distinct is None:
        return ""
    if distinct == filled >= 20 and _is_identifying(column.name):
        return "identifiers"
    if 2 * distinct > filled >= 20:
        return "identifiers"
    if distinct > 50 and 10 * distinct > one.rows:
        return f"{distinct:,} different words in {one.rows:,} rows"
    return ""


def _counts_rows(one: Statistics) -> bool:
    """Whether whole numbers are all different, and without large gaps or of a telling name."""
    filled, extent = int(one.filled), float(one.maximum - one.minimum) + 1
    dense = filled >= 50 and filled <= extent <= 2 * filled
    if not dense and not (filled >= 20 and _is_identifying(one.columns[0].name)):
        return False
    cells = one.sample[~one.sample.isnan()]
    return len(cells.unique()) == len(cells)


def _is_identifying(name: str) -> bool:
    """
    >>> [name for name in ("CustomerId", "paid", "Solid", "order_no") if _is_identifying(name)]
    ['CustomerId', 'order_no']
    """
    parts = [part.lower() for part in NAME_PARTS.findall(name)] or [""]
    if not name or parts[0] == "unnamed":
        return True  # as row numbers often are
    numbered = len(parts) > 1 and parts[-1] == "number" and parts[-2] in NUMBERS
    return parts[-1] in IDENTIFYING or parts[0] in ("id", "uuid", "guid") or numbered


def _reads_as_text(one: Statistics) -> bool:
    """Whether most rows have words of their own, and several of them."""
    column, counts = one.columns[0], one.counts[0]
    if column.kind != "categorical" or counts is None or _is_identifying(column.name):
        return False
    seen = [word for word, n in zip(column.words, counts.tolist(), strict=True) if n]
    if not 2 * len(seen) > int(one.filled) >= 20:
        return False
    return sum(len(word.split()) for word in seen) >= 3 * len(seen)


def _in_order(words: Iterable[str]) -> tuple[str, ...]:
    """Numbers by size, words by alphabet."""
    ordered = sorted(words)  # first, so that "1" and "01" come in one order in every process
    try:
        sizes = {word: float(word) for word in ordered}
    except ValueError:
        return tuple(ordered)
    finite = all(math.isfinite(size) for size in sizes.values())
    return tuple(sorted(ordered, key=sizes.__getitem__)) if finite else tuple(ordered)


def _notes(
    features: Sequence[Feature], ignored: Mapping[str, Sequence[str]], told: Collection[str]
) -> list[str]:
    """What was inferred; the kind of columns `told` was not."""
    said = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in ignored.items())
    if not features:
        why = f" (ignored: {said})" if said else ""
        raise DataError(
            f"data: no column is left to learn from{why}; expected one that is of use, or named "
            "in data.columns"
        )
    read = [
        f"{feature.name}: free text, read as how often each of {len(feature.words):,} words occurs"
        for feature in features
        if feature.kind == "text" and feature.name not in told
    ]
    return ([f"ignored: {said}"] if said else []) + read
