"""Open configs: checked before anything is drawn, and quick to draw from."""

import contextlib
import math
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import JUNK, SCALARS, valid_configs
from nnarch import config as configs
from nnarch import yamlfile
from nnarch.errors import ConfigError
from nnarch.exploration import load
from nnarch.space.space import Point, Space

SPACE = """\
data: {source: synthetic, rows: 60}
seed: 5
model:
  widths: {repeat: {int: [1, 3]}, of: {int: [8, 64], log: true}}
  activation: {choice: [relu, {name: elu, alpha: {float: [0.1, 1]}}]}
optimizer:
  choice:
  - name: sgd
    lr: {float: [1e-4, 1e-1], log: true, default: 1e-2}
  - adamw
epochs: {choice: [2, 4]}
"""


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def faults(*given: Any, **more: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(*given, **more)
    return caught.value.lines


def drawn(space: Space, seed: int = 0) -> Point:
    chance = random.Random(seed)
    return space.walk(lambda variable: variable.domain.at(chance.random()))[1]


def test_a_point_is_the_config_that_a_user_would_write(tmp_path: Path) -> None:
    path = written(tmp_path / "wide.yaml", SPACE)
    found = load(path)
    assert (found.name, found.text) == ("wide", SPACE)
    for seed in range(5):
        point = drawn(found.space, seed)
        config = found.config(point)
        tree = yamlfile.parse(yamlfile.dump(found.space.tree(point)), "tree.yaml").value
        assert config.model_dump() == configs.load({**tree, "name": "wide"}).model_dump()
        assert (config.seed, found.config(point, seed=9).seed) == (5, 9)
        assert config.text == SPACE


def test_overrides_open_close_and_set(tmp_path: Path) -> None:
    path = written(tmp_path / "a.yaml", SPACE)
    overrides = ["model.widths=[8, {int: [1, 2]}]", "search.trials=7", "optimizer.lr={int: [1, 2]}"]
    found = load(path, [*overrides[:2], "optimizer=adamw", overrides[2]], {"search.seeds": 2})
    assert (found.search.trials, found.search.seeds) == (7, 2)
    keys = [variable.key for variable in found.space.variables]
    assert keys[:2] == ["model.widths[1]", "model.activation"]
    assert "optimizer.lr" in keys
    assert "optimizer" not in keys


def test_what_comes_later_is_told_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path / "a.yaml", SPACE)
    found = load(path)
    point = {"model.widths.repeat": 1, "model.widths[0]": 8, "model.activation": 1, "epochs": 0}
    point |= {"model.activation:elu.alpha": 0.5, "optimizer": 0, "optimizer:sgd.lr": 0.1}
    config = found.config(point)
    assert str(config.fault(("optimizer", "lr"), "no")) == f"{path}:9: optimizer.lr: no"
    assert str(config.fault(("model", "widths", 0), "no")).startswith(f"{path}:4: ")
    with pytest.raises(ConfigError, match=rf"^{path}:5: model\.activation: no$"):  # noqa: SIM117
        with config.locating("model"):
            raise ConfigError("model.activation: no")


def test_a_point_that_is_refused(tmp_path: Path) -> None:
    layers = "{choice: [[{Linear: 3, as: a}], []]}"
    text = f"data: synthetic\nmodel:\n  layers:\n  - {layers}\n  - {layers}\n  - Linear: out\n"
    path = written(tmp_path / "a.yaml", text)
    found = load(path, ["model.layers[0].default=[]", "model.layers[1].default=[]"])
    assert found.config({"model.layers[0]": 0, "model.layers[1]": 1}).model["layers"][0]
    with pytest.raises(ConfigError) as caught:
        found.config({"model.layers[0]": 0, "model.layers[1]": 0})
    said = "model.layers[1].as: 'a' is the name of another item"
    assert caught.value.lines == [f"{path}:5: {said}"]


class TestChecks:
    """What is wrong is said before anything is drawn, all of it, each once, with its line."""

    def test_all_at_once(self, tmp_path: Path) -> None:
        path = written(
            tmp_path / "a.yaml",
            "data: synthetic\n"
            "model:\n"
            "  widths: [{int: [0, 64]}, {int: [8, 64], log: 3}]\n"
            "  dropout:\n"
            "    float: [0, 1.5]\n"
            "  activation: {choice: [relu, reluu, {name: elu, alpha: {float: [0, 1]}}]}\n"
            "optimzer: {lr: {float: [1e-4, 1]}}\n"
            "epochs: {int: [4, 1]}\n"
            "search: {trails: 3}\n",
        )
        said = faults(path)
        starts = [
            f"{path}:3: model.widths[1].log: got 3; expected true or false",
            f"{path}:8: epochs.int: got [4, 1]; expected the smaller one first",
            f"{path}:9: search.trails: unknown key; did you mean 'trials'?",
            f"{path}:7: optimzer: unknown key; did you mean 'optimizer'?",
            f"{path}:3: model.widths[0]: got 0; expected an integer from 1 to 1,000,000,000",
            f"{path}:4: model.dropout: got 1.5; expected a number >= 0 and < 1",
            f"{path}:6: model.activation: no activation is called 'reluu'; did you mean 'relu'?",
            f"{path}:6: model.activation.alpha: got 0",
        ]
        assert len(said) == len(starts)
        for start in starts:
            assert any(line.startswith(start) for line in said), start

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"seed": {"int": [0, 9]}}, "seed: is left open; expected one seed; search.seeds is"),
            ({"device": {"choice": ["cpu"]}}, "device: is left open; expected one value, the same"),
            ({"metrics": [{"choice": ["r2"]}]}, "metrics[0]: is left open; expected one list"),
            ({"monitor": {"choice": ["last"]}}, "monitor: is left open; expected one value, since"),
            ({"data": {"choice": ["synthetic"]}}, "data: is left open; expected one value: other"),
            ({"data.source": {"choice": ["synthetic"]}}, "data.source: is left open; expected one"),
            ({"data.split.seed": {"int": [0, 3]}}, "data.split.seed: is left open; expected one"),
            ({"search.trials": {"int": [1, 3]}}, "search.trials: is left open; expected one value"),
            ({"search.objectives": ["val_f7"]}, "search.objectives[0]: got 'val_f7'; did you mean"),
            (
                {"search.objectives": ["loss"]},
                "search.objectives[0]: got 'loss'; expected val_loss",
            ),
            ({"search.constraints": ["parms < 3"]}, "search.constraints[0]: got 'parms' in"),
            ({"search.sampler": "randm"}, "search.sampler: no sampler is called 'randm'; did you"),
            ({"search": 3}, "search: got 3; expected a mapping (sampler, pruner, trials"),
        ],
        ids=str,
    )
    def test_what_may_not_be(self, change: dict[str, Any], said: str) -> None:
        config = {"data": {"source": "synthetic"}, "epochs": {"int": [1, 2]}}
        (line,) = faults(config, changes=change)
        assert said in line

    def test_how_the_data_is_prepared_may_be_open(self) -> None:
        found = load({"data": {"source": "synthetic", "scaling": {"choice": ["none", "robust"]}}})
        assert found.config({"data.scaling": 1}).data["scaling"] == "robust"

    def test_objectives_are_of_the_metrics(self) -> None:
        config = {"data": "synthetic", "epochs": {"int": [1, 2]}, "metrics": ["r2"]}
        found = load(config, ["search.objectives=[val_r2, flops]"])
        assert found.search.objectives == ["val_r2", "flops"]
        (line,) = faults(config, ["search.objectives=[val_rmse]"])
        assert "got 'val_rmse'; did you mean 'val_r2'? known: val_loss, val_r2, train" in line
        assert load(config, ["monitor=val_r2"]).search.objectives == ["val_r2"]
        assert load(config, ["monitor=last"]).search.objectives == ["val_loss"]
        (line,) = faults(config, ["search.objectives=[flops, flops]"])
        assert "got flops twice" in line

    def test_nothing_is_open(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.yaml", "data: synthetic\n")
        (line,) = faults(path)
        assert line.startswith(f"{path}:1: nothing is left open; expected a value such as {{choice")
        assert load(path, ["search.seeds=3"]).space.size == 1

    def test_a_grid_that_nobody_could_try(self) -> None:
        wide = {"data": "synthetic", "optimizer": {"name": "sgd"}, "search": {"sampler": "grid"}}
        overrides = [
            *(f"optimizer.{key}={{float: [0.1, 0.9]}}" for key in ("lr", "momentum")),
            "search.sampler={name: grid, steps: 400}",
        ]
        (line,) = faults(wide, overrides)
        assert "search.trials: 160,000 combinations; expected a number of them to try" in line
        assert load(wide, [*overrides, "search.trials=9"]).trials == 9
        assert load(wide, overrides[:2]).trials == 25
        assert load(wide, [*overrides[:2], "search.sampler=random"]).trials == 100

    def test_thousands_of_open_values(self) -> None:
        layers = [{"Linear": {"int": [8, 9]}} for _ in range(2000)] + [{"Linear": "out"}]
        found = load({"data": "synthetic", "model": {"layers": layers}})
        assert found.space.size == 2**2000
        assert len(found.config(drawn(found.space)).model["layers"]) == 2001


class TestIdentity:
    def test_it_reads_back_as_the_same(self, tmp_path: Path) -> None:
        (tmp_path / "home").mkdir()
        written(tmp_path / "home" / "rows.csv", "x,y\n1,2\n")
        text = SPACE.replace(
            "source: synthetic, rows: 60", "source: csv, path: rows.csv, target: y"
        )
        found = load(written(tmp_path / "home" / "a.yaml", text), ["search.warm_start=before"])
        again = load(written(tmp_path / "search.yaml", found.to_yaml()))
        assert again.name == found.name
        assert again.search == found.search
        assert Path(found.search.warm_start or "").is_absolute()
        assert again.to_yaml() == found.to_yaml()
        assert again.identity() == found.identity()
        assert again.differences(found) == []
        point = drawn(found.space)
        config = found.config(point)
        assert again.config(point).model_dump() == config.model_dump()
        assert config.data["path"] == str(tmp_path / "home" / "rows.csv")

    def test_what_differs(self, tmp_path: Path) -> None:
        one = load(written(tmp_path / "a.yaml", SPACE))
        same = load(written(tmp_path / "b.yaml", SPACE))
        assert (one.name, same.name) == ("a", "b")
        assert one.identity() == same.identity()
        assert one.differences(same) == []
        other = load(tmp_path / "a.yaml", ["search.trials=9", "epochs={choice: [2, 8]}"])
        assert one.identity() != other.identity()
        assert one.differences(other) == ["epochs.choice[1]", "search.trials"]

    def test_a_default_that_is_written_out_makes_no_other(self) -> None:
        config = {"data": "synthetic", "epochs": {"int": [1, 2]}}
        written_out = {**config, "search": {"seeds": 1, "objectives": ["val_loss"]}}
        assert load(config).identity() == load(written_out).identity()


OPEN = st.builds(
    lambda form, given, beside: {form: given, **beside},
    st.sampled_from(["choice", "int", "float"]),
    st.lists(SCALARS | st.integers(1, 9), max_size=3),
    st.dictionaries(st.sampled_from(["log", "step", "default", "name"]), SCALARS, max_size=1),
) | st.builds(lambda times, of: {"repeat": times, "of": of}, JUNK, JUNK)
PLACES = [
    "epochs",
    "model",
    "model.widths",
    "model.layers",
    "optimizer.lr",
    "data",
    "search.trials",
]


@settings(max_examples=60)
@given(valid_configs(), st.dictionaries(st.sampled_from(PLACES), OPEN | JUNK, max_size=3))
def test_whatever_is_open_is_a_search_or_its_faults(
    value: dict[str, Any], changes: dict[str, Any]
) -> None:
    found, lines = None, []
    try:
        found = load(value, changes=changes)
    except ConfigError as error:
        lines = error.lines
    assert all(line and len(line) < 2000 for line in lines)
    if found is None:
        return
    again = load(yamlfile.parse(found.to_yaml(), "search.yaml").value)
    assert again.identity() == found.identity()
    point = drawn(found.space)
    with contextlib.suppress(ConfigError):
        config = found.config(point)
        assert again.config(point).model_dump() == config.model_dump()


def test_a_range_without_an_end_in_sight() -> None:
    found = load({"data": "synthetic", "optimizer": {"lr": {"float": [1e-4, 1e-1], "log": True}}})
    assert found.space.size == math.inf
    rates = [point["optimizer.lr"] for point in found.space.points(4)]
    assert rates == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1])
