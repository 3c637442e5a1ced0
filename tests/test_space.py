"""What a config leaves open: how it is written, and the space of configs that it makes."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnarch.errors import ConfigError
from nnarch.layerlist import parse
from nnarch.space.domains import Choice, Float, Int
from nnarch.space.forms import is_open, open_values
from nnarch.space.space import Space
from nnarch.tree import differences


@pytest.mark.parametrize(
    "value",
    [
        {"choice": [1, 2]},
        {"choice": []},
        {"int": [1, 4]},
        {"float": [1e-4, 1e-1]},
        {"float": [1e-4, 1e-1], "log": True},
        {"float": 0.1},
        {"int": [1, 64], "step": 8, "default": 16},
        {"choice": ["a"], "name": "x"},
        {"choice": [1], "int": [1, 2]},
        {"float": [0, 1], "lgo": True},
        {"repeat": {"int": [1, 3]}, "of": 8},
    ],
    ids=str,
)
def test_open(value: Any) -> None:
    assert is_open(value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        1,
        "choice",
        ["choice"],
        {},
        {"log": True},
        {"default": 1, "name": "x"},
        {"int": 1, "float": 2},
        {"name": "mlp"},
        {"repeat": 3, "do": []},
    ],
    ids=str,
)
def test_closed(value: Any) -> None:
    assert not is_open(value)


@pytest.mark.parametrize(
    ("value", "paths"),
    [
        ({}, []),
        ({"a": 1, "b": [1, "x"]}, []),
        ({"a": {"int": [1, 2]}}, [("a",)]),
        ({"a": [1, {"b": {"int": [1, 2]}}]}, [("a", 1, "b")]),
        ({"a": [{"choice": [1]}, {"choice": [2]}]}, [("a", 0), ("a", 1)]),
        ({"a": {"choice": [{"int": [1, 2]}, 3]}}, [("a",)]),
        ({"int": [1, 2]}, []),
        ({"choice": [{"int": [1, 2]}]}, [("choice", 0)]),
        ({"data": {"types": {"int": "numeric"}}}, []),
    ],
)
def test_paths(value: Any, paths: list[Any]) -> None:
    assert list(open_values(value)) == paths
    if paths:
        assert {variable.path for variable in Space(value).variables} >= {*paths}
    else:
        assert Space(value).tree({}) == value


def drawn(space: Space, **values: Any) -> dict[str, Any]:
    """The config where these are drawn, and else the first value of all."""
    return space.walk(lambda variable: values.get(variable.key, variable.first))[0]


class TestForms:
    def test_what_a_variable_is(self) -> None:
        space = Space(
            {
                "a": {"int": [1, 9], "step": 2},
                "b": [{"float": [1, 1e2], "log": True}, 3],
                "c": {"choice": [{"name": "elu", "alpha": {"float": [0, 1]}}, "relu", "relu"]},
                "d": {"choice": [64, 8, 8.0], "default": 64},
            }
        )
        told = {variable.key: variable.domain for variable in space.variables}
        assert told["a"] == Int(1, 9, 2)
        assert told["b[0]"] == Float(1.0, 100.0, log=True)
        assert told["c:elu.alpha"] == Float(0.0, 1.0)
        assert told["d"] == Choice((8, 64), ordered=True)
        assert list(told) == ["a", "b[0]", "c", "c:elu.alpha", "d"]
        paths = [variable.path for variable in space.variables]
        assert paths == [("a",), ("b", 0), ("c",), ("c", "choice", 0, "alpha"), ("d",)]
        point = {"a": 3, "b[0]": 2.0, "c": 1, "d": 0}
        assert space.tree(point) == {"a": 3, "b": [2.0, 3], "c": "relu", "d": 8}
        assert space.shown(point) == {"a": 3, "b[0]": 2.0, "c": "relu", "d": 8}
        assert space.shown({"c": 0}) == {"c": "elu"}

    def test_options_of_one_name_are_told_apart(self) -> None:
        sgd = {"name": "sgd", "lr": {"int": [1, 2]}}
        space = Space({"o": {"choice": [sgd, {**sgd, "nesterov": True}]}})
        assert [variable.key for variable in space.variables] == ["o", "o:sgd.lr", "o:sgd#2.lr"]

    def test_one_name_is_one_value(self) -> None:
        width = {"int": [8, 9], "name": "width"}
        space = Space({"a": width, "b": [width, {"choice": [width, 1]}]})
        assert [variable.key for variable in space.variables] == ["width", "b[1]"]
        assert drawn(space, width=9) == {"a": 9, "b": [9, 9]}
        assert space.size == 4

    def test_a_list_of_open_length(self) -> None:
        space = Space({"w": {"repeat": {"int": [0, 2]}, "of": {"choice": [8, 16]}}})
        assert space.size == 1 + 2 + 4
        made = [space.tree(point)["w"] for point in space.points()]
        assert made == [[], [8], [16], [8, 8], [8, 16], [16, 8], [16, 16]]
        tied = Space({"w": {"repeat": {"int": [1, 2]}, "of": {"choice": [8, 16], "name": "w"}}})
        assert [tied.tree(point)["w"] for point in tied.points()] == [[8], [16], [8, 8], [16, 16]]

    def test_defaults(self) -> None:
        space = Space(
            {
                "a": {"int": [1, 9], "default": 4},
                "b": {"choice": ["x", {"name": "y", "z": {"float": [0, 1]}}], "default": "y"},
            }
        )
        point, without = space.by_default()
        assert point == {"a": 4, "b": 1, "b:y.z": 0.0}
        assert without == [("b", "choice", 1, "z")]


class TestLayers:
    """Open values in a list of layers."""

    def layers(self, *items: Any) -> Space:
        return Space({"model": {"layers": [*items, {"Linear": "out"}]}})

    def made(self, space: Space, **values: Any) -> list[Any]:
        made = drawn(space, **{f"model.layers{key}": value for key, value in values.items()})
        layers = made["model"]["layers"]
        assert parse(layers, ())[1] == []
        assert layers[-1] == {"Linear": "out"}
        return layers[:-1]

    def test_an_option_is_a_layer_several_or_none(self) -> None:
        space = self.layers(
            {"choice": ["ReLU", {"LeakyReLU": 0.1}, ["Tanh", {"Linear": {"int": [3, 4]}}], []]}
        )
        taken = [self.made(space, **{"[0]": place}) for place in range(4)]
        assert taken == [["ReLU"], [{"LeakyReLU": 0.1}], ["Tanh", {"Linear": 3}], []]
        assert space.size == 5

    def test_branches_are_lists_and_arguments_too(self) -> None:
        one, other = ["ReLU"], ["Tanh", "ReLU"]
        space = self.layers(
            {"sum": [{"choice": [one, other]}, ["GELU"]]},
            {"Conv2d": [4, {"choice": [[3, 5], 3]}]},
        )
        assert self.made(space) == [{"sum": [one, ["GELU"]]}, {"Conv2d": [4, [3, 5]]}]

    def test_a_repetition_of_what_is_closed_stays_one(self) -> None:
        width = {"int": [8, 9], "name": "width"}
        space = self.layers({"repeat": {"int": [1, 3]}, "do": [{"Linear": width}, "ReLU"]})
        assert space.size == 6
        made = drawn(space, **{"model.layers[0].repeat": 3, "width": 9})["model"]["layers"]
        assert made[0] == {"repeat": 3, "do": [{"Linear": 9}, "ReLU"]}

    def test_what_is_open_in_a_repetition_is_drawn_each_time(self) -> None:
        do = [{"Linear": {"int": [8, 9]}, "as": "x"}, {"sum": [[{"from": "x"}], ["ReLU"]]}]
        space = self.layers({"repeat": {"int": [1, 2]}, "do": do, "as": "block"}, {"from": "block"})
        assert space.size == 2 + 4
        first, second, link = self.made(
            space, **{"[0].repeat": 2, "[0].do:1[0].Linear": 8, "[0].do:2[0].Linear": 9}
        )
        assert first["do"][0] == {"Linear": 8, "as": "x_1"}
        assert second["do"] == [
            {"Linear": 9, "as": "x_2"},
            {"sum": [[{"from": "x_2"}], ["ReLU"]]},
        ]
        assert ("as" in first, second["as"], link) == (False, "block", {"from": "block"})

    def test_where_a_layer_was_written(self) -> None:
        space = self.layers(
            {"choice": [["Tanh", "GELU"], []]},
            {"repeat": 2, "do": [{"choice": ["ReLU", {"Linear": 3}]}]},
        )
        origins = space.origins(space.walk(lambda variable: variable.domain.at(0.9))[1])
        at = ("model", "layers")
        assert origins[(*at, 0)] == (*at, 1)
        assert origins[(*at, 1, "do", 0)] == (*at, 1, "do", 0, "choice", 1)
        assert origins[(*at, 2)] == (*at, 2)
        first = space.origins(space.walk(lambda variable: variable.first)[1])
        assert first[(*at, 1)] == (*at, 0, "choice", 0, 1)
        assert first[(*at, 2, "do", 0)] == (*at, 1, "do", 0, "choice", 0)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"int": [4, 1]}, "a.int: got [4, 1]; expected the smaller one first"),
        ({"int": [1]}, "a.int: got [1]; expected two integers, as [1, 4]"),
        ({"int": [1, 2.5]}, "a.int: got [1, 2.5]; expected two integers"),
        ({"int": [True, 4]}, "a.int: got [True, 4]; expected two integers"),
        ({"int": 3}, "a.int: got 3; expected two integers"),
        ({"int": [1, 10**13]}, "a.int: got [1, 10000000000000]; expected two integers"),
        ({"float": ["x", 1]}, "a.float: got ['x', 1]; expected two numbers, as [1e-4, 1e-1]"),
        ({"float": [0, 1], "log": True}, "a.float: got [0, 1] on a log scale; expected both > 0"),
        ({"int": [-1, 1], "log": True}, "a.int: got [-1, 1] on a log scale; expected both > 0"),
        ({"float": [0, 1], "log": "yes"}, "a.log: got 'yes'; expected true or false"),
        ({"float": [0, 1], "step": 0}, "a.step: got 0; expected a number > 0"),
        ({"int": [0, 8], "step": 0.5}, "a.step: got 0.5; expected an integer >= 1"),
        (
            {"float": [0, 1], "step": 1e-12},
            "a.step: got 1e-12, which makes more than 1,000,000,000",
        ),
        ({"float": [1, 2], "step": 1, "log": True}, "a.step: stands beside log: true"),
        ({"float": [0, 1], "lgo": True}, "a.lgo: unknown key beside float; did you mean 'log'?"),
        ({"choice": [1], "step": 2}, "a.step: unknown key beside choice; "),
        ({"choice": []}, "a.choice: got []; expected a list of at least one option"),
        ({"choice": "relu"}, "a.choice: got 'relu'; expected a list of at least one option"),
        ({"choice": [1], "int": [1, 2]}, "a: got choice and int; expected one of them"),
        ({"choice": ["x", "y"], "default": "z"}, "a.default: got 'z'; expected one of x, y"),
        ({"int": [1, 4], "default": 5}, "a.default: got 5; expected an integer from 1 to 4"),
        ({"int": [0, 8], "step": 4, "default": 5}, "expected an integer from 0 to 8 in steps of 4"),
        ({"int": [1, 4], "name": "a.b"}, "a.name: got 'a.b'; expected a name of letters"),
        ({"choice": [{"x": {"int": [2, 1]}}]}, "a.choice[0].x.int: got [2, 1]; expected"),
        ({"repeat": {"int": [-1, 2]}, "of": 8}, "a.repeat: got {'int': [-1, 2]}; expected an"),
        ({"repeat": {"float": [1, 2]}, "of": 8}, "a.repeat: got {'float': [1, 2]}; expected an"),
        ({"repeat": 2, "of": 8}, "a: leaves nothing open; expected a list of values"),
        ({"repeat": {"int": [1, 999]}, "of": [{"int": [1, 2]}] * 20}, "makes more than 10,000"),
    ],
    ids=str,
)
def test_an_open_value_that_is_not_well_written(value: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Space({"a": value})
    (line,) = caught.value.lines
    assert said in line


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (
            {"a": {"int": [1, 2], "name": "n"}, "b": {"int": [1, 3], "name": "n"}},
            "b.name: 'n' is open to other values in a; expected the same ones, or another name",
        ),
        (
            {"a": {"int": [1, 2]}, "b": {"int": [1, 2], "name": "a"}},
            "b.name: 'a' is what another open value is called; expected another name",
        ),
    ],
)
def test_a_name_that_is_taken(value: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Space(value)
    assert caught.value.lines == [said]


def test_the_size_of_what_nobody_could_try() -> None:
    wide = {f"k{place}": {"int": [1, 10**9]} for place in range(50)}
    assert Space(wide).size == 10**450
    assert Space({**wide, "f": {"float": [0, 1]}}).size == math.inf
    assert Space(wide).count(steps=3) == 3**50


NAMES = st.sampled_from([None, "n", "m"])
RANGES = {"n": {"int": [1, 3], "name": "n"}, "m": {"choice": ["p", "q"], "name": "m"}}
LEAVES = st.one_of(
    st.integers(0, 5),
    st.builds(lambda low, width: {"int": [low, low + width]}, st.integers(0, 5), st.integers(0, 3)),
    st.sampled_from(["n", "m"]).map(lambda name: RANGES[name]),
    st.just({"choice": ["x", "y"], "default": "y"}),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(st.sampled_from(["k", "l"]), inner, max_size=2),
        st.lists(inner, min_size=1, max_size=3).map(lambda options: {"choice": options}),
        inner.map(lambda value: {"repeat": {"int": [0, 2]}, "of": [value, {"int": [7, 8]}]}),
    ),
    max_leaves=5,
)
ITEMS = st.recursive(
    st.one_of(st.just("ReLU"), LEAVES.map(lambda value: {"Linear": value})),
    lambda inner: st.one_of(
        st.lists(inner | st.lists(inner, max_size=2), min_size=1, max_size=3).map(
            lambda options: {"choice": options}
        ),
        st.lists(inner, min_size=1, max_size=2).map(
            lambda items: {"repeat": {"int": [1, 2]}, "do": items}
        ),
        st.lists(inner, min_size=1, max_size=2).map(lambda items: {"residual": items}),
    ),
    max_leaves=4,
)
SPACES = st.builds(
    lambda values, items: Space({**values, "model": {"layers": items}}),
    st.dictionaries(st.sampled_from(["a", "b"]), VALUES, max_size=2),
    st.lists(ITEMS, max_size=2),
)


@given(SPACES, st.randoms(use_true_random=False))
def test_a_point_makes_the_config_that_it_was_drawn_with(space: Space, random: Any) -> None:
    known = {variable.key: variable for variable in space.variables}
    assert len(known) == len(space.variables)
    asked: list[str] = []

    def choose(variable: Any) -> Any:
        asked.append(variable.key)
        return variable.domain.at(random.random())

    tree, point = space.walk(choose)
    assert asked == list(point)
    assert all(known[key].domain.contains(value) for key, value in point.items())
    assert space.tree(point) == tree
    assert not list(open_values(tree))
    reached = dict.fromkeys(point, False)

    class Asked(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            reached[key] = True
            return super().__getitem__(key)

    space.tree(Asked(point))
    assert all(reached.values())
    assert {*space.shown(point)} == {*point}


@settings(max_examples=60)
@given(SPACES)
def test_a_grid_has_each_point_once(space: Space) -> None:
    if space.size > 300:
        return
    points = [tuple(sorted(point.items())) for point in space.points()]
    assert len(points) == len({*points}) == space.size == space.count()


@given(SPACES, st.randoms(use_true_random=False))
def test_what_lies_where_it_was_written_or_is_known_to_have_moved(
    space: Space, random: Any
) -> None:
    tree, point = space.walk(lambda variable: variable.domain.at(random.random()))
    for made in space.origins(point):
        value: Any = tree
        for key in made:
            value = value[key]


def test_corners_try_every_end_and_option() -> None:
    space = Space(
        {
            "a": {"float": [0, 1], "default": 0.5},
            "o": {"choice": ["x", {"name": "y", "z": {"int": [1, 9]}}]},
            "w": {"repeat": {"int": [0, 3]}, "of": {"int": [8, 64]}},
        }
    )
    points = list(space.corners())
    assert points[0] == {"a": 0.5, "o": 0, "w.repeat": 0}
    tried = {key: {point[key] for point in points if key in point} for key in points[-1]}
    assert tried["a"] == {0.0, 0.5, 1.0}
    assert tried["w.repeat"] == {0, 3}
    assert tried["w[0]"] == {8, 64}
    assert {point.get("o:y.z") for point in points} == {None, 1, 9}
    trees = [space.tree(point) for point in points]
    assert len(trees) == 1 + 2 + 2 + 2 + 2 + 2
    assert [list(differences(trees[0], tree)) for tree in trees[1:3]] == [[("a",)], [("a",)]]
