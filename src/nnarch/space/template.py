"""A config with gaps, to be filled by what is drawn.

What a file leaves open is compiled once into nodes, of which each makes its part of the config; all
that is closed is shared by the configs that are made. So a config costs as much as its gaps are
many. A node also tells where a part of what it makes was written, since options move into the
place of their choice, and how many ways there are to fill it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nnarch.blocknames import numbered
from nnarch.errors import Path
from nnarch.space.counting import Measure, Ways, either, taking, together
from nnarch.space.variable import Variable

Draw = Callable[[Variable], Any]
Origin = tuple[Path, Path]  # where a part lies in what was made, and where it was written
Needs = Mapping[str, Any]  # what has to be drawn, by keys


class Node:
    """A part of a config."""

    def value(self, draw: Draw) -> Any:
        """The part, filled."""
        raise NotImplementedError

    def origins(self, draw: Draw) -> Iterable[Origin]:
        """Where what it makes was written, wherever that is not where it lies."""
        return ()

    def gaps(self, needs: Needs) -> "Iterable[tuple[Variable, Needs]]":
        """Its open values, with what has to be drawn for each to be active; of what is repeated
        only the first."""
        return ()

    def ways(self, measure: Measure) -> Ways:
        """In how many ways it is filled."""
        return {frozenset(): 1}

    def outcomes(self, measure: Measure) -> Iterable[tuple[Any, Ways]]:
        """Each value that it may have; only of those that say how often something comes."""
        raise NotImplementedError


@dataclass(frozen=True)
class Closed(Node):
    """What is as it was written."""

    given: Any

    def value(self, draw: Draw) -> Any:
        return self.given

    def outcomes(self, measure: Measure) -> Iterable[tuple[Any, Ways]]:
        return [(self.given, {frozenset(): 1})]


@dataclass(frozen=True)
class Number(Node):
    """A number from a range."""

    variable: Variable

    def value(self, draw: Draw) -> Any:
        return draw(self.variable)

    def gaps(self, needs: Needs) -> Iterable[tuple[Variable, Needs]]:
        return [(self.variable, needs)]

    def ways(self, measure: Measure) -> Ways:
        if self.variable.tied:
            return {frozenset({(self.variable.key, None)}): 1}
        return {frozenset(): measure.count(self.variable)}

    def outcomes(self, measure: Measure) -> Iterable[tuple[Any, Ways]]:
        return [(value, taking(self.variable, value)) for value in measure.values(self.variable)]


@dataclass(frozen=True)
class Option(Node):
    """One of several; `paths` are where these stand."""

    variable: Variable
    options: tuple[Node, ...]
    paths: tuple[Path, ...]

    def value(self, draw: Draw) -> Any:
        return self.options[draw(self.variable)].value(draw)

    def origins(self, draw: Draw) -> Iterable[Origin]:
        taken = draw(self.variable)
        yield (), self.paths[taken]
        yield from self.options[taken].origins(draw)

    def gaps(self, needs: Needs) -> Iterable[tuple[Variable, Needs]]:
        yield self.variable, needs
        for taken, option in enumerate(self.options):
            yield from option.gaps({**needs, self.variable.key: taken})

    def ways(self, measure: Measure) -> Ways:
        if all(isinstance(option, Closed) for option in self.options):
            return Number(self.variable).ways(measure)
        return either(
            together([taking(self.variable, taken), self.options[taken].ways(measure)])
            for taken in measure.values(self.variable)
        )

    def outcomes(self, measure: Measure) -> Iterable[tuple[Any, Ways]]:
        for taken in measure.values(self.variable):
            for value, ways in self.options[taken].outcomes(measure):
                yield value, together([taking(self.variable, taken), ways])


@dataclass(frozen=True)
class Record(Node):
    """A mapping, some of whose values are open."""

    given: Mapping[str, Any]
    open: Mapping[str, Node]

    def value(self, draw: Draw) -> Any:
        return {**self.given, **{key: node.value(draw) for key, node in self.open.items()}}

    def origins(self, draw: Draw) -> Iterable[Origin]:
        for key, node in self.open.items():
            yield from _below(key, node.origins(draw))

    def gaps(self, needs: Needs) -> Iterable[tuple[Variable, Needs]]:
        return (gap for node in self.open.values() for gap in node.gaps(needs))

    def ways(self, measure: Measure) -> Ways:
        return together(node.ways(measure) for node in self.open.values())


@dataclass(frozen=True)
class Items(Node):
    """A list, some of whose items are open; of a list of layers, one of these may be several."""

    path: Path
    items: tuple[Node, ...]
    splices: bool = False

    def value(self, draw: Draw) -> Any:
        return [each for item in self.items for each in self._parts(item, draw)]

    def _parts(self, item: Node, draw: Draw) -> list[Any]:
        value = item.value(draw)
        return value if self._splices(item) and isinstance(value, list) else [value]

    def _splices(self, item: Node) -> bool:
        return self.splices and isinstance(item, Option | Repetition)

    def origins(self, draw: Draw) -> Iterable[Origin]:
        at = 0
        for place, item in enumerate(self.items):
            value = item.value(draw)
            several = self._splices(item) and isinstance(value, list)
            if not several:
                yield (at,), (*self.path, place)
                yield from _below(at, item.origins(draw))
            for made, written in item.origins(draw) if several else ():
                if made:
                    yield _moved(made, at), written
                else:  # a whole list, which lies here item by item
                    yield from (((at + i,), (*written, i)) for i in range(len(value)))
            at += len(value) if several else 1

    def gaps(self, needs: Needs) -> Iterable[tuple[Variable, Needs]]:
        return (gap for item in self.items for gap in item.gaps(needs))

    def ways(self, measure: Measure) -> Ways:
        return together(item.ways(measure) for item in self.items)


@dataclass(frozen=True)
class Several(Node):
    """A list of open length, whose items are drawn each by itself."""

    path: Path
    count: Node
    items: tuple[Node, ...]

    def value(self, draw: Draw) -> Any:
        return [item.value(draw) for item in self.items[: self.count.value(draw)]]

    def origins(self, draw: Draw) -> Iterable[Origin]:
        yield (), self.path
        for place, item in enumerate(self.items[: self.count.value(draw)]):
            yield (place,), (*self.path, "of")
            yield from _below(place, item.origins(draw))

    def gaps(self, needs: Needs) -> Iterable[tuple[Variable, Needs]]:
        return _repeated_gaps(self.count, self.items, needs)

    def ways(self, measure: Measure) -> Ways:
        return either(
            together([ways, *(item.ways(measure) for item in self.items[:count])])
            for count, ways in self.count.outcomes(measure)
        )


@dataclass(frozen=True)
class Repetition(Node):
    """Layers that are repeated with other values each time.

    Each time is a block of its own, repeated once, so that what holds within a repetition (`same`,
    the scope of names) goes on holding. Names get the number of their time, `block_1`; what stands
    beside the repetition (`as`) belongs to its end.
    """

    path: Path
    count: Node
    blocks: tuple[Node, ...]
    beside: Mapping[str, Any]

    def value(self, draw: Draw) -> Any:
        blocks = self.blocks[: self.count.value(draw)]
        made: list[Any] = [
            {"repeat": 1, "do": numbered(block.value(draw), time)}
            for time, block in enumerate(blocks, start=1)
        ]
        return [*made[:-1], *({**last, **self.beside} for last in made[-1:])]

    def origins(self, draw: Draw) -> Iterable[Origin]:
        for time, block in enumerate(self.blocks[: self.count.value(draw)]):
            yield (time,), self.path
            yield from (((time, "do", *made), path) for made, path in block.origins(draw))

    def gaps(self, needs: Needs) -> Iterable[tuple[Variable, Needs]]:
        return _repeated_gaps(self.count, self.blocks, needs)

    def ways(self, measure: Measure) -> Ways:
        return either(
            together([ways, *(block.ways(measure) for block in self.blocks[:count])])
            for count, ways in self.count.outcomes(measure)
        )


def _repeated_gaps(
    count: Node, each: Sequence[Node], needs: Needs
) -> Iterator[tuple[Variable, Needs]]:
    most = dict(needs)
    for variable, needed in count.gaps(needs):
        yield variable, needed
        most |= {**needed, variable.key: variable.domain.at(1.0)}
    for node in each[:1]:
        yield from node.gaps(most)


def _below(key: str | int, origins: Iterable[Origin]) -> Iterator[Origin]:
    return (((key, *made), written) for made, written in origins)


def _moved(path: Path, by: int) -> Path:
    first = path[0]
    assert isinstance(first, int), "a place in a list"
    return (first + by, *path[1:])
