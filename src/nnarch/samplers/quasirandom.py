"""Points that fill a space more evenly than chance does.

The star discrepancy, how far the share of points in any box from the origin is from its volume,
falls as log(n)^d / n for both sequences, and as 1 / sqrt(n) for independent draws: so 64 points of
either leave fewer holes. Each variable is a dimension, which goes unused where it is inactive.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from nnarch.lazy import LazyModule
from nnarch.registry import samplers
from nnarch.samplers.unseen import Unseen
from nnarch.seeds import derive
from nnarch.space.space import Point, Space

if TYPE_CHECKING:
    from scipy.stats import qmc
else:
    qmc = LazyModule("scipy.stats.qmc")

Sequences = Literal["sobol", "halton"]
BLOCK = 64  # points at a time; a power of two, as Sobol's sequence is balanced over those


def spread(space: Space, seed: int, sequence: Sequences = "sobol") -> Iterator[Point]:
    """The points of a scrambled sequence, without end, as such a sequence is for our purposes."""
    kind: Any = qmc.Sobol if sequence == "sobol" else qmc.Halton
    places = {variable.key: place for place, variable in enumerate(space.variables)}
    draws = kind(max(1, len(places)), scramble=True, seed=derive(seed, sequence))
    while True:
        for shares in draws.random(BLOCK).tolist():
            yield space.walk(lambda one: one.domain.at(shares[places[one.key]]))[1]  # noqa: B023


@samplers.register(name="quasirandom")
class Quasirandom:
    """A scrambled sequence that covers the space evenly (Sobol, 1967; Halton, 1960).

    Options:
        sequence: Sobol is the more even in many dimensions.
    """

    def __init__(self, space: Space, objectives: int, seed: int, *, sequence: Sequences = "sobol"):
        self._unseen = Unseen(space, seed, spread(space, seed, sequence))

    def ask(self, count: int) -> list[Point]:
        return self._unseen.take(count)

    def tell(self, point: Point, values: Sequence[float] | None) -> None:
        self._unseen.note(point)
