"""What a user should know before a search: what is learnt, what is tried, and at what cost."""

import math
from collections.abc import Iterator

from nnarch import opening
from nnarch.progress import MANY
from nnarch.registry import pruners
from nnarch.searching.exploring import Exploring


def sentences(exploring: Exploring) -> list[str]:
    """What is about to happen."""
    return [
        *opening.of_data(next(iter(exploring.datasets.values()))),
        _of_space(exploring),
        _of_sampler(exploring),
        _of_work(exploring),
        *_of_pruner(exploring),
        *_of_earlier(exploring),
    ]


def _of_space(exploring: Exploring) -> str:
    space = exploring.exploration.space
    open_values = len(space.variables)
    points = "infinitely many" if space.size == math.inf else f"{space.size:,}"
    return f"{open_values} value{'s' * (open_values != 1)} open, {points} points"


def _of_sampler(exploring: Exploring) -> str:
    search = exploring.exploration.search
    tried = f"{exploring.points:,} of them"
    if exploring.points < exploring.exploration.trials:
        tried = f"all {exploring.points:,} that there are"
    elif exploring.points == MANY:
        tried = "as many as there is time for"
    seeds = f", each with {search.seeds} seeds" if search.seeds > 1 else ""
    bounds = f" where {' and '.join(search.constraints)}" if search.constraints else ""
    objectives = " and ".join(exploring.objectives)
    return f"{search.sampler['name']} tries {tried}{seeds}, for {objectives}{bounds}"


def _of_work(exploring: Exploring) -> str:
    search, first = exploring.exploration.search, exploring.first
    processes = "in this process" if exploring.workers == 1 else f"{exploring.workers} processes"
    told = [f"{processes} on {exploring.device}"]
    if not any(each.path == ("epochs",) for each in exploring.exploration.space.variables):
        told.append(f"up to {first.epochs} epochs a trial")
    if search.pruner:
        told.append(f"pruned by {search.pruner['name']}")
    if search.seconds:
        told.append(f"{search.seconds:g} seconds in all")
    return ", ".join(told)


def _of_pruner(exploring: Exploring) -> Iterator[str]:
    pruner, epochs = exploring.exploration.search.pruner, exploring.first.epochs
    if pruner and not next(pruners.build(pruner).brackets(epochs, 1)).kept:
        least = pruner["factor"] * pruner["min_epochs"]
        yield (
            f"{pruner['name']} prunes nothing: {epochs} epochs are fewer than factor times "
            f"min_epochs, {least}"
        )


def _of_earlier(exploring: Exploring) -> Iterator[str]:
    if exploring.earlier:
        where = exploring.exploration.search.warm_start
        yield f"{len(exploring.earlier):,} trials of {where} are known beforehand"
