"""Predictions for files: a row for a row, in the user's names and units, however a file is read.

What a network says of rows in memory is in test_predictor.py; here it has to be the same for
files of any kind, in any number of pieces, and through the command line.
"""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest
from PIL import Image
from polars.testing import assert_frame_equal

import nnarch
from conftest import Command, error_lines
from nnarch import config as configs
from nnarch import prediction
from nnarch.data.sources import csv, parquet
from nnarch.errors import DataError, UsageError
from nnarch.rundir import RunDir

ROWS = 120
WORDS = ("Rome", "Oslo", "Bern, old")


def rows(count: int = ROWS, seed: int = 0) -> pl.DataFrame:
    """Columns of every kind, some with gaps, and what they say of several targets."""
    chance = np.random.default_rng(seed)
    size = chance.normal(50, 20, count).round(3)
    place = chance.integers(0, 3, count)
    flag = chance.integers(0, 2, count)
    day = chance.integers(0, 900, count)
    price = np.exp(size / 20 + place) + 10 * flag
    grade = np.digitize(price, np.quantile(price, [0.3, 0.7]))
    return pl.DataFrame(
        {
            "id": [f"{number:04}" for number in range(count)],
            "size": [None if n % 9 == 0 else value for n, value in enumerate(size.tolist())],
            "city": [None if n % 13 == 0 else WORDS[code] for n, code in enumerate(place)],
            "flag": ["yes" if value else "no" for value in flag],
            "day": [str(np.datetime64("2020-01-01") + one) for one in day],
            "price": price.round(4),
            "rooms": size / 10,
            "grade": [("low", "middle", "very high")[code] for code in grade],
            "dear": (grade == 2).astype(int),
            "large": (size > 60).astype(int),
        }
    )


FEATURES = ["size", "city", "flag", "day"]
TARGETS: dict[str, tuple[Any, dict[str, Any]]] = {
    "regression": ("price", {"target_transform": "log1p"}),
    "several": (["price", "rooms"], {}),
    "binary": ("dear", {}),
    "classes": ("grade", {"categories": "embedding"}),
    "labels": (["dear", "large"], {}),
}


class Trained(NamedTuple):
    """A run that was moved, and whose data is gone; and its targets."""

    path: Path
    targets: list[str]

    def frames(self, path: Path | str, *keep: str) -> list[dict[str, Any]]:
        spec = configs.load(RunDir(self.path).config).data
        return list(prediction.frames(nnarch.load(self.path), spec, Path(path), keep))

    def frame(self, path: Path | str, *keep: str) -> pl.DataFrame:
        return pl.concat([pl.DataFrame(frame) for frame in self.frames(path, *keep)])


def trained(home: Path, data: dict[str, Any], targets: list[str], **config: Any) -> Trained:
    given = {"data": data, "model": {"widths": [6]}, "epochs": 3, "threads": 1, **config}
    run = nnarch.train(given, runs_dir=home / "runs")
    shutil.move(run.path, home / "moved")
    shutil.rmtree(home / "runs")
    return Trained(home / "moved", targets)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trained]:
    made = {}
    for kind, (target, options) in TARGETS.items():
        home = tmp_path_factory.mktemp(kind)
        targets = [target] if isinstance(target, str) else target
        rows().select(*FEATURES, *targets).write_csv(home / "train.csv")
        data = {"source": "csv", "path": str(home / "train.csv"), "target": target, **options}
        made[kind] = trained(home, data, targets)
        (home / "train.csv").unlink()
    return made


@pytest.fixture
def regression(tables: dict[str, Trained]) -> Trained:
    return tables["regression"]


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """A file of rows that no network was trained on, without what is to be predicted."""
    rows(40, seed=1).select("id", *FEATURES).write_csv(tmp_path / "new.csv")
    return tmp_path / "new.csv"


def columns(frame: pl.DataFrame) -> dict[str, Any]:
    return {name: frame[name].to_numpy() for name in FEATURES}


def read(text: str) -> pl.DataFrame:
    return pl.read_csv(io.StringIO(text))


# What a frame holds


@pytest.mark.parametrize("kind", TARGETS)
def test_a_row_for_a_row_as_the_predictor_says(kind: str, tables: dict[str, Trained], new: Path):
    run = tables[kind]
    predictor, given = nnarch.load(run.path), columns(rows(40, seed=1))
    found = run.frame(new)
    assert len(found) == 40
    expected = predictor.predict(given).reshape(40, -1)
    for place, name in enumerate(run.targets):
        assert found[name].cast(pl.String).to_list() == shown(found[name], expected[:, place])
    if kind in ("regression", "several"):
        assert found.columns == run.targets
        return
    chances = predictor.predict_proba(given)
    names = list(predictor.task.classes or run.targets)
    assert found.columns == [*run.targets, *(f"p_{name}" for name in names)]
    told = found.select(f"p_{name}" for name in names).to_numpy()
    assert np.array_equal(told, chances)
    if kind == "labels":
        assert np.array_equal(found.select(names).to_numpy(), (chances > 0.5).astype(int))
    else:
        assert told.sum(1) == pytest.approx(1)
        assert found[run.targets[0]].to_list() == [names[place] for place in told.argmax(1)]


def shown(column: pl.Series, expected: np.ndarray) -> list[str]:
    """Answers as exactly as a column gives them."""
    return pl.Series(expected).cast(column.dtype).cast(pl.String).to_list()


@pytest.mark.parametrize("kind", ["regression", "several", "classes", "binary"])
def test_what_is_measured_is_what_one_computes_from_the_predictions(
    kind: str, tables: dict[str, Trained], new: Path
):
    """So predictions are in the target's units, whatever was learnt of it."""
    run, truth = tables[kind], rows(40, seed=1)
    truth.write_csv(new.with_name("truth.csv"))
    measured = nnarch.evaluate(run.path, data=new.with_name("truth.csv"))
    found = run.frame(new)
    if kind in ("classes", "binary"):
        right = found[run.targets[0]].cast(pl.String) == truth[run.targets[0]].cast(pl.String)
        assert right.mean() == pytest.approx(measured["accuracy"])
        return
    error = found.select(run.targets).to_numpy() - truth.select(run.targets).to_numpy()
    assert np.abs(error).mean() == pytest.approx(measured["mae"], rel=1e-5)


def test_columns_are_known_by_name(regression: Trained, new: Path):
    expected = regression.frame(new)
    frame = pl.read_csv(new, infer_schema=False)
    other = new.with_name("other.csv")
    broken = pl.Series("broken", [*["1"] * 39, "?!"])
    frame.select("day", "flag", "id", "size", "city").with_columns(broken).write_csv(other)
    assert_frame_equal(regression.frame(other), expected)


@pytest.mark.parametrize("cells", [[""], ["?"], ["1.5"], ["none", "of", "these"]])
def test_a_target_that_is_there_is_left_alone(cells: list[str], regression: Trained, new: Path):
    expected = regression.frame(new)
    frame = pl.read_csv(new, infer_schema=False)
    price = pl.Series("price", [cells[row % len(cells)] for row in range(len(frame))])
    frame.with_columns(price).write_csv(new)
    assert_frame_equal(regression.frame(new), expected)


def test_a_column_that_is_missing_is_named(regression: Trained, new: Path):
    pl.read_csv(new).drop("size").rename({"city": "town"}).write_csv(new)
    with pytest.raises(DataError) as refused:
        regression.frame(new)
    (line,) = refused.value.lines
    assert line.startswith(f"{new}: no column 'size', 'city'; ")


@pytest.mark.parametrize("kind", TARGETS)
def test_a_word_that_training_never_saw(kind: str, tables: dict[str, Trained], tmp_path: Path):
    """It is one and the same whatever it is, and moves no other word's code."""
    run, given = tables[kind], rows(30, seed=2).select(FEATURES)
    answers = []
    for strange in ("Aachen", "Zürich"):
        city = pl.when(pl.int_range(30) < 10).then(pl.lit(strange)).otherwise("city")
        given.with_columns(city=city).write_csv(tmp_path / "new.csv")
        answers.append(run.frame(tmp_path / "new.csv"))
    assert_frame_equal(answers[0], answers[1])
    given.write_csv(tmp_path / "new.csv")
    assert_frame_equal(answers[0][10:], run.frame(tmp_path / "new.csv")[10:])


def test_a_row_alone_and_among_others_is_the_same(regression: Trained, new: Path):
    """Even where the file then looks different: a word that is a number, a column all empty."""
    expected = regression.frame(new)
    for row in (0, 1, 13, 39):
        pl.read_csv(new)[row : row + 1].write_csv(new.with_name("row.csv"))
        alone = regression.frame(new.with_name("row.csv"))
        assert_frame_equal(alone, expected[row : row + 1], rel_tol=1e-6)


def test_a_word_for_a_number_is_refused(regression: Trained, new: Path):
    frame = pl.read_csv(new, infer_schema=False)
    frame.with_columns(size=pl.lit("large")).write_csv(new)
    with pytest.raises(DataError) as refused:
        regression.frame(new)
    assert refused.value.lines == [f"{new}: column 'size' holds 'large'; expected a number"]


def test_columns_can_be_kept(regression: Trained, new: Path):
    kept = ["flag", "id", "size", "day", "city"]
    found = regression.frame(new, *kept)
    assert found.columns == [*kept, "price"]
    given = rows(40, seed=1)
    assert found["id"].to_list() == given["id"].to_list()
    assert found["size"].to_list() == given["size"].to_list()
    assert found["city"].to_list() == given["city"].to_list()
    assert found["day"].to_list() == given["day"].to_list()
    assert found["flag"].to_list() == [
        one.replace("yes", "true").replace("no", "false") for one in given["flag"]
    ]
    with pytest.raises(DataError, match=r"--keep: the file has no column 'ids'; did you mean 'id'"):
        regression.frame(new, "ids")


def test_a_column_that_is_predicted_cannot_be_kept_under_its_name(regression: Trained, new: Path):
    rows(40, seed=1).write_csv(new)
    with pytest.raises(UsageError, match="--keep: 'price' is a column of the predictions"):
        regression.frame(new, "id", "price")
    assert regression.frame(new, "grade")["grade"].to_list() == rows(40, seed=1)["grade"].to_list()


# However it is read


def cut_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few answers at once, of a few lines or rows of a file."""
    monkeypatch.setattr(prediction, "CHUNK", 7)
    for reader, size in ((csv.chunks, 150), (parquet.chunks, 300)):
        assert reader.__kwdefaults__
        monkeypatch.setitem(reader.__kwdefaults__, "rows_or_bytes", size)


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_in_pieces_it_is_the_same(
    kind: str, suffix: str, tables: dict[str, Trained], new: Path, monkeypatch: pytest.MonkeyPatch
):
    run, path = tables[kind], new.with_suffix(suffix)
    if suffix == ".parquet":
        rows(40, seed=1).select("id", *FEATURES).write_parquet(path)
    whole = run.frames(path, "id", "day", "size")
    assert len(whole) == 1
    cut_small(monkeypatch)
    pieces = run.frames(path, "id", "day", "size")
    assert len(pieces) > 5
    found = pl.concat(list(map(pl.DataFrame, pieces)), how="vertical_relaxed")
    assert_frame_equal(found, pl.DataFrame(whole[0]), rel_tol=1e-6)


FILES: dict[str, Callable[[pl.DataFrame, Path], None]] = {
    "new.parquet": lambda frame, path: frame.with_columns(
        pl.col("day").str.to_date(), flag=pl.col("flag") == "yes"
    ).write_parquet(path),
    "new.csv.gz": lambda frame, path: frame.write_csv(path, compression="gzip"),
    "new.tsv": lambda frame, path: frame.write_csv(path, separator="\t"),
    "new.txt": lambda frame, path: frame.write_csv(path, separator=";", quote_style="always"),
}


@pytest.mark.parametrize("name", FILES)
def test_the_same_rows_in_another_format(name: str, regression: Trained, new: Path):
    FILES[name](rows(40, seed=1).select("id", *FEATURES), new.with_name(name))
    assert_frame_equal(regression.frame(new.with_name(name)), regression.frame(new))


def test_arrays_of_rows(tmp_path: Path):
    chance = np.random.default_rng(0)
    inputs = chance.normal(size=(60, 3))
    np.savez(tmp_path / "train.npz", x=inputs, y=inputs @ [1.0, 2.0, 3.0])
    run = trained(tmp_path, {"source": "npz", "path": str(tmp_path / "train.npz")}, ["y"])
    expected = nnarch.load(run.path).predict(inputs)
    np.savez(tmp_path / "new.npz", x=inputs)
    np.save(tmp_path / "new.npy", inputs)
    (tmp_path / "new.csv").write_text(
        "x3,x1,x2\n" + "".join(f"{row[2]},{row[0]},{row[1]}\n" for row in inputs.tolist())
    )
    for name in ("new.npz", "new.npy", "new.csv"):
        found = run.frame(tmp_path / name)
        assert np.array_equal(found["y"], expected.astype(np.float32)), name


def test_arrays_of_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    images = np.random.default_rng(0).integers(0, 256, (60, 4, 5)).astype(np.uint8)
    np.savez(tmp_path / "train.npz", x=images, y=np.arange(60) % 3)
    run = trained(tmp_path, {"source": "npz", "path": str(tmp_path / "train.npz")}, ["y"])
    np.savez(tmp_path / "new.npz", x=images[:20])
    found = run.frame(tmp_path / "new.npz")
    assert found.columns == ["y", "p_0", "p_1", "p_2"]
    predictor = nnarch.load(run.path)
    assert found["y"].to_list() == predictor.predict(images[:20, None]).tolist()
    monkeypatch.setattr(prediction, "CHUNK", 7)
    assert_frame_equal(run.frame(tmp_path / "new.npz"), found, rel_tol=1e-5)
    np.savez(tmp_path / "other.npz", x=images[:, :3])
    with pytest.raises(
        DataError, match=r"samples of shape \(1, 3, 5\); the network expects \(1, 4"
    ):
        run.frame(tmp_path / "other.npz")


def test_image_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    chance = np.random.default_rng(0)
    for kind in ("cat", "dog"):
        (tmp_path / "pets" / kind).mkdir(parents=True)
        for number in range(12):
            pixels = chance.integers(0, 256, (6, 6, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / kind / f"{number}.png")
    run = trained(tmp_path, {"source": "images", "path": str(tmp_path / "pets")}, ["class"])
    shutil.copytree(tmp_path / "pets" / "dog", tmp_path / "new")
    shutil.rmtree(tmp_path / "pets")
    found = run.frame(tmp_path / "new")
    assert found.columns == ["file", "class", "p_cat", "p_dog"]
    assert found["file"].to_list() == sorted(f"{number}.png" for number in range(12))
    predictor = nnarch.load(run.path)
    for name, label, chance_of_cat in found.select("file", "class", "p_cat").iter_rows():
        pixels = np.array(Image.open(tmp_path / "new" / name)).transpose(2, 0, 1)[None]
        assert predictor.predict(pixels).tolist() == [label]
        assert predictor.predict_proba(pixels)[0, 0] == pytest.approx(chance_of_cat, rel=1e-5)
    one = run.frame(tmp_path / "new" / "3.png")
    assert_frame_equal(one, found.filter(file="3.png"), rel_tol=1e-5)


def test_lines_of_text(tmp_path: Path):
    (tmp_path / "train.txt").write_text("abcabc" * 50)
    data = {"source": "text", "path": str(tmp_path / "train.txt"), "context": 4}
    run = trained(tmp_path, data, ["next"], epochs=40, optimizer={"name": "adam", "lr": 0.02})
    (tmp_path / "new.txt").write_text("abca\nbc\nabcabcab\n")
    found = run.frame(tmp_path / "new.txt")
    assert found["text"].to_list() == ["abca", "bc", "abcabcab"]
    assert found["next"].to_list()[0] == "b"
    assert found["next"].to_list()[2] == "c"
    assert bool(found["probability"].is_between(0.3, 1).all())
    (tmp_path / "new.txt").write_text("abc\nabx\n")
    with pytest.raises(DataError, match=r"text 2: got 'x', which the network has never seen"):
        run.frame(tmp_path / "new.txt")


def steps(first: int, count: int) -> pl.DataFrame:
    """Hours of two waves."""
    hours = range(first, first + count)
    at = [str(np.datetime64("2024-01-01T00:00") + 60 * hour) for hour in hours]
    waves = {"load": np.sin(np.array(hours) / 3) + 9, "heat": np.cos(np.array(hours) / 3) * 40}
    return pl.DataFrame({"at": at, **waves})


def test_the_steps_after_a_series(tmp_path: Path):
    steps(0, 400).write_csv(tmp_path / "train.csv")
    data = {"source": "series", "path": str(tmp_path / "train.csv"), "time": "at",
            "lookback": 20, "horizon": 4}  # fmt: skip
    run = trained(
        tmp_path, data, [], model="nlinear", epochs=30, optimizer={"name": "adam", "lr": 0.02}
    )
    steps(500, 60).sample(fraction=1, shuffle=True, seed=0).write_csv(tmp_path / "new.csv")
    found = run.frame(tmp_path / "new.csv")
    assert found.columns == ["step", "load", "heat"]
    assert found["step"].to_list() == [1, 2, 3, 4]
    ahead = steps(560, 4)
    assert np.abs(found["load"] - ahead["load"]).max() < 0.3
    assert np.abs(found["heat"] - ahead["heat"]).max() < 12
    steps(500, 19).write_csv(tmp_path / "new.csv")
    with pytest.raises(DataError, match="too few"):
        run.frame(tmp_path / "new.csv")


@pytest.mark.parametrize("text", ["", "size,city,flag,day\n"])
def test_a_file_of_no_rows_is_refused(text: str, regression: Trained, tmp_path: Path):
    (tmp_path / "new.csv").write_text(text)
    with pytest.raises(DataError, match=r"new\.csv"):
        regression.frame(tmp_path / "new.csv")


def test_only_a_table_has_columns_to_keep(tmp_path: Path):
    steps(0, 100).write_csv(tmp_path / "train.csv")
    data = {"source": "series", "path": str(tmp_path / "train.csv"), "time": "at", "lookback": 5}
    run = trained(tmp_path, data, [], model="nlinear", epochs=1)
    with pytest.raises(UsageError, match="--keep: only a table has columns to keep"):
        run.frame(tmp_path / "train.csv", "at")


# The command line


def test_standard_output_is_a_csv_file(regression: Trained, new: Path, nnarch_here: Command):
    done = nnarch_here("predict", regression.path, new, "--keep", "id, city")
    assert (done.returncode, done.stderr) == (0, "")
    expected = regression.frame(new, "id", "city")
    assert done.stdout == expected.write_csv()
    assert len(read(done.stdout)) == 40


def test_the_header_stands_once(
    regression: Trained, new: Path, nnarch_here: Command, monkeypatch: pytest.MonkeyPatch
):
    whole = nnarch_here("predict", regression.path, new)
    monkeypatch.setattr(prediction, "CHUNK", 9)
    pieces = nnarch_here("predict", regression.path, new)
    assert pieces.stdout.splitlines()[0] == "price"
    assert_frame_equal(read(pieces.stdout), read(whole.stdout), rel_tol=1e-6)


READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    "csv": pl.read_csv,
    "tsv": lambda path: pl.read_csv(path, separator="\t"),
    "jsonl": pl.read_ndjson,
    "parquet": pl.read_parquet,
}


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize("kind", ["several", "classes"])
def test_a_file_holds_the_same(
    kind: str, suffix: str, tables: dict[str, Trained], new: Path, nnarch_here: Command
):
    printed = nnarch_here("predict", tables[kind].path, new, "--keep", "id,size")
    out = f"out.{suffix}"
    done = nnarch_here("predict", tables[kind].path, new, "--keep", "id,size", "-o", out)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"40 predictions in {out}\n"
    found = READERS[suffix](new.with_name(out)).cast({pl.Float32: pl.Float64})
    expected = read(printed.stdout)
    assert_frame_equal(found.with_columns(pl.col("id").cast(pl.Int64)), expected, rel_tol=1e-6)
    again = nnarch_here("predict", tables[kind].path, new, "-o", out)
    assert again.returncode == 2
    assert error_lines(again) == [f"{out}: is there already; --force replaces it"]
    forced = nnarch_here("predict", tables[kind].path, new, "-o", out, "--force", "-q")
    assert (forced.returncode, forced.stderr) == (0, "")
    assert "id" not in READERS[suffix](new.with_name(out)).columns


FAULTS: dict[str, tuple[list[str], int, str]] = {
    "no such file": (["gone.csv"], 4, "gone.csv: no such file"),
    "a format that is none": (["new.csv", "-o", "out.xlsx"], 2, "out.xlsx: got '.xlsx'; expected"),
    "no such folder": (["new.csv", "-o", "gone/out.csv"], 2, "gone: no such directory"),
    "a column to keep": (["new.csv", "--keep", "nr"], 4, "--keep: the file has no column 'nr'"),
    "a column that is missing": (["less.csv"], 4, "less.csv: no column 'size'; known: id, city, "),
    "a folder": (["."], 4, ".: "),
}


@pytest.mark.parametrize(("given", "code", "said"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_a_line_and_leaves_nothing(
    given: list[str], code: int, said: str, regression: Trained, new: Path, nnarch_here: Command
):
    pl.read_csv(new).drop("size").write_csv(new.with_name("less.csv"))
    before = sorted(new.parent.iterdir())
    words = given if "-o" in given else [*given, "-o", "out.csv"]
    done = nnarch_here("predict", regression.path, *words)
    assert done.returncode == code
    (line,) = error_lines(done)
    assert line.startswith(said)
    assert sorted(new.parent.iterdir()) == before


def test_no_such_run(new: Path, nnarch_here: Command):
    done = nnarch_here("predict", "nothing", new)
    assert done.returncode == 5
    assert len(error_lines(done)) == 1


def test_nobody_has_to_read_on(tables: dict[str, Trained], tmp_path: Path):
    """As in `nnarch predict RUN DATA | head -1`."""
    rows(10_000, seed=3).select(FEATURES).write_csv(tmp_path / "many.csv")
    command = f'"{sys.executable}" -m nnarch predict "{tables["classes"].path}" many.csv'
    done = subprocess.run(
        ["bash", "-c", f"{command} | head -1; echo ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=dict(os.environ),
        timeout=60,
    )
    assert done.stderr == ""
    assert done.stdout == "grade,p_low,p_middle,p_very high\n0\n"
