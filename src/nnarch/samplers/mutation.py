"""Small changes of a point: what makes its neighbours.

A variable that is changed moves a little where its values have an order, and mostly so: a wider
network, a smaller learning rate; else it becomes another option. The rest stays as it was. Where
the change makes others active, as a deeper network has one more width, those are drawn at random.
"""

from random import Random
from typing import Any

from nnarch.space.domains import Choice
from nnarch.space.space import Point, Space, Variable

NEAR = 0.1  # deviation of a small step, as a share of the domain
ANYWHERE = 0.2  # of the changes are to any value


def mutated(space: Space, parent: Point, chance: Random, changes: int = 1) -> Point:
    """`parent` with as many of its active variables changed as `changes` says, or all it has."""
    keys = [variable.key for variable in space.variables
            if variable.key in parent and variable.domain.size > 1]  # fmt: skip
    changed = set(chance.sample(keys, min(changes, len(keys))))

    def choose(variable: Variable) -> Any:
        if variable.key not in parent:
            return variable.domain.at(chance.random())
        value = parent[variable.key]
        return _other(variable, value, chance) if variable.key in changed else value

    return space.walk(choose)[1]


def _other(variable: Variable, value: Any, chance: Random) -> Any:
    """Another value than `value`, which is not the only one; mostly a near one."""
    domain, at = variable.domain, variable.domain.share(value)
    apart = isinstance(domain, Choice) and not domain.ordered
    is_near = not apart and chance.random() >= ANYWHERE
    other, step = value, NEAR
    while other == value:
        share = at + chance.gauss(0, step) if is_near else chance.random()
        if 0 <= share < 1:
            other = domain.at(share)
        step = min(1.5 * step, 1.0)  # until it leaves the value's own part
    return other
