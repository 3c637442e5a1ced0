"""A network written layer by layer, as a person would write it into a config.

Whatever family a network is of, this is the list that it is made from, one line a layer: defaults
go without saying, an argument that stands alone needs no name, and a structure holds its layers
indented. Read back, it is the same network.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nnarch import layerlist, yamlfile
from nnarch.models.torchlayers import REQUIRED, LayerKind, find

INDENT = "  "
LONG = 60  # characters, beyond which text is not laid in a list's one line


def as_yaml(model: Mapping[str, Any]) -> str:
    """What `networks.expanded` gives as the `model` of a config, in YAML.

    >>> layers = [{"Linear": {"out_features": 20, "bias": True}}, "relu", {"Linear": "out"}]
    >>> print(as_yaml({"layers": layers, "initialization": {"name": "default"}}), end="")
    model:
      layers:
        - Linear: 20
        - relu
        - Linear: out
    """
    lines = ["model:", f"{INDENT}layers:", *_items(model["layers"], 2 * INDENT)]
    beside = {key: value for key, value in model.items() if key != "layers"}
    if beside.get("initialization") == {"name": "default"}:
        del beside["initialization"]
    lines += [f"{INDENT}{key}: {_flow(value)}" for key, value in beside.items()]
    return "".join(f"{line}\n" for line in lines)


def _items(items: Sequence[Any], indent: str) -> Iterator[str]:
    for item in items:
        if isinstance(item, str):
            yield f"{indent}- {_flow(item)}"
            continue
        (word,) = (key for key in item if key not in layerlist.OPTIONS)
        beside = {key: value for key, value in item.items() if key not in (word, "do")}
        if word in layerlist.BESIDE and word != "from":
            yield from _structure(word, item, beside, indent)
        else:
            yield f"{indent}- {_layer(word, item[word], beside)}"


def _layer(word: str, given: Any, beside: Mapping[str, Any]) -> str:
    """One line: `Linear: 64`, or `{Linear: 64, as: wide}`."""
    given = given if word in layerlist.BESIDE else _short(find(word), given)
    if not beside:
        return word if given is None else f"{word}: {_flow(given)}"
    return _flow({word: {} if given is None else given, **beside})


def _structure(
    word: str, item: Mapping[str, Any], beside: Mapping[str, Any], indent: str
) -> Iterator[str]:
    """The word, what stands beside it, and the layers below it."""
    inside = item["do"] if word == "repeat" else item[word]
    inside = inside if isinstance(inside, list) else [inside]
    number = f" {item['repeat']}" if word == "repeat" else ""
    yield f"{indent}- {word}:{number}" if inside or number else f"{indent}- {word}: []"
    under = indent + INDENT
    if word == "repeat":
        yield f"{under}do:"
    if word in ("repeat", "residual"):
        yield from _items(inside, under + INDENT)
    else:
        for branch in inside:
            yield from _branch(branch if isinstance(branch, list) else [branch], under + INDENT)
    for key, value in beside.items():
        yield f"{under}{key}: {_flow(value)}"


def _branch(items: Sequence[Any], indent: str) -> Iterator[str]:
    """A list within a list: its first line carries both dashes."""
    if not items:
        yield f"{indent}- []"
    for number, line in enumerate(_items(items, indent + INDENT)):
        yield f"{indent}- {line.lstrip()}" if number == 0 else line


def _short(kind: LayerKind, given: Any) -> Any:
    """Arguments without those that go without saying; a single one by itself, or None."""
    if not isinstance(given, Mapping):
        return given
    kept = {name: value for name, value in given.items() if not _is_usual(kind, name, value)}
    if not kept:
        return None
    (name, value), *others = kept.items()
    alone = not others and name == _first(kind)
    return value if alone and isinstance(value, str | int | float) else kept


def _is_usual(kind: LayerKind, name: str, value: Any) -> bool:
    if kind.component:
        default = kind.component.schema.model_fields[name].default
    else:
        default = kind.facts.preset.get(name, kind.parameters.get(name, REQUIRED))
    return type(value) is type(default) and value == default


def _first(kind: LayerKind) -> str | None:
    """The argument that a value without a name is for."""
    names = kind.component.schema.model_fields if kind.component else kind.parameters
    return next((name for name in names if name not in kind.facts.infer), None)


def _flow(value: Any) -> str:
    """A value in one line.

    >>> _flow({"out_features": 64, "bias": False, "p": 1e-5, "said": "a, b"})
    "{out_features: 64, bias: false, p: 1.0e-05, said: 'a, b'}"
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str) and len(value) > LONG:
        return json.dumps(value)
    return yamlfile.dump([value]).strip()[1:-1]
