"""A Gaussian process of what was told, and which of the points that are not would improve most.

Several points are chosen at a time as if each came out as expected: the mean stays what it is, and
what is near becomes less uncertain (the believer of Ginsbourger et al., 2010). The process itself
is scikit-learn's.
"""

import contextlib
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nnarch.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    from scipy import special
    from sklearn import gaussian_process
    from sklearn.gaussian_process import kernels
else:
    np = LazyModule("numpy")
    special = LazyModule("scipy.special")
    gaussian_process = LazyModule("sklearn.gaussian_process")
    kernels = LazyModule("sklearn.gaussian_process.kernels")

MOST_LENGTHS = 20  # columns, beyond which they share one length scale
LEAST = 1e-12  # variance that is told from none
SHORT = 100  # rows that are weighed against each other, and one more for each that is chosen
MOST_ROWS = 300  # that a process is fitted to, whose time goes with their third power


def fitted(rows: "np.ndarray", values: "np.ndarray", start: Any = None) -> Any:
    """A process of `values` (n,) at `rows` (n, columns), its kernel found from `start` on."""
    kept = _telling(values)
    process = gaussian_process.GaussianProcessRegressor(start or _kernel(rows.shape[1]), alpha=1e-8)
    with _quiet():
        return process.fit(rows[kept], values[kept])


def _telling(values: "np.ndarray") -> "np.ndarray":
    """The places of the best values, and of the others as many, evenly from good to bad."""
    order = np.argsort(values, kind="stable")
    best, others = np.split(order, [MOST_ROWS // 2])
    every = -(-len(others) // (MOST_ROWS // 2)) or 1
    return np.concatenate([best, others[::every]])


def _kernel(columns: int) -> Any:
    """Matern 5/2 and noise; bounds fit values of deviation 1 over a unit cube."""
    lengths = np.full(columns if columns <= MOST_LENGTHS else 1, 0.5)
    matern: Any = kernels.Matern  # typed as if it had one length scale
    smooth = matern(lengths, (0.05, 20.0), nu=2.5)
    return kernels.ConstantKernel(1.0, (0.05, 20.0)) * smooth + kernels.WhiteKernel(
        0.01, (1e-5, 1.0)
    )


def chosen(process: Any, best: float, rows: "np.ndarray", pending: int, count: int) -> list[int]:
    """The places of `count` of `rows`, one after another that of the most expected improvement.

    Only those that promise the most at first are weighed against each other.

    Args:
        best: the least value so far.
        rows: (m, columns), of which the first `pending` are being tried already.
    """
    with _quiet():
        mean, deviation = process.predict(rows, return_std=True)
        gain = improvement(mean, deviation, best)
        gain[:pending] = np.inf
        short = np.argsort(-gain, kind="stable")[: pending + count + SHORT]
        mean, covariance = process.predict(rows[short], return_cov=True)
    return [int(short[place]) for place in _believed(mean, covariance, best, pending, count)]


def _believed(
    mean: "np.ndarray", covariance: "np.ndarray", best: float, pending: int, count: int
) -> list[int]:
    """The places of `count` variables (m,), as if each one chosen came out at its mean."""
    free = np.ones(len(mean), bool)
    places: list[int] = []
    for turn in range(min(pending + count, len(mean))):
        gain = improvement(mean, np.sqrt(np.diag(covariance).clip(0)), best)
        place = turn if turn < pending else int(np.argmax(np.where(free, gain, -1.0)))
        places.append(place)
        free[place], best = False, min(best, float(mean[place]))
        column = covariance[:, place] / np.sqrt(max(covariance[place, place], LEAST))
        covariance = covariance - np.outer(column, column)
    return places[pending:]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """A length scale at its bound is as good as any, and so is a variance of nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def improvement(mean: "np.ndarray", deviation: "np.ndarray", best: float) -> "np.ndarray":
    """The expectation of max(best - value, 0) for normal values (Jones et al., 1998)."""
    deviation = np.maximum(deviation, LEAST)
    ahead = (best - mean) / deviation
    density = np.exp(-0.5 * ahead**2) / np.sqrt(2 * np.pi)
    return deviation * (ahead * special.ndtr(ahead) + density)
