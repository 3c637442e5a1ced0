"""How the trials of a round are dealt out: tasks that make large stacks, and end about together.

A stack holds networks of one kind, so trials that look alike go to one worker. Tasks are still
several for each worker and begin with the longest, so that none waits long for the last.
"""

import json
import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from nnarch.searching.proposals import Planned
from nnarch.stacked.grouping import evenly

FEW, MANY = 24, 128  # trials of a task: fewer make no stack that is worth it, more no faster one
EACH = 2  # tasks for a worker, if there are trials enough; one, if they are fewer


def dealt(planned: Sequence[Planned], workers: int) -> list[list[Planned]]:
    """Trials in tasks, the longest first."""
    one, several = (math.ceil(len(planned) / (each * workers)) for each in (1, EACH))
    most = min(MANY, max(min(FEW, one), several))
    tasks: list[list[Planned]] = []
    for _, group in groupby(sorted(planned, key=_order), key=lambda each: _order(each)[:2]):
        alike = list(group)
        if tasks and len(tasks[-1]) + len(alike) <= most:
            tasks[-1] += alike
        else:
            tasks += map(list, evenly(alike, most))
    return sorted(tasks, key=lambda task: -sum(_size(each.config.model) for each in task))


def _order(each: Planned) -> tuple[str, str, float]:
    """Trials that differ in numbers alone come to stand beside each other, the small first.

    Next to them stand those that differ in their activation, with which they can share a stack.
    """
    config, model = each.config, each.config.model
    others = [config.optimizer["name"], config.batch_size, config.seed]
    without = {key: value for key, value in model.items() if key != "activation"}
    alike = json.dumps([_shape(without), *others])
    return alike, json.dumps(model.get("activation")), _size(model)


def _shape(value: Any) -> Any:
    """`value` with every number left out."""
    if isinstance(value, dict):
        return {key: _shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_shape(inner) for inner in value]
    return value if isinstance(value, str | bool) or value is None else 0


def _size(value: Any) -> float:
    """About how large the numbers of a model are, together."""
    if isinstance(value, dict):
        return sum(map(_size, value.values()))
    if isinstance(value, list):
        return sum(map(_size, value))
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else 0.0
