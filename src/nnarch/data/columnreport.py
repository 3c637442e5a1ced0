"""The columns of a table in words: what they hold, and what becomes of them.

Read off the statistics of training rows and the preprocessing that was fitted to them, so that it
says what happened and not what should have. Values of later rows are held against both.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import torch
from torch import Tensor

from nnarch.data.parting import WORDS, keys
from nnarch.data.preprocessing import features
from nnarch.data.preprocessing.features import Feature
from nnarch.data.preprocessing.preprocess import Columns
from nnarch.data.preprocessing.statistics import Statistics
from nnarch.data.split import PARTS, Parts
from nnarch.data.spool import blocks
from nnarch.data.table import Column, Table
from nnarch.sections import Split

FAR = 10  # deviations
SHOWN = 3  # words
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def describe(
    statistics: Statistics, made: Columns, spec: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Each column: name, kind, share of empty cells, what it holds, and what becomes of it.

    Args:
        statistics: of all columns of the training rows.
        spec: the `data` of a config.
    """
    used = {feature.name: feature for feature in made.features}
    described = []
    for i, column in enumerate(statistics.columns):
        feature, one = used.get(column.name), statistics.take([i])
        described.append(
            {
                "name": column.name,
                "kind": column.kind,
                "missing": int(one.missing) / max(statistics.rows, 1),
                **_held(column, one),
                "feature": feature is not None,
                "becomes": _becomes(feature, spec) if feature else _why_not(one, spec),
            }
        )
    return described


def _held(column: Column, one: Statistics) -> dict[str, Any]:
    """What training rows hold: the bounds of numbers, or how many words and the commonest."""
    counts = one.counts[0]
    if counts is not None:
        often = counts.argsort(descending=True, stable=True)[:SHOWN].tolist()
        commonest = [column.words[i] for i in often if counts[i]]
        return {"distinct": int((counts > 0).sum()), "commonest": commonest}
    if not int(one.filled):
        return {}
    least, most = float(one.minimum), float(one.maximum)
    if column.kind == "datetime":
        return {"minimum": _date(least), "maximum": _date(most)}
    return {"minimum": least, "maximum": most}


def _date(seconds: float) -> str:
    when = EPOCH + timedelta(seconds=round(seconds))
    return when.strftime("%Y-%m-%d" if seconds % 86400 == 0 else "%Y-%m-%d %H:%M")


def _becomes(feature: Feature, spec: Mapping[str, Any]) -> str:
    """What the network is told of a column.

    >>> _becomes(Feature("x", "categorical", ("a", "b"), rare=True), {"categories": "one_hot"})
    'one of 2 categories or another'
    """
    gap = ", or a gap" if feature.gaps else ""
    if feature.kind == "datetime":
        return f"date -> {1 + 2 * len(feature.cycles) + feature.gaps} numbers"
    if feature.kind == "text":
        first = f"first {spec['text_length']:,} of " if spec["text"] == "tokens" else ""
        return f"text -> {first}{len(feature.words):,} words"
    if feature.kind == "categorical":
        learnt = ", embedded" if spec["categories"] == "embedding" else ""
        other = " or another" if feature.rare else ""
        return f"one of {len(feature.words):,} categories{other}{gap}{learnt}"
    return ("number" if feature.kind == "numeric" else "yes or no") + gap


def _why_not(one: Statistics, spec: Mapping[str, Any]) -> str:
    """Why a column is not learnt from."""
    name, columns = one.columns[0].name, spec["columns"]
    if name in keys(Split(**spec["split"])):
        return "parts the rows"
    if name in spec["ignore"] or spec["types"].get(name) == "ignore":
        return "ignored, as told"
    if columns is not None and name not in columns:
        return "ignored: not in data.columns"
    return f"ignored: {features.why_not(one)}"


def strange(
    statistics: Statistics, made: Columns, table: Table, chosen: Parts
) -> dict[str, dict[str, int]]:
    """How many val and test rows hold what training rows do not, of features that are as they look.

    `unseen` counts words that no training row has, `far` numbers that lie more than `FAR`
    deviations outside the training range.
    """
    kinds = {feature.name: feature.kind for feature in made.features}
    alike = [column.kind == kinds.get(column.name) for column in table.columns]
    words, numbers = (
        [i for i, column in enumerate(table.columns) if alike[i] and column.kind == kind]
        for kind in ("categorical", "numeric")
    )
    later = torch.cat([chosen["val"], chosen["test"]]).sort().values
    room = FAR * statistics.deviation
    room = room.masked_fill(room == 0, torch.inf)[numbers]
    low, high = statistics.minimum[numbers] - room, statistics.maximum[numbers] + room
    far = torch.zeros(len(numbers), dtype=torch.int64)
    unseen = dict.fromkeys(words, 0)
    for block in blocks(table.inputs, later):
        cells = block[:, numbers]
        far += ((cells < low) | (cells > high)).sum(0)
        for i in words:
            unseen[i] += _unseen(block[:, i], statistics.counts[i])
    counts = {table.columns[i].name: {"unseen": n} for i, n in unseen.items()}
    for i, n in zip(numbers, far.tolist(), strict=True):
        counts[table.columns[i].name] = {"far": n}
    return counts


def _unseen(codes: Tensor, counts: Tensor | None) -> int:
    assert counts is not None
    codes = codes[~codes.isnan()].long()
    return int((counts[codes] == 0).sum())


def unused_parts(table: Table, how: Split) -> list[str]:
    """A column that seems to say of each row which part it is for, and is not asked."""
    if how.column or table.parts is not None:
        return []
    return [
        f"column {column.name!r} holds {', '.join(column.words)}; data.split.column: {column.name} "
        "would part the rows by it"
        for column in table.columns
        if len({WORDS.get(word.lower(), word) for word in column.words} & {*PARTS}) > 1
        and all(word.lower() in WORDS for word in column.words)
    ]
