"""What a person should know of the data before a second is spent on training.

All of it is seen through the functions that training uses: what is counted here are the rows that
would train, and what becomes of a column is read off the preprocessing that was fitted. It is
plain data, for programs; `datapage` makes a page of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nnarch import experiment, folds
from nnarch.baselines import baselines
from nnarch.check.datapage import as_text
from nnarch.compatibility import measured_by
from nnarch.config import Config
from nnarch.data import columnreport, identity, leaks, targetreport
from nnarch.data import dataset as datasets
from nnarch.data.array import Array
from nnarch.data.dataset import Dataset
from nnarch.data.parting import Samples
from nnarch.data.preprocessing.preprocess import Columns
from nnarch.data.preprocessing.statistics import Statistics, gather, sample_rows
from nnarch.data.sources.series import Series
from nnarch.data.split import PARTS, Parts
from nnarch.data.spool import blocks
from nnarch.data.table import Table
from nnarch.data.tokens import Tokens
from nnarch.sections import Split

__all__ = ["as_text", "report"]

UNEQUAL = 100  # times the rarest class
MOST_LEAKS = 5  # told one by one


def report(config: Config) -> dict[str, Any]:
    """What the data of a config is, as plain data; with folds, as the first of them has it.

    Raises: ConfigError or DataError where the data cannot be learnt so.
    """
    return report_on(*experiment.data_of(folds.configs(config)[0]))


def report_on(config: Config, data: Samples, dataset: Dataset) -> dict[str, Any]:
    """The same of what `experiment.data_of` has read and made ready.

    Raises: ConfigError or DataError where the data cannot be learnt so.
    """
    whole = datasets.whole(data, config.data)
    left_out = len(data) - len(whole)
    found = _Found(config, config.data, whole, left_out, dataset, dataset.chosen)
    said: dict[str, Any] = {
        "task": found.dataset.task.kind,
        "about": str(found.dataset.task),
        "rows": _rows(found),
        "target": targetreport.describe(
            found.data, found.dataset.task, found.chosen, found.spec["target_transform"]
        ),
        "samples": _samples(found),
    }
    if isinstance(found.data, Table):
        said["columns"] = _columns(found)
    said["baselines"] = _baselines(found)
    said["notes"] = list(found.dataset.notes)
    said["warnings"] = _warnings(said, found)
    return said


@dataclass(frozen=True)
class _Found:
    """The data of a config, made ready: `chosen` are the sample numbers of each part."""

    config: Config
    spec: Mapping[str, Any]
    data: Samples
    left_out: int
    dataset: Dataset
    chosen: Parts

    @cached_property
    def statistics(self) -> Statistics:
        """Of the columns of a table's training rows."""
        assert isinstance(self.data, Table)
        train = self.chosen["train"]
        sampled = sample_rows(len(train), self.spec["split"]["seed"])
        return gather(blocks(self.data.inputs, train), self.data.columns, sampled)


# Rows


def _rows(found: _Found) -> dict[str, Any]:
    sizes = {part: len(found.chosen[part]) for part in PARTS}
    shared = {"test": found.dataset.shared, "val": _shared(found, "val")}
    return {
        "noun": found.dataset.noun,
        "total": sum(sizes.values()),
        "parts": sizes,
        "parted": _parted(found.data, Split(**found.spec["split"]), found.dataset),
        "without_target": found.left_out,
        "shared": {part: {"count": n, "share": n / sizes[part]} for part, n in shared.items()},
    }


def _parted(data: Samples, how: Split, dataset: Dataset) -> str:
    """How rows came to their parts, in words."""
    drawn = f"at random (seed {how.seed})"
    if isinstance(data, Series) or how.time:
        return f"in order of {how.time or 'time'}"
    if data.parts is not None:
        named = len(data.parts.unique()) == len(PARTS)
        return "as the data has them" + ("" if named else f", the others {drawn}")
    if how.column:
        return f"by column {how.column}"
    if how.folds:
        drawn = f"fold {how.fold} of {how.folds}, {drawn}"
    if how.group:
        return f"{drawn}, rows of one {how.group} together"
    if isinstance(data, Tokens):
        return f"whole documents {drawn}"
    even = how.stratify and dataset.task.classes
    return f"{drawn}{', each class in equal shares' if even else ''}"


def _shared(found: _Found, part: str) -> int:
    task, names = found.dataset.task, found.dataset.input_names
    return identity.shared(found.data, task, names, found.chosen, part)


# Inputs


def _samples(found: _Found) -> dict[str, Any]:
    """What a sample is, and how many numbers the network gets of it."""
    data, inputs = found.data, found.dataset.inputs
    said: dict[str, Any] = {"shape": list(inputs.shape)}
    if isinstance(data, Table):
        said["features"] = len(found.dataset.input_names)
        tokens = {"vocabulary": inputs.vocabulary} if inputs.vocabulary else {}
        return {"kind": "table", **said, **tokens}
    if isinstance(data, Array):
        kind = str(data.inputs.dtype).removeprefix("torch.")
        return {"kind": "array", **said, "type": kind}
    if isinstance(data, Series):
        ends = {"lookback": data.lookback, "horizon": data.horizon}
        channels = {"channels": list(data.input_names), "predicted": list(data.channels)}
        return {"kind": "series", **said, "steps": len(data.inputs), **ends, **channels}
    sizes = {"documents": len(data.documents) - 1, "context": data.context}
    return {"kind": "tokens", **said, **sizes, "vocabulary": len(data.vocabulary)}


def _columns(found: _Found) -> list[dict[str, Any]]:
    data, made = found.data, found.dataset.preprocess.inputs
    assert isinstance(data, Table)
    assert isinstance(made, Columns)
    described = columnreport.describe(found.statistics, made, found.spec)
    away = columnreport.strange(found.statistics, made, data, found.chosen)
    return [one | away.get(one["name"], {}) for one in described]


# Baselines and warnings


def _baselines(found: _Found) -> list[dict[str, Any]]:
    wanted = measured_by(found.config, found.dataset.task)
    with found.config.locating("metrics"):
        made = baselines(found.dataset.task, found.dataset, wanted)
    return [{"name": one.name, "figures": dict(one.figures)} for one in made]


def _warnings(said: Mapping[str, Any], found: _Found) -> list[str]:
    """What is allowed, and is likely not meant."""
    warnings = []
    for part, shared in said["rows"]["shared"].items():
        if shared["count"]:
            warnings.append(
                f"{shared['count']:,} of {said['rows']['parts'][part]:,} {part} rows "
                f"({shared['share']:.1%}) are training rows as well"
            )
    warnings += _inequality(found)
    if isinstance(found.data, Table):
        warnings += columnreport.unused_parts(found.data, Split(**found.spec["split"]))
        warnings += _leaks(found)
        for key, what in (
            ("unseen", "val and test rows hold words that no training row has"),
            ("far", "val and test rows are over 10 deviations outside the training range"),
        ):
            counts = [f"{one['name']} ({one[key]:,})" for one in said["columns"] if one.get(key)]
            if counts:
                more = f" and {len(counts) - 10} more columns" if len(counts) > 10 else ""
                warnings.append(f"{what}: {', '.join(counts[:10])}{more}")
    return warnings


def _inequality(found: _Found) -> list[str]:
    task, rows = found.dataset.task, len(found.chosen["train"])
    if not task.counts or isinstance(found.data, Tokens):
        return []
    names, most, least = task.classes or task.targets, max(task.counts), min(task.counts)
    if task.kind == "multilabel":
        rare = [n for n, k in zip(names, task.counts, strict=True) if k * UNEQUAL <= rows]
        return [f"labels that hardly any training row has: {', '.join(rare)}"] if rare else []
    if most < UNEQUAL * least:
        return []
    often, rare = (names[task.counts.index(count)] for count in (most, least))
    return [
        f"classes are very unequal: {rare} has {least:,} training rows; always {often} would be "
        f"right in {most / rows:.1%}"
    ]


def _leaks(found: _Found) -> list[str]:
    assert isinstance(found.data, Table)
    made, task = found.dataset.preprocess.inputs, found.dataset.task
    assert isinstance(made, Columns)
    leaking = leaks.of_table(found.data, made, task, found.chosen)
    told = [str(leak) for leak in leaking[:MOST_LEAKS]]
    more = len(leaking) - len(told)
    return told + ([f"{more} more columns that alone tell the target"] if more else [])
