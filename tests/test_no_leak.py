"""Training sees nothing of the rows it is measured on, and takes all that it fitted along.

Through the command line: whatever stands in the validation and test rows, the losses of training
and the weights of the last epoch are the same to the last bit. And a run directory is enough to
predict from, wherever it lies and whatever became of the data.
"""

import csv
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from conftest import Command, error_lines

EPOCHS = 2
TRAIN, HELD_OUT = 40, 12
UNSEEN = {
    "x": "",
    "some": "",
    "flag": "",
    "day": "2031-12-24",
    "colour": "violet",
    "note": "wholly other words",
    "same": "12",
    "y": "-1234.5",
}

Row = dict[str, str]
Change = Callable[[Row], Row]


def asis(row: Row) -> Row:
    return row


def multiplied(row: Row) -> Row:
    """Every number a million times as large."""
    numbers = {
        name: repr(float(row[name]) * 1e6) for name in ("x", "some", "same") if row.get(name)
    }
    return row | numbers


def unseen(row: Row) -> Row:
    """Gaps where training has none, words and dates that it has never met, other targets."""
    return row | UNSEEN


def rows(count: int, seed: int) -> list[Row]:
    chance = random.Random(seed)
    made = []
    for _ in range(count):
        x, colour = chance.gauss(3, 2), chance.choice(["red", "green", "blue"])
        made.append(
            {
                "x": f"{x:.4f}",
                "some": "" if chance.random() < 0.3 else f"{chance.random() * 1e4:.2f}",
                "flag": chance.choice(["true", "false"]),
                "day": f"2024-{chance.randint(1, 12):02d}-{chance.randint(1, 28):02d}",
                "colour": colour,
                "note": " ".join(chance.choices(["good", "bad", "old", "new", "dear"], k=4)),
                "same": "7",
                "y": f"{2 * x + len(colour) + chance.gauss(0, 0.1):.4f}",
            }
        )
    return made


def write(path: Path, lines: list[Row]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)


def write_files(folder: Path, change: Change) -> None:
    """Files of their own for training, validation and test."""
    for seed, name in enumerate(("train", "val", "test")):
        made = rows(HELD_OUT if seed else TRAIN, seed)
        write(folder / f"{name}.csv", [change(row) for row in made] if seed else made)


def write_column(folder: Path, change: Change) -> None:
    """One file, with a column that says which part a row belongs to."""
    parts = ["train", "train", "val", "train", "test"]
    made = [row | {"part": parts[i % 5]} for i, row in enumerate(rows(TRAIN, 0))]
    write(folder / "all.csv", [row if row["part"] == "train" else change(row) for row in made])


def write_words(folder: Path, change: Change) -> None:
    """The same as files, of two classes that every part has."""
    for seed, name in enumerate(("train", "val", "test")):
        made = [
            (change(row) if seed else row) | {"y": "ab"[i % 2]}
            for i, row in enumerate(rows(HELD_OUT if seed else TRAIN, seed))
        ]
        write(folder / f"{name}.csv", made)


def write_series(folder: Path, change: Change) -> None:
    """Steps in the order of time, of which the last four of ten are not for training."""
    made = [
        {"day": f"2024-{1 + i // 28:02d}-{1 + i % 28:02d}", "x": row["x"], "same": f"{i % 7}"}
        for i, row in enumerate(rows(100, 0))
    ]
    write(folder / "steps.csv", [row if i < 60 else change(row) for i, row in enumerate(made)])


def write_arrays(folder: Path, change: Change, shape: tuple[int, ...] = (3,)) -> None:
    chance = np.random.default_rng(0)
    sizes = {"train": TRAIN, "val": HELD_OUT, "test": HELD_OUT}
    arrays = {f"x_{part}": chance.normal(2, 3, (size, *shape)) for part, size in sizes.items()}
    truth = {f"y_{part}": chance.normal(size=size) for part, size in sizes.items()}
    for part in ("x_val", "x_test"):
        if change == multiplied:
            arrays[part] *= 1e6
        elif change == unseen:
            arrays[part][:, 0] = np.nan
    named: dict[str, Any] = arrays | truth
    np.savez(folder / "all.npz", **named)


def write_images(folder: Path, change: Change) -> None:
    write_arrays(folder, change, (1, 4, 4))


FILES = "source: csv, path: train.csv, val: val.csv, test: test.csv, target: y"
SETS: dict[str, tuple[Callable[[Path, Change], None], str]] = {
    "standard": (write_files, FILES),
    "robust": (write_files, f"{FILES}, scaling: robust, missing: mean"),
    "quantile": (write_files, f"{FILES}, scaling: quantile"),
    "minmax": (write_files, f"{FILES}, scaling: minmax, categories: embedding"),
    "none": (write_files, f"{FILES}, scaling: none, missing: zero"),
    "embedding": (write_files, f"{FILES}, categories: embedding, missing: mean"),
    "classes": (write_words, FILES),
    "part by part of a file": (write_column, "source: csv, path: all.csv, target: y, "
     "split: {column: part}"),
    "streamed": (write_files, f"{FILES}, stream: always"),
    "streamed robust": (write_files, f"{FILES}, stream: always, scaling: robust, missing: mean, "
     "categories: embedding"),
    "matrix": (write_arrays, "source: npz, path: all.npz"),
    "matrix quantile": (write_arrays, "source: npz, path: all.npz, scaling: quantile"),
    "images": (write_images, "source: npz, path: all.npz"),
    "images minmax": (write_images, "source: npz, path: all.npz, scaling: minmax"),
    "series": (write_series, "source: series, path: steps.csv, time: day, lookback: 4, "
     "horizon: 2, split: {train: 0.6, val: 0.2, test: 0.2}"),
    "series minmax": (write_series, "source: series, path: steps.csv, time: day, lookback: 4, "
     "horizon: 2, features: [x, same], scaling: minmax, split: {train: 0.6, val: 0.2, test: 0.2}"),
}  # fmt: skip
CASES = [
    (name, change)
    for name in SETS
    for change in (multiplied, unseen)
    if change == multiplied or name.partition(" ")[0] not in ("images", "series")
]


def config(data: str) -> str:
    return (
        f"name: run\ndata: {{{data}}}\nmodel: {{widths: [5]}}\nepochs: {EPOCHS}\nbatch_size: 8\n"
        "threads: 1\n"
    )


def trained(nnarch: Command, folder: Path, name: str, change: Change) -> Path:
    """The run of one set of data with its held-out rows changed."""
    make, data = SETS[name]
    make(folder, change)
    (folder / "run.yaml").write_text(config(data))
    done = nnarch("train", "run.yaml", "--quiet")
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.strip()


def column(run: Path, name: str) -> list[str]:
    with (run / "history.csv").open(newline="") as file:
        return [row[name] for row in csv.DictReader(file)]


def last(run: Path) -> dict[str, Tensor]:
    return load_file(run / "checkpoints" / "last" / "model.safetensors")


@pytest.mark.parametrize(
    ("name", "change"), CASES, ids=[f"{name}-{change.__name__}" for name, change in CASES]
)
def test_held_out_rows_change_nothing_of_training(
    nnarch_here: Command, tmp_path: Path, name: str, change: Change
) -> None:
    plain = trained(nnarch_here, tmp_path, name, asis)
    wild = trained(nnarch_here, tmp_path, name, change)
    assert column(wild, "val_loss") != column(plain, "val_loss"), "nothing was changed"
    assert len(column(plain, "train_loss")) == EPOCHS
    assert column(wild, "train_loss") == column(plain, "train_loss")
    expected, found = last(plain), last(wild)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(found[key], value), key


def questions(folder: Path, name: str) -> str:
    """A file to predict from: the held-out rows of a set, words and gaps unknown to it too."""
    if name.startswith("series"):
        (folder / "new.csv").write_text((folder / "steps.csv").read_text())
        return "new.csv"
    if name.startswith(("matrix", "images")):
        with np.load(folder / "all.npz") as arrays:
            np.savez(folder / "new.npz", x=arrays["x_test"])
        return "new.npz"
    write(folder / "new.csv", [*rows(HELD_OUT, 2), *map(unseen, rows(3, 3))])
    return "new.csv"


@pytest.mark.parametrize("name", SETS)
def test_a_run_that_was_moved_predicts_the_same_without_its_data(
    nnarch_here: Command, tmp_path: Path, name: str
) -> None:
    run = trained(nnarch_here, tmp_path, name, asis)
    asked = questions(tmp_path, name)
    before = nnarch_here("predict", run, asked)
    assert before.returncode == 0, before.stderr
    for path in tmp_path.iterdir():
        if path.is_file() and path.name != asked:
            path.unlink()
    moved = run.rename(tmp_path / "elsewhere")
    after = nnarch_here("predict", moved, asked)
    assert after.returncode == 0, after.stderr
    assert after.stdout == before.stdout
    assert len(set(after.stdout.splitlines()[1:])) > 1, "it says the same of everything"


def test_a_run_without_its_data_says_that_they_are_missing(
    nnarch_here: Command, tmp_path: Path
) -> None:
    run = trained(nnarch_here, tmp_path, "standard", asis)
    (tmp_path / "train.csv").unlink()
    done = nnarch_here("eval", run)
    assert done.returncode == 4
    (line,) = error_lines(done)
    assert line.startswith("train.csv: no such file")
