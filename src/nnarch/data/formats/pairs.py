"""Arrays of numbers as the inputs and targets of records: checked, and laid out as networks expect.

A matrix is a table, and may lack values (NaN). What has more dimensions is an array of samples,
where every value has to be there; pixels stay bytes until they are used, an eighth of the room.
A fault is told as the user would look it up: `X[3, 0]`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from nnarch.data.array import Array
from nnarch.data.formats.cells import LARGEST, MOST_COLUMNS
from nnarch.data.table import Table, numeric
from nnarch.errors import DataError
from nnarch.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    import torch
else:
    np = LazyModule("numpy")
    torch = LazyModule("torch")

NUMBERS = "biuf"  # numpy's kinds of dtype: booleans, whole numbers with and without sign, floats
WORDS = "US"
EXACT = 2**53  # up to here float64 holds every whole number
CHANNELS = (1, 3, 4)

Target: TypeAlias = "torch.Tensor | list[str] | None"


@dataclass(frozen=True)
class Pair:
    """The two arrays of a file, or of a part of it: inputs (N, ...), and the target of each.

    Attributes:
        where: the file, for messages.
        names: what it calls the two.
        part: which they are, an index of `split.PARTS`.
    """

    where: str
    names: tuple[str, str]
    inputs: "np.ndarray"
    target: "np.ndarray | None"
    part: int = 0

    def check(self) -> None:
        """Refuse what no record can hold: by dtype, by dimensions, by number."""
        inputs, target = self.inputs, self.target
        check_kind(self.where, self.names[0], inputs.dtype, NUMBERS)
        if inputs.ndim < 2:
            raise self.fault(
                0,
                f"has the shape {inputs.shape}; expected samples along the first of two or "
                "more dimensions, such as (100, 1)",
            )
        if inputs.size == 0:
            raise self.fault(0, f"has the shape {inputs.shape}, which holds nothing")
        if target is None:
            return
        check_kind(self.where, self.names[1], target.dtype, NUMBERS + WORDS)
        if target.ndim not in (1, 2) or target.size == 0:
            raise self.fault(1, f"has the shape {target.shape}; expected (N,) or (N, targets)")
        if len(target) != len(inputs):
            raise self.fault(
                1,
                f"holds {len(target)} samples, {self.names[0]!r} {len(inputs)}; "
                "expected as many of both",
            )

    def fault(self, which: int, what: str) -> DataError:
        return DataError(f"{self.where}: {self.names[which]!r} {what}")


def check_kind(where: str, name: str, dtype: "np.dtype", kinds: str) -> None:
    """Raises: DataError where an array of `dtype` holds something else than `kinds` of values."""
    if dtype.hasobject:
        raise DataError(
            f"{where}: {name!r} holds pickled objects, which are refused; save plain numbers"
        )
    if dtype.kind not in kinds:
        wanted = "numbers or words" if "U" in kinds else "numbers"
        raise DataError(f"{where}: {name!r} holds {dtype}; expected {wanted}")


def record(pairs: Sequence[Pair], parted: bool, notes: Sequence[str] = ()) -> Table | Array:
    """All samples of `pairs`, as a table if they are rows of matrices, else as an array.

    Args:
        parted: whether the samples' parts are to be kept.

    Raises: DataError where samples are not usable, or do not go together.
    """
    first = pairs[0]
    for one in pairs:
        one.check()
        if one.inputs.shape[1:] != first.inputs.shape[1:]:
            raise one.fault(
                0,
                f"has samples of shape {one.inputs.shape[1:]}; expected "
                f"{first.inputs.shape[1:]}, as {first.names[0]!r} has",
            )
    targets, target_names = _targets(pairs)
    lengths = torch.tensor([len(one.inputs) for one in pairs])
    parts = torch.tensor([one.part for one in pairs]).repeat_interleave(lengths)
    rest = (targets, target_names, parts if parted else None)
    if first.inputs.ndim == 2:
        if (width := first.inputs.shape[1]) > MOST_COLUMNS:
            raise first.fault(0, f"has {width:,} columns; expected at most {MOST_COLUMNS:,}")
        inputs = _joined([_inputs(one, torch.float64) for one in pairs])
        columns = numeric(f"x{place}" for place in range(1, inputs.shape[1] + 1))
        return Table(inputs, columns, *rest, tuple(notes))
    kind = _dtype(np.result_type(*(one.inputs for one in pairs)), first.inputs.ndim)
    inputs, note = _laid_out(_joined([_inputs(one, kind) for one in pairs]))
    return Array(inputs, *rest, (*notes, *note))


def _dtype(kind: "np.dtype", dimensions: int) -> "torch.dtype":
    """What values of a numpy dtype become, so that none is changed."""
    if kind == np.uint8 and dimensions in (3, 4):
        return torch.uint8
    return torch.float32 if np.can_cast(kind, np.float32) else torch.float64


def _inputs(one: Pair, dtype: "torch.dtype") -> "torch.Tensor":
    values = _tensor(one.inputs, dtype)
    if dtype != torch.uint8:
        _check_values(one, 0, values, missing=values.ndim == 2)
    return values


def _joined(tensors: "list[torch.Tensor]") -> "torch.Tensor":
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors)  # without a copy of one


def _tensor(values: "np.ndarray", dtype: "torch.dtype") -> "torch.Tensor":
    """A contiguous tensor, whatever the array's order of bytes and of dimensions."""
    wanted = np.dtype(str(dtype).removeprefix("torch."))
    with np.errstate(over="ignore"):  # what is beyond float64 is found by _check_values
        return torch.from_numpy(np.require(values, wanted, ["C", "W"]))


def _check_values(one: Pair, which: int, values: "torch.Tensor", missing: bool) -> None:
    """Refuse infinities, what float32 cannot hold and, unless it may be `missing`, NaN."""
    least, most = values.aminmax()
    if least >= -LARGEST and most <= LARGEST:
        return  # and none is NaN, or both were
    for wrong, what in (
        (values.isinf(), "infinite"),
        (values.isfinite() & (values.abs() > LARGEST), "beyond float32, which ends at 3.4e38"),
        (values.isnan(), "missing (NaN)"),
    ):
        if what.startswith("missing") and missing:
            continue
        if places := int(wrong.sum()):
            first = ", ".join(map(str, wrong.nonzero()[0].tolist()))
            raise one.fault(
                which,
                f"has {places} value{'s' * (places > 1)} that "
                f"{'are' if places > 1 else 'is'} {what}, the first at "
                f"{one.names[which]}[{first}]",
            )


def _laid_out(inputs: "torch.Tensor") -> "tuple[torch.Tensor, tuple[str, ...]]":
    """Images with their channels before their height, and what to say of that."""
    shape = tuple(inputs.shape)
    if inputs.dtype == torch.uint8 and inputs.ndim == 3:
        return inputs.unsqueeze(1), ()
    if inputs.ndim == 4 and shape[3] in CHANNELS and min(shape[1:3]) > max(CHANNELS):
        return inputs.permute(0, 3, 1, 2).contiguous(), (
            f"images of {shape[1]} x {shape[2]} with {shape[3]} channels last; moved to the front",
        )
    return inputs, ()


def _targets(pairs: Sequence[Pair]) -> tuple[Target, tuple[str, ...]]:
    first = pairs[0]
    name = first.names[1]
    if first.target is None:
        return None, (name,)
    words = first.target.dtype.kind in WORDS
    width = first.target.shape[1:]
    for one in pairs:
        assert one.target is not None
        if (one.target.dtype.kind in WORDS) != words or one.target.shape[1:] != width:
            raise one.fault(
                1,
                f"holds {one.target.dtype} of shape {one.target.shape}, {name!r} "
                f"{first.target.dtype} of shape {first.target.shape}; expected the same kind",
            )
    if words:
        return [label for one in pairs for label in _labels(one)], (name,)
    values = torch.cat([_numbers(one) for one in pairs])
    if values.shape[1] == 1:
        return values, (name,)
    return values, tuple(f"{name}{place}" for place in range(1, values.shape[1] + 1))


def _labels(one: Pair) -> list[str]:
    assert one.target is not None
    if one.target.ndim == 2 and one.target.shape[1] > 1:
        raise one.fault(1, f"holds {one.target.shape[1]} columns of words; expected one")
    words = one.target.reshape(-1).tolist()
    try:
        return [word if isinstance(word, str) else word.decode() for word in words]
    except UnicodeDecodeError:
        raise one.fault(1, "holds bytes that are not UTF-8; expected words") from None


def _numbers(one: Pair) -> "torch.Tensor":
    """(N, T) float64."""
    assert one.target is not None
    if one.target.dtype.kind in "iu" and abs(one.target.astype(float)).max() > EXACT:
        raise one.fault(1, "holds whole numbers above 2**53, which float64 rounds")
    values = _tensor(one.target, torch.float64).reshape(len(one.target), -1)
    _check_values(one, 1, values, missing=True)
    return values
