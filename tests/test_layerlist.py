"""The grammar of lists of layers: every form, every fault with its path, and junk of any kind."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import JUNK
from nnarch import layerlist
from nnarch.layerlist import Item, parse, walk
from nnarch.validate import dotted, fill_component

AT = ("model", "layers")


def items(raw: Any) -> tuple[Item, ...]:
    parsed, faults = parse(raw, AT)
    assert not faults
    return parsed


def one(raw: Any) -> Item:
    (item,) = items([raw])
    return item


@pytest.mark.parametrize(
    ("raw", "word", "value"),
    [
        ("Linear", "Linear", None),
        ("relu", "relu", None),
        ({"Linear": 64}, "Linear", 64),
        ({"Conv2d": [16, 3]}, "Conv2d", [16, 3]),
        ({"Linear": {"out_features": 64}}, "Linear", {"out_features": 64}),
        ({"Flatten": None}, "Flatten", None),
    ],
    ids=str,
)
def test_a_layer_is_a_name_with_or_without_arguments(raw: Any, word: str, value: Any):
    item = one(raw)
    assert (item.word, item.value, item.path) == (word, value, (*AT, 0))
    assert item.is_layer
    assert item.lists == ()


def test_what_stands_beside_a_layer():
    item = one({"Linear": "out", "as": "last", "tie": "first"})
    assert (item.name, dict(item.options)) == ("last", {"tie": "first"})


STRUCTURES: dict[str, tuple[dict[str, Any], list[list[str]], dict[str, Any]]] = {
    "residual": ({"residual": ["a", "b"]}, [["a", "b"]], {}),
    "residual of one layer": ({"residual": "a"}, [["a"]], {}),
    "residual of one layer with arguments": ({"residual": {"Linear": 3}}, [["Linear"]], {}),
    "residual of nothing": ({"residual": []}, [[]], {}),
    "residual with all": (
        {"residual": ["a"], "project": True, "drop": 0.5}, [["a"]], {"project": True, "drop": 0.5},
    ),
    "repeat": ({"repeat": 3, "do": ["a", "b"]}, [["a", "b"]], {}),
    "repeat of one layer": ({"repeat": 1, "do": "a"}, [["a"]], {}),
    "concat": ({"concat": [["a"], ["b", "c"]], "dim": -1}, [["a"], ["b", "c"]], {"dim": -1}),
    "branches of one layer": ({"sum": ["a", {"Linear": 3}]}, [["a"], ["Linear"]], {}),
    "a branch of nothing": ({"mul": [[], ["a"], ["b"]]}, [[], ["a"], ["b"]], {}),
    "from": ({"from": "h.0.12"}, [], {}),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "lists", "options"), STRUCTURES.values(), ids=STRUCTURES)
def test_a_structure_holds_lists(
    raw: dict[str, Any], lists: list[list[str]], options: dict[str, Any]
):
    item = one({**raw, "as": "h"})
    assert item.word == next(iter(raw))
    assert [[inner.word for inner in each] for each in item.lists] == lists
    assert dict(item.options) == options
    assert item.name == "h"
    assert not item.is_layer


def test_an_item_knows_where_it_stands():
    raw = [
        "a",
        {"residual": ["b", {"concat": [["c"], "d"]}]},
        {"repeat": 2, "do": {"Linear": 3}},
    ]
    paths = {item.word: dotted(item.path) for item in walk(items(raw))}
    assert paths == {
        "a": "model.layers[0]",
        "residual": "model.layers[1]",
        "b": "model.layers[1].residual[0]",
        "concat": "model.layers[1].residual[1]",
        "c": "model.layers[1].residual[1].concat[0][0]",
        "d": "model.layers[1].residual[1].concat[1]",
        "repeat": "model.layers[2]",
        "Linear": "model.layers[2].do",
    }


WRONG: dict[str, tuple[Any, str, str]] = {
    # what is given, where the fault is, what it says
    "no list": ("Linear", "", "got 'Linear'; expected a list of layers"),
    "a mapping": ({"Linear": 3}, "", "expected a list of layers"),
    "a number": ([3], "[0]", "got 3; expected a layer, such as Linear"),
    "nothing": ([None], "[0]", "got null; expected a layer"),
    "a list": ([["Linear"]], "[0]", r"got \['Linear'\]; expected a layer"),
    "two layers": ([{"Linear": 3, "ReLU": None}], "[0]", "got Linear and ReLU; expected one layer"),
    "no layer": ([{"as": "h"}], "[0]", r"got \['as'\] alone; expected one layer an item"),
    "an empty mapping": ([{}], "[0]", "expected one layer an item"),
    "no name": (["Linear 64"], "[0]", "no layer is called 'Linear 64'"),
    "an empty name": ([""], "[0]", "no layer is called ''"),
    "a name like an import": (["torch.nn.Linear"], "[0]", "no layer is called 'torch.nn.Linear'"),
    "another": ([{"__import__('os')": 3}], "[0].__import__('os')", "no layer is called"),
    "a long name": (["a" * 99], "[0]", r"no layer is called '[a]+\.\.\.; expected"),
    "left open": ([{"choice": ["ReLU", "GELU"]}], "[0].choice", "is left open"),
    "an unknown option": ([{"residual": ["a"], "dim": 1}], "[0].dim", "beside residual; expected"),
    "of another": ([{"Linear": 3, "drop": 0.1}], "[0].drop", "beside Linear; expected tie, as"),
    "as": (["a", {"b": 1, "as": "h.0"}], "[1].as", "got 'h.0'; expected a name of letters"),
    "as a number": ([{"b": 1, "as": 3}], "[0].as", "got 3; expected a name of letters"),
    "tie": ([{"Linear": "out", "tie": ["h"]}], "[0].tie", "expected the name of a layer before"),
    "project": ([{"residual": ["a"], "project": 1}], "[0].project", "got 1; expected true"),
    "drop": ([{"residual": ["a"], "drop": 1}], "[0].drop", "got 1; expected a number >= 0 and < 1"),
    "a bool": ([{"residual": ["a"], "drop": True}], "[0].drop", "expected a number >= 0"),
    "dim": ([{"concat": ["a", "b"], "dim": "x"}], "[0].dim", "expected a dimension of a sample"),
    "from": ([{"from": 3}], "[0].from", "got 3; expected the name of an item before"),
    "from a path": ([{"from": "../h"}], "[0].from", "expected the name of an item before"),
    "repeat": ([{"repeat": 0, "do": "a"}], "[0].repeat", "got 0; expected an integer >= 1"),
    "repeat true": ([{"repeat": True, "do": "a"}], "[0].repeat", "got true; expected an integer"),
    "repeat text": ([{"repeat": "3", "do": "a"}], "[0].repeat", "got '3'; expected an integer"),
    "repeat of nothing": ([{"repeat": 2}], "[0]", "repeats nothing; expected do:"),
    "do": ([{"repeat": 2, "do": 3}], "[0].do", "got 3; expected a list of layers"),
    "residual": ([{"residual": 3}], "[0].residual", "got 3; expected a list of layers"),
    "one branch": ([{"sum": [["a"]]}], "[0].sum", "expected a list of two lists or more"),
    "no branches": ([{"concat": "a"}], "[0].concat", "got 'a'; expected a list of two lists"),
    "within": ([{"residual": [{"sum": ["a", 3]}]}], "[0].residual[0].sum[1]", "got 3; expected"),
    "after out": (
        [{"Linear": "out"}, "ReLU"], "[1]", "ReLU comes after a layer as wide as 'out'",
    ),
    "after out by name": (
        [{"Linear": {"out_features": "out"}}, "Flatten"], "[1]", "Flatten comes after a layer",
    ),
    "after out in a branch": (
        [{"sum": ["a", [{"Linear": "out"}]]}, "ReLU"], "[1]", "ReLU comes after",
    ),
    "after out within a residual": (
        [{"residual": [{"Linear": "out"}, "ReLU"]}], "[0].residual[1]", "ReLU comes after",
    ),
    "out again and again": (
        [{"repeat": 2, "do": {"Linear": "out"}}], "[0]", "repeats a layer as wide as 'out'",
    ),
    "a name twice": (
        [{"a": 1, "as": "h"}, {"residual": {"b": 1, "as": "h"}}], "[1].residual.as",
        "'h' is the name of another item",
    ),
    "a name in two repetitions": (
        [{"repeat": 2, "do": {"a": 1, "as": "h"}}, {"repeat": 2, "do": {"b": 1, "as": "h"}}],
        "[1].do.as", "'h' is the name of another item",
    ),
    "nothing, and again": ([{"repeat": 10**9, "do": []}], "[0]", "makes 1,000,000,000 layers"),
    "too many": (["a"] * 5_001, "[5000]", "makes 5,001 layers; expected at most 5,000"),
    "too many times": ([{"repeat": 10**9, "do": "a"}], "[0]", "makes 1,000,000,000 layers"),
    "times and times": (
        [{"repeat": 100, "do": {"repeat": 100, "do": "a"}}], "[0]", "makes 10,000 layers",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "place", "said"), WRONG.values(), ids=WRONG)
def test_a_fault_says_where_and_what(raw: Any, place: str, said: str):
    _, faults = parse(raw, AT)
    assert [dotted(fault.path) for fault in faults] == [f"model.layers{place}"]
    (fault,) = faults
    assert re.search(said, fault.message), fault.message
    assert len(fault.message) < 300


def test_every_fault_is_told_at_once():
    _, faults = parse(
        [3, {"residual": ["a b", {"repeat": 0, "do": "c"}]}, {"Linear": 1, "dim": 0}], AT
    )
    assert [dotted(fault.path) for fault in faults] == [
        "model.layers[0]",
        "model.layers[1].residual[0]",
        "model.layers[1].residual[1].repeat",
        "model.layers[2].dim",
    ]


@pytest.mark.parametrize("last", ["ReLU", {"Linear": 3}, {"concat": [["a"], ["b"]]}], ids=str)
def test_only_out_ends_a_network(last: Any):
    assert not parse(["a", last, "b"], AT)[1]


NAMES = st.sampled_from(
    ["Linear", "relu", "out", "residual", "repeat", "concat", "from", "do", "as", "tie", "dim"]
)
VALUES = st.recursive(
    JUNK | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


@given(VALUES)
def test_junk_is_refused_in_words_or_is_a_list(raw: Any):
    before = json.dumps(raw)
    parsed, faults = parse(raw, AT)
    for fault in faults:
        assert fault.path[:2] == AT
        assert fault.message
        assert "\n" not in fault.message
    if not faults:
        assert isinstance(raw, list)
        assert len(parsed) == len(raw)
    assert json.dumps(raw) == before, "what was given is left alone"


@given(VALUES)
def test_junk_in_a_config_is_a_fault_and_no_exception(raw: Any):
    filled, faults = fill_component("model", {"layers": raw}, ("model",))
    assert faults or filled["layers"] == raw


def test_every_word_of_the_grammar_is_in_the_docstring():
    assert layerlist.__doc__
    for word in (*layerlist.BESIDE, *layerlist.OPTIONS, *layerlist.SYMBOLS):
        assert word in layerlist.__doc__ or word == "same", word
