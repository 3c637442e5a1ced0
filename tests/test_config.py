"""A config is what its files and overrides mean: numbers, merging, places, names, paths.

Nothing here needs torch; faults of single values are in test_validate.py and test_bad_input.py.
"""

import copy
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import JUNK, valid_configs
from nnarch import yamlfile
from nnarch.config import Config, load
from nnarch.errors import ConfigError, UsageError

DATA = {"source": "synthetic", "rows": 60}


def faults(*arguments: Any, **keywords: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(*arguments, **keywords)
    return caught.value.faults


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def same(one: Config, other: Config) -> bool:
    """Equal, and of equal types: 1 is not 1.0 here, nor true."""
    return json.dumps(one.model_dump()) == json.dumps(other.model_dump())


REFUSED = None
NUMBERS = {  # as written: what a learning rate becomes, and what a number of epochs
    "1": (1.0, 1),
    "+1": (1.0, 1),
    "7.0": (7.0, 7),
    "5.": (5.0, 5),
    ".5": (0.5, REFUSED),
    "+.5": (0.5, REFUSED),
    "0.5": (0.5, REFUSED),
    "1.5": (1.5, REFUSED),
    "1e3": (1000.0, 1000),
    "1E3": (1000.0, 1000),
    "1e+3": (1000.0, 1000),
    "1.e3": (1000.0, 1000),
    "1.5e2": (150.0, 150),
    "1.5e0": (1.5, REFUSED),
    "1e-3": (0.001, REFUSED),
    "1E-3": (0.001, REFUSED),
    "3e-4": (0.0003, REFUSED),
    "1e-10": (1e-10, REFUSED),
    "1e-320": (1e-320, REFUSED),
    "0.1": (0.1, REFUSED),
    "0.30000000000000004": (0.30000000000000004, REFUSED),
    "1000000000": (1e9, 1000000000),
    "1000000001": (1000000001.0, REFUSED),
    "123456789012345678901234567890": (1.2345678901234568e29, REFUSED),
    "1e308": (1e308, REFUSED),
    "010": (10.0, 10),
    "007": (7.0, 7),
    "08.5": (8.5, REFUSED),
    "0x1F": (31.0, 31),
    "0o17": (15.0, 15),
    "0": (REFUSED, REFUSED),
    "-0.0": (REFUSED, REFUSED),
    "-1": (REFUSED, REFUSED),
    "1e-400": (REFUSED, REFUSED),
    "1e400": (REFUSED, REFUSED),
    ".inf": (REFUSED, REFUSED),
    "-.Inf": (REFUSED, REFUSED),
    ".nan": (REFUSED, REFUSED),
    "inf": (REFUSED, REFUSED),
    "nan": (REFUSED, REFUSED),
    "1_000": (REFUSED, REFUSED),
    "1,000": (REFUSED, REFUSED),
    "1 000": (REFUSED, REFUSED),
    "1,5": (REFUSED, REFUSED),
    "12:30": (REFUSED, REFUSED),
    "0b11": (REFUSED, REFUSED),
    "0X1F": (REFUSED, REFUSED),
    "1e": (REFUSED, REFUSED),
    "e3": (REFUSED, REFUSED),
    "1d3": (REFUSED, REFUSED),
    "1e2.5": (REFUSED, REFUSED),
    "1.2.3": (REFUSED, REFUSED),
    "--1": (REFUSED, REFUSED),
    "10%": (REFUSED, REFUSED),
    "½": (REFUSED, REFUSED),
    "٣": (REFUSED, REFUSED),
    "2024-01-01": (REFUSED, REFUSED),
    "'1'": (REFUSED, REFUSED),
    '"1e-3"': (REFUSED, REFUSED),
    "true": (REFUSED, REFUSED),
    "yes": (REFUSED, REFUSED),
    "~": (REFUSED, REFUSED),
    "": (REFUSED, REFUSED),
    "[1]": (REFUSED, REFUSED),
    "{a: 1}": (REFUSED, REFUSED),
}


@pytest.mark.parametrize("way", ["file", "override"])
@pytest.mark.parametrize("text", NUMBERS)
def test_a_number_means_what_it_looks_like(tmp_path: Path, text: str, way: str) -> None:
    for key, value in zip(("optimizer.lr", "epochs"), NUMBERS[text], strict=True):
        *section, last = key.split(".")
        lines = [f"{name}:" for name in section] + [f"{'  ' * len(section)}{last}: {text}"]
        given = lines if way == "file" else []
        path = written(tmp_path, "c.yaml", "\n".join(["data: synthetic", *given]) + "\n")
        overrides = [f"{key}={text}"] if way == "override" else []
        if value is REFUSED:
            (fault,) = faults(path, overrides)
            place = f"{path}:{1 + len(lines)}: " if way == "file" else f"command line: {key}: "
            assert fault.startswith(place)
            assert key in fault
            continue
        config = load(path, overrides)
        found = config.optimizer["lr"] if key == "optimizer.lr" else config.epochs
        assert (found, type(found)) == (value, type(value))
        assert same(load(written(tmp_path, "resolved.yaml", config.to_yaml())), config)


def test_a_whole_number_may_be_written_as_a_power_of_ten_wherever_one_is_expected() -> None:
    config = load({"data": DATA | {"rows": 1e4}, "seed": 1e3, "model": {"widths": [1e1]}})
    found = config.data["rows"], config.seed, config.model["widths"][0]
    assert found == (10_000, 1000, 10)
    assert {type(number) for number in found} == {int}


class TestOverrides:
    """`key=value` after the files, the value read as in a file."""

    @pytest.mark.parametrize(
        ("override", "path", "value"),
        [
            ("optimizer.lr=1e-2", ("optimizer", "lr"), 0.01),
            ("epochs=3", ("epochs",), 3),
            ("model.widths=[64, 64]", ("model", "widths"), [64, 64]),
            ("model.widths=[]", ("model", "widths"), []),
            ("model.widths[1]=3", ("model", "widths"), [8, 3]),
            ("batch_size=all", ("batch_size",), "all"),
            ("name=no", ("name",), "no"),
            ("name='10'", ("name",), "10"),
            ("name=a=b", None, None),
            ("clip={norm: 1}", ("clip",), {"norm": 1.0, "value": None}),
            ("clip.norm=2", ("clip",), {"norm": 2.0, "value": None}),
            ("clip=", ("clip",), None),
            ("early_stopping=null", ("early_stopping",), None),
            ("model.activation.alpha=2", ("model", "activation"), {"name": "elu", "alpha": 2.0}),
            ("data.split.seed=4", ("data", "split", "seed"), 4),
            ("loss={name: cross_entropy, class_weights: {a: 1}}", ("loss", "class_weights"),
             {"a": 1.0}),
            ("metrics=[accuracy, {name: f1, average: micro}]", ("metrics",),
             [{"name": "accuracy"}, {"name": "f1", "average": "micro"}]),
            ("metrics[0].average=micro", ("metrics",), [{"name": "f1", "average": "micro"}]),
        ],
    )  # fmt: skip
    def test_value(self, override: str, path: tuple[str, ...] | None, value: Any) -> None:
        config = {
            "data": "synthetic",
            "model": {"widths": [8, 8], "activation": "elu"},
            "metrics": ["f1"],
        }
        if path is None:
            assert "got 'a=b'; expected" in faults(config, [override])[0]
            return
        found: Any = load(config, [override]).model_dump()
        for key in path:
            found = found[key]
        assert found == value

    def test_a_bare_name_grows_options(self) -> None:
        config = load({"data": "synthetic", "optimizer": "sgd"}, ["optimizer.lr=0.5"])
        assert (config.optimizer["name"], config.optimizer["lr"]) == ("sgd", 0.5)

    def test_a_bare_data_source_grows_options(self) -> None:
        config = load({"data": "synthetic"}, ["data.rows=70", "data.split.seed=3"])
        assert config.data["source"] == "synthetic"
        assert (config.data["rows"], config.data["split"]["seed"]) == (70, 3)

    def test_another_component_drops_the_options_of_the_one_before(self) -> None:
        sgd = {"name": "sgd", "momentum": 0.9, "lr": 0.5}
        config = load({"data": "synthetic", "optimizer": sgd}, ["optimizer.name=adam"])
        assert config.optimizer == load({"data": "synthetic", "optimizer": "adam"}).optimizer

    def test_the_same_component_keeps_its_options(self) -> None:
        sgd = {"name": "sgd", "momentum": 0.9}
        config = load({"data": "synthetic", "optimizer": sgd}, ["optimizer.name=sgd"])
        assert config.optimizer["momentum"] == 0.9

    def test_what_every_source_or_schedule_takes_survives_another_one(self) -> None:
        config = load(
            {
                "data": {"source": "csv", "path": "x", "target": "y", "split": {"seed": 5}},
                "schedule": {"name": "cosine", "final": 0.1, "warmup": 2},
            },
            ["data.source=synthetic", "schedule.name=linear"],
        )
        assert config.data["split"]["seed"] == 5
        assert config.schedule == {"name": "linear", "final": 0.0, "warmup": 2.0}

    def test_later_ones_win(self) -> None:
        assert load({"data": DATA}, ["epochs=3", "epochs=4"]).epochs == 4

    def test_a_whole_section_is_replaced(self) -> None:
        config = load({"data": DATA, "clip": {"norm": 1, "value": 2}}, ["clip={norm: 3}"])
        assert config.clip is not None
        assert (config.clip.norm, config.clip.value) == (3, None)

    @pytest.mark.parametrize(
        "word", ["x", "=3", ".=3", "a..b=3", "a.=3", "[0]=3", "a[x]=3", "a[-1]=3"]
    )
    def test_a_word_that_is_no_override(self, word: str) -> None:
        with pytest.raises(UsageError, match="expected key=value, such as optimizer"):
            load({"data": DATA}, [word])

    def test_a_failed_override_does_not_spoil_what_is_said_of_the_rest(self) -> None:
        found = faults({"data": DATA}, ["model.widths[1]=3", "model.widht=3"])
        assert [fault.partition("; ")[0] for fault in found] == [
            "command line: model.widths[1]: no such place",
            "command line: model.widht: unknown key",
        ]


class TestFiles:
    """Files merge left to right, key by key."""

    def test_the_last_one_wins_key_by_key(self, tmp_path: Path) -> None:
        base = written(
            tmp_path,
            "base.yaml",
            "data: {source: synthetic, rows: 50, split: {seed: 3}}\n"
            "model: {widths: [8, 8], activation: tanh}\nepochs: 5\n",
        )
        more = written(
            tmp_path, "more.yaml", "data: {rows: 70}\nmodel: {widths: [4]}\nbatch_size: 16\n"
        )
        config = load([base, more])
        assert (config.data["rows"], config.data["split"]["seed"]) == (70, 3)
        assert (config.model["widths"], config.model["activation"]) == ([4], {"name": "tanh"})
        assert (config.epochs, config.batch_size) == (5, 16)

    @pytest.mark.parametrize(
        ("base", "more", "momentum", "lr"),
        [
            ("sgd", "{lr: 0.5}", 0.0, 0.5),
            ("{name: sgd, momentum: 0.9}", "{lr: 0.5}", 0.9, 0.5),
            ("{name: sgd, momentum: 0.9}", "{lr: 0.5, name: sgd}", 0.9, 0.5),
            ("{name: adam, amsgrad: true}", "{momentum: 0.8, name: sgd}", 0.8, 0.01),
            ("{name: adam, amsgrad: true}", "sgd", 0.0, 0.01),
            ("{name: sgd, momentum: 0.9}", "{}", 0.9, 0.01),
            ("{lr: 0.2, name: adam}", "{name: sgd}", 0.0, 0.01),
        ],
    )
    def test_a_component_in_both(
        self, tmp_path: Path, base: str, more: str, momentum: float, lr: float
    ) -> None:
        one = written(tmp_path, "a.yaml", f"data: synthetic\noptimizer: {base}\n")
        two = written(tmp_path, "b.yaml", f"optimizer: {more}\n")
        found = load([one, two]).optimizer
        assert (found["name"], found["momentum"], found["lr"]) == ("sgd", momentum, lr)

    def test_another_source_in_the_second_file_keeps_the_split(self, tmp_path: Path) -> None:
        one = written(
            tmp_path, "a.yaml", "data: {source: csv, path: x, target: y, split: {seed: 5}}\n"
        )
        two = written(tmp_path, "b.yaml", "data: {rows: 20, source: synthetic}\n")
        found = load([one, two]).data
        assert (found["rows"], found["split"]["seed"]) == (20, 5)
        assert "path" not in found

    def test_an_open_value_takes_the_place_of_a_name(self, tmp_path: Path) -> None:
        one = written(tmp_path, "a.yaml", "data: synthetic\nmodel: {activation: relu}\n")
        two = written(tmp_path, "b.yaml", "model:\n  activation: {choice: [relu, gelu]}\n")
        assert faults([one, two])[0].startswith(f"{two}:2: model.activation: is left open")
        assert load([two, one]).model["activation"] == {"name": "relu"}

    def test_standard_input_is_a_file_called_dash(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        base = written(tmp_path, "base.yaml", "data: synthetic\nepochs: 5\n")
        for text in ("epochs: 6\n", "epochs: six\n"):
            stdin = io.TextIOWrapper(io.BytesIO(text.encode()))
            monkeypatch.setattr(sys, "stdin", stdin)
            if "six" in text:
                assert faults([str(base), "-"])[0].startswith("<stdin>:1: epochs: got 'six'")
            else:
                assert load([str(base), "-"]).epochs == 6

    def test_all_the_texts_are_kept(self, tmp_path: Path) -> None:
        one = written(tmp_path, "a.yaml", "data: synthetic  # rows\n")
        two = written(tmp_path, "b.yaml", "epochs: 3\n")
        assert load([one, two]).text == "data: synthetic  # rows\n---\nepochs: 3\n"

    def test_a_directory_is_no_config(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"is a directory; expected a config file$"):
            load(tmp_path)
        written(tmp_path, "run.json", "{}")
        with pytest.raises(UsageError, match=r"such as .*/resolved\.yaml"):
            load(tmp_path)


def test_a_fault_names_the_file_and_line_that_the_value_came_from(tmp_path: Path) -> None:
    one = written(
        tmp_path, "a.yaml", "data:\n  source: synthetic\n  rows: -1\nmodel:\n  widths: [0]\n"
    )
    two = written(tmp_path, "b.yaml", "# more\noptimizer:\n  name: sgd\n  lr: -1\n  oops: 1\n")
    overrides = ["model.dropout=2", "average.decay=3", "early_stopping.patince=3"]
    found = faults([one, two], overrides, {"batch_size": 0})
    assert sorted(fault.partition("; ")[0] for fault in found) == sorted(
        [
            f"{one}:3: data.rows: got -1",
            f"{one}:5: model.widths[0]: got 0",
            f"{two}:4: optimizer.lr: got -1",
            f"{two}:5: optimizer.oops: unknown key",
            "command line: model.dropout: got 2",
            "command line: average.decay: got 3",
            "command line: early_stopping.patince: unknown key",
            "argument: batch_size: got 0",
        ]
    )


def test_what_is_missing_is_told_where_it_belongs(tmp_path: Path) -> None:
    one = written(tmp_path, "a.yaml", "epochs: 3\ndata:\n  source: csv\n")
    found = faults(one, ["data.target=x", "model.initialization=constant"])
    assert [fault.partition("; ")[0] for fault in found] == [
        f"{one}:2: data.path: missing",
        "command line: model.initialization.value: missing",
    ]


def test_an_override_over_a_wrong_value_cures_it(tmp_path: Path) -> None:
    one = written(tmp_path, "a.yaml", "data: {source: synthetic, rows: many}\nepochs: x\n")
    config = load(one, ["data.rows=5", "epochs=2"])
    assert (config.data["rows"], config.epochs) == (5, 2)


class TestLocating:
    """A config knows the place of its values when they are made real."""

    def config(self, tmp_path: Path) -> Config:
        path = written(tmp_path, "a.yaml", "data: synthetic\nmodel:\n  widths: [8]\n")
        return load(path, ["optimizer.lr=1"])

    def test_fault(self, tmp_path: Path) -> None:
        config = self.config(tmp_path)
        at = tmp_path / "a.yaml"
        assert str(config.fault(("model", "widths"), "no")) == f"{at}:3: model.widths: no"
        assert str(config.fault(("model", "dropout"), "no")) == f"{at}:2: model.dropout: no"
        assert str(config.fault(("optimizer", "lr"), "no")) == "command line: optimizer.lr: no"
        assert str(config.fault(("batch_size",), "no")) == f"{at}:1: batch_size: no"

    def test_what_a_builder_says_gets_its_place(self, tmp_path: Path) -> None:
        config = self.config(tmp_path)
        with pytest.raises(ConfigError) as caught, config.locating("model"):
            raise ConfigError(["model.widths[0]: is odd", "wave cannot be built: no"])
        at = tmp_path / "a.yaml"
        assert caught.value.faults == [
            f"{at}:3: model.widths[0]: is odd",
            f"{at}:2: model: wave cannot be built: no",
        ]

    def test_a_changed_copy_knows_places_too(self, tmp_path: Path) -> None:
        config = self.config(tmp_path).model_copy(update={"epochs": 1})
        assert str(config.fault(("model",), "no")) == f"{tmp_path / 'a.yaml'}:2: model: no"


class TestName:
    """A run is called after its config file unless the config says a name."""

    @pytest.mark.parametrize(
        ("file", "name"),
        [
            ("mlp.yaml", "mlp"),
            ("mlp", "mlp"),
            ("my mlp (2).yaml", "my-mlp-2"),
            ("v1.2_big--x.yaml", "v1.2_big--x"),
            ("-rf.yaml", "rf"),
            ("größe.yaml", "gr-e"),
            ("日本.yaml", "run"),
            ("🙂.yaml", "run"),
            (".yaml", ".yaml"),
            ("x" * 200, "x" * 80),
        ],
    )
    def test_stem(self, tmp_path: Path, file: str, name: str) -> None:
        assert load(written(tmp_path, file, "data: synthetic\n")).name == name

    def test_several_files_are_named_together(self, tmp_path: Path) -> None:
        one = written(tmp_path, "base.yaml", "data: synthetic\n")
        two = written(tmp_path, "wide.yaml", "model: {widths: [512]}\n")
        assert load([one, two]).name == "base-wide"

    def test_a_mapping_and_standard_input_have_no_name(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert load({"data": DATA}).name == "run"
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"data: synthetic\n")))
        assert load("-").name == "run"

    def test_the_config_s_own_name_wins(self, tmp_path: Path) -> None:
        one = written(tmp_path, "a.yaml", "name: own\ndata: synthetic\n")
        assert load(one).name == "own"
        assert load([one, written(tmp_path, "b.yaml", "epochs: 3\n")]).name == "own"
        assert load(one, ["name=other"]).name == "other"
        assert "name: got null" in faults(one, ["name="])[0]


class TestDataPaths:
    """A path of data is meant from the working directory, or else from the config's."""

    @pytest.fixture
    def config(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        (tmp_path / "here").mkdir()
        (tmp_path / "there").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        text = "data: {source: csv, path: rows.csv, target: y}\n"
        return written(tmp_path / "there", "c.yaml", text)

    def test_the_working_directory_comes_first(self, config: Path, tmp_path: Path) -> None:
        for folder in ("here", "there"):
            written(tmp_path / folder, "rows.csv", "x,y\n")
        assert load(config).data["path"] == str(tmp_path / "here" / "rows.csv")

    def test_then_the_place_of_the_config(self, config: Path, tmp_path: Path) -> None:
        written(tmp_path / "there", "rows.csv", "x,y\n")
        assert load(config).data["path"] == str(tmp_path / "there" / "rows.csv")
        nearby = os.path.relpath(config)
        assert load(nearby).data["path"] == str(tmp_path / "there" / "rows.csv")

    def test_what_is_nowhere_is_looked_for_here(self, config: Path, tmp_path: Path) -> None:
        assert load(config).data["path"] == str(tmp_path / "here" / "rows.csv")

    def test_home_and_dots_are_written_out(
        self, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        assert load(config, ["data.path=~/x.csv"]).data["path"] == str(tmp_path / "x.csv")
        assert load(config, ["data.path=../x.csv"]).data["path"] == str(tmp_path / "x.csv")

    @pytest.mark.parametrize("path", ["~nobody-here/x.csv", "x" * 5000, "a b/ü.csv", '"a\\0b"'])
    def test_odd_paths_are_only_looked_for(self, config: Path, path: str) -> None:
        assert os.path.isabs(load(config, [f"data.path={path}"]).data["path"])


class TestFromPython:
    """A mapping for a config, and keyword arguments for changes."""

    def test_changes_are_laid_over_the_rest(self) -> None:
        config = load({"data": DATA}, changes={"epochs": 3, "optimizer.lr": 0.5})
        assert (config.epochs, config.optimizer["lr"]) == (3, 0.5)

    def test_the_caller_s_own_mappings_stay_as_they_are(self) -> None:
        given = {"data": {"source": "synthetic"}, "model": {"widths": [8, 8]}}
        change = {"name": "sgd"}
        before = copy.deepcopy((given, change))
        load(given, ["model.widths[0]=3", "optimizer.lr=1"], {"optimizer": change, "data.rows": 5})
        assert (given, change) == before

    def test_what_python_has_instead_of_yaml_s_values(self) -> None:
        config = load(
            {"data": {"source": "csv", "path": Path("/x/y.csv"), "target": ("a", "b")}},
            changes={
                "model.widths": np.array([8, 4]),
                "optimizer.lr": np.float32(0.5),
                "epochs": np.int64(3),
                "model.residual": np.bool_(True),
            },
        )
        assert config.data["path"] == "/x/y.csv"
        assert config.data["target"] == ["a", "b"]
        assert config.model["widths"] == [8, 4]
        assert (config.optimizer["lr"], config.epochs) == (0.5, 3)
        assert config.model["residual"] is True
        assert same(load(yamlfile.parse(config.to_yaml(), "resolved.yaml").value), config)

    @pytest.mark.parametrize("value", [float("nan"), -float("inf"), {3}, object(), b"x", "\ud800"])
    def test_what_no_file_could_say_is_refused(self, value: Any) -> None:
        said = faults({"data": DATA, "model": {"widths": [8, value]}})
        said += faults({"data": DATA}, changes={"model.widths[1]": value})
        for fault in said:
            assert fault.startswith("model.widths[1]: got ")
            assert "expected text, a finite number, true, false, null, a list, or" in fault

    def test_keys_are_text(self) -> None:
        key: Any = 3
        fault = faults({"data": DATA, "model": {key: 4}})[0]
        assert fault.startswith("model: got {3: 4}; expected")


def test_a_config_cannot_be_changed_by_accident() -> None:
    config = load({"data": DATA})
    with pytest.raises(ValueError, match="frozen"):
        config.epochs = 5


def test_what_is_left_open_is_named_value_by_value(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "a.yaml",
        "data: synthetic\n"
        "model:\n"
        "  widths:\n"
        "  - {int: [1, 64], log: true}\n"
        "  activation: {choice: [relu, {name: elu, alpha: {float: [0.1, 1]}}]}\n"
        "optimizer: {name: sgd, lr: {float: [1e-4, 1e-1], default: 1e-2}}\n",
    )
    said = "is left open; expected one value, in the file or as an override, or: nnarch search"
    assert faults(path) == [
        f"{path}:4: model.widths[0]: {said}",
        f"{path}:5: model.activation: {said}",
        f"{path}:6: optimizer.lr: {said}",
    ]
    with_defaults = load(path, ["model.widths=[3]", "model.activation=relu"], defaults=True)
    assert with_defaults.optimizer["lr"] == 1e-2
    closing = ["model.widths[0]=3", "model.activation=elu", "optimizer.lr=1"]
    assert load(path, closing).optimizer["lr"] == 1


class TestDefaults:
    """`defaults=True` takes the default of each open value."""

    TEXT = (
        "data: synthetic\n"
        "model:\n"
        "  widths: {repeat: {int: [1, 3], default: 2}, of: {int: [8, 64], default: 16}}\n"
        "optimizer:\n"
        "  choice:\n"
        "  - adamw\n"
        "  - {name: sgd, lr: {float: [1e-4, 1], default: 0.5}}\n"
        "  default: sgd\n"
    )

    def test_they_close_every_value(self, tmp_path: Path) -> None:
        path = written(tmp_path, "a.yaml", self.TEXT)
        config = load(path, defaults=True)
        assert config.model["widths"] == [16, 16]
        assert (config.optimizer["name"], config.optimizer["lr"]) == ("sgd", 0.5)
        assert str(config.fault(("optimizer", "lr"), "no")) == f"{path}:7: optimizer.lr: no"
        more = "or: nnarch search; or --defaults, which takes the default of each"
        assert [more in fault for fault in faults(path)] == [True, True]
        assert same(load({"data": "synthetic"}, defaults=True), load({"data": "synthetic"}))

    def test_what_has_none_or_is_wrong_is_told_with_its_line(self, tmp_path: Path) -> None:
        wanted = "is left open and has no default; expected default: and a value, beside it"
        path = written(tmp_path, "a.yaml", self.TEXT.replace(", default: 0.5", ""))
        assert faults(path, defaults=True) == [f"{path}:7: optimizer.choice[1].lr: {wanted}"]
        path = written(tmp_path, "b.yaml", self.TEXT.replace("default: 0.5", "default: 5"))
        told = "got 5; expected a number from 0.0001 to 1"
        assert faults(path, defaults=True) == [f"{path}:7: optimizer.choice[1].lr.default: {told}"]
        text = self.TEXT.replace("[1e-4, 1], default: 0.5", "[-1, 1], default: -0.5")
        path = written(tmp_path, "c.yaml", text)
        assert faults(path, defaults=True) == [
            f"{path}:7: optimizer.lr: got -0.5; expected a number > 0"
        ]


def test_a_search_section_is_checked_and_left_out() -> None:
    config = {"data": "synthetic"}
    searched = load({**config, "search": {"trials": 5, "sampler": "random"}}, ["search.keep=1"])
    assert same(searched, load(config))
    assert "search" not in searched.to_yaml()
    said = faults({**config, "search": {"trials": 0, "objectives": ["val_f7"], "keeep": 1}})
    assert [line.split(": ")[1] for line in said] == ["search.trials", "search.keeep"]
    (line,) = faults({**config, "search": {"objectives": ["val_f7"]}})
    assert line.startswith("config: search.objectives[0]: got 'val_f7'; did you mean 'val_f1'?")


def test_the_resolved_config_says_everything(tmp_path: Path) -> None:
    config = load({"data": "synthetic"})
    text = config.to_yaml()
    for name in Config.model_fields:
        assert f"\n{name}:" in f"\n{text}"
    assert "learning" not in text
    assert same(load(written(tmp_path, "resolved.yaml", text)), config)


@given(valid_configs())
def test_any_right_config_reads_back_equal(value: dict[str, Any]) -> None:
    config = load(value)
    again = load(yamlfile.parse(config.to_yaml(), "resolved.yaml").value)
    assert same(again, config)
    assert same(load(yamlfile.parse(yamlfile.dump(value), "given.yaml").value), config)


def check_only_a_config_or_its_faults(value: dict[str, Any], overrides: list[str]) -> None:
    try:
        config = load(value, overrides)
    except (ConfigError, UsageError) as error:
        for line in error.lines:
            assert line
            assert "\n" not in line
            assert len(line) < 2000
        return
    assert same(load(yamlfile.parse(config.to_yaml(), "resolved.yaml").value), config)


PATHS = st.sampled_from(
    ["optimizer", "optimizer.lr", "model.widths", "model.widths[0]", "model.activation", "data",
     "data.split.train", "data.source", "metrics", "metrics[1]", "loss.class_weights.a", "name",
     "schedule.warmup", "clip", "clip.norm", "", ".", "model..widths", "model.widths[-1]", "0"]
)  # fmt: skip


@settings(max_examples=300)
@given(st.lists(st.tuples(PATHS | st.text(max_size=8), JUNK | st.text(max_size=8)), max_size=3))
def test_any_override_is_a_config_or_a_fault(changes: list[tuple[str, Any]]) -> None:
    words = []
    for key, value in changes:
        text = value if isinstance(value, str) else json.dumps(value)
        words.append(f"{key}={text}")
    check_only_a_config_or_its_faults({"data": DATA, "model": {"widths": [8]}}, words)
