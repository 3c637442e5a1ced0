"""The target in numbers: each class with its rows in every part, or the bounds of a quantity."""

from typing import Any

from torch import Tensor

from nnarch.data.parting import Samples
from nnarch.data.sources.series import Series
from nnarch.data.split import Parts
from nnarch.data.task import Task, encode
from nnarch.data.tokens import Tokens

SKEWED = 3.0


def describe(
    data: Samples, task: Task, chosen: Parts, transform: str = "none"
) -> list[dict[str, Any]]:
    """Of each class or label its rows in every part; of each number what training rows hold.

    Args:
        chosen: sample numbers of the parts.
        transform: that of the target, `none` or `log1p`.
    """
    if isinstance(data, Series):
        end = int(data.starts[chosen["train"]].max()) + data.lookback + data.horizon
        channels = zip(data.channels, data.goals[:end].unbind(1), strict=True)
        return [_number(*channel, transform) for channel in channels]
    truth = data.ids if isinstance(data, Tokens) else encode(data, task)
    if task.kind == "regression":
        columns = zip(task.targets, truth[chosen["train"]].unbind(1), strict=True)
        return [_number(*column, transform) for column in columns]
    names = task.classes or task.targets
    counts = {part: _counts(truth[rows], len(names)) for part, rows in chosen.items()}
    shares = {part: [n / len(chosen[part]) for n in counts[part]] for part in chosen}
    return [
        {"name": name}
        | {part: {"count": counts[part][i], "share": shares[part][i]} for part in chosen}
        for i, name in enumerate(names)
    ]


def _counts(truth: Tensor, classes: int) -> list[int]:
    """How many rows are of each class, or have each label."""
    counts = truth.sum(0).long() if truth.dim() > 1 else truth.bincount(minlength=classes)
    return counts.tolist()


def _number(name: str, values: Tensor, transform: str) -> dict[str, Any]:
    values = values[~values.isnan()]
    least, skew = float(values.min()), skewness(values)
    helps = least >= 0 and skew > SKEWED and transform == "none"
    return {
        "name": name,
        "minimum": least,
        "mean": float(values.mean()),
        "maximum": float(values.max()),
        "skewness": skew,
        "hint": "data.target_transform: log1p may help" if helps else "",
    }


def skewness(values: Tensor) -> float:
    """The third standardised moment of the population; 0 for a constant."""
    if bool((values == values[0]).all()):
        return 0.0
    away = values - values.mean()
    return float(away.pow(3).mean() / away.square().mean().pow(1.5))
