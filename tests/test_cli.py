"""The command line as scripts and people use it: streams, exit codes, names of runs, signals.

Standard output carries data alone, so that a script can take it; everything else is on standard
error. What goes wrong with a config or a run directory is in test_bad_input.py.
"""

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import nnarch as library
from conftest import TINY, Command, error_lines
from harness import Start

COMMANDS = ("init", "check", "train", "eval", "predict", "runs", "compare", "components", "schema")
IRIS = "name: iris\ndata: {source: sklearn, dataset: iris}\nepochs: 4\nthreads: 1\n"


@pytest.fixture(scope="module")
def _iris(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("iris")
    (folder / "iris.yaml").write_text(IRIS)
    return library.train(folder / "iris.yaml", runs_dir=folder / "runs").path


@pytest.fixture
def iris(_iris: Path, tmp_path: Path) -> Path:
    """A finished classification below `tmp_path/runs`."""
    return Path(shutil.copytree(_iris, tmp_path / "runs" / _iris.name))


def about(run: Path) -> dict[str, Any]:
    return json.loads((run / "run.json").read_text())


class TestTrain:
    def test_standard_output_is_the_run_s_path(
        self, nnarch: Command, tiny: Path, tmp_path: Path
    ) -> None:
        done = nnarch("train", tiny.name)
        assert done.returncode == 0, done.stderr
        assert re.fullmatch(r"runs/\d{8}-\d{6}-tiny-[0-9a-f]{6}\n", done.stdout)
        run = tmp_path / done.stdout.strip()
        assert about(run)["status"] == "finished"
        assert about(run)["command"] == ["nnarch", "train", "tiny.yaml"]
        assert (run / "config.yaml").read_text() == TINY
        lines = done.stderr.splitlines()
        assert lines[:2] == ["regression of y", "60 rows (48 train, 6 val, 6 test), 3 inputs"]
        assert lines[2] == "mlp with 21 parameters, adamw with lr 0.001, on cpu, 1 thread"
        assert [line[:9] for line in lines[3:5]] == ["epoch 1/2", "epoch 2/2"]
        assert lines[-1] == f"evaluate: nnarch eval {done.stdout.strip()}"
        assert "Warning" not in done.stderr

    def test_json_is_one_object(self, nnarch_here: Command, tiny: Path, tmp_path: Path) -> None:
        done = nnarch_here("train", tiny, "--json", "epochs=3", "optimizer.lr=1e-2")
        told = json.loads(done.stdout)
        assert done.stdout.count("\n") == 1
        assert told == {"run": told["run"], **about(tmp_path / told["run"])}
        assert told["overrides"] == ["epochs=3", "optimizer.lr=1e-2"]
        assert told["results"]["epochs"] == 3
        assert told["results"]["test"].keys() == {"loss", "rmse", "mae", "r2"}

    def test_quiet_says_nothing(self, nnarch_here: Command, tiny: Path) -> None:
        for flag in ("--quiet", "-q"):
            done = nnarch_here("train", tiny, flag)
            assert (done.returncode, done.stderr) == (0, "")
            assert len(done.stdout.splitlines()) == 1

    def test_quiet_and_json_go_together(self, nnarch_here: Command, tiny: Path) -> None:
        done = nnarch_here("train", tiny, "-q", "--json")
        assert done.stderr == ""
        assert json.loads(done.stdout)["status"] == "finished"

    def test_long_runs_speak_ten_times(self, nnarch_here: Command, tiny: Path) -> None:
        done = nnarch_here("train", tiny, "epochs=40")
        spoken = [line.split()[1] for line in done.stderr.splitlines() if line.startswith("epoch ")]
        assert spoken == [f"{epoch}/40" for epoch in range(4, 41, 4)]

    def test_files_merge_and_overrides_stand_anywhere(
        self, nnarch_here: Command, tiny: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "more.yaml").write_text("model: {activation: tanh}\nname: more\n")
        done = nnarch_here("train", "epochs=1", tiny, "seed=3", "more.yaml", "-q")
        run = tmp_path / done.stdout.strip()
        assert run.name.split("-")[2] == "more"
        resolved = (run / "resolved.yaml").read_text()
        assert "epochs: 1\n" in resolved
        assert "seed: 3\n" in resolved
        assert "    name: tanh\n" in resolved
        assert (run / "config.yaml").read_text().count("---\n") == 1

    def test_a_file_with_an_equals_sign_in_its_name_is_a_file(
        self, nnarch_here: Command, tmp_path: Path
    ) -> None:
        (tmp_path / "lr=1.yaml").write_text(TINY)
        assert nnarch_here("train", "lr=1.yaml", "-q").returncode == 0

    def test_standard_input_is_a_config(
        self, nnarch_here: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TINY.encode())))
        done = nnarch_here("train", "-", "epochs=1", "--quiet")
        assert done.returncode == 0, done.stderr
        assert (tmp_path / done.stdout.strip() / "config.yaml").read_text() == TINY

    def test_runs_dir(self, nnarch_here: Command, tiny: Path, tmp_path: Path) -> None:
        done = nnarch_here("train", tiny, "-q", "--runs-dir", "else where/ünd")
        assert done.stdout.startswith("else where/ünd/")
        assert (tmp_path / done.stdout.strip() / "run.json").is_file()

    def test_a_file_in_place_of_the_runs_directory(
        self, nnarch_here: Command, tiny: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "runs").write_text("mine")
        done = nnarch_here("train", tiny)
        assert done.returncode == 7
        assert error_lines(done) == ["runs: file exists"]
        assert (tmp_path / "runs").read_text() == "mine"

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    def test_a_runs_directory_that_may_not_be_written(
        self, nnarch_here: Command, tiny: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "runs").mkdir(mode=0o500)
        done = nnarch_here("train", tiny)
        assert done.returncode == 7
        assert "permission denied" in error_lines(done)[0]

    def test_divergence_is_told(self, nnarch_here: Command, tiny: Path, tmp_path: Path) -> None:
        done = nnarch_here("train", tiny, "optimizer={name: sgd, lr: 1e30}", "epochs=50", "--quiet")
        assert done.returncode == 8
        (line,) = error_lines(done)
        assert line.startswith("training diverged: the loss of epoch ")
        assert line.endswith("try a smaller optimizer.lr, or clip: {norm: 1}")
        (run,) = (tmp_path / "runs").iterdir()
        assert (about(run)["status"], about(run)["exit_code"]) == ("diverged", 8)

    def test_what_is_likely_not_meant_is_warned_of(self, nnarch_here: Command, tiny: Path) -> None:
        done = nnarch_here("train", tiny, "batch_size=1000", "schedule={name: cosine, warmup: 5}")
        assert done.returncode == 0
        warnings = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
        assert warnings == [
            "warning: batch_size 1000 is all of the 48 training rows",
            "warning: schedule: epoch 5 lies beyond the run's 2 epochs",
        ]


class TestEval:
    def test_a_line_a_figure(self, nnarch_here: Command, finished: Path) -> None:
        done = nnarch_here("eval", finished)
        assert done.returncode == 0, done.stderr
        figures = dict(line.split(" ") for line in done.stdout.splitlines())
        expected = about(finished)["results"]["test"]
        assert list(figures) == ["loss", "rmse", "mae", "r2"]
        for name, value in figures.items():
            assert float(value) == pytest.approx(expected[name], rel=1e-5)
        assert done.stderr == f"{finished}: test rows: 6\n"

    def test_quiet(self, nnarch_here: Command, finished: Path) -> None:
        done = nnarch_here("eval", finished, "--quiet")
        assert done.stderr == ""
        assert len(done.stdout.splitlines()) == 4

    def test_json_with_the_confusion(self, nnarch_here: Command, iris: Path) -> None:
        done = nnarch_here("eval", iris, "--json")
        told = json.loads(done.stdout)
        assert (done.stderr, done.stdout.count("\n")) == ("", 1)
        assert (told["run"], told["split"], told["rows"]) == (str(iris), "test", 15)
        assert told["classes"] == ["setosa", "versicolor", "virginica"]
        assert [sum(row) for row in told["confusion"]] == [5, 5, 5]
        right = sum(told["confusion"][i][i] for i in range(3))
        assert told["accuracy"] == pytest.approx(right / 15)

    def test_the_confusion_is_drawn(self, nnarch_here: Command, iris: Path) -> None:
        done = nnarch_here("eval", iris)
        header, *rows = done.stderr.splitlines()[1:]
        assert header.split() == ["true", "\\", "predicted", "setosa", "versicolor", "virginica"]
        assert [row.split()[0] for row in rows] == ["setosa", "versicolor", "virginica"]
        assert all(sum(map(int, row.split()[1:])) == 5 for row in rows)
        assert [line.split()[0] for line in done.stdout.splitlines()] == ["loss", "accuracy"]

    @pytest.mark.parametrize(("split", "rows"), [("train", 48), ("val", 6), ("test", 6)])
    def test_split(self, nnarch_here: Command, finished: Path, split: str, rows: int) -> None:
        told = json.loads(nnarch_here("eval", finished, "--split", split, "--json").stdout)
        assert (told["split"], told["rows"]) == (split, rows)
        if split == "val":
            best = about(finished)["results"]["best"]["val_loss"]
            assert told["loss"] == pytest.approx(best, rel=1e-6)

    def test_metrics(self, nnarch_here: Command, iris: Path) -> None:
        done = nnarch_here("eval", iris, "--metrics", "f1, roc_auc,accuracy", "--quiet")
        names = [line.split()[0] for line in done.stdout.splitlines()]
        assert names == ["loss", "accuracy", "f1", "roc_auc"]

    @pytest.mark.parametrize(
        ("metrics", "message"),
        [
            ("f7", "metrics: no metric is called 'f7'; did you mean 'f1'?"),
            ("rmse", "metrics: rmse does not fit a task of multiclass"),
        ],
    )
    def test_metrics_that_cannot_be(
        self, nnarch_here: Command, iris: Path, metrics: str, message: str
    ) -> None:
        done = nnarch_here("eval", iris, "--metrics", metrics)
        assert done.returncode == 3
        assert error_lines(done)[0].startswith(message)

    @pytest.fixture
    def line(self, nnarch_here: Command, tmp_path: Path) -> str:
        """A run on `line.csv`, whose y is twice its x."""
        rows = "".join(f"{x},{2 * x}\n" for x in range(40))
        (tmp_path / "line.csv").write_text(f"x,y\n{rows}")
        (tmp_path / "line.yaml").write_text(
            "data: {source: csv, path: line.csv, target: y}\nepochs: 2\nthreads: 1\n"
        )
        return nnarch_here("train", "line.yaml", "-q").stdout.strip()

    def test_other_data(self, nnarch_here: Command, tmp_path: Path, line: str) -> None:
        """Columns are known by name; nothing but the file and the run is needed."""
        rows = "".join(f"{2 * x},9,{x}\n" for x in range(40))
        (tmp_path / "other.csv").write_text(f"y,z,x\n{rows}")
        before = {
            part: json.loads(nnarch_here("eval", line, "--split", part, "--json").stdout)
            for part in ("train", "val", "test")
        }
        (tmp_path / "line.csv").unlink()
        told = json.loads(nnarch_here("eval", line, "--data", "other.csv", "--json").stdout)
        assert (told["split"], told["rows"]) == (None, 40)
        mean = sum(one["loss"] * one["rows"] for one in before.values()) / 40
        assert told["loss"] == pytest.approx(mean, rel=1e-5)
        assert nnarch_here("eval", line).returncode == 4

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("x\n1\n", "other.csv: no column 'y'; known: x"),
            ("z,y\n1,1\n", "other.csv: no column 'x'; known: z"),
            ("x,y\n1,1\n2,\n3,\n", "other.csv: 2 of 3 rows lack y (the first is row 2); expected"),
        ],
    )
    def test_other_data_that_does_not_fit(
        self, nnarch_here: Command, tmp_path: Path, line: str, text: str, message: str
    ) -> None:
        (tmp_path / "other.csv").write_text(text)
        done = nnarch_here("eval", line, "--data", "other.csv")
        assert done.returncode == 4
        assert error_lines(done)[0].startswith(message)

    def test_changed_data(self, nnarch_here: Command, tmp_path: Path, line: str) -> None:
        with (tmp_path / "line.csv").open("a") as file:
            file.write("40,81\n")
        done = nnarch_here("eval", line)
        assert done.returncode == 4
        assert "the data has changed since the run was trained on it" in error_lines(done)[0]


class TestFromDataToPredictions:
    """A file, its config, a look at it, a network, predictions: each command feeds the next."""

    @pytest.fixture
    def houses(self, tmp_path: Path) -> Path:
        rows = [f"{x},{('Rome', 'Oslo')[x % 2]},{3 * x + 50 * (x % 2)}" for x in range(80)]
        path = tmp_path / "houses.csv"
        path.write_text("\n".join(["area,city,price", *rows, ""]))
        return path

    def test_each_command_feeds_the_next(self, nnarch_here: Command, houses: Path) -> None:
        begun = nnarch_here("init", "houses.csv", "--target", "price", "-o", "c.yaml")
        assert (begun.returncode, begun.stdout) == (0, "")
        checked = nnarch_here("check", "c.yaml", "--json")
        assert (checked.returncode, checked.stderr) == (0, "")
        told = json.loads(checked.stdout)
        assert {column["name"] for column in told["columns"]} >= {"area", "city"}
        trained = nnarch_here("train", "c.yaml", "epochs=2", "schedule.warmup=0", "threads=1")
        run = trained.stdout.strip()
        predicted = nnarch_here("predict", run, "houses.csv", "--keep", "area")
        assert (predicted.returncode, predicted.stderr) == (0, "")
        header, *rows = predicted.stdout.splitlines()
        assert header == "area,price"
        assert [row.split(",")[0] for row in rows] == [str(x) for x in range(80)]
        again = nnarch_here("predict", "@last", "houses.csv", "--keep", "area")
        assert again.stdout == predicted.stdout

    def test_a_config_goes_through_a_pipe(
        self, nnarch: Command, nnarch_here: Command, houses: Path
    ) -> None:
        begun = nnarch_here("init", houses.name, "--target", "price")
        assert begun.stderr.startswith("regression of price\n")
        done = nnarch("train", "-", "epochs=1", "threads=1", "-q", stdin=begun.stdout)
        assert (done.returncode, done.stderr) == (0, "")

    def test_check_reports_and_writes_nothing(self, nnarch_here: Command, houses: Path) -> None:
        (houses.parent / "c.yaml").write_text(
            "data: {source: csv, path: houses.csv, target: price}\n"
        )
        before = sorted(houses.parent.iterdir())
        done = nnarch_here("check", "c.yaml")
        assert (done.returncode, done.stderr) == (0, "")
        for word in ("area", "city", "price", "80"):
            assert word in done.stdout
        assert sorted(houses.parent.iterdir()) == before

    @pytest.mark.parametrize(
        ("override", "code", "message"),
        [
            ("data.target=prize", 4, "houses.csv: no column 'prize'; did you mean 'price'"),
            ("data.path=gone.csv", 4, "gone.csv: no such file"),
            ("data.scaling=log", 3, "command line: data.scaling: "),
            ("data.task=binary", 4, "data: the target 'price' has 80 classes"),
        ],
    )
    def test_check_refuses_what_training_refuses(
        self, nnarch_here: Command, houses: Path, override: str, code: int, message: str
    ) -> None:
        config = "data: {source: csv, path: houses.csv, target: price}\n"
        (houses.parent / "c.yaml").write_text(config)
        checked, trained = (
            nnarch_here(command, "c.yaml", override) for command in ("check", "train")
        )
        assert checked.returncode == trained.returncode == code
        assert error_lines(checked) == error_lines(trained)
        assert error_lines(checked)[0].startswith(message)


class TestNames:
    """A RUN is a path, the unique beginning of a name, `@last`, or `@best:` and a column."""

    @pytest.fixture
    def three(self, finished: Path) -> list[Path]:
        """Runs of three seconds, the second with the lowest loss and the third the best r2."""
        runs = []
        for second, (loss, r2) in enumerate([(3.0, 0.2), (1.0, None), (2.0, 0.5)]):
            run = finished.with_name(f"2026010{second + 1}-000000-tiny-abcdef")
            shutil.copytree(finished, run)
            told = about(run)
            told["results"]["best"] |= {"val_loss": loss, "val_r2": r2}
            (run / "run.json").write_text(json.dumps(told))
            runs.append(run)
        shutil.rmtree(finished)
        return runs

    @pytest.mark.parametrize(
        ("word", "number"),
        [
            ("20260102", 1),
            ("20260103-000000-tiny-abcdef", 2),
            ("@last", 2),
            ("@best:val_loss", 1),
            ("@best:val_r2", 2),
            ("runs/20260101-000000-tiny-abcdef", 0),
            ("runs/20260101-000000-tiny-abcdef/", 0),
        ],
    )
    def test_one(self, nnarch_here: Command, three: list[Path], word: str, number: int) -> None:
        told = json.loads(nnarch_here("eval", word, "--json").stdout)
        assert Path(told["run"]).name == three[number].name

    @pytest.mark.parametrize(
        ("word", "code", "message"),
        [
            ("2026010", 2, "2026010: 3 runs begin so: 20260101-000000-tiny-abcdef, "),
            ("2027", 5, "2027: no such run, neither as a path nor in runs/"),
            ("@best:val_f1", 5, "@best:val_f1: no run in runs/ has val_f1"),
            ("@first", 2, "@first: expected @last or @best: and a column such as val_loss"),
        ],
    )
    def test_none(
        self, nnarch_here: Command, three: list[Path], word: str, code: int, message: str
    ) -> None:
        assert len(three) == 3
        done = nnarch_here("eval", word)
        assert done.returncode == code
        assert error_lines(done)[0].startswith(message)

    def test_a_damaged_run_among_them_is_passed_over(
        self, nnarch_here: Command, three: list[Path]
    ) -> None:
        (three[1] / "run.json").write_text("{")
        told = json.loads(nnarch_here("eval", "@best:val_loss", "--json").stdout)
        assert Path(told["run"]).name == three[2].name

    def test_another_runs_directory(
        self, nnarch_here: Command, three: list[Path], tmp_path: Path
    ) -> None:
        (tmp_path / "runs").rename(tmp_path / "others")
        told = json.loads(nnarch_here("eval", "@last", "--runs-dir", "others", "--json").stdout)
        assert Path(told["run"]).name == three[2].name


class TestStreams:
    """Whoever reads may stop reading."""

    def shell(self, script: str, folder: Path) -> subprocess.CompletedProcess[str]:
        python = f'"{sys.executable}" -m nnarch'
        return subprocess.run(
            ["bash", "-c", script.replace("nnarch ", f"{python} ")],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
        )

    @pytest.mark.parametrize("command", ["components activation", "schema", "components"])
    def test_head(self, tmp_path: Path, command: str) -> None:
        done = self.shell(f"nnarch {command} | head -1; echo ${{PIPESTATUS[0]}}", tmp_path)
        assert done.stderr == ""
        assert done.stdout.splitlines()[1:] == ["0"]

    def test_closed(self, tmp_path: Path) -> None:
        done = self.shell("nnarch components >&-; echo $?", tmp_path)
        assert (done.stdout, done.stderr) == ("0\n", "")
        done = self.shell("nnarch componets 2>&-; echo $?", tmp_path)
        assert (done.stdout, done.stderr) == ("2\n", "")

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no such device")
    @pytest.mark.parametrize("command", ["components", "schema"])
    def test_full(self, tmp_path: Path, command: str) -> None:
        done = self.shell(f"nnarch {command} >/dev/full; echo $?", tmp_path)
        assert done.stdout == "7\n"
        assert done.stderr == "error: standard output: no space left on device\n"

    def test_training_goes_on_where_nobody_reads_what_it_says(
        self, tiny: Path, tmp_path: Path
    ) -> None:
        done = self.shell(f"nnarch train {tiny} epochs=30 2>&1 >path | head -1", tmp_path)
        assert done.stdout == "regression of y\n"
        run = tmp_path / (tmp_path / "path").read_text().strip()
        assert about(run)["status"] == "finished"
        assert len((run / "history.csv").read_text().splitlines()) == 31


@contextlib.contextmanager
def training_without_sigint(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that trains, quietly; it is ended at the latest when this is left."""
    command = "train tiny.yaml --quiet epochs=1000000 --json"
    process = subprocess.Popen(
        [sys.executable, "-m", "nnarch", *command.split()],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(happens: Callable[[], bool], ended: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not happens():
        assert not ended(), "it ended before that"
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


def has_epochs(folder: Path) -> bool:
    return any(path.read_text().count("\n") > 2 for path in folder.glob("runs/*/history.csv"))


def has_begun(folder: Path) -> bool:
    paths = folder.glob("runs/*/run.json")
    return any(json.loads(path.read_text())["status"] == "running" for path in paths)


class TestSignals:
    def test_sigint_ends_a_run_with_its_checkpoint_saved(
        self, nnarch_here: Command, child: Start, tiny: Path, tmp_path: Path
    ) -> None:
        process = child("train", tiny.name, "--quiet", "epochs=1000000")
        wait_for(lambda: has_epochs(tmp_path), process.ended)
        process.kill(signal.SIGINT)
        assert (process.wait(), process.stdout) == (130, "")
        (run,) = (tmp_path / "runs").iterdir()
        assert re.fullmatch(
            rf"error: interrupted after epoch \d+, which is saved; go on with: nnarch resume "
            rf"runs/{run.name}\n",
            process.stderr,
        )
        told = about(run)
        assert (told["status"], told["exit_code"]) == ("interrupted", 130)
        assert nnarch_here("eval", run).returncode == 0

    def test_sigterm_does_so_where_sigint_is_ignored(
        self, nnarch_here: Command, tiny: Path, tmp_path: Path
    ) -> None:
        """As in a background job of a script, which a Ctrl-C is not meant for."""
        with training_without_sigint(tiny.parent) as process:
            wait_for(lambda: has_epochs(tmp_path), lambda: process.poll() is not None)
            process.send_signal(signal.SIGINT)
            rows = max(path.stat().st_size for path in tmp_path.glob("runs/*/history.csv"))
            wait_for(
                lambda: any(
                    path.stat().st_size > rows for path in tmp_path.glob("runs/*/history.csv")
                ),
                lambda: process.poll() is not None,
            )
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (143, "")
        assert len(err.splitlines()) == 1
        (run,) = (tmp_path / "runs").iterdir()
        assert (about(run)["status"], about(run)["exit_code"]) == ("interrupted", 143)
        assert nnarch_here("eval", run).returncode == 0

    def test_a_second_signal_ends_it_at_once(
        self, nnarch_here: Command, child: Start, tiny: Path, tmp_path: Path
    ) -> None:
        process = child("train", tiny.name, "--quiet", "data.rows=1000000", "batch_size=1")
        wait_for(lambda: has_begun(tmp_path), process.ended)
        process.kill(signal.SIGINT)
        process.kill(signal.SIGTERM)
        assert process.wait() in (130, 143)
        assert (process.stdout, process.stderr) == ("", "")
        (run,) = (tmp_path / "runs").iterdir()
        assert about(run)["status"] == "running"
        done = nnarch_here("eval", run)
        assert done.returncode == 5
        assert "no checkpoint yet" in error_lines(done)[0]


class TestSurroundings:
    def test_another_directory_odd_names_and_a_plain_locale(
        self, nnarch: Command, nnarch_forked: Command, tmp_path: Path
    ) -> None:
        project = tmp_path / "mein Projekt é 🙂"
        project.mkdir()
        rows = [f"{x},{'früh' if x < 20 else 'spät'}" for x in range(40)]
        (project / "zeiten ü.csv").write_text("\n".join(["größe,wann", *rows]), encoding="utf-8")
        (project / "meine größe.yaml").write_text(
            "data: {source: csv, path: zeiten ü.csv, target: wann}\nepochs: 2\nthreads: 1\n",
            encoding="utf-8",
        )
        done = nnarch("train", project / "meine größe.yaml", "--runs-dir", project / "läufe",
                      env={"LC_ALL": "C", "LANG": "C"})  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"{project}/läufe/")
        assert "binary classification of wann into 2: früh, spät" in done.stderr
        assert Path(done.stdout.strip()).name.split("-", 2)[2].startswith("meine-gr-e-")
        (tmp_path / "away").mkdir()
        words = ["eval", "@last", "--runs-dir", project / "läufe", "--json"]
        done = nnarch_forked(*words, cwd=tmp_path / "away")
        assert json.loads(done.stdout)["classes"] == ["früh", "spät"]

    def test_a_name_that_could_harm_a_terminal_is_shown_harmless(
        self, nnarch_light: Command
    ) -> None:
        done = nnarch_light("train", "\x1b[31mred\nname.yaml")
        assert done.returncode == 3
        assert error_lines(done) == [
            r"\x1b[31mred name.yaml: cannot be read: No such file or directory"
        ]


class TestHelp:
    def test_commands_are_listed(self, nnarch_light: Command) -> None:
        done = nnarch_light("--help", env={"COLUMNS": "100", "TERM": "dumb"})
        assert (done.returncode, done.stderr) == (0, "")
        for command in COMMANDS:
            assert re.search(rf"^\W*{command}\s+[A-Z]", done.stdout, re.MULTILINE), command

    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_explains_itself(self, nnarch_here: Command, command: str) -> None:
        long, short = nnarch_here(command, "--help"), nnarch_here(command, "-h")
        assert (long.returncode, long.stderr) == (0, "")
        assert long.stdout == short.stdout
        assert "--debug" in long.stdout

    def test_nothing_said_is_answered_with_help(self, nnarch_here: Command) -> None:
        done = nnarch_here()
        assert (done.returncode, done.stderr) == (2, "")
        assert "Usage" in done.stdout

    def test_version(self, nnarch_here: Command) -> None:
        done = nnarch_here("--version")
        assert (done.returncode, done.stdout) == (0, f"nnarch {library.__version__}\n")


class TestFaults:
    def test_debug_shows_the_traceback_beside_the_same_lines(
        self, nnarch_here: Command, tiny: Path
    ) -> None:
        plain = nnarch_here("train", tiny, "epochs=0", "seed=-1")
        debug = nnarch_here("train", tiny, "epochs=0", "seed=-1", "--debug")
        assert (plain.returncode, debug.returncode) == (3, 3)
        assert debug.stderr.startswith("Traceback (most recent call last):\n")
        assert "Traceback" not in plain.stderr
        assert debug.stderr.endswith(plain.stderr)

    def test_a_bug_is_one_line_that_names_a_file_with_its_traceback(
        self, nnarch: Command, tmp_path: Path
    ) -> None:
        (tmp_path / "breaks.py").write_text("from nnarch import describe\ndescribe.schema = None\n")
        done = nnarch("schema", "--plugin", "breaks.py", env={"TMPDIR": str(tmp_path)})
        assert done.returncode == 1
        (line,) = error_lines(done)
        assert line.startswith("a bug in nnarch: TypeError: 'NoneType' object is not callable; ")
        log = Path(line.rsplit(" ", 1)[1])
        assert log.parent == tmp_path
        assert "Traceback (most recent call last):" in log.read_text()
        assert "schema --plugin breaks.py" in log.read_text()
