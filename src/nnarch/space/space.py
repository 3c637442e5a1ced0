"""The space that a config leaves open, and its points.

A space is a config with gaps and the variables that fill them. A variable within an option of a
choice, or of an item that a list may not have, is active only where that is taken, so a point holds
the active ones alone: walking the config and asking for each variable as it is met gives both the
point and the config that it means. Samplers see variables and points, and never a config.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from nnarch.errors import ConfigError, Fault, Path
from nnarch.space import reading
from nnarch.space.counting import Grid, Whole, total
from nnarch.space.domains import Choice, Domain
from nnarch.space.variable import Variable
from nnarch.validate import dotted

Point = Mapping[str, Any]  # what was drawn: an index of a choice, a number, by variables' keys


class Space:
    """What a config leaves open.

    >>> space = Space({"optimizer": {"choice": ["adamw", {"name": "sgd", "lr": {"int": [1, 3]}}]}})
    >>> [variable.key for variable in space.variables], space.size
    (['optimizer', 'optimizer:sgd.lr'], 4)
    >>> space.tree({"optimizer": 1, "optimizer:sgd.lr": 2})
    {'optimizer': {'name': 'sgd', 'lr': 2}}

    Attributes:
        variables: all there may ever be, in the order of the file.
    """

    def __init__(self, value: Mapping[str, Any]):
        """Raises: ConfigError with every open value that is not well written."""
        space, faults = Space.read(value)
        if faults:
            raise ConfigError(f"{dotted(path)}: {message}" for path, message in faults)
        self.variables, self._root = space.variables, space._root

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> "tuple[Space, list[Fault]]":
        """The space of a config as it was written, without its `search`, and what is wrong."""
        space = cls.__new__(cls)
        space._root, space.variables, faults = reading.read(value)
        return space, faults

    @cached_property
    def _by_key(self) -> dict[str, Variable]:
        return {variable.key: variable for variable in self.variables}

    @cached_property
    def size(self) -> int | float:
        """How many distinct points there are; infinite with a range of floats."""
        measure = Whole()
        return total(self._root.ways(measure), measure, self._by_key)

    def walk(self, choose: Callable[[Variable], Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """A config and its point, by asking once for each variable that is active, in order.

        What is closed is shared between the configs of a space, which are for reading.
        """
        point: dict[str, Any] = {}

        def draw(variable: Variable) -> Any:
            key = variable.key
            if key not in point:
                point[key] = choose(variable)
            return point[key]

        return self._root.value(draw), point

    def by_default(self) -> tuple[dict[str, Any], list[Path]]:
        """The point of defaults, and where the open values stand that have none."""
        without: list[Path] = []

        def choose(variable: Variable) -> Any:
            if variable.default is None and variable.path not in without:
                without.append(variable.path)
            return variable.first

        return self.walk(choose)[1], without

    def tree(self, point: Point) -> dict[str, Any]:
        """The config that a point means, as a user could have written it.

        Raises: KeyError where an active variable is not in it.
        """
        return self._root.value(lambda variable: point[variable.key])

    def origins(self, point: Point) -> dict[Path, Path]:
        """Where parts of the config of a point were written, for those that lie elsewhere."""
        return dict(self._root.origins(lambda variable: point[variable.key]))

    def points(self, steps: int = 5) -> Iterator[Point]:
        """Every point of a grid, the last variable moving fastest.

        Choices and short ranges of integers are gone through whole, wide ones and floats cut into
        `steps` values.
        """
        grid = Grid(steps)
        places: list[int] = []
        while True:
            lengths: list[int] = []

            def next_value(variable: Variable, lengths: list[int] = lengths) -> Any:
                values = grid.values(variable)
                lengths.append(len(values))
                if len(lengths) > len(places):
                    places.append(0)
                return values[places[len(lengths) - 1]]

            yield self.walk(next_value)[1]
            while places and places[-1] + 1 == lengths[len(places) - 1]:
                places.pop()
            if not places:
                return
            places[-1] += 1

    def corners(self) -> Iterator[Point]:
        """Points that try each end of each range and each option of each choice once.

        All else is as it is by default, or at its first value; so is everything in the first one.
        """
        yield self.by_default()[0]
        for variable, needs in self._root.gaps({}):
            for value in _ends(variable.domain):
                drawn = {**needs, variable.key: value}
                yield self.walk(lambda other, drawn=drawn: drawn.get(other.key, other.first))[1]

    def count(self, steps: int = 5) -> int:
        """How many points `points` has."""
        grid = Grid(steps)
        return int(total(self._root.ways(grid), grid, self._by_key))

    def shown(self, point: Point) -> dict[str, Any]:
        """A point as a person reads it."""
        return {key: self._by_key[key].shown(value) for key, value in point.items()}


def _ends(domain: Domain) -> Sequence[Any]:
    return domain.grid(domain.size if isinstance(domain, Choice) else 2)
