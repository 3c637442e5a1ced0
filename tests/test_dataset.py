"""Data made ready: parted, scaled by its training rows, known again by its fingerprint."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import nnarch
from nnarch.data import dataset as datasets
from nnarch.data import identity
from nnarch.data import task as tasks
from nnarch.data.array import Array
from nnarch.data.batches import Matrix, Pixels
from nnarch.data.dataset import Dataset
from nnarch.data.parting import divide
from nnarch.data.sources.series import Series, windows
from nnarch.data.table import Column, Table, numeric
from nnarch.data.tokens import Tokens
from nnarch.engine import Engine
from nnarch.engine.eager import Eager
from nnarch.errors import ConfigError, DataError
from nnarch.evaluation import evaluate
from nnarch.gradient import Gradient
from nnarch.losses import Loss
from nnarch.metrics import DEFAULTS
from nnarch.models import network as networks
from nnarch.registry import losses, schedules, sources
from nnarch.schedules import with_warmup
from nnarch.training import Record, Settings, Training, train
from nnarch.validate import fill_component

PARTS = ("train", "val", "test")
LOSS = {"regression": "mse", "binary": "bce_with_logits", "multilabel": "bce_with_logits"}
DAY = 86_400.0


def filled(kind: str, **given: Any) -> dict[str, Any]:
    spec, faults = fill_component(kind, given, ())
    assert not faults
    return spec


def options(**given: Any) -> dict[str, Any]:
    """The filled `data` of a config; which source it names makes no difference here."""
    return filled("data", source="synthetic", **given)


def chosen(given: Table, spec: dict[str, Any]) -> dict[str, Tensor]:
    return divide(given, spec, tasks.infer(given, "auto", None))


def matrix(made: Dataset, part: str) -> Matrix:
    rows = made.parts[part]
    assert isinstance(rows, Matrix)
    return rows


def table(rows: int = 60, features: int = 3, classes: bool = False) -> Table:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(rows, features, generator=generator, dtype=torch.float64) * 7 + 3
    names = numeric(f"x{i}" for i in range(features))
    target = inputs[:, :1] * 100 + 5
    if classes:
        words = ["low" if value < 3 else "high" for value in inputs[:, 0].tolist()]
        return Table(inputs, names, words, ("y",))
    return Table(inputs, names, target, ("y",))


def scaled_outside_training(given: Table, spec: dict[str, Any], factor: float) -> Table:
    """`given` with every validation and test feature multiplied."""
    parts = chosen(given, spec)
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
    assert_fitted_alike(plain, wild)
    assert torch.equal(matrix(wild, "train").inputs, matrix(plain, "train").inputs)
    assert torch.equal(matrix(wild, "train").target, matrix(plain, "train").target)
    assert not torch.equal(matrix(wild, "val").inputs, matrix(plain, "val").inputs)
    assert wild.task == plain.task


def assert_fitted_alike(one: Dataset, other: Dataset) -> None:
    """To the last bit."""
    assert one.preprocess.spec == other.preprocess.spec
    theirs = other.preprocess.state_dict()
    assert list(one.preprocess.state_dict()) == list(theirs)
    for name, value in one.preprocess.state_dict().items():
        assert torch.equal(value, theirs[name]), name


def mixed(rows: int = 120, target: str = "number") -> Table:
    """Columns of every kind with gaps, and parts that are given: 8 of 10 rows train."""
    chance = torch.Generator().manual_seed(0)

    def uniform() -> Tensor:
        return torch.rand(rows, generator=chance, dtype=torch.float64)

    texts = tuple(f"{first} {second} thing" for first in "abcdef" for second in "uvw")
    colours = ("green", "red", "blue", "only held out")
    held_out = torch.arange(rows) % 10 >= 8
    inputs = torch.stack(
        [
            torch.where(uniform() < 0.2, torch.nan, uniform() * 9 + 2),
            uniform() * 1e6 - 5,
            (uniform() < 0.5).double(),
            1.6e9 + (uniform() * 500).floor() * DAY,
            torch.where(uniform() < 0.2, torch.nan, (uniform() * 3).floor()),
            (uniform() * len(texts)).floor(),
        ],
        dim=1,
    )
    inputs[held_out, 4] = 3.0 - (uniform()[held_out] * 4).floor()
    columns = (
        *numeric(["some", "large"]),
        Column("flag", "boolean"),
        Column("day", "datetime"),
        Column("colour", "categorical", colours),
        Column("note", "text", texts),
    )
    sums = inputs.nan_to_num(0)[:, [0, 2, 4]].sum(1)
    values: Any = {
        "number": sums.unsqueeze(1) * 10,
        "words": ["high" if value > 6 else "low" for value in sums.tolist()],
        "labels": torch.stack([(sums > 6).double(), inputs[:, 2]], 1),
    }[target]
    parts = torch.where(held_out, torch.arange(rows) % 10 - 7, 0)
    names = ("a", "b") if target == "labels" else ("y",)
    return Table(inputs, columns, values, names, parts)


def wild(given: Table) -> Table:
    """The same training rows beside others of other sizes, words and gaps.

    The words of a column change places, as they would in a file whose rows are others.
    """
    assert given.parts is not None
    inputs, out = given.inputs.clone(), given.parts > 0
    count = int(out.sum())
    columns = list(given.columns)
    inputs[out, 0] *= 1e6
    inputs[out, 1] = torch.nan
    inputs[out, 2] = 1 - inputs[out, 2]
    inputs[out, 3] += 9000.25 * DAY
    for place in (4, 5):
        words = columns[place].words
        inputs[:, place] = len(words) + 1 - inputs[:, place]
        turned = ("never seen", "nor this", *reversed(words))
        columns[place] = replace(columns[place], words=turned)
        inputs[out, place] = torch.arange(count).double() % 2
    return replace(given, inputs=inputs, columns=tuple(columns))


def trained(made: Dataset, epochs: int = 3) -> tuple[list[Record], dict[str, Tensor]]:
    """The history of a small network on the data, and its last weights."""
    loss: Loss = losses.build(filled("loss", name=LOSS[made.task.kind]), made.task)
    network = networks.make(filled("model", name="mlp"), made.inputs, loss.outputs, 0)
    schedule = with_warmup(schedules.build(filled("schedule", name="constant"), epochs), 0)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    settings = Settings(0, epochs, 16, "val_loss", False)
    target = made.preprocess.target
    wanted = [filled("metric", name=name) for name in DEFAULTS[made.task.kind]]

    def measure() -> Any:
        return evaluate(network, loss, made.parts["val"], target, made.task, wanted)

    training, rows = Training(network, optimizer, schedule, None), made.parts["train"]
    gradient = Gradient(network, list(network.parameters()), loss, rows)
    engine = Engine("eager", "", Eager(gradient, optimizer), optimizer, network)
    records = list(train(training, engine, loss, rows, target.scale, measure, settings))
    return records, network.state_dict()


LEAKS: dict[str, tuple[str, dict[str, Any]]] = {
    "numbers": ("number", {"scaling": "standard", "missing": "median"}),
    "words": ("words", {"scaling": "quantile", "missing": "mean"}),
    "labels": ("labels", {"scaling": "robust", "missing": "zero"}),
    "embedding": ("number", {"scaling": "minmax", "categories": "embedding"}),
    "logarithms": ("number", {"target_transform": "log1p"}),
}


@pytest.mark.parametrize(("target", "given"), LEAKS.values(), ids=LEAKS)
def test_no_kind_of_column_leaks_into_training(target: str, given: dict[str, Any]):
    plain, other = (
        datasets.make(rows, options(**given), None)
        for rows in (mixed(target=target), wild(mixed(target=target)))
    )
    assert_fitted_alike(plain, other)
    assert plain.task == other.task
    assert torch.equal(matrix(other, "train").inputs, matrix(plain, "train").inputs)
    assert not torch.equal(matrix(other, "val").inputs, matrix(plain, "val").inputs)
    (first, weights), (second, others) = trained(plain), trained(other)
    assert [record.train_loss for record in first] == [record.train_loss for record in second]
    assert [record.val_loss for record in first] != [record.val_loss for record in second]
    assert all(torch.equal(value, others[name]) for name, value in weights.items())


def test_words_that_only_other_rows_hold_are_no_features():
    made = datasets.make(mixed(), options(), None)
    assert "colour=red" in made.preprocess.inputs.output_names
    assert "colour=only held out" not in made.preprocess.inputs.output_names


def test_training_goes_the_same_way_whatever_the_other_rows_hold(tmp_path: Path):
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
    made = datasets.make(given, spec, None, torch.float64)
    parts = divide(given, spec, made.task)
    rows = given.inputs[parts["train"]]
    mean, deviation = rows.mean(0), rows.std(0, correction=0)
    for part in PARTS:
        exact = (given.inputs[parts[part]] - mean) / deviation
        torch.testing.assert_close(matrix(made, part).inputs, exact)


def test_a_regression_s_target_is_standardised_and_can_be_undone():
    given, spec = table(), options()
    made = datasets.make(given, spec, None, torch.float64)
    train = matrix(made, "train").target
    torch.testing.assert_close(train.mean(0), torch.zeros(1, dtype=torch.float64))
    parts = divide(given, spec, made.task)
    assert isinstance(given.target, Tensor)
    for part in PARTS:
        undone = made.preprocess.target.inverse(matrix(made, part).target)
        torch.testing.assert_close(undone, given.target[parts[part]])


def test_scaling_can_be_left_out():
    given, spec = table(), options(scaling="none", target_scaling="none")
    made = datasets.make(given, spec, None, torch.float64)
    parts = divide(given, spec, made.task)
    assert isinstance(given.target, Tensor)
    assert torch.equal(matrix(made, "test").inputs, given.inputs[parts["test"]])
    assert torch.equal(matrix(made, "test").target, given.target[parts["test"]])


def test_classes_are_indices_with_their_words_and_training_counts():
    given, spec = table(classes=True), options()
    made = datasets.make(given, spec, None)
    assert made.task.classes == ("high", "low")
    parts = divide(given, spec, made.task)
    assert isinstance(given.target, list)
    for part in PARTS:
        words = [given.target[row] for row in parts[part].tolist()]
        assert [made.task.classes[i] for i in matrix(made, part).target.tolist()] == words
        if part == "train":
            assert made.task.counts == (words.count("high"), words.count("low"))
    assert torch.equal(made.preprocess.target.scale, torch.ones(1, dtype=torch.float64))


def test_a_class_that_training_rows_lack_is_named():
    given = replace(table(), target=["common"] * 59 + ["rare"])
    for seed in range(100):
        spec = options(split={"stratify": False, "seed": seed})
        if 59 not in chosen(given, spec)["train"]:
            with pytest.raises(DataError, match="no training row is of class 'rare'"):
                datasets.make(given, spec, None)
            return
    pytest.fail("in none of 100 splits was the last row held out")


def test_a_constant_feature_is_zero_in_every_training_row():
    given = table()
    given.inputs[:, 1] = 0.1
    made = datasets.make(given, options(columns=["x0", "x1", "x2"]), None)
    assert (matrix(made, "train").inputs[:, 1] == 0).all()
    assert all(matrix(made, part).inputs.isfinite().all() for part in PARTS)


def test_the_parts_stay_put_when_features_are_added():
    """Models on more or fewer columns are compared on the same rows."""
    few, many = (chosen(given, options()) for given in (table(features=2), table(features=5)))
    assert all(torch.equal(few[part], many[part]) for part in PARTS)


def test_labels_stay_0_and_1_and_are_counted():
    made = datasets.make(mixed(target="labels"), options(), None)
    target = matrix(made, "train").target
    assert (made.task.kind, target.dtype) == ("multilabel", torch.float32)
    assert made.task.counts == tuple(target.sum(0).int().tolist())
    assert set(target.unique().tolist()) == {0.0, 1.0}


def test_labels_are_learnt():
    """Both labels follow from a feature, so that a few epochs tell them nearly always."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(300, 3, generator=generator, dtype=torch.float64)
    given = Table(inputs, numeric("abc"), (inputs[:, :2] > 0).double(), ("p", "q"))
    made = datasets.make(given, options(), None)
    records, _ = trained(made, epochs=20)
    losses = [record.train_loss for record in records]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.4 * losses[0]
    assert records[-1].metrics["accuracy"] > 0.9


def images(rows: int = 40, dtype: torch.dtype = torch.uint8) -> Array:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (rows, 2, 3, 4), generator=generator).to(dtype)
    return Array(pixels, ["even", "odd"] * (rows // 2), ("parity",))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float64])
def test_images_stay_as_they_were_read_until_their_batch(dtype: torch.dtype):
    given, spec = images(dtype=dtype), options()
    made = datasets.make(given, spec, None, torch.float64)
    parts = divide(given, spec, made.task)
    pixels = given.inputs[parts["train"]].double()
    mean, deviation = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3), correction=0)
    for part in PARTS:
        rows = made.parts[part]
        assert isinstance(rows, Pixels)
        assert torch.equal(rows.inputs, given.inputs[parts[part]])
        (batch,) = rows.in_order(100)
        exact = (given.inputs[parts[part]].double() - mean.view(2, 1, 1)) / deviation.view(2, 1, 1)
        torch.testing.assert_close(batch.inputs, exact)
        assert batch.target.tolist() == [row % 2 for row in parts[part].tolist()]
    assert (made.noun, made.inputs.shape) == ("samples", (2, 3, 4))


def test_other_images_do_not_leak_into_training():
    given = replace(images(), parts=torch.arange(40) % 4 % 3)
    assert given.parts is not None
    pixels = given.inputs.clone()
    pixels[given.parts > 0] //= 100
    plain, other = (
        datasets.make(data, options(), None) for data in (given, replace(given, inputs=pixels))
    )
    assert_fitted_alike(plain, other)


def series(late: float = 1.0) -> Series:
    """100 steps, of which the last 40 are multiplied."""
    values = torch.randn(100, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values[60:] *= late
    return windows(Table(values, numeric("ab"), None, ()), None, None, None, 6, 3)


def test_later_steps_do_not_leak_into_training():
    spec = options(split={"train": 0.6, "val": 0.2, "test": 0.2})
    plain, other = (datasets.make(series(late), spec, None) for late in (1.0, 1e6))
    assert_fitted_alike(plain, other)
    first, second = (list(made.parts["train"].in_order(1000)) for made in (plain, other))
    assert torch.equal(first[0].inputs, second[0].inputs)
    assert torch.equal(first[0].target, second[0].target)


def test_a_series_is_scaled_by_its_training_steps_alone():
    given, spec = series(), options(split={"train": 0.6, "val": 0.2, "test": 0.2})
    made = datasets.make(given, spec, None, torch.float64)
    train = given.inputs[:60]
    scaled = (given.inputs - train.mean(0)) / train.std(0, correction=0)
    for part, first, last in (("train", 6, 60), ("val", 60, 80), ("test", 80, 100)):
        (batch,) = made.parts[part].in_order(1000)
        begins = range(first - 6, last - 9 + 1)
        seen = torch.stack([scaled[begin : begin + 6] for begin in begins])
        ahead = torch.stack([scaled[begin + 6 : begin + 9].flatten() for begin in begins])
        torch.testing.assert_close(batch.inputs, seen)
        torch.testing.assert_close(batch.target, ahead)
    undone = made.preprocess.target.inverse(ahead)
    torch.testing.assert_close(undone[-1].view(3, 2), given.inputs[-3:])
    assert made.task.targets == ("a+1", "b+1", "a+2", "b+2", "a+3", "b+3")
    assert made.inputs.shape == (6, 2)


def test_each_token_is_predicted_once():
    ids = torch.arange(1, 31)
    given = Tokens(ids, torch.arange(0, 31, 3), tuple(map(str, range(31))), context=4)
    made = datasets.make(given, options(), None)
    told = [b.target for part in PARTS for b in made.parts[part].in_order(7)]
    assert torch.cat(told).sort().values.tolist() == ids.tolist()
    assert made.task.kind == "multiclass"
    assert sum(made.task.counts) == len(made.parts["train"])
    assert (made.inputs.shape, made.inputs.vocabulary) == ((4,), 31)


REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "columns of images": (images(), {"columns": ["a"]}, "data.columns: got columns; this data has"),
    "ignored columns of images": (images(), {"ignore": ["a"]}, "data.ignore: got columns"),
    "types of a series": (series(), {"types": {"a": "text"}}, "data.types: got columns"),
    "ranks of pixels": (images(), {"scaling": "quantile"}, "data.scaling: got 'quantile'; arrays"),
}


@pytest.mark.parametrize(("data", "given", "said"), REFUSED.values(), ids=REFUSED)
def test_what_only_a_table_can_answer_to(data: Any, given: dict[str, Any], said: str):
    with pytest.raises(ConfigError) as refused:
        datasets.make(data, options(**given), None)
    assert said in refused.value.lines[0]


def repeating(rows: int) -> Table:
    """Rows that train and the same again to test, with one between them that validates."""
    given = table(rows + 1)
    assert isinstance(given.target, Tensor)
    inputs, target = (torch.cat([half, half[:rows]]) for half in (given.inputs, given.target))
    parts = torch.tensor([0] * rows + [1] + [2] * rows)
    return Table(inputs, given.columns, target, given.target_names, parts)


def test_test_rows_that_are_training_rows_are_counted():
    given = repeating(40)
    assert datasets.make(given, options(), None).shared == 40
    given.inputs[45, 1] += 1
    assert isinstance(given.target, Tensor)
    given.target[50] += 1
    assert datasets.make(given, options(), None).shared == 38
    # columns that are no features make no difference
    assert datasets.make(given, options(columns=["x0"]), None).shared == 39


def test_images_that_stand_in_two_parts_are_counted():
    given = images(40)
    pixels, labels = given.inputs.clone(), list(given.target or ())
    pixels[39], labels[39] = pixels[0], labels[0]
    pixels[38], labels[38] = pixels[1], "even"  # with another label
    parts = torch.tensor([0] * 35 + [1] + [2] * 4)
    given = replace(given, inputs=pixels, target=labels, parts=parts)
    assert datasets.make(given, options(), None).shared == 1


def small(inputs: list[list[float]], target: Any, names: str = "ab", targets: str = "y") -> Table:
    if not isinstance(target[0], str):
        target = torch.tensor(target, dtype=torch.float64)
    return Table(torch.tensor(inputs, dtype=torch.float64), numeric(names), target, tuple(targets))


PLAIN = small([[1, 2], [3, 4]], [[5], [6]])
WORDS = small([[1, 2], [3, 4]], ["a\nb", "c"])


def with_column(column: Column) -> Table:
    return replace(PLAIN, columns=(*numeric("a"), column))


CODES = with_column(Column("b", "categorical", ("x", "y")))
IMAGES = images()
PARTED = replace(PLAIN, parts=torch.tensor([0, 1]))
WRITTEN = Tokens(
    torch.arange(6), torch.tensor([0, 3, 6]), tuple("-abcde"), 2, parts=torch.tensor([0, 1])
)
DIFFERENT: dict[str, tuple[Any, Any]] = {
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
    "words of other columns": (
        CODES,
        with_column(Column("b", "categorical", ("x", "z"))),
    ),
    "another kind of column": (
        PLAIN,
        with_column(Column("b", "datetime")),
    ),
    "a row in another part": (PARTED, replace(PARTED, parts=torch.tensor([0, 2]))),
    "parts that are given": (PLAIN, PARTED),
    "images of another shape": (
        images(),
        replace(images(), inputs=images().inputs.view(40, 2, 4, 3)),
    ),
    "another pixel": (IMAGES, replace(IMAGES, inputs=IMAGES.inputs.clamp(max=254))),
    "a document that ends elsewhere": (
        WRITTEN,
        replace(WRITTEN, documents=torch.tensor([0, 4, 6])),
    ),
    "a longer context": (WRITTEN, replace(WRITTEN, context=3)),
    "a document in another part": (WRITTEN, replace(WRITTEN, parts=torch.tensor([0, 2]))),
    "another step": (series(), series(1.5)),
    "another horizon": (series(), replace(series(), horizon=2)),
    "a line break that moves": (WORDS, small([[1, 2], [3, 4]], ["a", "b\nc"])),
}


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_any_difference_changes_the_fingerprint(one: Any, other: Any):
    assert identity.fingerprint(one) != identity.fingerprint(other)


@given(st.integers(0, 59), st.integers(0, 2), st.integers(0, 63))
def test_one_bit_of_one_value_changes_the_fingerprint(row: int, column: int, bit: int):
    given = table()
    inputs = given.inputs.clone()
    inputs.view(torch.int64)[row, column] ^= torch.tensor(-(2**63) if bit == 63 else 1 << bit)
    assert identity.fingerprint(replace(given, inputs=inputs)) != identity.fingerprint(given)


def test_the_same_rows_have_the_same_fingerprint_however_they_lie_in_memory():
    given = table()
    transposed = replace(given, inputs=given.inputs.t().contiguous().t())
    assert not transposed.inputs.is_contiguous()
    assert identity.fingerprint(transposed) == identity.fingerprint(given)


def test_the_fingerprint_of_a_source_is_the_same_again():
    spec = options(rows=30)
    first, again = (identity.fingerprint(sources.build(spec)) for _ in range(2))
    assert first == again
