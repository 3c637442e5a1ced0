"""What is to be learnt: numbers, one of two classes, one of several, or which labels apply."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from nnarch.errors import DataError
from nnarch.lazy import LazyModule

if TYPE_CHECKING:
    import torch
else:
    torch = LazyModule("torch")

TaskKind = Literal["regression", "binary", "multiclass", "multilabel"]
REGRESSION: tuple[TaskKind, ...] = ("regression",)
BINARY: tuple[TaskKind, ...] = ("binary",)
CLASSIFICATION: tuple[TaskKind, ...] = ("binary", "multiclass")
LABELLING: tuple[TaskKind, ...] = ("binary", "multiclass", "multilabel")
MOST_CLASSES = 20  # a target of whole numbers with more distinct values is a quantity


class Targeted(Protocol):
    """Samples that know what is to be predicted from them, as a table's rows do."""

    @property
    def target(self) -> "torch.Tensor | list[str] | None": ...
    @property
    def target_names(self) -> tuple[str, ...]: ...
    def __len__(self) -> int: ...


@dataclass(frozen=True)
class Task:
    """What a network has to predict for a row.

    Attributes:
        targets: names of the target columns; of a multilabel task, the labels.
        classes: the labels in the user's own words, by index; empty for several targets at once.
        counts: training rows of each class, or with each label; empty for regression.
    """

    kind: TaskKind
    targets: tuple[str, ...]
    classes: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()

    def __str__(self) -> str:
        if self.kind == "multilabel":
            return f"multilabel classification: {len(self.targets)}: {shown(self.targets)}"
        if not self.classes:
            return f"regression of {shown(self.targets)}"
        into = f"{len(self.classes)}: {shown(self.classes)}"
        return f"{self.kind} classification of {self.targets[0]} into {into}"


def infer(table: Targeted, wanted: str, fitting: tuple[TaskKind, ...] | None) -> Task:
    """The task that the target, the config's word and its loss make together.

    Args:
        wanted: `auto` or a kind of task.
        fitting: the kinds that the config's loss is for, or None where it names no loss.

    Raises: DataError where the target cannot be learnt so.
    """
    name = shown(table.target_names)
    numeric = not isinstance(table.target, list)
    if wanted == "multilabel" or (wanted == "auto" and _are_labels(table, fitting)):
        return _multilabel(table)
    if wanted == "auto" and fitting == REGRESSION and numeric:
        wanted = "regression"
    if wanted == "regression" or (wanted == "auto" and _is_quantity(table, fitting)):
        if not numeric:
            words = shown(labelled(table)[0])
            raise DataError(
                f"data: the target {name!r} holds words ({words}); a regression expects numbers"
            )
        return Task("regression", table.target_names)
    if len(table.target_names) > 1:
        raise DataError(f"data: {len(table.target_names)} targets ({name}) can only be numbers")
    classes = _in_order(set(labelled(table)[0]))
    if len(classes) < 2:
        raise DataError(f"data: the target {name!r} has one class ({shown(classes)}) only")
    if wanted == "binary" and len(classes) != 2:
        raise DataError(
            f"data: the target {name!r} has {len(classes)} classes ({shown(classes)}); a binary "
            "task expects 2"
        )
    two = wanted == "binary" or (wanted == "auto" and len(classes) == 2)
    return Task("binary" if two else "multiclass", table.target_names, classes)


def _are_labels(table: Targeted, fitting: tuple[TaskKind, ...] | None) -> bool:
    """Whether several targets, of which nobody said what they are, all say yes or no."""
    if len(table.target_names) < 2 or table.target is None or isinstance(table.target, list):
        return False
    wanted = fitting is None or ("multilabel" in fitting and "regression" not in fitting)
    return wanted and _yes_or_no(table.target)


def _yes_or_no(target: "torch.Tensor") -> bool:
    return bool(((target == 0) | (target == 1)).all())


def _multilabel(table: Targeted) -> Task:
    if len(table.target_names) < 2:
        raise DataError(
            f"data: a multilabel task expects several targets; got {shown(table.target_names)} "
            "alone, which is a binary one"
        )
    if isinstance(table.target, list) or table.target is None or not _yes_or_no(table.target):
        raise DataError(
            f"data: a multilabel task expects targets of 0 and 1; {shown(table.target_names)} "
            "hold something else"
        )
    return Task("multilabel", table.target_names)


def _is_quantity(table: Targeted, fitting: tuple[TaskKind, ...] | None) -> bool:
    """Whether a target whose task nobody named is a number rather than a class."""
    if isinstance(table.target, list) or table.target is None:
        return False
    if fitting is not None and "regression" not in fitting:
        return False
    if table.target.shape[1] > 1 or not bool((table.target == table.target.round()).all()):
        return True
    return len(table.target.unique()) > min(MOST_CLASSES, len(table) // 2)


def labelled(table: Targeted) -> "tuple[list[str], torch.Tensor]":
    """The target as class labels: the distinct ones, and (N,) which of them each row has."""
    assert table.target is not None
    if isinstance(table.target, list):
        known: dict[str, int] = {}
        codes = [known.setdefault(label, len(known)) for label in table.target]
        return list(known), torch.tensor(codes, dtype=torch.int64)
    values, places = table.target[:, 0].unique(return_inverse=True)
    return [spelt(value) for value in values.tolist()], places


def spelt(value: float) -> str:
    """A number as a word: whole ones without a point.

    >>> spelt(3.0), spelt(0.25)
    ('3', '0.25')
    """
    return str(int(value)) if value.is_integer() else repr(value)


def encode(table: Targeted, task: Task) -> "torch.Tensor":
    """The target as training wants it: (N,) int64 class indices, or (N, T) float64.

    Raises: DataError where a label is none of the task's classes.
    """
    if not task.classes:
        assert table.target is not None
        if isinstance(table.target, list):
            raise DataError(f"data: the target holds words; expected numbers for {task}")
        return table.target
    index = {label: i for i, label in enumerate(task.classes)}
    found, codes = labelled(table)
    if unknown := sorted(set(found) - index.keys()):
        raise DataError(
            f"data: the network was not trained on the class {unknown[0]!r}; it knows "
            + shown(task.classes)
        )
    return torch.tensor([index[label] for label in found], dtype=torch.int64)[codes]


def _in_order(names: set[str]) -> tuple[str, ...]:
    """Numbers by size, words by alphabet."""
    words = sorted(names)  # first, so that "1" and "01" come in one order in every process
    try:
        return tuple(sorted(words, key=float))
    except ValueError:
        return tuple(words)


def shown(names: Sequence[str]) -> str:
    """The first distinct names, in a sentence."""
    distinct = list(dict.fromkeys(names))
    return ", ".join(distinct[:6]) + (", …" if len(distinct) > 6 else "")
