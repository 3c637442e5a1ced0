"""Every key of a config, given all that it does not take: each fault is one whole line.

The keys are walked rather than listed: those of the config and its sections, and the options of
every registered component, so that whatever is added later is tried as well. A line is whole if
it says the place, the key, what was given and what is accepted instead.
"""

import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from conftest import Command, error_lines
from harness import Tally
from nnarch import yamlfile
from nnarch.component import Component
from nnarch.config import Config, load
from nnarch.errors import ConfigError
from nnarch.options import IsLayers
from nnarch.registry import REGISTRIES
from nnarch.validate import dotted, json_schema, mark, shortened

Where = tuple[str | int, ...]
LITERALS = {"%nan%": ".nan", "%huge%": "1e400"}  # for which no value of Python stands in a config
WRONG = (
    *("fast", True, -1, 0.5, 10**30, -1e300, None, [], [[]], {}, "x" * 10_000),
    *LITERALS,
)
PARTS = 25  # that all faults are tried in
WHOLE = 0.95  # of all lines: the share that says the key, what was given and what is allowed


class Wrong(NamedTuple):
    """A config with one fault, the key that it is at, and how its line tells the value."""

    config: dict[str, Any]
    key: str
    given: str

    @property
    def text(self) -> str:
        text = yamlfile.dump(self.config)
        for stand_in, literal in LITERALS.items():
            text = text.replace(f"'{stand_in}'", literal)
        return text

    def is_told_by(self, line: str) -> bool:
        allowed = any(words in line for words in ("expected ", "known: ", "none is accepted"))
        return self.key in line and self.given in line and allowed


@cache
def wrongs() -> list[Wrong]:
    """Every key of every config, each with everything that it does not take."""
    found = [*_of_keys(Config, (), {"data": "synthetic"})]
    for kind, registry in REGISTRIES.items():
        for component in registry:
            found += _of_keys(component.schema, *_holder(kind, component))
    return found


def _holder(kind: str, component: Component) -> tuple[Where, dict[str, Any]]:
    """Where a config says the options of `component`, and a config that gives those it needs."""
    needed = {
        name: _right(json_schema(component.schema)["properties"][name])
        for name, field in component.schema.model_fields.items()
        if field.is_required()
    }
    at: Where = (kind,)
    match kind:
        case "layer":
            at = ("model", "layers", 0)
            return (*at, component.name), _put({"data": "synthetic"}, at, {component.name: needed})
        case "activation" | "initialization":
            at = ("model", kind)
        case "augmentation":
            at = ("augment", 0)
        case "metric":
            at = ("metrics", 0)
    return at, _put(
        {"data": "synthetic"}, at, {REGISTRIES[kind].kind.key: component.name, **needed}
    )


def _right(part: dict[str, Any]) -> Any:
    """Some value that a fragment of a schema accepts."""
    match part:
        case {"anyOf": [first, *_]}:
            return _right(first)
        case {"enum": [first, *_]}:
            return first
        case {"type": "string"}:
            return "x"
        case {"type": "number" | "integer"}:
            return max(1, part.get("minimum", 1))
        case {"items": {"type": _} as inner}:
            return [_right(inner)] * part.get("minItems", 1)
    return ["ReLU"]  # a list of layers


def _of_keys(schema: type[BaseModel], at: Where, config: dict[str, Any]) -> Iterator[Wrong]:
    whole = json_schema(schema)
    yield Wrong(_put(config, (*at, "sibling"), 1), dotted((*at, "sibling")), "unknown key")
    for name, field in schema.model_fields.items():
        here, part = (*at, name), _accepted(field, whole["properties"][name])
        if field.is_required():
            yield Wrong(_without(config, here), dotted(here), "missing")
        yield from _of_values(part, whole, here, config)
        for section in _sections(part, whole):
            key = (*here, "sibling")
            yield Wrong(_put(config, key, 1), dotted(key), "unknown key")
            for name, inner in section["properties"].items():
                yield from _of_values(inner, whole, (*here, name), config)


def _accepted(field: FieldInfo, part: Any) -> Any:
    """A schema of what a key takes among all that is tried here, which names no component."""
    named, of_layers = mark(field), IsLayers() in field.metadata
    if not named and not of_layers:
        return part
    accepted: list[dict[str, Any]] = [{"const": "nothing else"}]
    if named:
        accepted.append({"type": "array", "maxItems": 0} if named.many else {"type": "object"})
    if not field.is_required() and field.default is None:
        accepted.append({"type": "null"})
    return {"anyOf": accepted}


def _of_values(part: Any, whole: Any, at: Where, config: dict[str, Any]) -> Iterator[Wrong]:
    accepted = Draft202012Validator({"$defs": whole.get("$defs", {}), "allOf": [part]})
    for value in WRONG:
        if isinstance(value, str) and value in LITERALS:
            given = LITERALS[value]
        elif accepted.is_valid(value):
            continue
        else:
            given = "[]" if value == [[]] else shortened(value)[:20]
        yield Wrong(_put(config, at, value), dotted(at), given)


def _sections(part: dict[str, Any], whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The sections that a key may hold."""
    for member in (part, *part.get("anyOf", ())):
        if "$ref" in member:
            yield whole["$defs"][member["$ref"].rsplit("/", 1)[-1]]


def _put(config: Any, at: Where, value: Any) -> Any:
    """`config` with `value` at `at`; of a list that is entered there is one item."""
    if not at:
        return value
    key, rest = at[0], at[1:]
    if isinstance(key, int):
        return [_put(config[0] if config else {}, rest, value)]
    return {**(config or {}), key: _put((config or {}).get(key), rest, value)}


def _without(config: dict[str, Any], at: Where) -> dict[str, Any]:
    """`config` without what is at `at`."""
    changed = _put(config, at, None)
    holder: Any = changed
    for key in at[:-1]:
        holder = holder[key]
    del holder[at[-1]]
    return changed


@pytest.mark.share(1, PARTS)
def test_every_fault_is_one_whole_line(tmp_path: Path, tally: Tally, seed: int) -> None:
    path, lacking = tmp_path / "bad.yaml", []
    for wrong in (chosen := wrongs()[seed::PARTS]):
        path.write_text(wrong.text)
        with pytest.raises(ConfigError) as caught:
            load(path)
        (line,) = caught.value.lines
        assert line.startswith(f"{path}:")
        assert len(line) < 600
        if not wrong.is_told_by(line):
            lacking.append(f"{wrong.key} {wrong.given}: {line}")
    tally("directed faults", len(chosen))
    tally("directed faults whose line lacks key, value or what is allowed", len(lacking))
    assert len(lacking) <= (1 - WHOLE) * len(chosen), lacking


@pytest.mark.share(5, 40)
def test_every_fault_ends_the_command(
    nnarch_light: Command, tmp_path: Path, tally: Tally, seed: int
) -> None:
    wrong = random.Random(seed).choice(wrongs())
    (tmp_path / "bad.yaml").write_text(wrong.text)
    done = nnarch_light("train", "bad.yaml")
    assert done.returncode == 3
    (line,) = error_lines(done)
    assert line.startswith("bad.yaml:")
    assert wrong.key in line
    tally("directed faults through the command line")
