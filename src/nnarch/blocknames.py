"""Names within layers that are repeated, told apart where each repetition is a block of its own."""

from collections.abc import Iterator, Mapping
from typing import Any

STRUCTURES = {"residual", "do", "concat", "sum", "mul"}  # words of a list that hold layers


def numbered(block: Any, time: int) -> Any:
    """A block of layers with `time` at the end of the names that it gives, and of its links.

    >>> numbered([{"Linear": 8, "as": "a"}, {"sum": [["ReLU"], [{"from": "a"}]]}], 2)
    [{'Linear': 8, 'as': 'a_2'}, {'sum': [['ReLU'], [{'from': 'a_2'}]]}]
    """
    names = set(_names(block))
    return _renamed(block, names, time) if names else block


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(name := value.get("as"), str):
            yield name
        for key in value.keys() & STRUCTURES:
            yield from _names(value[key])
    for inner in value if isinstance(value, list) else ():
        yield from _names(inner)


def _renamed(value: Any, names: set[str], time: int) -> Any:
    if isinstance(value, list):
        return [_renamed(inner, names, time) for inner in value]
    if not isinstance(value, Mapping):
        return value
    changed = {key: _renamed(value[key], names, time) for key in value.keys() & STRUCTURES}
    for key in ("as", "from", "tie"):
        name, dot, rest = str(value.get(key)).partition(".")
        if name in names:
            changed[key] = f"{name}_{time}{dot}{rest}"
    return {**value, **changed}
