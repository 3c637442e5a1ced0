"""The task: what a target, the config's word for it and its loss make together."""

from dataclasses import replace
from itertools import cycle, islice
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nnarch.data import task as tasks
from nnarch.data.table import Table, numeric
from nnarch.data.task import BINARY, CLASSIFICATION, LABELLING, REGRESSION, Task
from nnarch.errors import DataError


def table(target: list[Any], names: tuple[str, ...] = ("y",)) -> Table:
    """A table of one feature whose target is words, numbers, or rows of numbers."""
    inputs = torch.zeros(len(target), 1, dtype=torch.float64)
    if isinstance(target[0], str):
        return Table(inputs, numeric("x"), target, names)
    rows = [value if isinstance(value, list) else [value] for value in target]
    return Table(inputs, numeric("x"), torch.tensor(rows, dtype=torch.float64), names)


def repeated(values: list[Any], rows: int = 100) -> list[Any]:
    return list(islice(cycle(values), rows))


SEEN = {
    "two words": (["no", "yes"], "binary", ("no", "yes")),
    "three words, by alphabet": (["b", "c", "a"], "multiclass", ("a", "b", "c")),
    "capitals before small letters": (["b", "B"], "binary", ("B", "b")),
    "words that are numbers, by size": (["10", "9", "2"], "multiclass", ("2", "9", "10")),
    "numbers among words, by alphabet": (
        ["9", "10", "more"],
        "multiclass",
        ("10", "9", "more"),
    ),
    "0 and 1": ([0, 1], "binary", ("0", "1")),
    "minus 1 and 1": ([1, -1], "binary", ("-1", "1")),
    "minus zero is zero": ([0.0, -0.0, 1.0], "binary", ("0", "1")),
    "few whole numbers, by size": ([10, 9, 3], "multiclass", ("3", "9", "10")),
    "20 whole numbers": (list(range(20)), "multiclass", tuple(map(str, range(20)))),
    "21 whole numbers": (list(range(21)), "regression", ()),
    "two fractions": ([0.5, 1.5], "regression", ()),
    "one fraction among whole numbers": ([0, 1, 0.5], "regression", ()),
    "huge whole numbers": ([1e18, 2e18], "binary", ("1" + "0" * 18, "2" + "0" * 18)),
}


@pytest.mark.parametrize(("values", "kind", "classes"), SEEN.values(), ids=SEEN)
def test_the_task_is_seen_from_the_target(values: list[Any], kind: str, classes: tuple[str, ...]):
    found = tasks.infer(table(repeated(values)), "auto", None)
    assert (found.kind, found.classes, found.targets) == (kind, classes, ("y",))


@pytest.mark.parametrize(("rows", "kind"), [(10, "regression"), (12, "multiclass")])
def test_whole_numbers_that_hardly_repeat_are_quantities(rows: int, kind: str):
    assert tasks.infer(table(repeated(list(range(6)), rows)), "auto", None).kind == kind


YES_OR_NO = [[0, 1], [1, 0], [0, 0]]


@pytest.mark.parametrize("fitting", [None, ("binary", "multilabel")])
def test_several_targets_of_0_and_1_are_labels(fitting: Any):
    found = tasks.infer(table(repeated(YES_OR_NO), ("a", "b")), "auto", fitting)
    assert found == Task("multilabel", ("a", "b"))


@pytest.mark.parametrize("fitting", [None, REGRESSION])
def test_several_targets_of_anything_else_are_numbers(fitting: Any):
    found = tasks.infer(table(repeated([[0, 1], [2, 0]]), ("a", "b")), "auto", fitting)
    assert found == Task("regression", ("a", "b"))


def test_one_target_of_0_and_1_is_two_classes_and_no_label():
    given = table(repeated([0, 1]))
    assert tasks.infer(given, "auto", LABELLING).kind == "binary"
    with pytest.raises(DataError, match="expects several targets; got y alone, which is a binary"):
        tasks.infer(given, "multilabel", None)


STEERED = {
    "a loss of numbers": ([0, 1], "auto", REGRESSION, "regression"),
    "a loss of numbers, constant target": ([3], "auto", REGRESSION, "regression"),
    "a loss of classes": (list(range(30)), "auto", CLASSIFICATION, "multiclass"),
    "a loss of classes, fractions": ([0.5, 1.5], "auto", CLASSIFICATION, "binary"),
    "a loss of two classes": ([0.5, 1.5], "auto", BINARY, "binary"),
    "the word regression": ([0, 1], "regression", None, "regression"),
    "the word multiclass": (["no", "yes"], "multiclass", None, "multiclass"),
    "the word multiclass, fractions": ([0.5, 1.5], "multiclass", None, "multiclass"),
    "the word binary": ([7, 40], "binary", None, "binary"),
    "the word multilabel": (YES_OR_NO, "multilabel", None, "multilabel"),
    "the word regression, of 0 and 1": (YES_OR_NO, "regression", None, "regression"),
    "a loss of numbers, of 0 and 1": (YES_OR_NO, "auto", REGRESSION, "regression"),
}


@pytest.mark.parametrize(("values", "wanted", "fitting", "kind"), STEERED.values(), ids=STEERED)
def test_the_loss_and_the_word_decide_what_could_be_either(
    values: list[Any], wanted: str, fitting: Any, kind: str
):
    names = ("a", "b") if isinstance(values[0], list) else ("y",)
    assert tasks.infer(table(repeated(values), names), wanted, fitting).kind == kind


def test_words_stay_classes_whatever_the_loss_is_for():
    """The experiment then says which losses fit, which no guess here could."""
    assert tasks.infer(table(repeated(["no", "yes"])), "auto", REGRESSION).kind == "binary"


REFUSED = {
    "one word": (table(["a", "a"]), "auto", None, "'y' has one class (a) only"),
    "one number": (table([2, 2, 2]), "auto", None, "'y' has one class (2) only"),
    "one class for a loss": (table([2.5, 2.5]), "auto", BINARY, "one class (2.5) only"),
    "three for binary": (
        table(["a", "b", "c"]),
        "binary",
        None,
        "'y' has 3 classes (a, b, c); a binary task expects 2",
    ),
    "words for regression": (
        table(["a", "b"]),
        "regression",
        None,
        "'y' holds words (a, b); a regression expects numbers",
    ),
    "two targets for classes": (
        table([[0, 1], [1, 0]], ("a", "b")),
        "multiclass",
        None,
        "2 targets (a, b) can only be numbers",
    ),
    "labels that are words": (
        replace(table([0, 1]), target=["a", "b"], target_names=("a", "b")),
        "multilabel",
        None,
        "a multilabel task expects targets of 0 and 1; a, b hold something else",
    ),
    "labels that are numbers": (
        table([[0, 1], [1, 2]], ("a", "b")),
        "multilabel",
        None,
        "a multilabel task expects targets of 0 and 1; a, b hold something else",
    ),
}


@pytest.mark.parametrize(("given", "wanted", "fitting", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_learnt_is_refused(given: Table, wanted: str, fitting: Any, said: str):
    with pytest.raises(DataError) as refused:
        tasks.infer(given, wanted, fitting)
    assert said in str(refused.value)
    assert refused.value.exit_code == 4


def test_a_message_shows_six_of_many_classes():
    with pytest.raises(DataError, match=r"26 classes \(a, b, c, d, e, f, …\)"):
        tasks.infer(table(list("abcdefghijklmnopqrstuvwxyz")), "binary", None)


def each_label(given: Table) -> list[str]:
    distinct, codes = tasks.labelled(given)
    return [distinct[code] for code in codes.tolist()]


def test_a_whole_number_is_a_label_without_a_decimal_point():
    given = table([3.0, -0.0, -12.0, 0.25, 1e20])
    assert each_label(given) == ["3", "0", "-12", "0.25", "100000000000000000000"]


def test_words_are_labels_as_they_stand():
    assert each_label(table(["3.0", " a", ""])) == ["3.0", " a", ""]


@given(st.lists(st.sampled_from(["a", "B", "é", "x y"]), min_size=1))
def test_encoding_words_can_be_undone(words: list[str]):
    task = Task("multiclass", ("y",), ("B", "a", "x y", "é"))
    encoded = tasks.encode(table(words), task)
    assert encoded.dtype == torch.int64
    assert [task.classes[index] for index in encoded.tolist()] == words


@given(st.permutations(["1", "01", "1.0", "2", "02"]))
def test_labels_of_the_same_size_have_one_order(words: list[str]):
    found = tasks.infer(table(words), "auto", None)
    assert found.classes == ("01", "1", "1.0", "02", "2")


def test_an_index_does_not_depend_on_the_rows_at_hand():
    """Test rows that lack a class must not shift the others."""
    task = Task("multiclass", ("y",), ("2", "9", "10"))
    assert tasks.encode(table([10, 9, 10]), task).tolist() == [2, 1, 2]


@pytest.mark.parametrize("target", [[2.0, 4.0], ["2", "4"]], ids=["numbers", "words"])
def test_a_class_that_training_never_saw_is_named(target: list[Any]):
    task = Task("multiclass", ("y",), ("1", "2", "3"))
    with pytest.raises(DataError, match="not trained on the class '4'; it knows 1, 2, 3"):
        tasks.encode(table(target), task)


def test_a_regression_keeps_its_numbers():
    values = [[1.5, -2.0], [1e9, 0.1]]
    given = table(values, ("a", "b"))
    encoded = tasks.encode(given, tasks.infer(given, "auto", None))
    assert encoded.dtype == torch.float64
    assert encoded.tolist() == values


def test_labels_stay_0_and_1():
    given = table(YES_OR_NO, ("a", "b"))
    assert tasks.encode(given, Task("multilabel", ("a", "b"))).tolist() == YES_OR_NO


def test_a_regression_refuses_words_later_on():
    with pytest.raises(DataError, match="holds words; expected numbers for regression of y"):
        tasks.encode(table(["a", "b"]), Task("regression", ("y",)))


def test_a_task_is_told_in_words():
    assert str(Task("regression", ("a", "b"))) == "regression of a, b"
    two = Task("binary", ("y",), ("no", "yes"))
    assert str(two) == "binary classification of y into 2: no, yes"
    labels = Task("multilabel", ("a", "b", "c"))
    assert str(labels) == "multilabel classification: 3: a, b, c"
