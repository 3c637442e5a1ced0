"""What a choice between groups is worth, all else being equal.

Groups of trials differ in more than what they are named by. A regression on the group and on
everything else takes the rest out, and tells how sure the difference is, whatever the spread
within each group.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nnarch.lazy import LazyModule

if TYPE_CHECKING:
    from scipy import special
else:
    special = LazyModule("scipy.special")

CHANCE = 0.05  # that any of the intervals of one variable misses


@dataclass(frozen=True)
class Groups:
    """Groups compared.

    Attributes:
        means: (groups,) adjusted for the covariates.
        covariance: (groups, groups) of the means.
        freedom: degrees that are left to judge chance by.
    """

    means: np.ndarray
    covariance: np.ndarray
    freedom: int

    def difference(self, group: int, other: int) -> tuple[float, float]:
        """Of one group from another, and how far on either side of it the truth may be.

        All differences between the groups lie so with 95 % confidence (Bonferroni), also those
        from whichever group turned out to be the best.
        """
        count = len(self.means)
        pairs = count * (count - 1) / 2
        c = self.covariance
        variance = max(0.0, c[group, group] + c[other, other] - 2 * c[group, other])
        reach = float(special.stdtrit(self.freedom, 1 - CHANCE / (2 * pairs)))
        return float(self.means[group] - self.means[other]), reach * float(np.sqrt(variance))


def adjusted(group: np.ndarray, y: np.ndarray, covariates: np.ndarray) -> Groups | None:
    """The mean of `y` of each group at the covariates' average, by least squares.

    Their covariance is the one that holds for any spread (J. G. MacKinnon and H. White, 1985,
    "HC3", https://doi.org/10.1016/0304-4076(85)90158-7). A covariate that says what the group or
    those before it say is left out. None where no rows are left to judge by.

    Args:
        group: (rows,) of 0, 1, ..., each of which there is.
        y: (rows,)
        covariates: (rows, any number), the most important first.
    """
    groups = int(group.max()) + 1
    x = np.concatenate([np.eye(groups)[group], covariates - covariates.mean(0)], 1)
    x = x[:, _independent(x)]
    freedom = len(y) - x.shape[1]
    if freedom < 1:
        return None
    q, r = np.linalg.qr(x)
    solve = np.linalg.solve(r, q.T)
    weights = solve @ y
    leverage = (q**2).sum(1)
    away = np.where(leverage < 1 - 1e-9, (y - x @ weights) / np.maximum(1 - leverage, 1e-9), 0.0)
    covariance = (solve[:groups] * away**2) @ solve[:groups].T
    return Groups(weights[:groups], covariance, freedom)


def _independent(x: np.ndarray) -> np.ndarray:
    """Columns (truth values) that are no combination of those before."""
    left = np.abs(np.diag(np.linalg.qr(x, "r")))
    size = np.sqrt((x**2).sum(0))[: len(left)]
    kept = np.zeros(x.shape[1], bool)
    kept[: len(left)] = left > 1e-8 * np.maximum(size, 1e-300)
    return kept
