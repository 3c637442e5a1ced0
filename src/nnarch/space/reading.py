"""A config that leaves values open, read: from what was written to a template and its variables.

The grammar has to know where layers are listed, since there an option may be several layers or
none, and a repetition of what is open may be drawn anew each time. All that is not well written is
told at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nnarch.errors import Fault, Path
from nnarch.space.domains import Choice
from nnarch.space.forms import LIST, Form, is_open, labels
from nnarch.space.forms import read as read_form
from nnarch.space.template import Closed, Items, Node, Number, Option, Record, Repetition, Several
from nnarch.space.variable import Variable
from nnarch.validate import dotted, shortened

MOST_VARIABLES = 10_000
MOST_TIMES = 1_000


def read(value: Mapping[str, Any]) -> tuple[Node, list[Variable], list[Fault]]:
    """The template of a config as it was written, its variables in order, and what is wrong."""
    reader = _Reader()
    root = reader.record(value, (), "", _Role("config"))
    return root, list(reader.variables.values()), reader.faults


@dataclass(frozen=True)
class _Role:
    """What a part of a config is, as far as the grammar has to know: where layers are listed."""

    name: str

    def at(self, key: str | int) -> "_Role":
        """The role of what stands under `key`."""
        match self.name, key:
            case ("config", "model"):
                return _Role("model")
            case ("config", "augment") | ("model", "layers"):
                return _Role("layers")
            case ("item", "residual" | "do"):
                return _Role("layers")
            case ("item", "concat" | "sum" | "mul"):
                return _Role("branches")
            case ("layers", int()):
                return _Role("item")
            case ("branches", int()):
                return _Role("layers")
        return _Role("value")


@dataclass
class _Reader:
    """From a config as it was written to nodes and variables."""

    variables: dict[str, Variable] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def node(self, raw: Any, at: Path, key: str, role: _Role) -> Node:
        if at == ("data", "types"):  # whose keys are a user's own
            return Closed(raw)
        if isinstance(raw, Mapping):
            if raw.keys() == LIST and role.name not in ("item", "layers"):
                return self._several(raw, at, key, role)
            if is_open(raw) and raw.keys() != LIST:
                return self._open(raw, at, key, role)
            if role.name in ("item", "layers") and "repeat" in raw and "do" in raw:
                return self._repetition(raw, at, key)
            return self.record(raw, at, key, _Role("item") if role.name == "layers" else role)
        if isinstance(raw, list):
            role = _Role("layers") if role.name == "item" else role  # instead of one layer
            inside = [
                self.node(one, (*at, i), f"{key}[{i}]", role.at(i)) for i, one in enumerate(raw)
            ]
            if all(isinstance(node, Closed) for node in inside):
                return Closed(raw)
            return Items(at, tuple(inside), role.name == "layers")
        return Closed(raw)

    def record(self, raw: Mapping[str, Any], at: Path, key: str, role: _Role) -> Node:
        inside = {
            name: self.node(value, (*at, name), _below(key, name), role.at(name))
            for name, value in raw.items()
        }
        gaps = {name: node for name, node in inside.items() if not isinstance(node, Closed)}
        return Record(raw, gaps) if gaps else Closed(raw)

    def _open(self, raw: Mapping[str, Any], at: Path, key: str, role: _Role) -> Node:
        form, faults = read_form(raw, at)
        self.faults += faults
        if form is None:
            return Closed(None)
        variable = self._variable(form, at, key)
        if not isinstance(form.domain, Choice):
            return Number(variable)
        names = labels(form.domain.options)
        paths = tuple((*at, "choice", place) for place in form.places)
        options = tuple(
            self.node(option, path, f"{key}:{name}", role)
            for option, path, name in zip(form.domain.options, paths, names, strict=True)
        )
        return Option(variable, options, paths)

    def _variable(self, form: Form, at: Path, key: str) -> Variable:
        known = self.variables.get(form.name) if form.name else None
        if known and known.tied:
            if (known.domain, known.default) != (form.domain, form.default):
                told = f"{form.name!r} is open to other values in {dotted(known.path)}"
                self._fault((*at, "name"), f"{told}; expected the same ones, or another name")
            return known
        if known:
            told = f"{form.name!r} is what another open value is called"
            self._fault((*at, "name"), f"{told}; expected another name")
        key = form.name or key
        while key in self.variables:
            key += "'"
        if len(self.variables) == MOST_VARIABLES:
            told = f"makes more than {MOST_VARIABLES:,} values to be drawn; expected fewer"
            self._fault(at, told)
        variable = Variable(key, at, form.domain, form.default, form.name is not None)
        self.variables[key] = variable
        return variable

    def _fault(self, at: Path, message: str) -> None:
        if Fault(at, message) not in self.faults:
            self.faults.append(Fault(at, message))

    def _count(self, raw: Any, at: Path, key: str, least: int) -> tuple[Node, int]:
        """How often something comes, and how often at most."""
        node = self.node(raw, at, key, _Role("value"))
        if not (values := _integers(node)) or min(values) < least or max(values) > MOST_TIMES:
            if not any(fault.path[: len(at)] == at for fault in self.faults):
                wanted = (
                    f"an integer from {least} to {MOST_TIMES:,}, or several, as {{int: [1, 3]}}"
                )
                self._fault(at, f"got {shortened(raw)}; expected {wanted}")
            return Closed(0), 0
        return node, max(values)

    def _several(self, raw: Mapping[str, Any], at: Path, key: str, role: _Role) -> Node:
        count, most = self._count(raw["repeat"], (*at, "repeat"), f"{key}.repeat", 0)
        items = []
        for place in range(most):
            if len(self.variables) >= MOST_VARIABLES:
                break
            items.append(self.node(raw["of"], (*at, "of"), f"{key}[{place}]", role.at(place)))
        if isinstance(count, Closed) and all(isinstance(item, Closed) for item in items) and most:
            self._fault(at, "leaves nothing open; expected a list of values")
        return Several(at, count, tuple(items))

    def _repetition(self, raw: Mapping[str, Any], at: Path, key: str) -> Node:
        """One that stays one, or, where values within it are drawn each time, a block each time."""
        if not _is_drawn_anew(raw["do"]):
            return self.record(raw, at, key, _Role("item"))
        count, most = self._count(raw["repeat"], (*at, "repeat"), f"{key}.repeat", 1)
        blocks = []
        for time in range(1, most + 1):
            if len(self.variables) >= MOST_VARIABLES:
                break
            do = self.node(raw["do"], (*at, "do"), f"{key}.do:{time}", _Role("layers"))
            blocks.append(do)
        beside = {name: raw[name] for name in raw if name not in ("repeat", "do")}
        return Repetition(at, count, tuple(blocks), beside)


def _integers(node: Node) -> list[int]:
    """Ends of the integers that a node may be; none where it may be something else."""
    if isinstance(node, Closed):
        return [node.given] if type(node.given) is int else []
    if isinstance(node, Option):
        each = [_integers(option) for option in node.options]
        return [number for numbers in each for number in numbers] if all(each) else []
    if isinstance(node, Number):
        domain = node.variable.domain
        ends = [domain.at(0.0), domain.at(1.0)]
        return [end for end in ends if type(end) is int]
    return []


def _is_drawn_anew(raw: Any) -> bool:
    """Whether anything is open within `raw` that has no name to tie its repetitions by."""
    if isinstance(raw, Mapping):
        if is_open(raw) and raw.keys() != LIST and "name" not in raw:
            return True
        raw = [*raw.values()]
    return isinstance(raw, list) and any(map(_is_drawn_anew, raw))


def _below(key: str, name: str) -> str:
    return f"{key}.{dotted((name,))}" if key else dotted((name,))
