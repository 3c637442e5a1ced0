"""From what a user wrote to what is meant: checked, completed, every fault found at once.

`fill` takes a mapping as it was written and a schema (a pydantic model, be it of the config or
of a component's options) and gives the mapping with every default filled in, or the faults, a
sentence each with the path of the value that it is about. A config is JSON data, so pydantic
checks it in its strict JSON mode: text is never taken for a number, nor `true` for 1. What
would have been accepted is said in words made from the same schema; pydantic's own messages
are left alone, since they quote the input at any length.
"""

import json
import re
import reprlib
from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from nnarch import layerlist
from nnarch.component import Component
from nnarch.errors import ConfigError, Fault, Path
from nnarch.options import IsLayers, Named
from nnarch.registry import REGISTRIES, activations, layer, layers, suggestion

Filled = tuple[dict[str, Any], list[Fault]]


def dotted(path: Path) -> str:
    """A path as a user writes it.

    >>> dotted(("model", "widths", 1))
    'model.widths[1]'
    """
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{_key(key)}" for key in path)
    return text.removeprefix(".")


def _key(key: str) -> str:
    """A key as it is, or quoted and cut where it would spoil a message."""
    return key if key.isprintable() and len(key) <= 60 else shortened(key)


def fill(schema: type[BaseModel], raw: Mapping[str, Any], at: Path = ()) -> Filled:
    """`raw` with every default of `schema` filled in, and the faults; none, and it is good."""
    values, faults = dict(raw), []
    for name, field in schema.model_fields.items():
        default = None if field.is_required() else field.get_default()
        value = values.get(name, default)
        may_be_null = default is None and not (field.is_required() and name in values)
        if (named := mark(field)) and not (value is None and may_be_null):
            values[name], found = _fill_named(named, value, default, (*at, name))
            faults += found
        if IsLayers() in field.metadata and name in values:
            faults += _faults_of_layers(values[name], (*at, name))
        if isinstance(value, bool) and _is_taken_for_a_number(value, _fragment(schema, (name,))):
            message = f"got {shortened(value)}; expected {expected(schema, (name,))}"
            faults.append(Fault((*at, name), message))
    broken = {fault.path[: len(at) + 1] for fault in faults}
    try:
        checked = schema.model_validate_json(json.dumps(values))
    except ValidationError as error:
        found = _faults(schema, raw, error, at)
        return {}, faults + [fault for fault in found if fault.path[: len(at) + 1] not in broken]
    return checked.model_dump(mode="json"), faults


def _is_taken_for_a_number(value: bool, part: Mapping[str, Any]) -> bool:
    """Whether pydantic takes `true` for a 1 among the choices, which it equals in Python."""
    members = part.get("anyOf", [part])
    choices = [choice for one in members for choice in one.get("enum", [one.get("const")])]
    return any(type(one) is int and one == value for one in choices)


def fill_component(kind: str, spec: Any, at: Path, default: str | None = None) -> Filled:
    """The `{name: ..., options}` that `spec` means; a bare name is short for `{name: ...}`."""
    registry, key = REGISTRIES[kind], REGISTRIES[kind].kind.key
    options = {key: spec} if isinstance(spec, str) else spec
    if not isinstance(options, Mapping):
        return {}, [Fault(at, f"got {shortened(spec)}; expected {_any_of(kind)}")]
    implied = next((name for option, name in registry.kind.implied if option in options), default)
    name = options.get(key, implied)
    if not isinstance(name, str):
        given = f"got {shortened(name)}" if key in options else "missing"
        return {}, [Fault((*at, key), f"{given}; expected {_any_of(kind)}")]
    try:
        component = registry.get(name)
    except ConfigError as error:
        return {}, [Fault(at if isinstance(spec, str) else (*at, key), str(error))]
    filled, faults = fill(component.schema, {k: v for k, v in options.items() if k != key}, at)
    return {key: name, **filled}, faults


def _faults_of_layers(raw: Any, at: Path) -> list[Fault]:
    """What is wrong with a list of layers, as far as it shows without torch."""
    items, faults = layerlist.parse(raw, at)
    if faults:
        return faults
    placed = [item for item in layerlist.walk(items) if item.is_layer]
    known = {word: layer(word) for word in {item.word for item in placed}}
    for item in placed:
        if component := known[item.word]:
            faults += _faults_of_layer(component, item)
        elif not layerlist.OF_TORCH.fullmatch(item.word):
            faults.append(Fault(item.at, unknown_layer(item.word)))
    return faults


def _faults_of_layer(component: Component, item: layerlist.Item) -> list[Fault]:
    try:
        options = component.options_from(item.value)
    except ConfigError as error:
        return [Fault(item.at, str(error))]
    given = {key: 1 if value in layerlist.SYMBOLS else value for key, value in options.items()}
    return fill(component.schema, given, item.at)[1]


def unknown_layer(name: str, of_torch: list[str] | None = None) -> str:
    """What is said of a layer that is not known; torch's own are not, before torch is imported."""
    names = [*layers.names(), *activations.names(), *(of_torch or layerlist.COMMON)]
    known = {each.lower(): each for each in names}
    near = get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    hint = f"did you mean {known[near[0]]!r}? " if near else ""
    return (
        f"no layer is called {name!r}; {hint}expected one of torch.nn, as Linear or Conv2d, one "
        "that `nnarch components layer` or `activation` lists, or one of your own, with --plugin"
    )


def _any_of(kind: str) -> str:
    registry = REGISTRIES[kind]
    return f"the name of {registry.kind.a_noun}: {', '.join(registry.names())}"


def mark(field: FieldInfo) -> Named | None:
    """What kind of component an option names, if it does."""
    return next((mark for mark in field.metadata if isinstance(mark, Named)), None)


def _fill_named(named: Named, value: Any, default: Any, at: Path) -> tuple[Any, list[Fault]]:
    if not named.many:
        key = REGISTRIES[named.kind].kind.key
        name = default.get(key) if isinstance(default, dict) else default
        return fill_component(named.kind, value, at, name)
    if not isinstance(value, list):
        wanted = f"a list, each {_any_of(named.kind)}"
        return [], [Fault(at, f"got {shortened(value)}; expected {wanted}")]
    filled = [fill_component(named.kind, spec, (*at, i)) for i, spec in enumerate(value)]
    return [spec for spec, _ in filled], [fault for _, faults in filled for fault in faults]


def _faults(
    schema: type[BaseModel], raw: Mapping[str, Any], error: ValidationError, at: Path
) -> list[Fault]:
    """One fault for each value that pydantic found wanting, however many reasons it had."""
    faults: dict[Path, Fault] = {}
    meant = {name: field.get_default() for name, field in schema.model_fields.items()}
    meant.update(raw)
    for detail in error.errors(include_url=False, include_context=True, include_input=False):
        location, kind = detail["loc"], detail["type"]
        path = _existing(meant, location)
        if kind == "missing":
            path = location
            message = f"missing; expected {_missing(schema, path)}"
        elif kind == "extra_forbidden":
            known = _known_keys(schema, path[:-1])
            hint = suggestion(str(path[-1]), known) if known else "none is accepted here"
            message = f"unknown key; {hint}"
        elif kind == "value_error":
            message = str(detail.get("ctx", {}).get("error", detail["msg"]))
        else:
            value = _at(meant, path)
            message = f"got {shortened(value)}; expected {expected(schema, path)}{_hint(value)}"
        faults.setdefault(path, Fault((*at, *path), message))
    return list(faults.values())


def _missing(schema: type[BaseModel], path: Path) -> str:
    named = mark(schema.model_fields[str(path[0])])
    return _any_of(named.kind) if named and len(path) == 1 else expected(schema, path)


def _existing(meant: Any, location: Path) -> Path:
    """The part of pydantic's location that is a path in `meant`; the rest names union members."""
    path: Path = ()
    inside: Any = meant
    for key in location:
        if isinstance(inside, dict) and key in inside:
            inside = inside.get(key)
        elif isinstance(inside, list) and isinstance(key, int) and key < len(inside):
            inside = inside[key]
        else:
            break
        path = (*path, key)
    return path


def _at(meant: Any, path: Path) -> Any:
    for key in path:
        meant = meant[key]
    return meant


def _hint(value: Any) -> str:
    """What a number that was written another way should have been."""
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+,\d+", value):
        return f"; use {value.replace(',', '.')}"
    return ""


_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 60


def shortened(value: Any) -> str:
    """A value as YAML would write it, on one line, cut where it is long.

    >>> shortened(True), shortened(None), shortened("fast")
    ('true', 'null', "'fast'")
    """
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return _REPR.repr(value)


@lru_cache(maxsize=64)
def json_schema(schema: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of `schema`, made once."""
    return schema.model_json_schema()


def _fragment(schema: type[BaseModel], path: Path) -> dict[str, Any]:
    """The part of the JSON Schema that speaks of the value at `path`."""
    whole = json_schema(schema)
    part = _resolved(whole, whole)
    for key in path:
        members = [_resolved(whole, member) for member in part.get("anyOf", [part])]
        inside = [inner for member in members if isinstance(inner := _inner(member, key), dict)]
        if not inside:
            return part
        part = _resolved(whole, inside[0])
    return part


def _inner(part: dict[str, Any], key: str | int) -> Any:
    """What a fragment says of its items, or of the value under `key`."""
    if isinstance(key, int):
        return part.get("items")
    return part.get("properties", {}).get(key, part.get("additionalProperties"))


def _resolved(whole: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """`part` with a reference followed, and an optional value seen as the value."""
    if "anyOf" in part:
        present = [member for member in part["anyOf"] if member.get("type") != "null"]
        if len(present) == 1 and "$ref" in present[0]:
            part = {**part, **present[0]}
    if "$ref" in part:
        return whole["$defs"][part["$ref"].rsplit("/", 1)[-1]]
    return part


def _known_keys(schema: type[BaseModel], path: Path) -> list[str]:
    """The keys at `path`: a component's own, then those that all of its kind take."""
    common = schema.__base__.model_fields if schema.__base__ and not path else {}
    return sorted(_fragment(schema, path).get("properties", {}), key=lambda key: key in common)


def expected(schema: type[BaseModel], path: Path) -> str:
    """What `schema` accepts at `path`, in words."""
    return in_words(_fragment(schema, path))


def in_words(part: Mapping[str, Any]) -> str:
    """What a fragment of JSON Schema accepts, in words.

    >>> in_words({"type": "number", "exclusiveMinimum": 0})
    'a number > 0'
    >>> in_words({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "all"}]})
    "an integer >= 1 or 'all'"
    >>> in_words({"type": "array", "items": {"type": "number", "minimum": 0}})
    'a list (each a number >= 0)'
    """
    if words := part.get("expected"):
        return words
    if "anyOf" in part:
        return _either([in_words(member) for member in part["anyOf"]])
    if "const" in part or "enum" in part:
        return _either([repr(choice) for choice in part.get("enum", [part.get("const")])])
    match part.get("type"):
        case "number" | "integer" as kind:
            return {"number": "a number", "integer": "an integer"}[kind] + _limits(part)
        case "array":
            about = [_length(part), f"each {in_words(part['items'])}" if part.get("items") else ""]
            told = ", ".join(filter(None, about))
            return f"a list ({told})" if told else "a list"
        case "object":
            each, keys = part.get("additionalProperties"), ", ".join(part.get("properties", ()))
            told = f"names to {in_words(each)}" if isinstance(each, dict) else keys
            return f"a mapping ({told})" if told else "a mapping"
        case "string":
            return "text that is not empty" if part.get("minLength") else "text"
        case kind:
            return {"boolean": "true or false", "null": "null"}.get(kind or "", "a value")


def _either(choices: list[str]) -> str:
    *others, last = choices
    return f"{', '.join(others)} or {last}" if others else last


def _limits(part: Mapping[str, Any]) -> str:
    if "minimum" in part and "maximum" in part:
        return f" from {_figure(part['minimum'])} to {_figure(part['maximum'])}"
    signs = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}
    limits = [f"{sign} {_figure(part[key])}" for key, sign in signs.items() if key in part]
    return f" {' and '.join(limits)}" if limits else ""


def _figure(limit: float) -> str:
    """A limit, which some versions of pydantic give as a float: 0, never 0.0."""
    return f"{int(limit):,}" if limit == int(limit) else f"{limit:g}"


def _length(part: Mapping[str, Any]) -> str:
    least, most = part.get("minItems", 0), part.get("maxItems")
    if least == most:
        return f"{least} of them"
    if most is not None:
        return f"{least} to {most} of them"
    return f"at least {'one' if least == 1 else least}" if least else ""
