"""The tree-structured Parzen estimator, of Optuna."""

from typing import TYPE_CHECKING

from nnarch.lazy import LazyModule
from nnarch.options import Count
from nnarch.registry import samplers
from nnarch.samplers.study import Study
from nnarch.seeds import derive
from nnarch.space.space import Space

if TYPE_CHECKING:
    from optuna import samplers as theirs
else:
    theirs = LazyModule("optuna.samplers")


@samplers.register
def tpe(space: Space, objectives: int, seed: int, *, startup: Count = 10) -> Study:
    """Densities of the good and of the other points, weighed (Bergstra et al., 2011; Optuna's).

    All variables that are active together are drawn together. What is being tried counts as
    poor, so that many points asked for at once lie apart; a point that failed does too.

    Options:
        startup: Points that are drawn at random first.
    """
    return Study(space, objectives, seed, lambda: theirs.TPESampler(
        seed=derive(seed, "tpe") % 2**32, n_startup_trials=startup,
        multivariate=True, group=True, constant_liar=True,
    ))  # fmt: skip
