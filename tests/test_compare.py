"""`nnarch runs` and `nnarch compare` as scripts and people use them."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from conftest import Command, error_lines
from nnarch import tables, yamlfile
from nnarch.errors import UsageError
from nnarch.listing import runlist
from nnarch.tables import Cell

CONFIG = {
    "seed": 0,
    "model": {"name": "mlp", "widths": [8, 8]},
    "optimizer": {"name": "adamw", "lr": 0.001},
    "metrics": [{"name": "r2"}],
}
NAMES = [f"20260101-00000{number}-net-00000{number}" for number in range(1, 4)]
A, B, C = NAMES


def lay(root: Path, name: str, config: dict[str, Any], loss: float, **about: Any) -> Path:
    """A finished run below `root`."""
    path = root / name
    path.mkdir(parents=True)
    told = {
        "format": 1,
        "status": "finished",
        "versions": {"torch": "2.13.0"},
        "data": {"fingerprint": "f" * 64},
        "model": "mlp",
        "parameters": 100,
        "flops": 200,
        "started": "2026-01-01T00:00:00.000+00:00",
        "seconds": 1.5,
        "results": {
            "epochs": 5,
            "best_epoch": 4,
            "best": {"train_loss": loss / 2, "val_loss": loss, "val_r2": 1 - loss},
            "test": {"loss": 2 * loss, "r2": 1 - 2 * loss},
            "higher": ["val_r2"],
        },
    }
    (path / "run.json").write_text(json.dumps(told | about))
    (path / "resolved.yaml").write_text(yamlfile.dump(CONFIG | config))
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two runs below `tmp_path/runs` that differ in three keys, and in torch."""
    other = {"optimizer": {"name": "sgd", "lr": 0.1, "momentum": None}}
    lay(tmp_path / "runs", A, {}, 0.25)
    lay(tmp_path / "runs", B, other, 0.125, versions={"torch": "2.12.0"}, parameters=300)
    return tmp_path / "runs"


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


class TestRuns:
    def test_a_table(self, nnarch_light: Command, root: Path) -> None:
        done = nnarch_light("runs", "--columns", "name,val_loss,parameters,started")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines() == [
            "name                        val_loss  parameters  started",
            f"{B}     0.125         300  2026-01-01 00:00",
            f"{A}      0.25         100  2026-01-01 00:00",
        ]

    def test_chosen_and_sorted(self, nnarch_light: Command, root: Path) -> None:
        lay(root, C, {}, 0.5)
        done = nnarch_light("runs", "--where", "val_loss < 0.4", "--where", "model.name = mlp",
                            "--sort", "-test_r2", "--columns", "name", "--limit", "1")  # fmt: skip
        assert done.stdout.splitlines() == ["name", B]
        done = nnarch_light("runs", "--sort", "-optimizer.lr", "--columns", "name")
        assert done.stdout.splitlines() == ["name", B, C, A]

    def test_csv_has_every_digit(self, nnarch_light: Command, root: Path) -> None:
        lay(root, C, {}, 0.1 + 0.2, error='so "it", said\nno')
        done = nnarch_light("runs", "--format", "csv", "--columns",
                            "name, val_loss, model.widths, error, seconds")  # fmt: skip
        rows = read(done.stdout)
        assert rows[0] == {
            "name": C,
            "val_loss": "0.30000000000000004",
            "model.widths": "[8, 8]",
            "error": 'so "it", said\nno',
            "seconds": "1.5",
        }
        assert [row["error"] for row in rows[1:]] == ["", ""]

    def test_json_has_types(self, nnarch_light: Command, root: Path) -> None:
        keys = "name,parameters,val_loss,model.widths,optimizer.momentum"
        done = nnarch_light("runs", "--format", "json", "--columns", keys)
        assert [list(one.values()) for one in json.loads(done.stdout)] == [
            [B, 300, 0.125, [8, 8], None],
            [A, 100, 0.25, [8, 8], None],
        ]

    def test_markdown(self, nnarch_light: Command, root: Path) -> None:
        lay(root, C, {}, 0.5, model="a|b")
        done = nnarch_light("runs", "--format", "md", "--columns", "model,val_loss", "--limit", "2")
        assert done.stdout.splitlines() == [
            "| model | val_loss |",
            "| --- | ---: |",
            r"| a\|b | 0.5 |",
            "| mlp | 0.125 |",
        ]

    def test_those_that_a_search_keeps(self, nnarch_light: Command, root: Path) -> None:
        search = lay(root, C, {}, 0.1, kind="search")
        for name, loss in ((A, 0.5), (B, 0.25)):
            lay(search / "runs", name, {}, loss)
        for word in (C, "@last", str(search)):
            done = nnarch_light("runs", word, "--sort", "-val_loss", "--columns", "name,val_loss",
                                "--format", "csv")  # fmt: skip
            assert done.stdout.splitlines() == ["name,val_loss", f"{A},0.5", f"{B},0.25"]
        done = nnarch_light("runs", A)
        assert done.returncode == 2
        assert error_lines(done) == [f"{A}: is a run; expected a search"]

    def test_no_runs(self, nnarch_light: Command, root: Path) -> None:
        done = nnarch_light("runs", "--runs-dir", "none")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "no runs in none/\n")
        done = nnarch_light("runs", "--where", "val_loss < 0", "--format", "json")
        assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")

    def test_damaged_runs_are_one_warning(self, nnarch_light: Command, root: Path) -> None:
        for name in NAMES[1:]:
            (root / name).mkdir(exist_ok=True)
            (root / name / "run.json").write_text("{")
        done = nnarch_light("runs", "--columns", "name")
        assert (done.returncode, done.stdout) == (0, f"name\n{A}\n")
        assert done.stderr.startswith(
            f"warning: 2 runs are damaged, and left out; the first: runs/{C}/run.json: damaged: "
        )
        assert done.stderr.count("\n") == 1

    def test_not_a_number_is_null_in_json(self, nnarch_light: Command, root: Path) -> None:
        lay(root, C, {}, float("nan"))
        done = nnarch_light("runs", "--format", "json", "--limit", "1")
        told = json.loads(done.stdout, parse_constant=pytest.fail)
        assert (told[0]["val_loss"], told[0]["parameters"]) == (None, 100)

    @pytest.mark.parametrize("format", ["table", "csv", "md", "json"])
    def test_a_stranger_s_names_do_no_harm(
        self, nnarch_light: Command, root: Path, format: str
    ) -> None:
        lay(root, "20260101-000009-\x1b[2J-00000c", {}, 0.5, model="\x1b]0;x\x07\nline")
        done = nnarch_light("runs", "--format", format)
        assert done.returncode == 0
        assert not any(c < " " and c != "\n" for c in done.stdout)
        if format in ("table", "md"):
            assert len(done.stdout.splitlines()) == 4 + (format == "md")

    @pytest.mark.parametrize(
        ("words", "line"),
        [
            (["--sort", "val_los"], "no run has 'val_los'; did you mean 'val_loss'? known: name, "),
            (["--where", "val_loss"], "--where: got 'val_loss'; expected a key, one of = != < <="),
            (["--columns", "modle.widths"], "no run has 'modle.widths'; did you mean 'model.w"),
        ],
    )
    def test_what_cannot_be_asked(
        self, nnarch_light: Command, root: Path, words: list[str], line: str
    ) -> None:
        done = nnarch_light("runs", *words)
        assert done.returncode == 2
        assert error_lines(done)[0].startswith(line)


class TestCompare:
    def test_two_runs(self, nnarch_light: Command, root: Path) -> None:
        done = nnarch_light("compare", A, B)
        assert (done.returncode, done.stderr) == (0, "")
        lines = [line.split() for line in done.stdout.splitlines()]
        assert lines == [
            ["net-000001", "net-000002", "difference"],
            ["optimizer.name", "adamw", "sgd"],
            ["optimizer.lr", "0.001", "0.1", "+0.099"],
            ["optimizer.momentum", "-", "null"],
            [],
            ["best_epoch", "4", "4", "0"],
            ["train_loss", "0.125", "0.0625*", "-0.0625"],
            ["val_loss", "0.25", "0.125*", "-0.125"],
            ["val_r2", "0.75", "0.875*", "+0.125"],
            ["test_loss", "0.5", "0.25*", "-0.25"],
            ["test_r2", "0.5", "0.75*", "+0.25"],
            ["parameters", "100", "300", "+200"],
            ["flops", "200", "200", "0"],
            ["seconds", "1.5", "s", "1.5", "s", "0"],
            [],
            ["versions.torch", "2.13.0", "2.12.0"],
        ]

    def test_all_of_the_configs(self, nnarch_light: Command, root: Path) -> None:
        done = nnarch_light("compare", A, B, "--all", "--format", "csv")
        rows = {(row["part"], row["key"]): row for row in read(done.stdout)}
        assert rows["config", "model.widths"][A] == "[8, 8]"
        assert rows["config", "metrics[0].name"][B] == "r2"
        assert rows["figures", "val_loss"]["difference"] == "-0.125"
        assert rows["origins", "data.fingerprint"][A] == "f" * 64

    def test_json_is_an_object_a_run(self, nnarch_light: Command, root: Path) -> None:
        lay(root, C, {"seed": 7}, 0.5)
        told = json.loads(nnarch_light("compare", B, A, C, "--format", "json").stdout)
        assert [one["run"] for one in told] == [f"runs/{name}" for name in (B, A, C)]
        assert [one["config"]["seed"] for one in told] == [0, 0, 7]
        assert [one["figures"]["parameters"] for one in told] == [300, 100, 100]

    def test_the_best_of_three_is_marked(self, nnarch_light: Command, root: Path) -> None:
        lay(root, C, {}, 0.125)
        done = nnarch_light("compare", *NAMES, "--format", "md")
        lines = done.stdout.splitlines()
        assert lines[0] == f"|  | {A} | {B} | {C} |"
        assert "| val_loss | 0.25 | 0.125* | 0.125* |" in lines
        assert "| val_r2 | 0.75 | 0.875* | 0.875* |" in lines

    def test_runs_by_any_name(self, nnarch_light: Command, root: Path) -> None:
        done = nnarch_light("compare", "@last", f"runs/{A}", "--format", "json")
        assert [one["run"] for one in json.loads(done.stdout)] == [f"runs/{B}", f"runs/{A}"]

    def test_a_search_is_the_runs_that_it_keeps(self, nnarch_light: Command, root: Path) -> None:
        search = lay(root, C, {}, 0.1, kind="search", search={"kept": [B, A]})
        for name in (A, B):
            lay(search / "runs", name, {}, 0.5)
        done = nnarch_light("compare", C, A, "--format", "json")
        assert [one["run"] for one in json.loads(done.stdout)] == [
            f"runs/{C}/runs/{B}", f"runs/{C}/runs/{A}", f"runs/{A}",
        ]  # fmt: skip

    def test_the_best_may_be_one_that_a_search_keeps(self, root: Path) -> None:
        search = lay(root, C, {}, 0.0625, kind="search")
        best = lay(search / "runs", C.replace("01-", "02-"), {}, 0.0625)
        lay(search / "runs", A, {}, 0.5)
        for column in ("val_loss", "val_r2"):
            for kind in ("run", None):
                assert runlist.find(f"@best:{column}", root, kind).path == best
            assert runlist.find(f"@best:{column}", root, "search").path == search
        assert runlist.find(best.name[:8], root).path == best
        assert runlist.find(A, root).path == root / A  # a run that is no search's comes first
        assert runlist.find("@last", root, None).path == search
        with pytest.raises(UsageError, match="is a search; expected a run, such as the best"):
            runlist.find("@last", root)

    def test_one_run_is_too_few(self, nnarch_light: Command, root: Path) -> None:
        done = nnarch_light("compare", A, f"runs/{A}")
        assert done.returncode == 2
        assert error_lines(done) == [
            f"got {A}, runs/{A}; expected two runs or more, or a search that keeps so many"
        ]

    @pytest.mark.parametrize(
        ("name", "text", "line"),
        [
            ("run.json", "{", f"runs/{B}/run.json: damaged: Expecting"),
            ("resolved.yaml", "a: [", f"runs/{B}: damaged: resolved.yaml:1: the '[' at"),
            ("resolved.yaml", None, f"runs/{B}/resolved.yaml: no such file"),
        ],
    )
    def test_a_damaged_run_was_named(
        self, nnarch_light: Command, root: Path, name: str, text: str | None, line: str
    ) -> None:
        (root / B / name).write_text(text) if text else (root / B / name).unlink()
        done = nnarch_light("compare", A, B)
        assert done.returncode == 5
        assert error_lines(done)[0].startswith(line)


class TestWidth:
    ROWS = ([Cell("one"), Cell("0.5", True), Cell("7", True, True)], [])

    def test_columns_are_dropped_from_the_right(self) -> None:
        page = tables.as_text(["name", "val_loss", "epochs"], self.ROWS, width=20)
        assert page.text.splitlines() == ["name  val_loss", "one        0.5"]
        assert page.left_out == ["epochs"]

    def test_without_a_width_nothing_is(self) -> None:
        page = tables.as_text(["name", "val_loss", "epochs"], self.ROWS, width=0)
        assert page.text.splitlines()[1] == "one        0.5      7*"

    def test_a_name_that_is_too_long_is_cut(self) -> None:
        page = tables.as_text(["名前", "a"], [[Cell("実行" * 9), Cell("x")]], width=10)
        assert [tables.cells_wide(line) <= 10 for line in page.text.splitlines()] == [True, True]

    def test_the_best_is_bold_on_a_terminal(self) -> None:
        page = tables.as_text(["a", "b", "c"], self.ROWS, width=0, styled=True)
        assert "\x1b[1m7\x1b[0m" in page.text

    def test_a_narrow_terminal(self, nnarch: Command, root: Path) -> None:
        done = nnarch("runs", env={"COLUMNS": "50"})
        assert all(len(line) <= 50 for line in done.stdout.splitlines())
        assert done.stderr.startswith("no room for parameters, epochs, ")
