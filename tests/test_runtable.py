"""Which runs are listed, in which order, with which values; whatever lies in their directories."""

import contextlib
import json
import operator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import JUNK
from nnarch import yamlfile
from nnarch.errors import RunError, UsageError
from nnarch.listing import comparison, runfilter
from nnarch.listing.runrow import Row
from nnarch.listing.runtable import Table, table
from nnarch.rundir import RunDir

FIGURES = st.none() | st.floats() | st.integers() | st.text(max_size=3) | st.booleans()


def lay(root: Path, number: int, config: dict[str, Any] | None = None, **about: Any) -> Path:
    """A run directory that says `about`; the higher `number`, the newer."""
    path = root / f"20260101-{number:06}-net-{number:06x}"
    path.mkdir(parents=True, exist_ok=True)
    (path / "run.json").write_text(json.dumps({"format": 1, **about}))
    if config is not None:
        (path / "resolved.yaml").write_text(yamlfile.dump(config))
    return path


def results(val_loss: Any, **test: Any) -> dict[str, Any]:
    return {"epochs": 3, "best": {"val_loss": val_loss}, "test": test, "higher": []}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three runs: one finished, one better and newer, one that has no results."""
    for number, (lr, loss) in enumerate([(0.1, 0.5), (0.01, 0.25)], 1):
        lay(
            tmp_path,
            number,
            {"optimizer": {"name": "sgd", "lr": lr}, "model": {"widths": [8, number]}},
            status="finished",
            model="mlp",
            results=results(loss, loss=2 * loss, rmse=loss),
        )
    lay(tmp_path, 3, {"optimizer": {"name": "lion", "lr": 1}}, status="failed", model="layers")
    return tmp_path


def listed(root: Path, *where: str, **options: Any) -> list[str]:
    """The numbers of the runs that are listed."""
    found = table(root, [runfilter.parse(text) for text in where], **options)
    return [str(int(row[found.columns.index("name")].split("-")[1])) for row in found.rows]


class TestRows:
    def test_the_newest_is_first(self, root: Path) -> None:
        found = table(root)
        assert found.columns == ["name", "status", "model", "parameters", "epochs", "val_loss",
                                 "test_loss", "test_rmse", "seconds", "started"]  # fmt: skip
        assert [row[1:8] for row in found.rows] == [
            ["failed", "layers", None, None, None, None, None],
            ["finished", "mlp", None, 3, 0.25, 0.5, 0.25],
            ["finished", "mlp", None, 3, 0.5, 1.0, 0.5],
        ]

    def test_any_key_is_a_column(self, root: Path) -> None:
        keys = ["optimizer.lr", "model.widths", "model.widths[1]", "results.best.val_loss", "model"]
        assert table(root, columns=keys).rows == [
            [1, None, None, None, "layers"],
            [0.01, [8, 2], 2, 0.25, "mlp"],
            [0.1, [8, 1], 1, 0.5, "mlp"],
        ]

    def test_what_is_no_run_is_told_by_its_kind(self, root: Path) -> None:
        lay(root, 4, kind="search", search={"trials": 40}, results=results(0.1))
        member = {"optimizer": {"lr": 7}}
        lay(root, 5, member, kind="ensemble", results=results(0.05))
        found = table(root, columns=["kind", "trials", "val_loss"])
        assert found.rows[:3] == [["ensemble", None, 0.05], ["search", 40, 0.1], [None] * 3]
        assert table(root, columns=["optimizer.lr"]).rows[0] == [None]
        assert table(root).columns[:4] == ["name", "kind", "status", "trials"]

    def test_each_main_metric_has_a_column(self, root: Path) -> None:
        lay(root, 4, results=results(0.1, loss=1.0, accuracy=0.5, f1=0.25))
        assert table(root).columns[6:9] == ["test_loss", "test_accuracy", "test_rmse"]

    def test_a_config_is_read_only_for_its_keys(self, root: Path) -> None:
        (next(root.iterdir()) / "resolved.yaml").unlink()
        assert (len(table(root).rows), table(root).damaged) == (3, [])
        without = table(root, columns=["optimizer.lr"])
        assert len(without.rows) == 2
        assert len(without.damaged) == 1

    def test_no_runs(self, tmp_path: Path) -> None:
        assert table(tmp_path / "none", sort="anything").rows == []


class TestOrder:
    @pytest.mark.parametrize(
        ("key", "order"),
        [
            ("val_loss", "213"),
            ("-val_loss", "123"),
            ("optimizer.lr", "213"),
            ("-optimizer.name", "213"),
            ("status", "321"),
        ],
    )
    def test_sorted(self, root: Path, key: str, order: str) -> None:
        assert "".join(listed(root, sort=key)) == order
        assert "".join(listed(root, sort=key, limit=2)) == order[:2]

    @settings(max_examples=50)
    @given(st.lists(FIGURES, max_size=6), st.booleans())
    def test_any_values_are_sorted_and_what_is_missing_is_last(
        self, tmp_path_factory: pytest.TempPathFactory, values: list[Any], falling: bool
    ) -> None:
        root = tmp_path_factory.mktemp("runs")
        for number, value in enumerate(values):
            lay(root, number, results=results(value))
        found = table(root, sort="-" * falling + "val_loss", columns=["val_loss"])
        shown = [row[0] for row in found.rows]
        there = [value for value in shown if value is not None]
        assert shown == there + [None] * (len(values) - len(there))
        numbers = [value for value in there if type(value) in (int, float)]
        assert numbers == sorted(numbers, reverse=falling)
        words = [value for value in there if isinstance(value, str)]
        assert words == sorted(words, reverse=falling)


class TestConditions:
    @pytest.mark.parametrize(
        ("where", "runs"),
        [
            (["val_loss < 0.3"], "2"),
            (["val_loss >= 0.25"], "21"),
            (["val_loss != 0.25"], "1"),
            (["optimizer.lr<=.01"], "2"),
            (["optimizer.name = sgd", "optimizer.lr == 1e-1"], "1"),
            (["optimizer.name = sgd", "status = failed"], ""),
            (["optimizer.name != 'sgd'"], "3"),
            (["model.widths = [8,2]"], "2"),
            (["model ~ lay"], "3"),
            (["status > failed"], "21"),
            (["status < 1"], ""),
            (["val_loss < x"], ""),
        ],
    )
    def test_all_must_hold(self, root: Path, where: list[str], runs: str) -> None:
        assert "".join(listed(root, *where)) == runs

    @given(st.floats(allow_nan=False), st.floats(allow_nan=False) | st.integers())
    def test_numbers_are_compared_as_numbers(self, value: float, other: float) -> None:
        for sign, compare in {"<": operator.lt, ">=": operator.ge, "=": operator.eq}.items():
            assert runfilter.parse(f"x {sign} {other}").holds(value) == compare(value, other)

    @pytest.mark.parametrize(
        "text", ["", "val_loss", "val_loss <", "< 3", "a b < 3", "val_loss ! 3"]
    )
    def test_what_is_no_condition(self, text: str) -> None:
        with pytest.raises(UsageError, match=r"--where: got .*; expected a key"):
            runfilter.parse(text)

    @pytest.mark.parametrize("option", ["where", "sort", "columns"])
    def test_a_key_that_no_run_has(self, root: Path, option: str) -> None:
        key = "optimizer.lrr"
        options: dict[str, Any] = {
            "where": {"conditions": [runfilter.parse(f"{key} < 1")]},
            "sort": {"sort": f"-{key}"},
            "columns": {"columns": [key]},
        }
        with pytest.raises(UsageError) as caught:
            table(root, **options[option])
        assert str(caught.value).startswith(
            f"no run has '{key}'; did you mean 'optimizer.lr'? known: name,"
        )
        assert "results.best.val_loss" in str(caught.value)

    def test_a_key_that_one_run_alone_has_is_known(self, root: Path) -> None:
        lay(root, 0, {"clip": None}, error="no")
        assert table(root, columns=["clip", "error"], limit=1).rows == [[None, None]]


class TestDamage:
    @pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"format": 99}', "\xff"])
    def test_a_damaged_run_hides_no_other(self, root: Path, text: str) -> None:
        (lay(root, 4) / "run.json").write_text(text, encoding="latin-1")
        found = table(root, sort="val_loss", limit=3)
        assert len(found.rows) == 3
        assert len(found.damaged) == 1
        assert "20260101-000004" in found.damaged[0]

    def test_one_that_is_damaged_takes_no_place_below_the_limit(self, root: Path) -> None:
        (lay(root, 4) / "run.json").unlink()
        assert listed(root, limit=2) == ["3", "2"]

    def test_what_is_no_finite_number_is_missing(self, root: Path) -> None:
        lay(root, 4, results=results(float("nan")))
        lay(root, 5, results=results(float("-inf")))
        assert listed(root, sort="val_loss") == ["2", "1", "5", "4", "3"]
        assert listed(root, "val_loss < 1e9") == ["2", "1"]

    @given(st.dictionaries(st.sampled_from(["status", "model", "results", "kind", "trials",
           "parameters", "seconds", "started", "search"]), JUNK), JUNK, JUNK)  # fmt: skip
    def test_a_stranger_s_run(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        about: dict[str, Any],
        best: Any,
        config: Any,
    ) -> None:
        root = tmp_path_factory.mktemp("runs")
        path = lay(root, 1, **about)
        lay(root, 2, {"epochs": 2}, results={"best": best, "test": best, "higher": best})
        (path / "resolved.yaml").write_text(yamlfile.dump(config))
        assert len(table(root, sort="val_loss").rows) == 2
        columns = ["epochs", "name", "val_loss", "seed"]
        try:
            found: Table = table(root, columns=columns)
        except UsageError:
            assert not any(Row(RunDir(one)).has("seed") for one in root.iterdir() if one != path)
        else:
            assert len(found.rows) + len(found.damaged) == 2
        with contextlib.suppress(RunError):
            comparison.compare([RunDir(one) for one in root.iterdir()], everything=True)
