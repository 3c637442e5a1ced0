"""Merging keeps the last word on every key, and remembers where each value was said."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnarch.errors import ConfigError
from nnarch.tree import Tree, plain
from nnarch.validate import Path


def at(place: str) -> Callable[[Path], str]:
    return lambda path: f"{place}:{'.'.join(map(str, path))}"


def merged(*values: dict[str, Any]) -> Tree:
    tree = Tree()
    for number, value in enumerate(values):
        tree.merge(value, at(f"file{number}"))
    return tree


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}}, {"a": {"x": 1, "y": 3}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"x": 1}}, {"a": None}, {"a": None}),
        ({"a": None}, {"a": {"x": 1}}, {"a": {"x": 1}}),
        ({"a": {"x": 1}}, {"a": 5}, {"a": 5}),
        ({"a": 5}, {"a": {"x": 1}}, {"a": {"x": 1}}),
        ({"a": "elu"}, {"a": {"alpha": 1}}, {"a": {"name": "elu", "alpha": 1}}),
        ({"a": "elu"}, {"a": {"name": "celu", "alpha": 1}}, {"a": {"name": "celu", "alpha": 1}}),
        ({"a": "elu"}, {"a": "relu"}, {"a": "relu"}),
        ({"a": {"name": "elu", "alpha": 1}}, {"a": "relu"}, {"a": "relu"}),
        ({"a": {"name": "elu", "alpha": 1}}, {"a": {"name": "relu"}}, {"a": {"name": "relu"}}),
        ({"a": {"alpha": 1}}, {"a": {"name": "elu"}}, {"a": {"alpha": 1, "name": "elu"}}),
        ({"data": "csv"}, {"data": {"rows": 1}}, {"data": {"source": "csv", "rows": 1}}),
        (
            {"data": {"source": "csv", "path": "x", "split": {"seed": 1}}},
            {"data": {"split": {"val": 0.2}, "source": "synthetic"}},
            {"data": {"source": "synthetic", "split": {"seed": 1, "val": 0.2}}},
        ),
        ({"name": "a", "x": 1}, {"name": "b"}, {"name": "b", "x": 1}),
        ({"a": {"source": "x", "y": 1}}, {"a": {"source": "z"}}, {"a": {"source": "z", "y": 1}}),
        ({"a": "relu"}, {"a": {"choice": ["relu", "elu"]}}, {"a": {"choice": ["relu", "elu"]}}),
        ({"a": {"int": [1, 2]}}, {"a": {"choice": [3]}}, {"a": {"choice": [3]}}),
        ({"a": {"choice": ["elu"]}}, {"a": {"alpha": 1}}, {"a": {"alpha": 1}}),
    ],
)
def test_merge(one: dict[str, Any], two: dict[str, Any], expected: dict[str, Any]) -> None:
    assert merged(one, two).value == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("a",), {"a": 0, "b": {"c": [1, {"d": 2}]}}),
        (("b", "c", 0), {"a": "elu", "b": {"c": [0, {"d": 2}]}}),
        (("b", "c", 1, "d"), {"a": "elu", "b": {"c": [1, {"d": 0}]}}),
        (("b", "new"), {"a": "elu", "b": {"c": [1, {"d": 2}], "new": 0}}),
        (("x", "y"), {"a": "elu", "b": {"c": [1, {"d": 2}]}, "x": {"y": 0}}),
        (("a", "alpha"), {"a": {"name": "elu", "alpha": 0}, "b": {"c": [1, {"d": 2}]}}),
    ],
)
def test_set(path: Path, expected: dict[str, Any]) -> None:
    tree = merged({"a": "elu", "b": {"c": [1, {"d": 2}]}})
    tree.set(path, 0, at("line"))
    assert tree.value == expected
    assert tree.place(path) == f"line:{'.'.join(map(str, path))}"


@pytest.mark.parametrize(
    "path", [("a", "x"), ("a", 0), ("b", "x"), ("b", 2), ("b", 0, "x"), ("c", 0), ("d", 0)]
)
def test_what_holds_no_such_key_is_left_alone(path: Path) -> None:
    value = {"a": 1, "b": [1, 2], "d": "elu"}
    tree = merged(value)
    with pytest.raises((KeyError, IndexError, TypeError)):
        tree.set(path, 0, at("line"))
    assert tree.value == {"a": 1, "b": [1, 2], "d": "elu"}


class TestPlaces:
    """A value's place is where it was last said; what nobody said stands with what holds it."""

    def test_of_files(self) -> None:
        tree = merged({"a": {"x": 1, "y": [1]}}, {"a": {"x": 2}})
        assert tree.place(("a", "x")) == "file1:a.x"
        assert tree.place(("a", "y", 0)) == "file0:a.y.0"
        assert tree.place(("a", "z")) == "file0:a.z"
        assert tree.place(("a",)) == "file0:a"
        assert tree.place(("b",)) == "file0:b"

    def test_of_overrides(self) -> None:
        tree = merged({"a": {"x": 1}})
        tree.set(("a", "x"), 2, at("line"))
        tree.set(("b", "c"), 2, at("line"))
        assert tree.place(("a", "x")) == "line:a.x"
        assert tree.place(("b",)) == "line:b"
        assert tree.place(("b", "c")) == "line:b.c"
        assert tree.place(("a",)) == "file0:a"

    def test_a_replaced_value_takes_the_places_within_it_along(self) -> None:
        tree = merged({"a": {"x": 1}})
        tree.set(("a", "x"), 2, at("line"))
        tree.merge({"a": [3]}, at("last"))
        assert tree.place(("a", "x")) == "last:a.x"

    def test_dropped_options_take_their_places_along(self) -> None:
        tree = merged({"a": {"name": "elu"}})
        tree.set(("a", "alpha"), 2, at("line"))
        tree.merge({"a": {"name": "relu"}}, at("last"))
        assert tree.value == {"a": {"name": "relu"}}
        assert tree.place(("a", "alpha")) == "file0:a.alpha"
        assert tree.place(("a", "name")) == "last:a.name"

    def test_of_a_value_that_could_not_be_set(self) -> None:
        tree = merged({"a": 1})
        tree.note(("a", "x"), "line")
        assert tree.place(("a", "x")) == "line"

    def test_of_an_empty_tree(self) -> None:
        assert Tree().place(("a",)) == "config"


KEYS = st.sampled_from(["a", "b", "name", "data", "source"])
VALUES = st.recursive(
    st.integers(0, 3) | st.sampled_from(["elu", "relu"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
MAPPINGS = st.dictionaries(KEYS, VALUES, max_size=3)


@given(MAPPINGS)
def test_merging_into_nothing_or_nothing_into_it_changes_nothing(value: dict[str, Any]) -> None:
    assert merged(value).value == value
    assert merged(value, {}).value == value
    assert merged({}, value).value == value


@given(MAPPINGS)
def test_merging_twice_is_merging_once(value: dict[str, Any]) -> None:
    assert merged(plain(value), plain(value)).value == value


@given(MAPPINGS, MAPPINGS)
def test_every_scalar_and_list_of_the_last_one_stands(
    one: dict[str, Any], two: dict[str, Any]
) -> None:
    def check(found: Any, said: Any) -> None:
        if not isinstance(said, dict):
            assert found == said
            return
        for key in said:
            check(found[key], said[key])

    check(merged(one, plain(two)).value, two)


class TestPlain:
    def test_a_copy(self) -> None:
        value = {"a": [{"b": 1}]}
        copied = plain(value)
        assert copied == value
        copied["a"][0]["b"] = 2
        assert value == {"a": [{"b": 1}]}

    @pytest.mark.parametrize("value", [None, True, 3, 2**70, 0.5, -0.0, "", "text", [], {}])
    def test_plain_data_stays(self, value: Any) -> None:
        assert plain(value) == value
        assert type(plain(value)) is type(value)

    def test_the_path_of_what_is_not_plain_is_told(self) -> None:
        with pytest.raises(ConfigError, match=r"^a\[1\]\.b: got <.*>; expected text, a finite"):
            plain({"a": [0, {"b": object()}]})
