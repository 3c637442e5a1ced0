"""Which rows train, validate and test.

The parts are drawn from a seed of their own, apart from the run's, so that networks trained
from other seeds are measured on the same test rows. Rows may be bound to a part by the data
itself (a file or a column for each), by time, or to one another by a group; only what that
leaves open is drawn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nnarch.errors import DataError
from nnarch.lazy import LazyModule
from nnarch.sections import Split

if TYPE_CHECKING:
    import torch
else:
    torch = LazyModule("torch")

PARTS = ("train", "val", "test")
Parts = dict[str, "torch.Tensor"]


@dataclass(frozen=True)
class Bound:
    """What the data says of its rows' parts, each of N rows or None.

    Attributes:
        parts: (N,) int64, the part that a row was given for.
        groups: (N,) int64, rows that may not be parted have the same number.
        times: (N,) float64, what rows are ordered by.
    """

    parts: "torch.Tensor | None" = None
    groups: "torch.Tensor | None" = None
    times: "torch.Tensor | None" = None


def split(
    rows: int,
    spec: Split,
    classes: "torch.Tensor | None",
    labels: Sequence[str] = (),
    bound: Bound = Bound(),
) -> Parts:
    """Row numbers of each part, sorted: every row in exactly one part.

    Args:
        rows: how many there are.
        spec: shares, seed, and whether to keep the share of each class.
        classes: (rows,) class indices, or None for a regression.
        labels: what the classes are called, for messages.
        bound: what is not left to chance.

    Raises: DataError where a part would be left empty, or a class is too small to stratify.
    """
    everything, shares = torch.arange(rows), {part: getattr(spec, part) for part in PARTS}
    classes = classes if spec.stratify else None
    if bound.parts is not None:
        return _given(bound.parts, shares, spec, classes, labels)
    if spec.folds:
        return _fold(everything, shares, spec, classes, labels, bound.groups)
    if bound.times is not None:
        return in_order(bound.times, spec)
    if bound.groups is not None:
        return _grouped(everything, shares, spec, bound.groups)
    return _drawn(everything, shares, spec, classes, labels)


def in_order(times: "torch.Tensor", spec: Split) -> Parts:
    """The first rows train and the last test; rows of one time (N,) stay together."""
    sizes = _sizes(len(times), {part: getattr(spec, part) for part in PARTS})
    ordered, order = times.sort(stable=True)
    ends = [sizes["train"], sizes["train"] + sizes["val"]]
    cuts = [int(torch.searchsorted(ordered, ordered[end])) for end in ends]
    if not 0 < cuts[0] < cuts[1]:
        raise DataError(
            f"data.split.time: {_rows(len(times))} at {len(ordered.unique())} different times "
            "leave a part empty; expected more times"
        )
    return dict(zip(PARTS, (rows.sort().values for rows in order.tensor_split(cuts)), strict=True))


def _drawn(
    chosen: "torch.Tensor",
    shares: Mapping[str, float],
    spec: Split,
    classes: "torch.Tensor | None",
    labels: Sequence[str],
) -> Parts:
    """Of the rows `chosen`, so large a share for each part."""
    sizes = _sizes(len(chosen), shares)
    if classes is not None:
        parts = _stratified(classes[chosen], sizes, spec, labels)
    else:
        parts = _shuffled(len(chosen), spec).split(list(sizes.values()))
    return {part: chosen[rows.sort().values] for part, rows in zip(shares, parts, strict=True)}


def _sizes(rows: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Rows of each part, rounded to the nearest; what rounding leaves over trains."""
    whole = len(shares) == len(PARTS)  # adds up to 1, but for what floats leave of it
    total = 1.0 if whole else sum(shares.values())
    sizes = {part: round(rows * share / total) for part, share in shares.items()}
    sizes["train"] = rows - sum(size for part, size in sizes.items() if part != "train")
    if empty := [part for part, size in sizes.items() if size < 1]:
        raise DataError(
            f"data.split: {rows} rows leave none for {' and '.join(empty)}; expected more rows"
        )
    return sizes


def _stratified(
    classes: "torch.Tensor", sizes: Mapping[str, int], spec: Split, labels: Sequence[str]
) -> "list[torch.Tensor]":
    counts = classes.bincount(minlength=len(labels))
    smallest = int(counts.argmin())
    if not counts[smallest]:  # where other rows are given for a part
        raise DataError(
            f"data: no training row is of class {labels[smallest]!r}; expected some of every class"
        )
    if counts[smallest] < len(sizes):
        raise DataError(
            f"data: class {labels[smallest]!r} has {_rows(int(counts[smallest]))}; expected at "
            f"least {len(sizes)} to keep every class in every part, or data.split.stratify=false"
        )
    if few := [part for part, size in sizes.items() if size < len(counts)]:
        raise DataError(
            f"data.split: {few[0]} would have {_rows(sizes[few[0]])} for {len(counts)} classes; "
            "expected a larger share, or data.split.stratify=false"
        )
    order = _shuffled(len(classes), spec)
    of_class = order[classes[order].argsort(stable=True)].split(counts.tolist())
    shares = _shares(counts, torch.tensor(list(sizes.values())))
    pieces = [rows.split(share) for rows, share in zip(of_class, shares.tolist(), strict=True)]
    return [torch.cat(column) for column in zip(*pieces, strict=True)]


def _shares(counts: "torch.Tensor", sizes: "torch.Tensor") -> "torch.Tensor":
    """Rows of each class (K,) for each part (P,): (K, P), adding up both ways.

    Every number is within one row of the exact share, which scikit-learn's splitter keeps to
    for two parts only. What rounding down leaves of a class goes, a row each, to the parts that
    still lack most.
    """
    shares = counts.unsqueeze(1) * sizes // counts.sum()
    lacking = sizes - shares.sum(0)
    for share, left in zip(shares, (counts - shares.sum(1)).tolist(), strict=True):
        needy = lacking.argsort(descending=True, stable=True)[:left]
        share[needy] += 1
        lacking[needy] -= 1
    return shares


def _given(
    parts: "torch.Tensor",
    shares: dict[str, float],
    spec: Split,
    classes: "torch.Tensor | None",
    labels: Sequence[str],
) -> Parts:
    """As the data says; a part that it does not name is drawn from the training rows."""
    found = {part: (parts == place).nonzero().flatten() for place, part in enumerate(PARTS)}
    if not len(found["train"]):
        raise DataError("data.split: no row is for training; expected some")
    missing = {part: share for part, share in shares.items() if not len(found[part])}
    if not missing:
        return found
    shares = {"train": shares["train"]} | missing
    return found | _drawn(found["train"], shares, spec, classes, labels)


def _grouped(
    chosen: "torch.Tensor", shares: Mapping[str, float], spec: Split, groups: "torch.Tensor"
) -> Parts:
    """Groups by chance into test, then val, until each has its share; the rest train."""
    sizes = _sizes(len(chosen), shares)
    numbers, counts = groups[chosen].unique(return_counts=True)
    if len(numbers) < len(shares):
        raise DataError(
            f"data.split.group: {len(numbers)} group{'s' * (len(numbers) > 1)} cannot be parted "
            f"into {' and '.join(shares)}; expected at least {len(shares)}"
        )
    order = _shuffled(len(numbers), spec)
    taken: Parts = {part: numbers[:0] for part in shares}  # noqa: C420 (typed)
    for part in reversed(list(shares)[1:]):
        left = len(order) - len([p for p in shares if p != part and not len(taken[p])])
        reached = counts[order].cumsum(0)
        enough = 1 + int((reached - sizes[part]).abs().argmin())
        enough = max(1, min(enough, left))
        taken[part], order = numbers[order[:enough]], order[enough:]
    taken["train"] = numbers[order]
    return {part: chosen[torch.isin(groups[chosen], those)] for part, those in taken.items()}


def _fold(
    everything: "torch.Tensor",
    shares: Mapping[str, float],
    spec: Split,
    classes: "torch.Tensor | None",
    labels: Sequence[str],
    groups: "torch.Tensor | None",
) -> Parts:
    """Fold number `spec.fold` tests; of the others, val has its share of what is not test."""
    assert spec.fold, "which fold is decided before"
    place = _folds(len(everything), spec, classes, labels, groups)
    test = (place == spec.fold - 1).nonzero().flatten()
    others = (place != spec.fold - 1).nonzero().flatten()
    shares = {part: shares[part] for part in ("train", "val")}
    if groups is not None:
        return _grouped(others, shares, spec, groups) | {"test": test}
    return _drawn(others, shares, spec, classes, labels) | {"test": test}


def _folds(
    rows: int,
    spec: Split,
    classes: "torch.Tensor | None",
    labels: Sequence[str],
    groups: "torch.Tensor | None",
) -> "torch.Tensor":
    """(rows,) the fold of each row, from 0: as even as can be, over classes too."""
    assert spec.folds
    if groups is not None:
        return _folds_of_groups(spec, groups)
    if rows < spec.folds + 1:
        raise DataError(f"data.split.folds: {_rows(rows)} for {spec.folds} folds; expected more")
    order = _shuffled(rows, spec)
    if classes is not None:
        counts = classes.bincount(minlength=len(labels))
        smallest = int(counts.argmin())
        if counts[smallest] < spec.folds:
            raise DataError(
                f"data: class {labels[smallest]!r} has {_rows(int(counts[smallest]))} for "
                f"{spec.folds} folds; expected at least one each, or data.split.stratify=false"
            )
        order = order[classes[order].argsort(stable=True)]
    place = torch.empty(rows, dtype=torch.int64)
    place[order] = torch.arange(rows) % spec.folds
    return place


def _folds_of_groups(spec: Split, groups: "torch.Tensor") -> "torch.Tensor":
    """Groups by chance, each into the fold that has fewest rows so far, large ones first."""
    assert spec.folds
    numbers, place, counts = groups.unique(return_inverse=True, return_counts=True)
    if len(numbers) < spec.folds + 1:
        raise DataError(
            f"data.split.folds: {len(numbers)} groups for {spec.folds} folds; expected more"
        )
    order = _shuffled(len(numbers), spec)
    order = order[counts[order].argsort(descending=True, stable=True)]
    filled, fold = [0] * spec.folds, torch.empty(len(numbers), dtype=torch.int64)
    for group, count in zip(order.tolist(), counts[order].tolist(), strict=True):
        fold[group] = least = filled.index(min(filled))
        filled[least] += count
    return fold[place]


def _shuffled(rows: int, spec: Split) -> "torch.Tensor":
    return torch.randperm(rows, generator=torch.Generator().manual_seed(spec.seed))


def _rows(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"
