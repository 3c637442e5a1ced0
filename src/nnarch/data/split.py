"""Which rows train, validate and test.

The parts are drawn from a seed of their own, apart from the run's, so that networks trained
from other seeds are measured on the same test rows.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nnarch.errors import DataError
from nnarch.lazy import LazyModule
from nnarch.sections import Split

if TYPE_CHECKING:
    import torch
else:
    torch = LazyModule("torch")

PARTS = ("train", "val", "test")


def split(
    rows: int, spec: Split, classes: "torch.Tensor | None", labels: Sequence[str] = ()
) -> dict[str, "torch.Tensor"]:
    """Row numbers of each part, sorted: every row in exactly one part.

    Args:
        rows: how many there are.
        spec: shares, seed, and whether to keep the share of each class.
        classes: (rows,) class indices, or None for a regression.
        labels: what the classes are called, for messages.

    Raises: DataError where a part would be left empty, or a class is too small to stratify.
    """
    sizes = _sizes(rows, spec)
    if classes is not None and spec.stratify:
        return _stratified(classes, sizes, spec, labels)
    order = _shuffled(rows, spec)
    parts = order.split([sizes[part] for part in PARTS])
    return {part: indices.sort().values for part, indices in zip(PARTS, parts, strict=True)}


def _sizes(rows: int, spec: Split) -> dict[str, int]:
    """Rows of each part, rounded to the nearest; what rounding leaves over trains."""
    val, test = round(rows * spec.val), round(rows * spec.test)
    sizes = {"train": rows - val - test, "val": val, "test": test}
    if empty := [part for part, size in sizes.items() if size < 1]:
        raise DataError(
            f"data.split: {rows} rows leave none for {' and '.join(empty)}; expected more rows"
        )
    return sizes


def _stratified(
    classes: "torch.Tensor", sizes: dict[str, int], spec: Split, labels: Sequence[str]
) -> dict[str, "torch.Tensor"]:
    counts = classes.bincount()
    smallest = int(counts.argmin())
    if counts[smallest] < len(PARTS):
        raise DataError(
            f"data: class {labels[smallest]!r} has {_rows(int(counts[smallest]))}; expected at "
            "least 3 to keep every class in every part, or data.split.stratify=false"
        )
    if few := [part for part in PARTS if sizes[part] < len(counts)]:
        raise DataError(
            f"data.split: {few[0]} would have {_rows(sizes[few[0]])} for {len(counts)} classes; "
            "expected a larger share, or data.split.stratify=false"
        )
    order = _shuffled(len(classes), spec)
    of_class = order[classes[order].argsort(stable=True)].split(counts.tolist())
    shares = _shares(counts, torch.tensor([sizes[part] for part in PARTS]))
    pieces = [rows.split(share) for rows, share in zip(of_class, shares.tolist(), strict=True)]
    parts = [torch.cat(column) for column in zip(*pieces, strict=True)]
    return {part: rows.sort().values for part, rows in zip(PARTS, parts, strict=True)}


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


def _shuffled(rows: int, spec: Split) -> "torch.Tensor":
    return torch.randperm(rows, generator=torch.Generator().manual_seed(spec.seed))


def _rows(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"
