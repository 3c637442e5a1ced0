"""Which results are better than which, where they are judged by several numbers at once.

One result dominates another that it is nowhere worse than, and somewhere better; the front is what
nothing dominates. All numbers are to be made small. What is no number is worse than any that is.
"""

from typing import TYPE_CHECKING

from nnarch.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
else:
    np = LazyModule("numpy")  # samplers, which are listed without it, import this file


def front(values: "np.ndarray") -> "np.ndarray":
    """The places, rising, of the rows (n, d) that no other row dominates; equal rows all stay.

    A row with a NaN is on no front.

    >>> import numpy as np
    >>> front(np.array([[1.0, 4.0], [2.0, 2.0], [3.0, 3.0]])).tolist()
    [0, 1]
    """
    left = np.logical_not(np.isnan(values).any(axis=1))
    for place in range(len(values)):
        if left[place]:
            no_better = (values >= values[place]).all(axis=1)
            left &= ~(no_better & (values > values[place]).any(axis=1))
    return np.flatnonzero(left)


def ranked(values: "np.ndarray") -> "np.ndarray":
    """The places of the rows (n, d) from best to worst; those with a NaN come last.

    Front by front, each being that of the rows that are left; within one, rows that stand alone
    come before crowded ones (the order of NSGA-II; Deb et al., 2002), and of its ends first the
    one that is best in the first number. Of a single number it is the order by size. Equals keep
    theirs.

    >>> import numpy as np
    >>> ranked(np.array([[3.0], [1.0], [2.0]])).tolist()
    [1, 2, 0]
    """
    if values.shape[1] == 1:
        return np.argsort(values[:, 0], kind="stable")
    order: list[np.ndarray] = []
    left = np.flatnonzero(~np.isnan(values).any(axis=1))
    while len(left):
        here = front(values[left])
        there = values[left[here]]
        alone = np.lexsort((there[:, 0], -crowding(there)))
        order.append(left[here[alone]])
        left = np.delete(left, here)
    return np.concatenate([*order, np.flatnonzero(np.isnan(values).any(axis=1))])


def crowding(values: "np.ndarray") -> "np.ndarray":
    """How far the neighbours of each row (n, d) of a front are apart, (n,).

    It is summed over the columns, as a share of each one's range; infinite for the ends of one.

    >>> import numpy as np
    >>> crowding(np.array([[0.0, 4.0], [1.0, 2.0], [4.0, 0.0]])).tolist()
    [inf, 2.0, inf]
    """
    distance = np.zeros(len(values))
    for column in values.T:
        order = np.argsort(column, kind="stable")
        ends = column[order[[0, -1]]]
        distance[order[[0, -1]]] = np.inf
        if ends[0] < ends[1] and np.isfinite(ends).all():
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / (ends[1] - ends[0])
    return distance
