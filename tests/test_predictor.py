"""Prediction: rows in the user's own units in, answers in the user's own words out."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest
import torch

import nnarch
from nnarch.data import dataset as datasets
from nnarch.data.array import Array
from nnarch.data.preprocessing.tableinputs import TableInputs
from nnarch.data.sources.series import Series
from nnarch.data.split import split
from nnarch.data.table import Table
from nnarch.data.tokens import Tokens
from nnarch.errors import DataError
from nnarch.losses import Loss
from nnarch.models import network as networks
from nnarch.predictor import Predictor
from nnarch.registry import losses
from nnarch.rundir import RunDir
from nnarch.sections import Split
from test_dataset import filled, images, mixed, options, series

ROWS = 80
INPUTS = ("year", "area", "rooms")


class Frame:
    """A table of another library: it has `columns`, and gives one by its name."""

    def __init__(self, columns: dict[str, Any]):
        self._columns, self.columns = columns, np.array(list(columns))

    def __getitem__(self, name: str) -> Any:
        return self._columns[name]


def columns(rows: int = ROWS) -> dict[str, np.ndarray]:
    chance = np.random.default_rng(0)
    return {
        "year": 1990 + chance.integers(0, 30, rows).astype(float),
        "area": 1e6 + chance.normal(0, 50, rows),
        "rooms": chance.integers(1, 6, rows).astype(float),
    }


def price(table: dict[str, np.ndarray]) -> np.ndarray:
    return 3e5 + 2e4 * table["rooms"] + 500 * (table["year"] - 2000)


class Trained(NamedTuple):
    """A run whose data is gone and whose directory has moved, and the data."""

    run: RunDir
    data: pl.DataFrame

    def load(self) -> Predictor:
        return nnarch.load(self.run)

    @property
    def rows(self) -> np.ndarray:
        return self.data.select(INPUTS).to_numpy()


Train = Callable[..., Trained]


def train(home: Path, frame: pl.DataFrame, target: Any, **config: Any) -> Trained:
    frame.write_csv(home / "data.csv")
    run = nnarch.train(
        {
            "data": {"source": "csv", "path": str(home / "data.csv"), "target": target},
            "model": {"widths": [8]},
            "optimizer": {"name": "adam", "lr": 0.01},
            "epochs": 20,
            "threads": 1,
            **config,
        },
        runs_dir=home / "runs",
    )
    (home / "data.csv").unlink()
    shutil.move(run.path, home / "moved")
    return Trained(RunDir(home / "moved"), frame)


@pytest.fixture(scope="module")
def regression(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    frame = pl.DataFrame(columns()).with_columns(price=price(columns()))
    return train(tmp_path_factory.mktemp("regression"), frame, "price")


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    frame = pl.DataFrame(columns()).with_columns(price=price(columns()), half=pl.col("rooms") / 2)
    return train(tmp_path_factory.mktemp("several"), frame, ["price", "half"], loss="gaussian_nll")


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    words = np.where(columns()["rooms"] > 3, "gross, schön", "klein")
    frame = pl.DataFrame(columns()).with_columns(size=pl.Series(words))
    return train(tmp_path_factory.mktemp("binary"), frame, "size")


@pytest.fixture(scope="module")
def multiclass(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    frame = pl.DataFrame(columns()).with_columns(stars=pl.col("rooms") * 5)
    return train(tmp_path_factory.mktemp("multiclass"), frame, "stars", loss="cross_entropy")


def test_a_regression_s_numbers_are_what_one_computes_by_hand(regression: Trained):
    rows, target = regression.rows, regression.data["price"].to_numpy()
    chosen = split(ROWS, Split(), None)["train"].numpy()
    mean, deviation = rows[chosen].mean(0), rows[chosen].std(0)
    weights = regression.run.load_checkpoint("best").tensors
    first, bias, last, offset = (
        weights[f"network.{name}"].double().numpy()
        for name in ("0.weight", "0.bias", "2.weight", "2.bias")
    )
    hidden = np.maximum((rows - mean) / deviation @ first.T + bias, 0)
    scaled = (hidden @ last.T + offset)[:, 0]
    by_hand = scaled * target[chosen].std() + target[chosen].mean()
    predicted = regression.load().predict(regression.data)
    assert predicted.shape == (ROWS,)
    np.testing.assert_allclose(predicted, by_hand, rtol=1e-6)
    assert np.abs(predicted - target).mean() < np.abs(target - target.mean()).mean()


def test_several_targets_come_in_their_own_units(several: Trained):
    predictor = several.load()
    predicted = predictor.predict(several.data)
    assert predicted.shape == (ROWS, 2)
    assert predictor.task.targets == ("price", "half")
    assert np.abs(predicted.mean(0) - [3.6e5, 1.5]).max() < 5e4
    assert np.abs(predicted[:, 1]).max() < 5


def test_labels_are_the_user_s_words(binary: Trained):
    predictor = binary.load()
    predicted = predictor.predict(binary.data)
    assert set(predicted) == {"gross, schön", "klein"}
    assert (predicted == binary.data["size"].to_numpy()).mean() > 0.8


def test_labels_of_whole_numbers_are_whole(multiclass: Trained):
    predictor = multiclass.load()
    assert predictor.task.classes == ("5", "10", "15", "20", "25")
    assert set(predictor.predict(multiclass.data)) <= set(predictor.task.classes)


@pytest.mark.parametrize("name", ["binary", "multiclass"])
def test_probabilities_add_up_to_one_and_the_likeliest_is_the_label(
    name: str, request: pytest.FixtureRequest
):
    trained: Trained = request.getfixturevalue(name)
    predictor = trained.load()
    chances = predictor.predict_proba(trained.data)
    assert chances.shape == (ROWS, len(predictor.task.classes))
    assert (chances >= 0).all()
    np.testing.assert_allclose(chances.sum(1), 1, rtol=1e-6)
    labels = np.array(predictor.task.classes)[chances.argmax(1)]
    assert (labels == predictor.predict(trained.data)).all()


def test_a_regression_has_no_probabilities(regression: Trained):
    with pytest.raises(DataError, match="a regression has no classes"):
        regression.load().predict_proba(regression.data)


def test_every_kind_of_table_gives_the_same_answers(regression: Trained):
    predictor, frame = regression.load(), regression.data
    expected = predictor.predict(frame)
    backwards = {name: frame[name].to_numpy() for name in reversed(frame.columns)}
    array = regression.rows
    frozen = array.copy()
    frozen.flags.writeable = False
    tables = {
        "other order, other columns": frame.select("price", "rooms", "area", "year"),
        "mapping of arrays": backwards,
        "mapping of lists": {name: column.tolist() for name, column in backwards.items()},
        "mapping of tensors": {name: torch.tensor(column) for name, column in backwards.items()},
        "another library's frame": Frame(backwards),
        "array": array,
        "array in columns": np.asfortranarray(array),
        "array that is read only": frozen,
        "tensor": torch.tensor(array),
        "tensor with gradient": torch.tensor(array, requires_grad=True),
        "lists": array.tolist(),
    }
    for kind, table in tables.items():
        np.testing.assert_array_equal(predictor.predict(table), expected, err_msg=kind)


def test_whole_numbers_and_truth_values_are_numbers(multiclass: Trained):
    predictor = multiclass.load()
    whole = {"year": [2000, 2010], "area": [10**6, 10**6], "rooms": [True, False]}
    floats = {name: np.array(column, dtype=float) for name, column in whole.items()}
    np.testing.assert_array_equal(predictor.predict_proba(whole), predictor.predict_proba(floats))


def test_a_row_alone_and_among_others_is_the_same(regression: Trained):
    predictor, rows = regression.load(), regression.rows
    together = predictor.predict(rows)
    alone = np.concatenate([predictor.predict(rows[i : i + 1]) for i in range(ROWS)])
    np.testing.assert_allclose(alone, together, rtol=1e-6)


@pytest.mark.parametrize("name", ["regression", "several", "binary"])
def test_no_rows_give_no_answers(name: str, request: pytest.FixtureRequest):
    trained: Trained = request.getfixturevalue(name)
    for table in (trained.data.head(0), np.zeros((0, 3))):
        assert len(trained.load().predict(table)) == 0


GOOD = {"year": [2000.0], "area": [1e6], "rooms": [3.0]}
REFUSED = {
    "column missing": (
        {"year": [1.0], "rooms": [1.0]},
        "no column 'area'; did you mean 'year'? known: year, rooms",
    ),
    "no column of use": ({"a": [1.0]}, "none of the columns year, area, rooms; it has a"),
    "too few columns": ([[1.0, 2.0]], "shape (1, 2); expected (rows, 3)"),
    "too many columns": (np.zeros((4, 5)), "shape (4, 5); expected (rows, 3)"),
    "one row without rows": ([1.0, 2.0, 3.0], "shape (3,); expected (rows, 3)"),
    "columns in columns": (
        {name: [column] for name, column in GOOD.items()},
        "column 'year' has the shape (1, 1); expected one cell a row",
    ),
    "infinite": (GOOD | {"area": [float("inf")]}, "not finite numbers"),
    "too large for the network": (GOOD | {"area": [1e300]}, "not finite numbers"),
    "a word": (GOOD | {"rooms": ["three"]}, "column 'rooms' holds 'three'; expected a number"),
    "a frame of words": (
        pl.DataFrame(GOOD | {"rooms": ["three"]}),
        "column 'rooms' holds 'three'; expected a number",
    ),
    "an array of words": (np.array([["a", "b", "c"]]), "the table is not all numbers"),
    "rows of different lengths": ([[1, 2, 3], [1, 2]], "the table is not all numbers"),
    "columns of different lengths": (GOOD | {"area": [1.0, 2.0]}, "columns of different lengths"),
    "a path": ("data.csv", "the table is not all numbers"),
    "nothing": (None, "got rows of shape (); expected (rows, 3)"),
}


@pytest.mark.parametrize(("table", "said"), REFUSED.values(), ids=REFUSED)
def test_a_table_that_does_not_fit_is_refused(table: Any, said: str, regression: Trained):
    with pytest.raises(DataError) as refused:
        regression.load().predict(table)
    assert said in refused.value.lines[0]
    assert refused.value.exit_code == 4


def test_a_gap_is_filled_as_in_training(regression: Trained):
    """By the median of the training rows, however the table says that there is nothing."""
    chosen = split(ROWS, Split(), None)["train"].numpy()
    typical = np.median(regression.data["area"].to_numpy()[chosen])
    predictor = regression.load()
    expected = predictor.predict(GOOD | {"area": [typical]})
    gaps: list[Any] = [
        GOOD | {"area": [float("nan")]},
        GOOD | {"area": [None]},
        pl.DataFrame(GOOD | {"area": [None]}),
        np.array([[2000.0, np.nan, 3.0]]),
    ]
    for table in gaps:
        np.testing.assert_allclose(predictor.predict(table), expected, rtol=1e-6)


def test_numbers_written_as_words_are_numbers(regression: Trained):
    predictor = regression.load()
    written = {name: [f" {cells[0]} "] for name, cells in GOOD.items()}
    np.testing.assert_array_equal(predictor.predict(written), predictor.predict(GOOD))


def untrained(data: Any, name: str = "mlp", loss: str = "mse", **given: Any) -> Predictor:
    """What a network that nothing was learnt by says of samples like `data`."""
    made = datasets.make(data, options(**given), None)
    built: Loss = losses.build(filled("loss", name=loss), made.task)
    model = {"name": name, "widths": [8]} if name == "mlp" else {"name": name}
    network = networks.make(filled("model", **model), made.inputs, built.outputs, 0)
    return Predictor(network, made.preprocess, built, made.task)


def frame(table: Table) -> dict[str, Any]:
    """The table as a user has it: words, dates, and nothing where there is nothing."""
    cells: dict[str, Any] = {}
    for column, values in zip(table.columns, table.inputs.t().tolist(), strict=True):
        if column.words:
            cells[column.name] = [
                None if code != code else column.words[int(code)] for code in values
            ]
        elif column.kind == "datetime":
            cells[column.name] = (np.array(values) * 1000).astype("datetime64[ms]")
        elif column.kind == "boolean":
            cells[column.name] = [bool(value) for value in values]
        else:
            cells[column.name] = values
    return cells


@pytest.mark.parametrize("categories", ["one_hot", "embedding"])
def test_every_kind_of_column_is_predicted_from_as_it_is_evaluated(categories: str):
    table = mixed()
    predictor = untrained(table, categories=categories)
    rows = datasets.make(table, options(categories=categories), None).parts["test"]
    (batch,) = rows.in_order(100)
    scaled = predictor.network(batch.inputs).detach().double()
    expected = predictor.preprocess.target.inverse(scaled)[:, 0].numpy()
    assert table.parts is not None
    places = (table.parts == 2).nonzero().flatten()
    everything = predictor.predict(frame(table))
    np.testing.assert_allclose(everything[places], expected, rtol=1e-5)
    np.testing.assert_allclose(predictor.predict(table), everything, rtol=1e-5)
    backwards = dict(reversed(frame(table).items()))
    np.testing.assert_array_equal(predictor.predict(pl.DataFrame(backwards)), everything)


def test_words_that_training_never_saw_are_one_and_the_same():
    predictor = untrained(mixed(400), categories="embedding")
    one = frame(mixed(1))
    said = {
        word: float(predictor.predict(one | {"colour": [word]})[0])
        for word in ("red", "green", "pink", "mauve", "only held out")
    }
    assert said["pink"] == said["mauve"] == said["only held out"]
    assert len(set(said.values())) == 3


def test_a_logarithm_is_undone():
    table = mixed()
    plain, logarithm = untrained(table), untrained(table, target_transform="log1p")
    made, target = logarithm.predict(table), logarithm.preprocess.target
    inputs = logarithm.preprocess.inputs
    assert isinstance(inputs, TableInputs)
    scaled_inputs = inputs(inputs.raw(table)).float()
    scaled = logarithm.network(scaled_inputs).detach().double()[:, 0]
    by_hand = (scaled * target.scale + target.mean).expm1().numpy()
    np.testing.assert_allclose(made, by_hand, rtol=1e-6)
    assert plain.preprocess.target.transform == "none"


def test_labels_are_a_yes_or_no_each():
    table = mixed(target="labels")
    predictor = untrained(table, loss="bce_with_logits")
    chances = predictor.predict_proba(table)
    assert chances.shape == (120, 2)
    assert ((chances > 0) & (chances < 1)).all()
    np.testing.assert_array_equal(predictor.predict(table), (chances > 0.5).astype(int))


def test_a_run_of_labels_is_told_in_their_names(tmp_path: Path):
    rooms, year = columns()["rooms"], columns()["year"]
    frame = pl.DataFrame(columns()).with_columns(
        roomy=pl.Series((rooms > 3).astype(int)), late=pl.Series((year > 2005).astype(int))
    )
    trained = train(tmp_path, frame, ["roomy", "late"], epochs=60)
    predictor = trained.load()
    assert (predictor.task.kind, predictor.task.targets) == ("multilabel", ("roomy", "late"))
    right = predictor.predict(frame) == frame.select("roomy", "late").to_numpy()
    assert right.mean(0).min() > 0.8
    history = [row["train_loss"] for row in trained.run.history]
    assert history[-1] < 0.6 * history[0]
    last = trained.run.history[-1]
    assert {"val_accuracy", "val_exact_match"} <= set(last)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, np.int64])
def test_images_are_taken_as_they_were_read(dtype: Any):
    given = images()
    predictor = untrained(given, loss="bce_with_logits")
    chances = predictor.predict_proba(given.inputs.numpy().astype(dtype))
    assert chances.shape == (len(given), 2)
    made = predictor.preprocess.inputs(given.inputs)
    expected = torch.sigmoid(predictor.network(made)).detach()
    np.testing.assert_allclose(chances[:, 1], expected[:, 0], rtol=1e-5)
    assert set(predictor.predict(given.inputs)) <= {"even", "odd"}


def test_the_steps_ahead_are_in_the_series_own_units():
    """Without weights NLinear repeats the last value, exactly where it was."""
    given = series()
    predictor = untrained(given, "nlinear")
    for parameter in predictor.network.parameters():
        torch.nn.init.zeros_(parameter)
    windows = given.inputs.unfold(0, 6, 1).transpose(1, 2)
    made = predictor.predict(windows)
    np.testing.assert_allclose(made, windows[:, -1].repeat(1, 3), rtol=1e-5, atol=1e-6)


def written() -> Tokens:
    ids = torch.arange(60) % 4 + 1
    return Tokens(ids, torch.arange(0, 61, 6), ("-", "a", "b", "c", "d"), context=3)


def test_the_next_token_is_one_of_the_vocabulary():
    given = written()
    predictor = untrained(given, loss="cross_entropy")
    seen = [[0, 1, 2], [4, 1, 2]]
    chances = predictor.predict_proba(seen)
    expected = predictor.network(torch.tensor(seen)).softmax(1).detach()
    np.testing.assert_allclose(chances, expected, rtol=1e-6)
    words = predictor.predict(np.array(seen, dtype=np.uint8))
    assert words.tolist() == [given.vocabulary[place] for place in chances.argmax(1)]


STRANGE: dict[str, tuple[Any, Any, str]] = {
    "images of another shape": (
        images(),
        np.zeros((2, 3, 4)),
        "got samples of shape (2, 3, 4); expected (samples, 2, 3, 4)",
    ),
    "one window": (series(), np.zeros((6, 2)), "shape (6, 2); expected (samples, 6, 2)"),
    "no number": (series(), np.full((1, 6, 2), np.nan), "holds values that are not finite"),
    "words": (images(), [["a"]], "the array is not all numbers"),
    "no token": (written(), [[0, 5, 1]], "the array holds 5; expected tokens, whole numbers from"),
    "a token before the first": (written(), [[0, -1, 1]], "the array holds -1; expected tokens"),
    "half a token": (written(), [[0, 0.5, 1]], "the array holds 0.5; expected tokens"),
}


@pytest.mark.parametrize(("data", "samples", "said"), STRANGE.values(), ids=STRANGE)
def test_samples_that_do_not_fit_are_refused(data: Any, samples: Any, said: str):
    losses = {Series: "mse", Array: "bce_with_logits", Tokens: "cross_entropy"}
    predictor = untrained(data, loss=losses[type(data)])
    with pytest.raises(DataError) as refused:
        predictor.predict(samples)
    assert said in refused.value.lines[0]


def test_it_is_a_module_of_raw_rows(regression: Trained):
    predictor = regression.load()
    assert not predictor.training
    made = predictor(torch.tensor(regression.rows))
    np.testing.assert_array_equal(made[:, 0].numpy(), predictor.predict(regression.rows))
    assert not made.requires_grad


def test_in_training_mode_it_predicts_the_same(tmp_path: Path):
    frame = pl.DataFrame(columns()).with_columns(price=price(columns()))
    model = {"widths": [8], "dropout": 0.5, "normalization": "batch"}
    trained = train(tmp_path, frame, "price", model=model, epochs=2)
    predictor = trained.load()
    expected = predictor.predict(frame)
    np.testing.assert_array_equal(predictor.train().predict(frame), expected)


def test_moving_it_to_another_number_type_keeps_differences_of_large_values(regression: Trained):
    """Areas here differ by 50 in a million, which float16 cannot even hold."""
    predictor = regression.load()
    expected = predictor.predict(regression.data)
    doubled = predictor.double().predict(regression.data)
    np.testing.assert_allclose(doubled, expected, rtol=1e-6)
    rounded = predictor.bfloat16().predict(regression.data)
    np.testing.assert_allclose(rounded, expected, rtol=0.02)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_it_predicts_the_same(regression: Trained, binary: Trained):
    for trained in (regression, binary):
        predictor = trained.load()
        raw = torch.tensor(trained.rows)
        expected = predictor(raw)
        made = predictor.to("cuda")(raw.cuda())
        torch.testing.assert_close(made.cpu(), expected, rtol=1e-4, atol=1e-4)
        assert len(predictor.predict(trained.data)) == ROWS
