"""What a config may say, told to people and to editors: both from what it is checked against."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from conftest import Command, mutated_configs, valid_configs
from nnarch import config as configs
from nnarch import describe, exploration, yamlfile
from nnarch.errors import ConfigError, UsageError
from nnarch.registry import REGISTRIES

SCHEMA = describe.schema()
CHECKER = Draft202012Validator(SCHEMA)
CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))


def test_the_schema_is_a_json_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    json.dumps(SCHEMA)


def test_every_reference_leads_somewhere() -> None:
    def references(part: Any) -> list[str]:
        if isinstance(part, dict):
            own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
            return own + references(list(part.values()))
        if isinstance(part, list):
            return [found for inner in part for found in references(inner)]
        return []

    for reference in set(references(SCHEMA)):
        assert reference.removeprefix("#/$defs/") in SCHEMA["$defs"]


def test_every_key_and_component_is_described() -> None:
    assert SCHEMA["properties"].keys() == {*configs.Config.model_fields, "search"}
    for key, part in SCHEMA["properties"].items():
        assert part["description"].endswith("."), key
    for kind, registry in REGISTRIES.items():
        for component in registry:
            described = SCHEMA["$defs"][f"{kind}.{component.name}"]
            assert described["description"] == component.summary
            options = {*component.schema.model_fields, registry.kind.key}
            assert described["properties"].keys() == options


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_of_ours_fits(path: Path) -> None:
    assert list(CHECKER.iter_errors(yamlfile.read(path).value)) == []


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_fits_when_it_is_complete(path: Path) -> None:
    complete = configs.load(path, defaults=True).to_yaml()
    assert list(CHECKER.iter_errors(yamlfile.parse(complete, "resolved.yaml").value)) == []


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": 3},
        {"epochs": 0},
        {"epochs": "10"},
        {"epochs": True},
        {"epochs": 1.5},
        {"epochs": None},
        {"seed": -1},
        {"batch_size": "some"},
        {"device": "gpu"},
        {"name": "a/b"},
        {"data": {"source": "synthetic", "row": 3}},
        {"data": {"source": "syntetic"}},
        {"data": {"rows": 3}},
        {"data": {"source": "csv", "target": "y"}},
        {"data": {"source": "synthetic", "split": {"test": 0}}},
        {"data": None},
        {"model": "mpl"},
        {"model": {"name": "mlp", "width": [3]}},
        {"model": {"widths": 3}},
        {"model": {"widths": [0]}},
        {"model": {"dropout": 1}},
        {"model": {"activation": "reluu"}},
        {"model": {"activation": {"name": "elu", "alpha": 0}}},
        {"model": {"activation": {"name": "relu", "alpha": 1}}},
        {"model": {"initialization": {"name": "constant"}}},
        {"loss": {"delta": 1}},
        {"loss": {"name": "huber", "delta": "x"}},
        {"loss": ["mse"]},
        {"optimizer": {"name": "adam", "momentum": 0.9}},
        {"optimizer": {"lr": 0}},
        {"optimizer": {"betas": [0.9]}},
        {"schedule": {"name": "cosine", "warmup": -1}},
        {"metrics": "f1"},
        {"metrics": ["f7"]},
        {"metrics": [{"name": "f1", "average": "x"}]},
        {"clip": {"nrom": 1}},
        {"early_stopping": {"patience": 0}},
        {"average": {"decay": 1}},
        {"monitor": "loss"},
    ],
    ids=str,
)
def test_a_typical_mistake_does_not_fit(change: dict[str, Any]) -> None:
    right = {"data": {"source": "synthetic"}}
    assert CHECKER.is_valid(right)
    assert not CHECKER.is_valid(right | change)
    with pytest.raises(ConfigError):
        configs.load(right | change)


@pytest.mark.parametrize(
    "change",
    [
        {"data": "synthetic"},
        {"loss": None},
        {"loss": "mse"},
        {"metrics": None},
        {"metrics": ["f1", {"name": "f1"}]},
        {"model": {"widths": []}},
        {"model": {"activation": "elu"}},
        {"epochs": 1e3},
        {"optimizer": {"lr": 1}},
        {"clip": None},
        {"clip": {}},
    ],
    ids=str,
)
def test_every_short_way_to_write_fits(change: dict[str, Any]) -> None:
    assert CHECKER.is_valid({"data": {"source": "synthetic"}} | change)


OPEN = [
    {"epochs": {"int": [1, 4]}},
    {"optimizer": {"choice": ["adamw", {"name": "sgd", "lr": {"float": [1e-4, 1e-1]}}]}},
    {"optimizer": {"lr": {"float": [1e-4, 1e-1], "log": True, "default": 1e-3}}},
    {"model": {"widths": [{"int": [8, 64], "step": 8, "name": "width"}, 32]}},
    {"model": {"widths": {"repeat": {"int": [1, 3]}, "of": {"int": [8, 64]}}}},
    {"model": {"activation": {"choice": ["relu", "gelu"]}, "dropout": {"float": [0, 0.5]}}},
    {"model": {"layers": [{"choice": ["ReLU", []]}, {"repeat": {"int": [1, 2]}, "do": ["ReLU"]}]}},
    {"data": {"source": "synthetic", "scaling": {"choice": ["none", "standard"]}}},
    {"early_stopping": {"patience": {"int": [3, 9]}}, "freeze": {"choice": [[], ["biases"]]}},
    {
        "search": {
            "sampler": {"name": "grid", "steps": 3},
            "trials": 5,
            "constraints": ["depth < 3"],
        }
    },
]


@pytest.mark.parametrize("change", OPEN, ids=str)
def test_what_may_be_open_fits_where_it_is(change: dict[str, Any]) -> None:
    config = {"data": {"source": "synthetic"}, **change}
    assert list(CHECKER.iter_errors(config)) == []
    assert exploration.load(config, ["search.seeds=2"])


@pytest.mark.parametrize(
    "change",
    [
        {"seed": {"int": [0, 9]}},
        {"data": {"source": {"choice": ["synthetic"]}}},
        {"data": {"source": "synthetic", "split": {"seed": {"int": [0, 9]}}}},
        {"epochs": {"int": [1]}},
        {"epochs": {"int": [1, 2], "lgo": True}},
        {"search": {"trails": 3}},
        {"search": {"sampler": "randm"}},
        {"search": {"trials": {"int": [1, 3]}}},
    ],
    ids=str,
)
def test_what_may_not_be_open_or_explored_so_does_not_fit(change: dict[str, Any]) -> None:
    config = {"data": {"source": "synthetic"}, **change}
    assert not CHECKER.is_valid(config)
    with pytest.raises(ConfigError):
        exploration.load(config, ["search.seeds=2"])


@settings(max_examples=50)
@given(valid_configs())
def test_any_right_config_fits(value: dict[str, Any]) -> None:
    assert list(CHECKER.iter_errors(value)) == []


@settings(max_examples=150)
@given(mutated_configs())
def test_what_is_accepted_fits(value: dict[str, Any]) -> None:
    try:
        configs.load(copy.deepcopy(value))
    except ConfigError:
        return
    assert list(CHECKER.iter_errors(value)) == []


class TestComponents:
    def test_kinds_and_their_members(self) -> None:
        listed = describe.components()
        assert listed.keys() == REGISTRIES.keys()
        assert listed["schedule"] == REGISTRIES["schedule"].names()

    def test_the_members_of_a_kind(self) -> None:
        listed = describe.components("activation")
        assert list(listed) == sorted(listed)
        assert listed["relu"].startswith("Zero for negative numbers")

    def test_one_member(self) -> None:
        shown = describe.components("loss", "huber")
        assert (shown["kind"], shown["name"]) == ("loss", "huber")
        assert shown["summary"].startswith("Squared for small errors")
        (option,) = shown["options"]
        assert option == {
            "name": "delta",
            "accepts": "a number > 0",
            "required": False,
            "default": 1.0,
            "sentence": option["sentence"],
        }
        file, line = shown["where"].rsplit(":", 1)
        assert "def huber" in "".join(Path(file).read_text().splitlines()[int(line) - 1 :][:3])

    def test_options_of_every_kind(self) -> None:
        shown = {option["name"]: option for option in describe.components("data", "csv")["options"]}
        assert list(shown)[:2] == ["path", "target"]
        assert list(shown)[-2:] == ["target_scaling", "target_transform"]
        assert shown["path"]["required"]
        assert shown["split"]["default"]["train"] == 0.8
        activation = describe.components("model", "mlp")["options"][1]
        assert (activation["accepts"], activation["default"]) == ("an activation", "relu")

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["modle"], "no kind of component is called 'modle'; did you mean 'model'? known: "),
            (["model", "mpl"], "no model is called 'mpl'; did you mean 'mlp'? known: cnn, "),
            (["data", "cvs"], "no data source is called 'cvs'; did you mean 'csv'? known: csv"),
        ],
    )
    def test_an_unknown_word(self, words: list[str], message: str) -> None:
        with pytest.raises(UsageError) as caught:
            describe.components(*words)
        assert str(caught.value).startswith(message)

    def test_everything_is_plain_data(self) -> None:
        for kind, registry in REGISTRIES.items():
            for name in registry.names():
                json.dumps(describe.components(kind, name))


class TestText:
    """What `nnarch components` prints for people."""

    def test_kinds(self) -> None:
        lines = describe.as_text(width=60).splitlines()
        assert lines[0].startswith("model           cnn, dlinear, ")
        assert lines[1].startswith("                ")
        begins = [line.split()[0] for line in lines if not line.startswith(" ")]
        assert begins == list(REGISTRIES)
        assert all(len(line) <= 60 for line in lines)

    def test_a_kind(self) -> None:
        text = describe.as_text("optimizer")
        members, _, own = text.partition("\n\n")
        assert members.splitlines()[0].startswith("adadelta   ")
        assert own.startswith("Of your own, with --plugin FILE: given the network's parameters;")

    def test_a_member(self) -> None:
        text = describe.as_text("loss", "huber", width=70)
        head, options, where = text.split("\n\n")
        assert head.startswith("huber: Squared for small errors")
        assert options.splitlines()[0].startswith("delta  ")
        assert options.splitlines()[-1] == "       a number > 0; default 1"
        assert where.startswith("Defined in ")
        assert where.rsplit(":", 1)[0].endswith("losses.py")

    def test_a_member_without_options(self) -> None:
        assert "\n\nIt has no options.\n\n" in describe.as_text("loss", "mse")

    @pytest.mark.parametrize(
        ("kind", "name", "line"),
        [
            ("model", "mlp", "a list (each an integer from 1 to 1,000,000,000); default"),
            ("model", "mlp", "an activation; default relu"),
            ("model", "mlp", "true or false; default true"),
            ("optimizer", "adamw", "a number > 0; default 1e-08"),
            ("optimizer", "adamw", "[0.9, 0.999]"),
            ("data", "csv", "text that is not empty or a list (at least one, each"),
            ("data", "csv", "'auto', ',', ';', '|', 'tab' or 'space'; default auto"),
            ("data", "csv", "time, folds, fold); default {train: 0.8, val: 0.1, test: 0.1,"),
            ("data", "csv", "a list (each text that is not empty) or null; default null"),
        ],
    )
    def test_a_line(self, kind: str, name: str, line: str) -> None:
        assert any(line in found for found in describe.as_text(kind, name).splitlines())

    @pytest.mark.parametrize("width", [40, 80, 200])
    def test_every_page_fits_and_is_aligned(self, width: int) -> None:
        for kind, registry in REGISTRIES.items():
            for name in registry.names():
                text = describe.as_text(kind, name, width)
                assert "\xa0" not in text
                body = text.split("\n\n")[1].splitlines()
                if width >= 80:
                    assert all(len(line) <= width for line in body)
                assert all(line == line.rstrip() for line in text.splitlines())


def test_the_command_prints_the_same(nnarch_light: Command) -> None:
    done = nnarch_light("components", "loss", "--json")
    assert json.loads(done.stdout) == describe.components("loss")
    assert done.stderr == ""
    done = nnarch_light("components", "loss", "huber", env={"COLUMNS": "70"})
    assert done.stdout == describe.as_text("loss", "huber", width=70) + "\n"
    done = nnarch_light("components", env={"COLUMNS": "100"})
    assert done.stdout == describe.as_text(width=100) + "\n"
    done = nnarch_light("schema")
    assert json.loads(done.stdout) == json.loads(json.dumps(SCHEMA))
