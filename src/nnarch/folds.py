"""Cross-validation: one config as the configs of its folds, and their figures as one."""

import math
from collections.abc import Mapping, Sequence

from nnarch.config import Config


def configs(config: Config) -> list[Config]:
    """`config` for each of its folds; itself alone where it has none, or names one."""
    split = config.data["split"]
    if not split["folds"] or split["fold"]:
        return [config]
    return [_fold(config, fold) for fold in range(1, split["folds"] + 1)]


def _fold(config: Config, fold: int) -> Config:
    data = config.data | {"split": config.data["split"] | {"fold": fold}}
    return config.model_copy(update={"data": data, "name": f"{config.name[:70]}-fold{fold}"})


def summary(figures: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation (of a sample) of each figure over the folds.

    >>> summary([{"loss": 1.0}, {"loss": 2.0}, {"loss": 3.0}])
    {'mean': {'loss': 2.0}, 'sd': {'loss': 1.0}}
    """
    means = {name: math.fsum(one[name] for one in figures) / len(figures) for name in figures[0]}
    return {
        "mean": means,
        "sd": {
            name: math.sqrt(
                math.fsum((one[name] - mean) ** 2 for one in figures) / (len(figures) - 1)
            )
            for name, mean in means.items()
        },
    }
