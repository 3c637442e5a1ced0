"""What a config may say, for people (`nnarch components`) and for editors (`nnarch schema`).

Both are read from the same signatures and sections that a config is checked against, so they
cannot drift from it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel

from nnarch.config import Config
from nnarch.errors import ConfigError, UsageError
from nnarch.options import Named
from nnarch.registry import REGISTRIES, Component, suggestion
from nnarch.validate import expected, json_schema, mark

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Option(NamedTuple):
    """One thing that a component lets a user choose."""

    name: str
    accepts: str
    default: str
    sentence: str


def options(component: Component) -> list[Option]:
    """The options of a component, its own and those of its kind."""
    described = []
    for name, field in component.schema.model_fields.items():
        named = mark(field)
        accepts = f"a kind of {named.kind}" if named else expected(component.schema, (name,))
        default = "required" if field.is_required() else _written(field.get_default())
        described.append(Option(name, accepts, default, field.description or ""))
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


def as_text(listed: Mapping[str, Any]) -> str:
    """What `components` gives, for reading."""
    if "options" not in listed:
        width = max(map(len, listed))
        inside = {
            key: value if isinstance(value, str) else ", ".join(value)
            for key, value in listed.items()
        }
        return "\n".join(f"{key:{width}}  {value}" for key, value in inside.items())
    lines = [f"{listed['kind']} {listed['name']}: {listed['summary']}", ""]
    for option in listed["options"]:
        lines += [
            f"  {option['name']}: {option['accepts']} ({option['default']})",
            f"      {option['sentence']}",
        ]
    return "\n".join([*lines, "" if listed["options"] else "  no options", listed["where"]])


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a config, every registered component included."""
    definitions: dict[str, Any] = {}
    top = _object(Config, definitions)
    for kind, registry in REGISTRIES.items():
        members = [_component(component, definitions) for component in registry]
        definitions[kind] = {"anyOf": [{"enum": registry.names()}, *members]}
    return {
        "$schema": DIALECT,
        "title": "nnarch config",
        "description": "What nnarch trains: data, a network, and how.",
        **top,
        "$defs": definitions,
    }


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
    """Whether the config means this component where it names none of its kind."""
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


def _written(value: Any) -> str:
    """A default as a config would say it."""
    if value is None:
        return "default null"
    if isinstance(value, bool):
        return f"default {str(value).lower()}"
    if isinstance(value, BaseModel):
        return "default " + ", ".join(f"{key} {inner}" for key, inner in value)
    return f"default {value:g}" if isinstance(value, float) else f"default {value}"
