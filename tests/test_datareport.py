"""The report of data: what is counted, what is warned of, and how it reads."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nnarch import config as configs
from nnarch import files
from nnarch.check import datareport
from nnarch.check.datareport import as_text, report
from nnarch.data import columnreport, leaks
from nnarch.data.preprocessing.features import choose
from nnarch.data.preprocessing.statistics import describe
from nnarch.data.preprocessing.tableinputs import TableInputs
from nnarch.data.spool import spooled
from nnarch.data.table import Table, numeric
from nnarch.data.targetreport import skewness
from nnarch.data.task import Task
from nnarch.errors import ConfigError, DataError

ROWS = 400
Columns = dict[str, list[Any]]


def columns(rows: int = ROWS, seed: int = 0) -> Columns:
    """Columns that are of use, and a target that they say something of."""
    chance = np.random.default_rng(seed)
    x, y = chance.normal(size=(2, rows)).round(6).tolist()
    city = chance.choice(["Rome", "Oslo", "Lima"], rows).tolist()
    target = [a + 0.5 * b + 0.3 * e for a, b, e in zip(x, y, chance.normal(size=rows), strict=True)]
    return {"x": x, "y": y, "city": city, "target": [round(value, 6) for value in target]}


def yes_or_no(given: Columns) -> list[str]:
    return ["yes" if value > 0 else "no" for value in given["target"]]


@pytest.fixture
def told(tmp_path: Path) -> Any:
    """The report of a table with these columns, under these options of `data`."""

    def tell(table: Columns, changes: dict[str, Any] | None = None, **options: Any) -> Any:
        path = tmp_path / "table.csv"
        pl.DataFrame(table).write_csv(path)
        data = {"source": "csv", "path": str(path), "target": "target", **options}
        return report(configs.load({"data": data, **(changes or {})}))

    return tell


def column(found: Any, name: str) -> Any:
    (one,) = (one for one in found["columns"] if one["name"] == name)
    return one


def parts_of(rows: int = ROWS) -> list[str]:
    return [("train", "train", "train", "val", "test")[i % 5] for i in range(rows)]


class TestRows:
    def test_parts_and_how_they_came_about(self, told: Any) -> None:
        found = told(columns())
        assert found["rows"]["parts"] == {"train": 320, "val": 40, "test": 40}
        assert found["rows"]["total"] == ROWS
        assert found["rows"]["parted"] == "at random (seed 0)"
        assert found["warnings"] == []

    @pytest.mark.parametrize(
        ("split", "words"),
        [
            ({"seed": 3}, "at random (seed 3)"),
            ({"column": "part"}, "by column part"),
            ({"group": "city"}, "at random (seed 0), rows of one city together"),
            ({"time": "x"}, "in order of x"),
            ({"folds": 4}, "fold 1 of 4, at random (seed 0)"),
            ({"folds": 4, "fold": 2}, "fold 2 of 4, at random (seed 0)"),
        ],
    )
    def test_ways_to_part(self, told: Any, split: dict[str, Any], words: str) -> None:
        assert told({**columns(), "part": parts_of()}, split=split)["rows"]["parted"] == words

    def test_classes_are_shared_out(self, told: Any) -> None:
        table = columns()
        found = told({**table, "target": yes_or_no(table)})
        assert found["rows"]["parted"] == "at random (seed 0), each class in equal shares"

    def test_rows_that_stand_in_two_parts(self, told: Any) -> None:
        table = {name: values * 2 for name, values in columns(100).items()}
        table["part"] = ["train"] * 100 + ["test"] * 30 + ["val"] * 20 + ["train"] * 50
        found = told(table, split={"column": "part"})
        assert found["rows"]["shared"] == {
            "test": {"count": 30, "share": 1.0},
            "val": {"count": 20, "share": 1.0},
        }
        assert "30 of 30 test rows (100.0%) are training rows as well" in found["warnings"]
        assert "20 of 20 val rows (100.0%) are training rows as well" in found["warnings"]

    def test_rows_without_a_target(self, told: Any) -> None:
        table = columns()
        table["target"][5] = table["target"][7] = None
        found = told(table, missing_target="drop")
        assert (found["rows"]["without_target"], found["rows"]["total"]) == (2, ROWS - 2)
        with pytest.raises(DataError):
            told(table)

    def test_a_column_that_could_part_the_rows(self, told: Any) -> None:
        table = {**columns(), "part": parts_of()}
        (warning,) = told(table)["warnings"]
        assert warning.startswith("column 'part' holds train, val, test; data.split.column: part")
        assert told(table, split={"column": "part"})["warnings"] == []


class TestTarget:
    def test_a_number(self, told: Any) -> None:
        table = columns()
        table["part"] = parts_of()
        (found,) = told(table, split={"column": "part"})["target"]
        train = [v for v, p in zip(table["target"], table["part"], strict=True) if p == "train"]
        assert found["minimum"] == min(train)
        assert found["maximum"] == max(train)
        assert found["mean"] == pytest.approx(np.mean(train))
        assert found["hint"] == ""

    def test_skewness_is_the_third_standardised_moment(self) -> None:
        values = torch.tensor([1.0, 2.0, 2.0, 3.0, 10.0], dtype=torch.float64)
        away = values.numpy() - values.numpy().mean()
        expected = (away**3).mean() / away.std() ** 3
        assert skewness(values) == pytest.approx(expected)
        assert skewness(values * 0 + 0.1) == 0

    def test_a_logarithm_is_hinted_at_for_a_target_of_many_sizes(self, told: Any) -> None:
        table = columns()
        table["target"] = [math.exp(2 * value) for value in table["target"]]
        found = told(table)["target"][0]
        assert found["skewness"] > 3
        assert found["hint"] == "data.target_transform: log1p may help"
        assert told(table, target_transform="log1p")["target"][0]["hint"] == ""
        table["target"][0] = -1e-3
        assert told(table)["target"][0]["hint"] == ""

    def test_classes_in_every_part(self, told: Any) -> None:
        table = columns()
        table |= {"target": yes_or_no(table), "part": parts_of()}
        no, yes = told(table, split={"column": "part"})["target"]
        assert (no["name"], yes["name"]) == ("no", "yes")
        for part in ("train", "val", "test"):
            there = [v for v, p in zip(table["target"], table["part"], strict=True) if p == part]
            assert yes[part]["count"] == there.count("yes")
            assert yes[part]["share"] == there.count("yes") / len(there)
            assert yes[part]["count"] + no[part]["count"] == len(there)

    def test_labels(self, told: Any) -> None:
        table = columns()
        table["a"] = [int(value > 0) for value in table["x"]]
        table["b"] = [int(i == 3) for i in range(ROWS)]
        del table["target"]
        found = told(table, target=["a", "b"], task="multilabel")
        counts = [
            sum(one[part]["count"] for part in one if part != "name") for one in found["target"]
        ]
        assert counts == [sum(table["a"]), 1]
        assert "labels that hardly any training row has: b" in found["warnings"]

    def test_very_unequal_classes(self, told: Any) -> None:
        table = columns(1000)
        table["target"] = ["rare" if i % 200 == 0 else "usual" for i in range(1000)]
        (warning,) = told(table)["warnings"]
        assert warning.startswith("classes are very unequal: rare has 4 training rows; ")
        assert warning.endswith("always usual would be right in 99.5%")


class TestColumns:
    def test_what_becomes_of_each(self, told: Any) -> None:
        table = columns()
        words = ["good", "bad", "fine", "poor", "nice", "dull"]
        table |= {
            "same": ["one"] * ROWS,
            "row_id": list(range(ROWS)),
            "name": [f"n{i * 7919}" for i in range(ROWS)],
            "when": [f"2024-{1 + i % 12:02}-{1 + i % 28:02}" for i in range(ROWS)],
            "is_new": ["true" if i % 3 else "false" for i in range(ROWS)],
            "review": [
                f"{words[i % 6]} film number{i} with {words[i % 5]} cast" for i in range(ROWS)
            ],
            "unwanted": columns(seed=9)["x"],
            "part": parts_of(),
        }
        table["y"] = [None if i % 4 == 0 else value for i, value in enumerate(table["y"])]
        found = told(table, ignore=["unwanted"], split={"column": "part"})
        becomes = {one["name"]: one["becomes"] for one in found["columns"]}
        texts = becomes.pop("review")
        dates = becomes.pop("when")
        assert becomes == {
            "x": "number",
            "y": "number, or a gap",
            "city": "one of 3 categories",
            "same": "ignored: constant",
            "row_id": "ignored: identifiers",
            "name": "ignored: identifiers",
            "is_new": "yes or no",
            "unwanted": "ignored, as told",
            "part": "parts the rows",
        }
        assert texts == "text -> 9 words"
        assert dates.startswith("date -> ")
        assert column(found, "when")["minimum"] == "2024-01-01"
        assert column(found, "y")["missing"] == pytest.approx(0.25, abs=0.02)
        assert column(found, "city")["distinct"] == 3
        numbers = found["samples"]["shape"][0]
        assert numbers == 1 + 2 + 3 + 1 + 9 + int(dates.split()[2])
        assert not column(found, "same")["feature"]

    def test_columns_that_are_not_asked_for(self, told: Any) -> None:
        found = told(columns(), columns=["x"])
        assert column(found, "city")["becomes"] == "ignored: not in data.columns"
        assert found["samples"] == {"kind": "table", "shape": [1], "features": 1}

    def test_a_column_of_another_type_than_it_looks(self, told: Any) -> None:
        table = {**columns(), "code": [i % 4 for i in range(ROWS)]}
        found = told(table, types={"code": "categorical", "y": "ignore"})
        assert column(found, "code")["becomes"] == "one of 4 categories"
        assert column(found, "y")["becomes"] == "ignored, as told"

    def test_words_and_numbers_that_training_does_not_know(self, told: Any) -> None:
        table = {**columns(), "part": parts_of()}
        for row, (name, value) in enumerate(
            [("city", "Bonn"), ("city", "Bonn"), ("x", 500.0), ("x", -500.0), ("y", 4.5)]
        ):
            table[name][5 * row + 3] = value
        found = told(table, split={"column": "part"})
        assert column(found, "city")["unseen"] == 2
        assert (column(found, "x")["far"], column(found, "y")["far"]) == (2, 0)
        assert found["warnings"] == [
            "val and test rows hold words that no training row has: city (2)",
            "val and test rows are over 10 deviations outside the training range: x (2)",
        ]


class TestLeaks:
    def leaking(self, found: Any) -> list[str]:
        return [warning for warning in found["warnings"] if "alone tells" in warning]

    def test_a_word_that_is_the_class(self, told: Any) -> None:
        table = columns()
        table["target"] = yes_or_no(table)
        table["closed"] = ["A" if value == "yes" else "B" for value in table["target"]]
        (warning,) = self.leaking(told(table))
        assert warning == (
            "column 'closed' alone tells target (accuracy 1): is it known when predicting?"
        )

    def test_a_number_by_which_classes_can_be_told(self, told: Any) -> None:
        table = columns()
        table["target"] = yes_or_no(table)
        table["fee"] = [
            (1 if value == "yes" else -1) * (1 + abs(x))
            for value, x in zip(table["target"], table["x"], strict=True)
        ]
        (warning,) = self.leaking(told(table))
        assert warning.startswith("column 'fee' alone tells target (accuracy ")

    @pytest.mark.parametrize(
        "recode", [lambda v: 3 * v + 1, lambda v: math.exp(v / 3), lambda v: -v]
    )
    def test_a_number_that_is_the_target_in_other_units(self, told: Any, recode: Any) -> None:
        table = columns(10_000)
        table["target"] = np.random.default_rng(1).uniform(0, 10, 10_000).round(6).tolist()
        table["copy"] = [recode(value) for value in table["target"]]
        (warning,) = self.leaking(told(table))
        assert warning.startswith("column 'copy' alone tells target (R² 0.99")

    def test_a_copy_with_gaps_is_seen_too(self, told: Any) -> None:
        table = columns()
        table["copy"] = [None if i % 3 else 2 * v for i, v in enumerate(table["target"])]
        (warning,) = self.leaking(told(table))
        assert "(correlation 1)" in warning

    @pytest.mark.parametrize("dataset", ["iris", "breast_cancer", "diabetes", "wine", "linnerud"])
    def test_honest_data_is_not_suspected(self, dataset: str) -> None:
        data = {"source": "sklearn", "dataset": dataset}
        assert self.leaking(report(configs.load({"data": data}))) == []

    def test_a_word_of_its_own_for_every_row_tells_nothing_later(self) -> None:
        chance = torch.Generator().manual_seed(0)
        truth = torch.randint(2, (300,), generator=chance)
        own = torch.arange(300, dtype=torch.float64)
        task = Task("binary", ("y",), ("a", "b"))
        pieces = ((own[:200], own[200:]), (truth[:200], truth[200:]))
        assert leaks.leaks(task, {"id": pieces[0]}, pieces[1], frozenset(["id"])) == []

    def test_a_rare_class_needs_more_than_the_majority(self) -> None:
        """Always the commonest class is right in 99.5% of rows, and is no leak."""
        truth = (torch.arange(1000) % 200 == 0).long()
        noise = torch.randn(1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        task = Task("binary", ("y",), ("a", "b"))
        both = (truth[:800], truth[800:])
        assert leaks.leaks(task, {"x": (noise[:800], noise[800:])}, both) == []
        copy = truth.double()
        (found,) = leaks.leaks(task, {"x": (copy[:800], copy[800:])}, both)
        assert (found.measure, found.value) == ("accuracy", 1.0)

    def test_which_of_several_targets_is_told(self) -> None:
        chance = torch.Generator().manual_seed(0)
        truth = torch.rand(2000, 3, generator=chance, dtype=torch.float64)
        copy = truth[:, 1] * 7
        task = Task("regression", ("a", "b", "c"))
        (found,) = leaks.leaks(
            task, {"x": (copy[:1500], copy[1500:])}, (truth[:1500], truth[1500:])
        )
        assert (found.column, found.target) == ("x", "b")
        labels, known = (truth > 0.5).double(), (copy > 3.5).double()
        task = Task("multilabel", ("a", "b", "c"))
        (found,) = leaks.leaks(
            task, {"x": (known[:1500], known[1500:])}, (labels[:1500], labels[1500:])
        )
        assert (found.target, found.measure, found.value) == ("b", "accuracy", 1.0)

    @given(st.permutations(range(5)), st.floats(-1e6, 1e6), st.floats(1e-3, 1e3))
    def test_any_code_of_the_classes_is_seen(
        self, codes: list[int], offset: float, size: float
    ) -> None:
        truth = torch.arange(200) % 5
        values = torch.tensor(codes, dtype=torch.float64)[truth] * size + offset
        task = Task("multiclass", ("y",), tuple("abcde"))
        pieces = (values[:150], values[150:])
        for words in (frozenset[str](), frozenset(["x"])):
            found = leaks.leaks(task, {"x": pieces}, (truth[:150], truth[150:]), words)
            assert [leak.value for leak in found] == [1.0]

    def test_many_are_counted(self, told: Any) -> None:
        table = columns()
        table |= {f"copy{i}": [v + i for v in table["target"]] for i in range(8)}
        found = told(table)["warnings"]
        assert len(found) == datareport.MOST_LEAKS + 1
        assert found[-1] == "3 more columns that alone tell the target"


class TestBaselines:
    def test_they_are_measured_by_the_configs_metrics(self, told: Any) -> None:
        found = told(columns(), {"metrics": ["max_error"]})["baselines"]
        assert [one["name"] for one in found] == ["mean", "linear model"]
        assert [list(one["figures"]) for one in found] == [["max_error"]] * 2

    def test_a_metric_that_does_not_fit_is_told_where_it_stands(self) -> None:
        data = {"source": "sklearn", "dataset": "iris"}
        metrics = [{"name": "f1", "average": "binary"}]
        with pytest.raises(ConfigError, match="metrics: got average 'binary'"):
            report(configs.load({"data": data, "metrics": metrics}))

    def test_a_loss_of_counts_leaves_the_target_as_it_is(self) -> None:
        data = {"source": "sklearn", "dataset": "diabetes"}
        metrics = ["rmse", "scaled_mse"]
        for loss, alike in (("poisson_nll", True), ("mse", False)):
            found = report(configs.load({"data": data, "loss": loss, "metrics": metrics}))
            figures = found["baselines"][0]["figures"]
            assert (figures["rmse"] ** 2 == pytest.approx(figures["scaled_mse"])) == alike


class TestOtherData:
    def test_a_series(self, tmp_path: Path) -> None:
        path = tmp_path / "series.csv"
        pl.DataFrame({"a": [math.sin(i / 3) for i in range(200)]}).write_csv(path)
        data = {"source": "series", "path": str(path), "lookback": 4, "horizon": 2}
        found = report(configs.load({"data": data}))
        assert "columns" not in found
        assert found["rows"]["noun"] == "windows"
        assert found["rows"]["parted"] == "in order of time"
        assert [one["name"] for one in found["target"]] == ["a"]
        assert found["samples"] == {
            "kind": "series", "shape": [4, 1], "steps": 200, "lookback": 4, "horizon": 2,
            "channels": ["a"], "predicted": ["a"],
        }  # fmt: skip
        text = as_text(found)
        assert "4 steps of a, to tell 2 steps of a; the series has 200 steps" in text
        assert "last value" in text

    def test_running_text(self, tmp_path: Path) -> None:
        path = tmp_path / "names.txt"
        chance = np.random.default_rng(0)
        path.write_text("".join("".join(chance.choice([*"abc"], 5)) + "\n" for _ in range(50)))
        found = report(
            configs.load({"data": {"source": "text", "path": str(path), "documents": "lines"}})
        )
        assert found["rows"]["parted"] == "whole documents at random (seed 0)"
        assert found["samples"]["documents"] == 50
        assert {"a", "b", "c"} <= {one["name"] for one in found["target"]}
        assert (
            sum(one["test"]["count"] for one in found["target"]) == found["rows"]["parts"]["test"]
        )
        assert found["warnings"] == []
        assert "previous token" in as_text(found)

    def test_arrays(self, tmp_path: Path) -> None:
        chance = np.random.default_rng(0)
        np.savez(
            tmp_path / "images.npz",
            x=chance.integers(0, 256, (60, 4, 4)).astype(np.uint8),
            y=np.arange(60) % 3,
        )
        data = {"source": "npz", "path": str(tmp_path / "images.npz")}
        found = report(configs.load({"data": data}))
        assert found["samples"] == {"kind": "array", "shape": [1, 4, 4], "type": "uint8"}
        assert "inputs   1 x 4 x 4 numbers (uint8)" in as_text(found)


def test_a_table_on_disk_is_described_as_one_in_memory() -> None:
    chance = torch.Generator().manual_seed(0)
    inputs = torch.randn(500, 3, generator=chance, dtype=torch.float64)
    inputs[-1, 0] = 99.0
    table = Table(inputs, numeric(["a", "b", "copy"]), inputs[:, 2:].clone() * 2, ("y",))
    chosen = {"train": torch.arange(400), "val": torch.arange(400, 450)}
    chosen["test"] = torch.arange(450, 500)
    task, found = Task("regression", ("y",)), []
    statistics = describe(inputs[:400], table.columns)
    options = {"missing": "median", "scaling": "standard", "categories": "one_hot"}
    features, _ = choose(table.columns, statistics, options)
    made = TableInputs.fit(features, statistics, options)
    for rows in (table, spooled([table])):
        strange = columnreport.strange(statistics, made, rows, chosen)
        found.append((strange, leaks.of_table(rows, made, task, chosen)))
    assert found[0] == found[1]
    assert found[0][0] == {"a": {"far": 1}, "b": {"far": 0}, "copy": {"far": 0}}
    assert [leak.column for leak in found[0][1]] == ["copy"]


class TestText:
    def test_a_table(self, told: Any) -> None:
        table = columns()
        table["same"] = ["one"] * ROWS
        text = as_text(told(table), 80)
        lines = text.splitlines()
        assert lines[0] == "regression of target"
        assert lines[2] == "rows    400: 320 train, 40 val, 40 test; at random (seed 0)"
        assert lines[4] == "inputs  3 columns -> 5 numbers a row"
        assert lines[6].split() == ["column", "kind", "training", "rows", "becomes"]
        places = {line.index("number") for line in lines[7:9]}
        assert places == {lines[6].index("becomes")}
        assert lines[10].split() == ["same", "categorical", "1:", "one", "ignored:", "constant"]
        assert "to beat on test rows" in text
        assert "ignored: same" not in text  # the table says it

    def test_classes_and_warnings(self, told: Any) -> None:
        table = columns(1000)
        table["target"] = ["rare" if i % 200 == 0 else "usual" for i in range(1000)]
        text = as_text(told(table))
        lines = text.splitlines()
        at = next(i for i, line in enumerate(lines) if line.startswith("class "))
        assert lines[at + 1].split()[:3] == ["rare", "4", "0.5%"]
        assert lines[at + 2].split()[:3] == ["usual", "796", "99.5%"]
        assert "\nwarning: classes are very unequal: rare has 4 training rows;" in text

    def test_gaps_have_a_column_only_where_there_are_any(self, told: Any) -> None:
        table = columns()
        assert " empty " not in as_text(told(table))
        table["x"] = [None if i % 2 else value for i, value in enumerate(table["x"])]
        assert " empty " in as_text(told(table))

    def test_many_columns_are_cut_and_counted_in_text_alone(self, told: Any) -> None:
        chance = np.random.default_rng(0)
        table = {f"x{i}": chance.normal(size=ROWS).round(4).tolist() for i in range(55)}
        found = told({**table, "target": columns()["target"]})
        text = as_text(found)
        assert len(found["columns"]) == 55
        assert "\nx39 " in text
        assert "\nx40 " not in text
        assert "\nand 15 more columns\n" in text

    def test_many_classes_too(self, told: Any) -> None:
        table = columns(1000)
        table["target"] = [f"c{min(i % 40, i % 25)}" for i in range(1000)]
        found = told(table)
        text = as_text(found)
        assert f"\nand {len(found['target']) - 11} more\n" in text

    @pytest.mark.parametrize("width", [60, 80, 120])
    def test_it_fits(self, told: Any, width: int) -> None:
        table = columns()
        table["a column of a long name that goes on and on\x1b[31m"] = table.pop("x")
        table["copy"] = table["target"]
        text = as_text(told(table), width)
        assert max(map(len, text.splitlines())) <= width
        assert all(line == line.rstrip() for line in text.splitlines())
        assert "\x1b" not in text

    @pytest.mark.parametrize("dataset", ["iris", "digits", "linnerud"])
    def test_the_report_is_plain_data(self, dataset: str) -> None:
        data = {"source": "sklearn", "dataset": dataset}
        found = report(configs.load({"data": data}))
        assert json.loads(files.to_json(found)) == json.loads(json.dumps(found))
