"""What a config may say, for people (`nnarch components`) and for editors (`nnarch schema`).

Both are read from the same signatures and sections that a config is checked against, so they
cannot drift from it.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel

from nnarch import exploration, yamlfile
from nnarch.component import Component
from nnarch.config import Config
from nnarch.errors import ConfigError, UsageError
from nnarch.options import Named
from nnarch.registry import REGISTRIES, suggestion
from nnarch.sections import Search
from nnarch.space.forms import LIST
from nnarch.validate import expected, json_schema, mark

TIED = "\xa0"  # a space that no line ends at
SHORT = 40
DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Option(NamedTuple):
    """One thing that a component lets a user choose."""

    name: str
    accepts: str
    required: bool
    default: Any
    sentence: str


def options(component: Component) -> list[Option]:
    """The options of a component: its own, then those that all of its kind take."""
    fields = component.schema.model_fields
    common = component.kind.common.model_fields
    described = []
    for name, field in sorted(fields.items(), key=lambda item: item[0] in common):
        named = mark(field)
        if named:
            accepts = REGISTRIES[named.kind].kind.a_noun
        else:
            accepts = expected(component.schema, (name,))
        default = None if field.is_required() else field.get_default()
        plain = default.model_dump() if isinstance(default, BaseModel) else default
        sentence = field.description or ""
        described.append(Option(name, accepts, field.is_required(), plain, sentence))
    return described


def components(kind: str | None = None, name: str | None = None) -> dict[str, Any]:
    """All kinds and their members, the members of a kind, or one member in full, as plain data.

    Raises: UsageError where there is no such kind or member, with the nearest.
    """
    if kind is None:
        return {kind: registry.names() for kind, registry in REGISTRIES.items()}
    if kind not in REGISTRIES:
        raise UsageError(
            f"no kind of component is called {kind!r}; {suggestion(kind, [*REGISTRIES])}"
        )
    registry = REGISTRIES[kind]
    if name is None:
        return {component.name: component.summary for component in registry}
    try:
        component = registry.get(name)
    except ConfigError as error:
        raise UsageError(str(error)) from error
    return {
        "kind": kind,
        "name": name,
        "summary": component.summary,
        "options": [option._asdict() for option in options(component)],
        "where": component.where,
    }


def as_text(kind: str | None = None, name: str | None = None, width: int = 80) -> str:
    """What `components` gives, for reading in `width` columns."""
    listed = components(kind, name)
    if kind is None:
        return _columns({kind: ", ".join(names) for kind, names in listed.items()}, width)
    if name is None:
        own = f"Of your own, with --plugin FILE: {REGISTRIES[kind].kind.contract}."
        return f"{_columns(listed, width)}\n\n{textwrap.fill(own, width)}"
    described = {
        option["name"]: f"{option['sentence']}\n{option['accepts']}; {_default(option)}"
        for option in listed["options"]
    }
    return "\n\n".join(
        [
            textwrap.fill(f"{name}: {listed['summary']}", width),
            _columns(described, width) if described else "It has no options.",
            f"Defined in {listed['where']}",
        ]
    )


def _columns(rows: Mapping[str, str], width: int) -> str:
    """Names on the left, on the right what belongs to each, wrapped."""
    indent = max(map(len, rows)) + 2
    wrapped = []
    for name, text in rows.items():
        lines = [
            line
            for paragraph in text.splitlines()
            for line in textwrap.wrap(paragraph, max(width - indent, 20))
        ]
        wrapped += [f"{'' if i else name:{indent}}{line}" for i, line in enumerate(lines or [""])]
    return "\n".join(line.rstrip() for line in wrapped).replace(TIED, " ")


def _default(option: Mapping[str, Any]) -> str:
    """Whether an option has to be given, or else what it is, as a config would say it."""
    written = _written(option["default"])
    if len(written) <= SHORT:  # a long one is cut like a sentence
        written = written.replace(" ", TIED)
    return "required" if option["required"] else f"default {written}"


def _written(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_written(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    return f"{value:g}" if isinstance(value, float) else yamlfile.dump(value).splitlines()[0]


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a config, every registered component included."""
    definitions: dict[str, Any] = {}
    top = _open_inside(_object(Config, definitions), [*exploration.CLOSED, "data"])
    for kind, registry in REGISTRIES.items():
        members = [_component(component, definitions) for component in registry]
        definitions[kind] = {"anyOf": [{"enum": registry.names()}, *members]}
    for name, definition in definitions.items():
        if name.split(".")[0] not in ("Split", "sampler", "pruner"):
            definitions[name] = _open_inside(definition, ["name", *exploration.OF_DATA])
    definitions |= {"open": _OPEN, "search": _object(Search, definitions)}
    top["properties"]["search"] = {
        "$ref": "#/$defs/search",
        "description": "How what is left open is explored, by `nnarch search`.",
    }
    return {
        "$schema": DIALECT,
        "title": "nnarch config",
        "description": "What nnarch trains: data, a network, and how.",
        **top,
        "$defs": definitions,
    }


def _open_form(required: Sequence[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "properties": properties,
        "additionalProperties": False,
    }


def _range(kind: str) -> dict[str, Any]:
    return {"type": "array", "items": {"type": kind}, "minItems": 2, "maxItems": 2}


_NAME = {"type": "string", "description": "Open values of one name are one value."}
_BESIDE_RANGE = {"log": {"type": "boolean"}, "default": {"type": "number"}, "name": _NAME}
_OPEN = {
    "description": "A value that is left open, for `nnarch search`.",
    "anyOf": [
        _open_form(["choice"], choice={"type": "array", "minItems": 1}, default={}, name=_NAME),
        *(
            _open_form(
                [form],
                **{form: _range(kind), "step": {"type": kind, "exclusiveMinimum": 0}},
                **_BESIDE_RANGE,
            )
            for form, kind in (("int", "integer"), ("float", "number"))
        ),
        _open_form(
            sorted(LIST), repeat={"anyOf": [{"type": "integer"}, {"$ref": "#/$defs/open"}]}, of={}
        ),
    ],
}


def _may_be_open(part: Mapping[str, Any]) -> dict[str, Any]:
    """A value's schema, or an open value in its place."""
    inside = _open_inside(part)
    about = {key: inside.pop(key) for key in ("description", "default") if key in inside}
    return {**about, "anyOf": [inside, {"$ref": "#/$defs/open"}]} if inside else about


def _open_inside(part: Mapping[str, Any], but: Sequence[str] = ()) -> dict[str, Any]:
    """A schema where all that a value holds may be open, but for the properties `but`."""
    opened = dict(part)
    for key in ("items", "additionalProperties"):
        if isinstance(part.get(key), dict):
            opened[key] = _may_be_open(part[key])
    if "properties" in part:
        opened["properties"] = {
            name: inner if name in but else _may_be_open(inner)
            for name, inner in part["properties"].items()
        }
    if "anyOf" in part:
        opened["anyOf"] = [_open_inside(member, but) for member in part["anyOf"]]
    return opened


def _component(component: Component, definitions: dict[str, Any]) -> dict[str, Any]:
    """A reference to the definition of `{name: ..., options}`."""
    key, name = component.kind.key, f"{component.kind.name}.{component.name}"
    described = _object(component.schema, definitions)
    described["description"] = component.summary
    described["properties"] = {
        key: {"const": component.name},
        **described["properties"],
    }
    if not _is_default(component):
        described["required"] = [key, *described.get("required", [])]
    definitions[name] = described
    return {"$ref": f"#/$defs/{name}"}


def _is_default(component: Component) -> bool:
    """Whether the config means this component where it names none of its kind, or by an option."""
    if component.name in dict(component.kind.implied).values():
        return True
    field = Config.model_fields.get(component.kind.name)
    default = field.get_default() if field else None
    return isinstance(default, Mapping) and default.get("name") == component.name


def _object(model: type[BaseModel], definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of `model`, its sections hoisted to `definitions`, its components referred to."""
    described = {key: value for key, value in json_schema(model).items() if key != "title"}
    definitions |= described.pop("$defs", {})
    described["properties"] = {
        name: _property(model, name, part) for name, part in described.get("properties", {}).items()
    }
    return described


def _property(model: type[BaseModel], name: str, part: Mapping[str, Any]) -> dict[str, Any]:
    named = mark(model.model_fields[name])
    if not named:
        return {key: value for key, value in part.items() if key not in ("title", "expected")}
    kept = {key: part[key] for key in ("description", "default") if key in part}
    reference = _reference(named)
    optional = not model.model_fields[name].is_required() and part.get("default", 0) is None
    return {**kept, **({"anyOf": [reference, {"type": "null"}]} if optional else reference)}


def _reference(named: Named) -> dict[str, Any]:
    reference = {"$ref": f"#/$defs/{named.kind}"}
    return {"type": "array", "items": reference} if named.many else reference
