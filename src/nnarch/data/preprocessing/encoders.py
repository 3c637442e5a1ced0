"""Features as numbers for a network: one module for each kind of column.

Each maps raw columns (N, F), with NaN for an empty cell, to (N, F') without; `names` says what
each of the F' is. All of it is fitted on the statistics of training rows.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nnarch.data.preprocessing import bagofwords, cycles
from nnarch.data.preprocessing.features import Feature
from nnarch.data.preprocessing.scaling import Scaling, Standardize
from nnarch.data.preprocessing.statistics import Statistics


class Numbers(nn.Module):
    """Gaps filled, then scaled; and 1 where a cell is empty, for columns with gaps in training."""

    fill: Tensor
    gaps: Tensor

    def __init__(self, features: Sequence[Feature], scaling: Scaling):
        super().__init__()
        self.names = [feature.name for feature in features] + _missing(features)
        self.register_buffer("fill", torch.zeros(len(features), dtype=torch.float64))
        self.register_buffer("gaps", _gaps(features), persistent=False)
        self.scaling = scaling

    def fit(self, statistics: Statistics, missing: str) -> None:
        self.fill = _fill(statistics, missing)
        self.scaling.fit(statistics)

    def forward(self, raw: Tensor) -> Tensor:
        scaled = self.scaling(torch.where(raw.isnan(), self.fill, raw))
        if not len(self.gaps):
            return scaled
        return torch.cat([scaled, raw[:, self.gaps].isnan().to(raw)], 1)


class Times(nn.Module):
    """The standardised time itself, and the waves of those cycles that training times move in."""

    fill: Tensor
    gaps: Tensor

    def __init__(self, features: Sequence[Feature]):
        super().__init__()
        self.cycles = [(i, cycle) for i, one in enumerate(features) for cycle in one.cycles]
        waves = [
            f"{features[i].name}: {cycle} {wave}"
            for i, cycle in self.cycles
            for wave in ("sin", "cos")
        ]
        self.names = [feature.name for feature in features] + waves + _missing(features)
        self.register_buffer("fill", torch.zeros(len(features), dtype=torch.float64))
        self.register_buffer("gaps", _gaps(features), persistent=False)
        self.trend = Standardize(len(features))

    def fit(self, statistics: Statistics, missing: str) -> None:
        self.fill = _fill(statistics, "median" if missing == "zero" else missing)  # 0 is in 1970
        self.trend.fit(statistics)

    def forward(self, raw: Tensor) -> Tensor:
        filled = torch.where(raw.isnan(), self.fill, raw)
        waves = [wave for i, cycle in self.cycles for wave in cycles.waves(filled[:, i], cycle)]
        columns = [wave.unsqueeze(1) for wave in waves]
        return torch.cat([self.trend(filled), *columns, raw[:, self.gaps].isnan().to(raw)], 1)


class OneHot(nn.Module):
    """A number for each category, 1 where a row is of it.

    One more stands for rare words and one for gaps, where training had such; where it had none,
    a word or gap that comes later is zeros.
    """

    column: Tensor
    code: Tensor

    def __init__(self, features: Sequence[Feature]):
        super().__init__()
        self.names: list[str] = []
        places: list[tuple[int, int]] = []
        for i, feature in enumerate(features):
            known = len(feature.words)
            self.names += [f"{feature.name}={word}" for word in feature.words]
            self.names += [f"{feature.name} other"] * feature.rare
            self.names += [f"{feature.name} missing"] * feature.gaps
            codes = [*range(known), *[known] * feature.rare, *[-1] * feature.gaps]
            places += [(i, code) for code in codes]
        column, code = torch.tensor(places, dtype=torch.int64).reshape(-1, 2).unbind(1)
        self.register_buffer("column", column.clone(), persistent=False)
        self.register_buffer("code", code.clone(), persistent=False)

    def forward(self, raw: Tensor) -> Tensor:
        codes = torch.where(raw.isnan(), -1, raw)
        return (codes[:, self.column] == self.code).to(raw)


class Codes(nn.Module):
    """A code for each row, to look up an embedding: of a known word, any other word, or a gap."""

    cardinality: Tensor

    def __init__(self, features: Sequence[Feature]):
        super().__init__()
        self.names = [feature.name for feature in features]
        self.cardinalities = tuple(len(feature.words) + 2 for feature in features)
        sizes = torch.tensor(self.cardinalities, dtype=torch.float64)
        self.register_buffer("cardinality", sizes, persistent=False)

    def forward(self, raw: Tensor) -> Tensor:
        return torch.where(raw.isnan(), self.cardinality - 1, raw)


class Bags(nn.Module):
    """Counts of words weighed by how rare a word is in training (tf-idf), each text of length 1."""

    rarity: Tensor

    def __init__(self, features: Sequence[Feature]):
        super().__init__()
        self.widths = [len(feature.words) for feature in features]
        self.names = [f"{feature.name}: {word}" for feature in features for word in feature.words]
        self.register_buffer("rarity", torch.zeros(sum(self.widths), dtype=torch.float64))

    def fit(self, statistics: Statistics, features: Sequence[Feature]) -> None:
        rarities = [torch.zeros(0, dtype=torch.float64)]
        for column, counts, feature in zip(
            statistics.columns, statistics.counts, features, strict=True
        ):
            assert counts is not None
            rarities.append(bagofwords.rarity(column.words, counts, feature.words))
        self.rarity = torch.cat(rarities)

    def forward(self, raw: Tensor) -> Tensor:
        weighed = (raw * self.rarity).split(self.widths, 1) if self.widths else [raw]
        return torch.cat([nn.functional.normalize(text, dim=1) for text in weighed], 1)


def _fill(statistics: Statistics, missing: str) -> Tensor:
    """(F,) what stands in for an empty cell."""
    if missing == "zero":
        return torch.zeros_like(statistics.mean)
    if missing == "mean":
        return statistics.mean.clone()
    return statistics.quantiles(torch.tensor([0.5]))[0]


def _gaps(features: Sequence[Feature]) -> Tensor:
    return torch.tensor([i for i, one in enumerate(features) if one.gaps], dtype=torch.int64)


def _missing(features: Sequence[Feature]) -> list[str]:
    return [f"{feature.name} missing" for feature in features if feature.gaps]
