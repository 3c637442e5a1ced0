"""A table's rows as a network sees them: fitted once, saved with the weights, exported with them.

The work is in two steps. `raw` reads a table by the names of its columns, and looks words up, which
only Python can. `forward` does the rest (filling, scaling, encoding) on numbers alone, so that it
can be exported as it is. What cannot be a tensor is `spec`: it and the buffers are the whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, Field
from torch import Tensor, nn

from nnarch.data.preprocessing import cycles
from nnarch.data.preprocessing import scaling as scalings
from nnarch.data.preprocessing.conversion import WORDS, restated
from nnarch.data.preprocessing.encoders import Bags, Codes, Numbers, OneHot, Times
from nnarch.data.preprocessing.features import Feature, expressed, name_of_no
from nnarch.data.preprocessing.statistics import Statistics
from nnarch.data.table import Table
from nnarch.errors import DataError

KINDS = ("numeric", "boolean", "datetime", "categorical", "text")  # the order of raw columns


class TableSpec(BaseModel, extra="forbid"):
    """The spec of `TableInputs`, as JSON has it."""

    kind: Literal["table"]
    features: list[Feature]
    missing: Literal["median", "mean", "zero", "error"]
    scaling: Literal["standard", "robust", "quantile", "minmax", "none"]
    categories: Literal["one_hot", "embedding"]
    quantiles: Annotated[int, Field(ge=2, le=scalings.MOST_QUANTILES)]


class TableInputs(nn.Module):
    """From a table's rows to rows of numbers without gaps, words or units.

    Attributes:
        spec: plain JSON; `TableInputs(spec)` and `load_state_dict` make the same module again.
        names: the columns of a table that are needed.
        shape: (F',) of one sample of the result.
        output_names: of each resulting number.
        cardinalities: where categories are embedded, the result's last numbers are codes, below
            these; empty otherwise.
    """

    kind = "table"
    vocabulary = 0
    cardinalities: tuple[int, ...]

    def __init__(self, spec: Mapping[str, Any]):
        """Raises: ValueError for what is no spec."""
        super().__init__()
        checked = TableSpec.model_validate(dict(spec))
        features = sorted(checked.features, key=lambda feature: KINDS.index(feature.kind))
        of = {kind: [one for one in features if one.kind == kind] for kind in KINDS}
        self.features, self.missing = tuple(features), checked.missing
        self.spec: dict[str, Any] = {**dict(checked), "features": [_plain(one) for one in features]}
        self.names = tuple(feature.name for feature in features)
        if len(set(self.names)) < len(self.names):
            raise ValueError("two features have one name")
        if strange := {name for one in features for name in one.cycles} - cycles.CYCLES.keys():
            raise ValueError(f"there are no cycles {sorted(strange)}")
        asis = "none" if checked.scaling == "none" else "standard"
        scale = scalings.build(checked.scaling, len(of["numeric"]), checked.quantiles)
        self.numbers = Numbers(of["numeric"], scale)
        self.booleans = Numbers(of["boolean"], scalings.build(asis, len(of["boolean"])))
        self.times = Times(of["datetime"])
        self.texts = Bags(of["text"])
        one_hot = checked.categories == "one_hot"
        self.categories = OneHot(of["categorical"]) if one_hot else Codes(of["categorical"])
        parts = (self.numbers, self.booleans, self.times, self.texts, self.categories)
        self.output_names = [name for part in parts for name in part.names]
        self.shape = (len(self.output_names),)
        categories = self.categories
        self.cardinalities = categories.cardinalities if isinstance(categories, Codes) else ()
        self.widths = [len(of[kind]) for kind in KINDS[:-1]] + [sum(self.texts.widths)]

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> "TableInputs":
        return cls(spec)

    @classmethod
    def fit(
        cls, features: Sequence[Feature], statistics: Statistics, options: Mapping[str, Any]
    ) -> "TableInputs":
        """Fit to training rows.

        Args:
            features: of these rows, as `features.choose` gives them.
            statistics: of the training rows.
            options: `missing`, `scaling` and `categories` of a config's `data`.

        Raises: DataError where `missing` is "error" and a number is.
        """
        statistics = restated(statistics, {feature.name: feature.kind for feature in features})
        place = {column.name: i for i, column in enumerate(statistics.columns)}
        known = {
            kind: statistics.take([place[one.name] for one in features if one.kind == kind])
            for kind in KINDS
        }
        chosen = {key: options[key] for key in ("missing", "scaling", "categories")}
        quantiles = scalings.quantiles_for(known["numeric"])
        plain = [_plain(feature) for feature in features]
        made = cls({"kind": "table", "features": plain, "quantiles": quantiles, **chosen})
        made._refuse_gaps(
            {
                feature.name: int(statistics.missing[place[feature.name]])
                for feature in features
                if feature.kind not in WORDS
            },
            f"{statistics.rows:,} training rows",
        )
        made.numbers.fit(known["numeric"], chosen["missing"])
        made.booleans.fit(known["boolean"], chosen["missing"])
        made.times.fit(known["datetime"], chosen["missing"])
        made.texts.fit(known["text"], [feature for feature in features if feature.kind == "text"])
        return made

    def raw(self, table: Table) -> Tensor:
        """(N, F) float64 columns in the order of `names`, with NaN for gaps.

        A category is the code of its word; a text is the counts of its vocabulary, so many
        numbers. Columns of the table that are no features are left alone.

        Raises: DataError naming columns that are missing, or what a cell holds that it should not.
        """
        place = {column.name: i for i, column in enumerate(table.columns)}
        if absent := [name for name in self.names if name not in place]:
            advice = name_of_no(absent[0], table.input_names)
            raise DataError(f"data: no column {', '.join(map(repr, absent))}; {advice}")
        order = [place[feature.name] for feature in self.features if feature.kind != "text"]
        if order == list(range(len(table.columns))) and self._is_plain(table):
            return table.inputs.double()
        rows = table.inputs[:, order].double()  # a copy
        bags = []
        for i, feature in enumerate(self.features):
            column = table.columns[place[feature.name]]
            if column.kind != feature.kind or column.kind in WORDS or column.fault:
                cells = expressed(column, table.inputs[:, place[feature.name]].double(), feature)
                if feature.kind == "text":
                    bags.append(cells)
                else:
                    rows[:, i] = cells
        if self.missing == "error":
            numbers = [feature.name for feature in self.features if feature.kind not in WORDS]
            gaps = rows[:, : len(numbers)].isnan().sum(0).tolist()
            self._refuse_gaps(dict(zip(numbers, gaps, strict=True)), f"{len(rows):,} rows")
        return torch.cat([rows, *bags], 1) if bags else rows

    def _is_plain(self, table: Table) -> bool:
        """Whether a table that has the very columns needs no column looked at."""
        return self.missing != "error" and all(
            column.kind == feature.kind and column.kind not in WORDS and not column.fault
            for column, feature in zip(table.columns, self.features, strict=True)
        )

    def forward(self, raw: Tensor) -> Tensor:
        """(N, F') from what `raw` gives; finite in float32 too."""
        numbers, booleans, times, categories, texts = raw.split(self.widths, 1)
        parts = [
            self.numbers(numbers),
            self.booleans(booleans),
            self.times(times),
            self.texts(texts),
            self.categories(categories),
        ]
        there = [part for part in parts if part.shape[1]] or parts[:1]
        result = torch.cat(there, 1) if len(there) > 1 else there[0]  # of one part no copy
        return result.clamp(-scalings.LARGEST, scalings.LARGEST)

    def _refuse_gaps(self, gaps: Mapping[str, int], rows: str) -> None:
        if self.missing == "error" and any(gaps.values()):
            said = ", ".join(f"{name!r} in {count:,}" for name, count in gaps.items() if count)
            raise DataError(
                f"data: empty cells in {rows}: column {said}; expected none, or data.missing: "
                "median, mean or zero"
            )


def _plain(feature: Feature) -> dict[str, Any]:
    return {**asdict(feature), "words": list(feature.words), "cycles": list(feature.cycles)}
