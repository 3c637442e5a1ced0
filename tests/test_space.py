"""What counts as a value that is left open, and where such values are found."""

from typing import Any

import pytest

from nnarch.space import is_open, open_values


@pytest.mark.parametrize(
    "value",
    [
        {"choice": [1, 2]},
        {"choice": []},
        {"int": [1, 4]},
        {"float": [1e-4, 1e-1]},
        {"float": [1e-4, 1e-1], "log": True},
        {"int": [1, 64], "step": 8, "default": 16},
        {"choice": ["a"], "name": "x"},
    ],
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
        {"choice": [1], "int": [1, 2]},
        {"choice": [1], "widths": [2]},
        {"name": "mlp"},
    ],
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
    ],
)
def test_paths(value: Any, paths: list[Any]) -> None:
    assert list(open_values(value)) == paths
