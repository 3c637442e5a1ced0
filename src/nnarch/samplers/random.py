"""Random search, which every other strategy has to beat."""

from collections.abc import Sequence

from nnarch.registry import samplers
from nnarch.samplers.unseen import Unseen
from nnarch.space.space import Point, Space


@samplers.register(name="random")
class RandomSearch:
    """Independent draws, none twice (Bergstra & Bengio, 2012).

    Uniform over each domain, on its log scale where it has one; options are equally likely. The
    n-th draw follows from the seed and n alone, so that a search that goes on draws the same.
    """

    def __init__(self, space: Space, objectives: int, seed: int):
        self._unseen = Unseen(space, seed)

    def ask(self, count: int) -> list[Point]:
        return self._unseen.take(count)

    def tell(self, point: Point, values: Sequence[float] | None) -> None:
        self._unseen.note(point)
