"""The non-dominated sorting genetic algorithm, of Optuna."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from nnarch.lazy import LazyModule
from nnarch.options import WHOLE
from nnarch.registry import samplers
from nnarch.samplers.study import Study
from nnarch.seeds import derive
from nnarch.space.space import Space

if TYPE_CHECKING:
    from optuna import samplers as theirs
else:
    theirs = LazyModule("optuna.samplers")

Population = Annotated[int, Field(ge=2, le=10_000), WHOLE]


@samplers.register
def nsga2(space: Space, objectives: int, seed: int, *, population: Population = 20) -> Study:
    """Generations that are crossed, by fronts and crowding (NSGA-II; Deb et al., 2002; Optuna's).

    Options:
        population: How many make a generation, of which the first is drawn at random.
    """
    return Study(space, objectives, seed, lambda: theirs.NSGAIISampler(
        seed=derive(seed, "nsga2") % 2**32, population_size=population,
    ))  # fmt: skip
