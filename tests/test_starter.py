"""Starter configs: what is inferred of a file, and that what is written is right as it stands."""

import shlex
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from conftest import TEXT, Command, error_lines
from nnarch import config as configs
from nnarch import recipes, starter
from nnarch.errors import UsageError
from nnarch.starter import Starter
from nnarch.yamlfile import parse
from test_data_idx import packed

ROWS = 120
MANY = 2 * recipes.RANKED


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoded images go to a place of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def table(rows: int = ROWS, **more: Any) -> pl.DataFrame:
    """An identifier, numbers, words, a number with gaps, and what else is given."""
    chance = np.random.default_rng(0)
    size = chance.normal(size=rows)
    gaps = [None if row % 7 == 0 else row % 11 / 2 for row in range(rows)]
    city = chance.choice(["Rome", "Oslo", "Bern"], rows)
    names = [f"row{row}" for row in range(rows)]
    columns = {"id": names, "size": size, "city": city, "gaps": gaps, **more}
    return pl.DataFrame(columns, strict=False)


def numbers(rows: int = ROWS, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=rows)


def words(*given: str) -> list[str]:
    return [given[row % len(given)] for row in range(ROWS)]


def csv(frame: pl.DataFrame, name: str = "rows.csv") -> Callable[[Path], None]:
    return lambda home: frame.write_csv(home / name)


def two_files(home: Path) -> None:
    table(y=numbers()).write_csv(home / "my_train.csv")
    table(40, y=numbers(40)).write_csv(home / "my_test.csv")


def matrix_of_text(home: Path) -> None:
    np.savetxt(home / "rows.csv", numbers(3 * ROWS).reshape(-1, 3), delimiter=",")


def hours(count: int = 200) -> dict[str, Any]:
    times = [np.datetime64("2024-01-01T00:00") + 60 * hour for hour in range(count)]
    steps = np.arange(count)
    return {"at": map(str, times), "load": np.sin(steps / 4), "heat": np.cos(steps / 4)}


def some_days() -> list[str]:
    days = np.random.default_rng(0).integers(0, 3000, ROWS)
    return [str(np.datetime64("2024-01-01") + day) for day in days]


def archive(home: Path, shape: tuple[int, ...], dtype: str = "float64") -> None:
    inputs = (100 + 10 * np.random.default_rng(0).normal(size=(60, *shape))).astype(dtype)
    np.savez(home / "rows.npz", x=inputs, y=np.arange(60) % 3)


def digits(home: Path) -> None:
    (home / "digits").mkdir()
    for part, count in (("train", 60), ("t10k", 20)):
        images = np.random.default_rng(0).integers(0, 256, (count, 4, 4)).astype(np.uint8)
        for name, values in (("images-idx3", images), ("labels-idx1", np.arange(count) % 3)):
            file = home / "digits" / f"{part}-{name}-ubyte"
            file.write_bytes(packed(values.astype(np.uint8)))


def running_text(home: Path) -> None:
    (home / "rows.txt").write_text("the lazy dog. " * 60)


def pets(home: Path) -> None:
    chance = np.random.default_rng(0)
    for kind in ("cat", "dog"):
        (home / "pets" / kind).mkdir(parents=True)
        for number in range(10):
            pixels = chance.integers(0, 256, (5, 5, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(home / "pets" / kind / f"{number}.png")


class Case(NamedTuple):
    """A file, what `init` is told of it, and what it has to find."""

    write: Callable[[Path], None]
    given: str
    data: dict[str, Any]
    said: list[str]


REGULAR = pl.DataFrame({key: list(column) for key, column in hours().items()})
PARTED = table(y=words("no", "yes"), part=words("train", "train", "train", "dev", "test"))
CASES = {
    "numbers": Case(
        csv(table(y=numbers())),
        "rows.csv -t y",
        {"source": "csv", "target": "y", "task": "regression", "target_transform": "none"},
        ["regression of y", "72 train, 24 val, 24 test rows", "ignored: id (identifiers)"],
    ),
    "two words": Case(
        csv(table(y=words("no", "yes"))),
        "rows.csv --target y",
        {"task": "binary"},
        ["binary classification of y into 2: no, yes"],
    ),
    "three words": Case(
        csv(table(y=words("low", "middle", "high"))),
        "rows.csv -t -1",
        {"task": "multiclass", "target": "y"},
        ["multiclass classification of y into 3: high, low, middle"],
    ),
    "a column of parts": Case(
        csv(PARTED), "rows.csv -t y", {"task": "binary"}, ["72 train, 24 val, 24 test rows"]
    ),
    "several numbers": Case(
        csv(table(y=numbers(), z=numbers(seed=2))),
        "rows.csv -t y -t z",
        {"task": "regression", "target": ["y", "z"]},
        ["regression of y, z"],
    ),
    "several labels": Case(
        csv(table(y=[row % 2 for row in range(ROWS)], z=[row % 3 == 0 for row in range(ROWS)])),
        "rows.csv -t y,z",
        {"task": "multilabel", "target": ["y", "z"]},
        ["multilabel classification: 2: y, z"],
    ),
    "no header": Case(
        matrix_of_text,
        "rows.csv --target -1",
        {"task": "regression", "target": "column_3"},
        ["no header: columns are column_1 to column_3"],
    ),
    "a target of many sizes": Case(
        csv(table(y=np.exp(2 * numbers()))),
        "rows.csv -t y",
        {"target_transform": "log1p"},
        ["the target is skewed: its logarithm is learnt"],
    ),
    "a target of many sizes below zero": Case(
        csv(table(y=np.exp(2 * numbers()) - 5)), "rows.csv -t y", {"target_transform": "none"}, []
    ),
    "gaps in the target": Case(
        csv(table(y=[None if row % 10 == 0 else row / 7 for row in range(ROWS)])),
        "rows.csv -t y",
        {"missing_target": "drop"},
        ["12 rows without a target left out", "64 train, 22 val, 22 test rows"],
    ),
    "a file of test rows beside": Case(
        two_files, "my_train.csv -t y", {"test": "my_test.csv"}, ["107 train, 13 val, 40 test rows"]
    ),
    "many rows": Case(
        csv(table(MANY, y=numbers(MANY))), "rows.csv -t y", {"scaling": "quantile"}, []
    ),
    "steps of one length": Case(
        csv(REGULAR),
        "rows.csv -t load --time at",
        {"source": "series", "target": "load", "time": "at", "horizon": 10, "lookback": 20},
        ["a series of 200 steps; 20 steps of load tell the next 10"],
    ),
    "steps without a target": Case(
        csv(REGULAR),
        "rows.csv --time at --horizon 3",
        {"source": "series", "target": None, "horizon": 3},
        ["a series of 200 steps; 11 steps of load, heat tell the next 3"],
    ),
    "dates of any length": Case(
        csv(table(at=some_days(), y=numbers())),
        "rows.csv -t y --time at",
        {"source": "csv", "target": "y"},
        ["96 train, 12 val, 12 test rows"],
    ),
    "Parquet": Case(
        lambda home: table(y=numbers()).write_parquet(home / "rows.parquet"),
        "rows.parquet -t y",
        {"source": "parquet", "task": "regression"},
        ["ignored: id (identifiers)"],
    ),
    "arrays": Case(
        lambda home: archive(home, (5,)),
        "rows.npz",
        {"source": "npz", "task": "multiclass"},
        ["arrays of numpy", "48 train, 6 val, 6 test rows"],
    ),
    "arrays of images": Case(
        lambda home: archive(home, (4, 4), "uint8"),
        "rows.npz",
        {"source": "npz", "task": "multiclass"},
        ["48 train, 6 val, 6 test samples"],
    ),
    "images in the idx format": Case(
        digits,
        "digits",
        {"source": "idx", "path": "digits"},
        ["images in the idx format", "53 train, 7 val, 20 test samples"],
    ),
    "a folder of images": Case(
        pets,
        "pets",
        {"source": "images", "task": "binary"},
        ["images, a folder a class", "binary classification of class into 2: cat, dog"],
    ),
    "running text": Case(
        running_text,
        "rows.txt",
        {"source": "text", "tokens": "characters", "context": 16},
        ["running text, read by characters: each is told from the 16 before it"],
    ),
}
SPLITS = {
    "a column of parts": {"column": "part"},
    "dates of any length": {"time": "at"},
    "steps of one length": {"train": 0.7, "val": 0.1, "test": 0.2},
}
TRAINING = {  # the model of each that is no network for a small table
    "steps of one length": {"name": "nlinear"},
    "steps without a target": {"name": "nlinear"},
    "many rows": {"widths": [256, 128]},
    "arrays of images": {"widths": [256, 128]},
    "images in the idx format": {"widths": [256, 128]},
    "a folder of images": {"widths": [256, 128]},
    "running text": {"widths": [256, 128]},
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_printed_trains_as_it_is(name: str, nnarch_here: Command, tmp_path: Path):
    case = CASES[name]
    case.write(tmp_path)
    done = nnarch_here("init", *case.given.split())
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"# Written by: nnarch init {case.given}\n\ndata:\n")
    said = done.stderr.splitlines()
    assert [sentence for sentence in case.said if sentence not in said] == []

    (tmp_path / "c.yaml").write_text(done.stdout)
    config = configs.load(tmp_path / "c.yaml")
    paths = {key: str(tmp_path / case.data[key]) for key in ("path", "test") if key in case.data}
    assert {key: config.data[key] for key in case.data} == {**case.data, **paths}
    split = SPLITS.get(name, {})
    assert {key: config.data["split"][key] for key in split} == split
    model = TRAINING.get(name, {"widths": [64, 64]})
    assert {key: config.model[key] for key in model} == model

    trained = nnarch_here("train", "c.yaml", "epochs=1", "schedule.warmup=0", "-q")
    assert (trained.returncode, trained.stderr) == (0, "")


def test_a_series_that_is_not_predicted_whole_has_a_network_that_can(tmp_path: Path):
    frame = REGULAR.with_columns(wave=pl.col("heat") * 2)
    frame.write_csv(tmp_path / "rows.csv")
    made = starter.start(tmp_path / "rows.csv", ["load", "wave"], "at", 2)
    assert made.data["target"] == ["load", "wave"]
    assert made.training["model"] == {"name": "nlinear"}


STEPS = {"1m": 96, "1h": 96, "1d": 30, "1w": 13, "1mo": 12, "1y": 4}


@pytest.mark.parametrize(("step", "horizon"), STEPS.items(), ids=STEPS)
def test_a_horizon_is_usual_for_steps_of_its_length(step: str, horizon: int, tmp_path: Path):
    offsets = [f"{number}{step[1:]}" for number in range(2000)]
    times = pl.Series([datetime(1, 1, 1)] * 2000).dt.offset_by(pl.Series(offsets))
    frame = pl.DataFrame({"at": times, "a": np.arange(2000) % 7})
    frame.write_csv(tmp_path / "rows.csv")
    made = starter.start(tmp_path / "rows.csv", ["a"], "at")
    assert made.data["horizon"] == horizon
    assert configs.load({"data": made.data, **made.training}).model["name"] == "nlinear"


def test_a_folder_of_parquet_files_is_one_table(tmp_path: Path):
    rows = pl.DataFrame({"x": np.arange(50.0) ** 2 % 7, "y": np.arange(50) % 2})
    for name in ("a", "b"):
        rows.write_parquet(tmp_path / f"{name}.parquet")
    made = starter.start(tmp_path, ["y"])
    assert made.data["source"] == "parquet"
    assert made.data["path"] == str(tmp_path)
    assert any("60 train, 20 val, 20 test" in sentence for sentence in made.said)


def test_a_folder_of_nothing_is_refused(tmp_path: Path, nnarch_here: Command):
    (tmp_path / "empty").mkdir()
    done = nnarch_here("init", "empty")
    assert done.returncode == 4
    assert error_lines(done)[0].startswith("empty: holds no data that is known here; expected")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    table(price=numbers(), flag=words("a", "b")).write_csv(tmp_path / "rows.csv")
    return tmp_path


FAULTS: dict[str, tuple[str, int, str]] = {
    "no target": (
        "init rows.csv",
        2,
        "missing --target, the column to predict; the last ones are id, size, city, gaps, price",
    ),
    "an unknown target": (
        "init rows.csv -t prize",
        2,
        "--target: no column 'prize'; did you mean 'price'",
    ),
    "one unknown target of two": ("init rows.csv -t price -t prize", 2, "--target: no column"),
    "column 0": ("init rows.csv -t 0", 2, "--target: no column '0'"),
    "column 7 of 6": ("init rows.csv -t 7", 2, "--target: no column '7'"),
    "an unknown time": ("init rows.csv -t price --time then", 2, "--time: no column 'then'"),
    "no such file": ("init nothing.csv -t y", 4, "nothing.csv: no such file"),
    "a time that is no time": ("init rows.csv -t price --time city", 4, "data.split.time: 'city'"),
    "a series of words": ("init rows.csv -t city --horizon 2", 4, "data: column 'city' holds"),
    "no steps": ("init rows.csv -t price --horizon 0", 2, "Invalid value for '--horizon'"),
}


@pytest.mark.parametrize(("given", "code", "said"), FAULTS.values(), ids=FAULTS)
def test_what_cannot_be_begun_leaves_nothing(
    given: str, code: int, said: str, rows: Path, nnarch_here: Command
):
    before = sorted(rows.iterdir())
    done = nnarch_here(*given.split(), "-o", "c.yaml")
    assert done.returncode == code
    assert error_lines(done)[0].startswith(said)
    assert sorted(rows.iterdir()) == before


def test_a_file_is_written_once_unless_forced(rows: Path, nnarch_here: Command):
    done = nnarch_here("init", "rows.csv", "-t", "price", "-o", "c.yaml")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.endswith("train it: nnarch train c.yaml\n")
    first = (rows / "c.yaml").read_text()
    assert first.startswith("# Written by: nnarch init rows.csv -t price -o c.yaml\n")

    refused = nnarch_here("init", "rows.csv", "-t", "flag", "-o", "c.yaml")
    assert refused.returncode == 2
    assert error_lines(refused) == ["c.yaml: is there already; --force replaces it"]
    assert (rows / "c.yaml").read_text() == first

    forced = nnarch_here("init", "rows.csv", "-t", "flag", "-o", "c.yaml", "--force", "-q")
    assert (forced.returncode, forced.stdout, forced.stderr) == (0, "", "")
    assert configs.load(rows / "c.yaml").data["target"] == "flag"


def test_quiet_says_nothing_and_prints_the_same(rows: Path, nnarch_here: Command):
    aloud = nnarch_here("init", "rows.csv", "-t", "price")
    quiet = nnarch_here("init", "rows.csv", "-t", "price", "-q")
    assert quiet.stderr == ""
    assert quiet.stdout.splitlines()[1:] == aloud.stdout.splitlines()[1:]


COMMENTS = {"data.target": "what is learnt", "data.split.column": "says: # it", "epochs": "few"}


@given(TEXT, st.lists(TEXT, min_size=1, max_size=20), TEXT)
def test_files_and_columns_of_any_name_are_read_again(path: str, target: list[str], column: str):
    data = {"source": "csv", "path": path, "target": target, "split": {"column": column}}
    training = {"model": {"widths": [64, 64], "dropout": 0.3}, "optimizer": {"lr": 1e-3}}
    made = Starter(data, {**training, "epochs": 3}, COMMENTS)
    found = parse(made.text(["nnarch"]), "c.yaml").value
    assert found == {"data": data, **training, "epochs": 3}


@given(st.lists(TEXT))
def test_the_command_is_a_comment_of_one_line(command: list[str]):
    text = Starter({"source": "synthetic"}).text(["nnarch", "init", *command])
    assert parse(text, "c.yaml").value == {"data": {"source": "synthetic"}}
    first = text.splitlines()[0]
    assert text.split("\n")[0] == first
    if all(word.isprintable() for word in command):
        assert first == f"# Written by: {shlex.join(['nnarch', 'init', *command])}"


def test_a_column_by_its_number_or_its_name(tmp_path: Path):
    (tmp_path / "r.csv").write_text("2,b,c\n1.5,2,3\n2.5,3,4\n")
    found = starter.reading.read(str(tmp_path / "r.csv"))
    named = {given: starter._name(found, given, "--target") for given in ("1", "2", "3", "-1", "b")}
    assert named == {"1": "2", "2": "2", "3": "c", "-1": "c", "b": "b"}
    with pytest.raises(UsageError, match=r"--target: no column '-4'"):
        starter._name(found, "-4", "--target")
