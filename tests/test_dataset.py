"""A table made ready: parted, scaled by its training rows, known again by its fingerprint."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import nnarch
from nnarch.data import dataset as datasets
from nnarch.data import task as tasks
from nnarch.data.table import Table
from nnarch.errors import DataError
from nnarch.registry import sources
from nnarch.validate import fill_component

PARTS = ("train", "val", "test")


def options(**given: Any) -> dict[str, Any]:
    """The filled `data` of a config; which source it names makes no difference here."""
    spec, faults = fill_component("data", {"source": "synthetic", **given}, ())
    assert not faults
    return spec


def table(rows: int = 60, features: int = 3, classes: bool = False) -> Table:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(rows, features, generator=generator, dtype=torch.float64) * 7 + 3
    names = tuple(f"x{i}" for i in range(features))
    target = inputs[:, :1] * 100 + 5
    if classes:
        words = ["low" if value < 3 else "high" for value in inputs[:, 0].tolist()]
        return Table(inputs, names, words, ("y",))
    return Table(inputs, names, target, ("y",))


def scaled_outside_training(given: Table, spec: dict[str, Any], factor: float) -> Table:
    """`given` with every validation and test feature multiplied."""
    parts = datasets.divide(given, spec, tasks.infer(given, "auto", None))
    inputs = given.inputs.clone()
    inputs[torch.cat([parts["val"], parts["test"]])] *= factor
    return replace(given, inputs=inputs)


@pytest.mark.parametrize("classes", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_nothing_of_validation_and_test_rows_leaks_into_training(classes: bool, seed: int):
    spec = options(split={"seed": seed})
    given = table(classes=classes)
    plain = datasets.make(given, spec, None)
    wild = datasets.make(scaled_outside_training(given, spec, 1e6), spec, None)
    for name, value in plain.preprocess.state_dict().items():
        assert torch.equal(wild.preprocess.state_dict()[name], value), name
    assert torch.equal(wild.parts["train"].inputs, plain.parts["train"].inputs)
    assert torch.equal(wild.parts["train"].target, plain.parts["train"].target)
    assert not torch.equal(wild.parts["val"].inputs, plain.parts["val"].inputs)
    assert wild.task == plain.task


def test_training_goes_the_same_way_whatever_the_other_rows_hold(tmp_path):
    """The same, through all of a run: its training losses and last weights do not change."""
    spec = options(split={"seed": 1})
    losses, weights = [], []
    for factor in (1.0, 1e6):
        given = scaled_outside_training(table(), spec, factor)
        path = tmp_path / f"{factor:g}.csv"
        assert isinstance(given.target, Tensor)
        rows = torch.cat([given.inputs, given.target], 1).tolist()
        text = "\n".join(",".join(map(repr, row)) for row in rows)
        path.write_text(f"x0,x1,x2,y\n{text}\n")
        run = nnarch.train(
            {
                "data": {"source": "csv", "path": str(path), "target": "y", "split": {"seed": 1}},
                "model": {"widths": [4]},
                "epochs": 3,
                "threads": 1,
            },
            runs_dir=tmp_path / "runs",
        )
        losses.append([row["train_loss"] for row in run.history])
        weights.append(run.load_checkpoint("last").tensors)
    assert losses[0] == losses[1]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_training_rows_are_standardised_and_the_others_by_the_same_numbers():
    given, spec = table(), options()
    made = datasets.make(given, spec, None)
    chosen = datasets.divide(given, spec, made.task)
    rows = given.inputs[chosen["train"]]
    mean, deviation = rows.mean(0), rows.std(0, correction=0)
    for part in PARTS:
        exact = (given.inputs[chosen[part]] - mean) / deviation
        torch.testing.assert_close(made.parts[part].inputs, exact)


def test_a_regression_s_target_is_standardised_and_can_be_undone():
    given, spec = table(), options()
    made = datasets.make(given, spec, None)
    train = made.parts["train"].target
    torch.testing.assert_close(train.mean(0), torch.zeros(1, dtype=torch.float64))
    chosen = datasets.divide(given, spec, made.task)
    assert isinstance(given.target, Tensor)
    for part in PARTS:
        undone = made.preprocess.target.inverse(made.parts[part].target)
        torch.testing.assert_close(undone, given.target[chosen[part]])


def test_scaling_can_be_left_out():
    given, spec = table(), options(scaling="none", target_scaling="none")
    made = datasets.make(given, spec, None)
    chosen = datasets.divide(given, spec, made.task)["test"]
    assert isinstance(given.target, Tensor)
    assert torch.equal(made.parts["test"].inputs, given.inputs[chosen])
    assert torch.equal(made.parts["test"].target, given.target[chosen])


def test_classes_are_indices_with_their_words_and_training_counts():
    given, spec = table(classes=True), options()
    made = datasets.make(given, spec, None)
    assert made.task.classes == ("high", "low")
    chosen = datasets.divide(given, spec, made.task)
    assert isinstance(given.target, list)
    for part in PARTS:
        words = [given.target[row] for row in chosen[part].tolist()]
        assert [made.task.classes[i] for i in made.parts[part].target.tolist()] == words
        if part == "train":
            assert made.task.counts == (words.count("high"), words.count("low"))
    assert torch.equal(made.preprocess.target.scale, torch.ones(1, dtype=torch.float64))


def test_a_class_that_training_rows_lack_is_named():
    given = replace(table(), target=["common"] * 59 + ["rare"])
    for seed in range(100):
        spec = options(split={"stratify": False, "seed": seed})
        chosen = datasets.divide(given, spec, tasks.infer(given, "auto", None))
        if 59 not in chosen["train"]:
            with pytest.raises(DataError, match="no training row is of class 'rare'"):
                datasets.make(given, spec, None)
            return
    pytest.fail("in none of 100 splits was the last row held out")


def test_a_constant_feature_is_zero_in_every_training_row():
    given = table()
    given.inputs[:, 1] = 0.1
    made = datasets.make(given, options(), None)
    assert (made.parts["train"].inputs[:, 1] == 0).all()
    assert all(part.inputs.isfinite().all() for part in made.parts.values())


def test_the_parts_stay_put_when_features_are_added():
    """Models on more or fewer columns are compared on the same rows."""
    few, many = (
        datasets.divide(given, options(), tasks.infer(given, "auto", None))
        for given in (table(features=2), table(features=5))
    )
    assert all(torch.equal(few[part], many[part]) for part in PARTS)


def test_rows_move_to_a_number_type_but_for_class_indices():
    numbers, classes = (
        datasets.make(table(classes=classes), options(), None).parts["val"]
        for classes in (False, True)
    )
    cpu = torch.device("cpu")
    moved = numbers.to(cpu, torch.float32)
    assert (moved.inputs.dtype, moved.target.dtype) == (torch.float32, torch.float32)
    moved = classes.to(cpu, torch.float32)
    assert (moved.inputs.dtype, moved.target.dtype) == (torch.float32, torch.int64)
    assert torch.equal(moved.target, classes.target)


def test_rows_are_taken_by_number():
    rows = datasets.make(table(), options(), None).parts["train"]
    taken = rows.take(torch.tensor([5, 0, 5]))
    assert len(taken) == 3
    assert torch.equal(taken.inputs, rows.inputs[[5, 0, 5]])
    assert torch.equal(taken.target, rows.target[[5, 0, 5]])


def small(inputs: list[list[float]], target: Any, names: str = "ab", targets: str = "y") -> Table:
    if not isinstance(target[0], str):
        target = torch.tensor(target, dtype=torch.float64)
    return Table(torch.tensor(inputs, dtype=torch.float64), tuple(names), target, tuple(targets))


PLAIN = small([[1, 2], [3, 4]], [[5], [6]])
WORDS = small([[1, 2], [3, 4]], ["a\nb", "c"])
DIFFERENT = {
    "another value": (PLAIN, small([[1, 2], [3, 4.000000001]], [[5], [6]])),
    "another target": (PLAIN, small([[1, 2], [3, 4]], [[5], [6.5]])),
    "rows in another order": (PLAIN, small([[3, 4], [1, 2]], [[6], [5]])),
    "columns in another order": (PLAIN, small([[2, 1], [4, 3]], [[5], [6]], "ba")),
    "values of columns swapped": (PLAIN, small([[2, 1], [4, 3]], [[5], [6]])),
    "names of columns swapped": (PLAIN, small([[1, 2], [3, 4]], [[5], [6]], "ba")),
    "another name": (PLAIN, small([[1, 2], [3, 4]], [[5], [6]], "ac")),
    "another name of the target": (PLAIN, small([[1, 2], [3, 4]], [[5], [6]], targets="z")),
    "a row less": (PLAIN, small([[1, 2]], [[5]])),
    "a feature that becomes a target": (
        small([[1, 2]], [[5]]),
        small([[1]], [[2, 5]], "a", "by"),
    ),
    "words instead of numbers": (PLAIN, small([[1, 2], [3, 4]], ["5", "6"])),
    "another word": (WORDS, small([[1, 2], [3, 4]], ["a\nb", "d"])),
    "words in another order": (WORDS, small([[1, 2], [3, 4]], ["c", "a\nb"])),
    "a line break that moves": (WORDS, small([[1, 2], [3, 4]], ["a", "b\nc"])),
}


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_any_difference_changes_the_fingerprint(one: Table, other: Table):
    assert datasets.fingerprint(one) != datasets.fingerprint(other)


@settings(deadline=None)
@given(st.integers(0, 59), st.integers(0, 2), st.integers(0, 63))
def test_one_bit_of_one_value_changes_the_fingerprint(row: int, column: int, bit: int):
    given = table()
    inputs = given.inputs.clone()
    inputs.view(torch.int64)[row, column] ^= torch.tensor(-(2**63) if bit == 63 else 1 << bit)
    assert datasets.fingerprint(replace(given, inputs=inputs)) != datasets.fingerprint(given)


def test_the_same_rows_have_the_same_fingerprint_however_they_lie_in_memory():
    given = table()
    transposed = replace(given, inputs=given.inputs.t().contiguous().t())
    assert not transposed.inputs.is_contiguous()
    assert datasets.fingerprint(transposed) == datasets.fingerprint(given)


def test_the_fingerprint_of_a_source_is_the_same_again():
    spec = options(rows=30)
    first, again = (datasets.fingerprint(sources.build(spec)) for _ in range(2))
    assert first == again
