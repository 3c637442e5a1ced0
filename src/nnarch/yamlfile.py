"""YAML text to plain data and back, with the line of every value.

This module owns the text of a config: its encoding, its syntax, its bounds, what its scalars
mean, and on which line each value stands. What the values should be is for the validator.
PyYAML finds the nodes, but its YAML 1.1 reading of scalars (`no` is false, `010` is 8, `1e-3`
is text) would surprise whoever writes a config, so scalars follow the YAML 1.2 core schema:
`12:30`, `2024-01-01`, `1_000` and `0b1` are text. Tags, directives and merge keys are refused.
A config may come from anywhere, so its size, depth, aliases and nodes are bounded, and the
bounds are checked while it is read, before a small file can grow large.
"""

import copy
import errno
import math
import os
import pathlib
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.error import Mark
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from nnarch.errors import ConfigError, MachineError, reason
from nnarch.validate import Path, dotted

Scalar = str | int | float | bool | None

MAX_BYTES = 2**20
MAX_DEPTH = 32
MAX_ALIASES = 20
MAX_NODES = 20_000
MAX_DIGITS = 300  # so that every integer has a float beside it

_WORDS = dict.fromkeys(("", "~", "null", "Null", "NULL"), None)
_WORDS |= dict.fromkeys(("true", "True", "TRUE"), True)
_WORDS |= dict.fromkeys(("false", "False", "FALSE"), False)
_NUMBER = re.compile(
    r"(?P<based>0o[0-7]+|0x[0-9a-fA-F]+)"
    r"|(?P<whole>[-+]?[0-9]+)"
    r"|(?P<real>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)"
    r"|(?P<infinite>[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))"
)
# PyYAML takes U+0085, U+2028 and U+2029 for ends of lines, which editors and YAML 1.2 do not,
# and a byte order mark inside a name cannot be seen; quoted strings can hold them as escapes.
_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
# How PyYAML begins to say what users meet most often, and what follows "column 5" in our words.
_MISPLACED = "does not fit what is above or before it; check the indentation and the quotes"
_EXPLANATIONS = {
    "expected <block end>": _MISPLACED,
    "expected '<document start>'": _MISPLACED,
    "expected the node content": "cannot begin a value; quote text that begins with it",
    "mapping values are not allowed": "has a ':' that cannot be there; check the indentation of"
    " the line and the one above it, and quote text that holds ': '",
    "sequence entries are not allowed": "has a '-' that cannot be there; begin the list on a line"
    " of its own, and quote text that begins with '- '",
    "found unknown escape": "follows a backslash but is no escape; write the backslash twice or"
    " use single quotes",
}


@dataclass(frozen=True)
class Document:
    """A config as it was written: its data, its text, and where in `source` each part stands.

    `lines` holds the path of every node with its line, counted from 1; an entry of a mapping
    stands on the line of its key.
    """

    value: Any
    lines: Mapping[Path, int]
    source: str
    text: str

    def where(self, path: Path) -> str:
        """The place of `path`, or of its nearest ancestor that was written.

        >>> document = parse("model:\\n  widths: [64, 64]", "mlp.yaml")
        >>> document.where(("model", "widths", 1)), document.where(("model", "depth"))
        ('mlp.yaml:2', 'mlp.yaml:1')
        """
        while path not in self.lines:
            path = path[:-1]
        return f"{self.source}:{self.lines[path]}"


def parse(text: bytes | str, source: str) -> Document:
    """Reads the text of one config, whose name in messages is `source`.

    >>> parse("lr: 1e-3  # slow", "mlp.yaml").value
    {'lr': 0.001}

    Raises:
        ConfigError: The text is not one mapping written in the accepted part of YAML, or it
            exceeds a bound.
    """
    decoded = _decode(text, source)
    node = _compose(decoded, source)
    expected = "expected a mapping of keys to values"
    if node is None or (isinstance(node, yaml.ScalarNode) and _scalar(node) is None):
        raise ConfigError(f"{source}:1: the config is empty; {expected}")
    if not isinstance(node, yaml.MappingNode):
        raise _fault(node.start_mark, f"{expected}, got {_kind(node)}")
    expansion = _Expansion()
    value = expansion.value(node, (), _line(node))
    return Document(value, expansion.lines, source, decoded)


def read(path: pathlib.Path) -> Document:
    """Reads the config file at `path`, and no more of it than a config may hold.

    Raises:
        ConfigError: The file cannot be read, or `parse` refuses its text.
        MachineError: No more files can be opened.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            text = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a name that holds a NUL
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            raise MachineError(f"{path}: {reason(error)}") from error
        said = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path}: cannot be read: {said}") from error
    return parse(text, str(path))


def _without_waiting(path: str, flags: int) -> int:
    """Opens a pipe that nobody writes to as an empty file, where `open` would wait for ever."""
    handle = os.open(path, flags | os.O_NONBLOCK)
    os.set_blocking(handle, True)
    return handle


def parse_value(text: str, source: str) -> Any:
    """Reads one value, as given in `key=value` on the command line, by the rules of a file.

    >>> parse_value("[64, 1e-3, no]", "--set")
    [64, 0.001, 'no']

    Raises:
        ConfigError: As for `parse`, but the value may be of any kind, and no text is null.
    """
    node = _compose(text, source)
    return None if node is None else _Expansion().value(node, (), _line(node))


def dump(value: Any) -> str:
    """Writes data that `parse` or `parse_value` can return, so that it reads back equal.

    Keys keep their order. What a YAML 1.1 reader would take for something else is quoted, and
    numbers are written so that it reads them too. What a terminal should not be shown is an
    escape, in the double quotes that PyYAML puts around it.

    >>> print(dump({"lr": 1e-5, "widths": [64, 64], "norm": "no"}), end="")
    lr: 1.0e-05
    widths: [64, 64]
    norm: 'no'
    """
    text = yaml.serialize(
        _node(value), Dumper=yaml.SafeDumper, allow_unicode=True, width=sys.maxsize
    )
    return "".join(c if c.isprintable() or c == "\n" else f"\\U{ord(c):08x}" for c in text)


def _fault(mark: Mark, message: str) -> ConfigError:
    return ConfigError(f"{mark.name}:{mark.line + 1}: {message}")


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


def _show(text: str) -> str:
    return repr(_cut(text))


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        kinds = {type(None): "null", bool: "a boolean", str: "a string"}
        return kinds.get(type(_scalar(node)), "a number")
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"


def _decode(text: bytes | str, source: str) -> str:
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{source}:1: larger than {MAX_BYTES} bytes, the most that is accepted")
    try:
        decoded = data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{source}:{line}: not UTF-8 at byte {error.start}") from None
    if found := _FORBIDDEN.search(decoded):
        before = decoded[: found.start()].split("\n")
        name = f"U+{ord(found[0]):04X}"
        raise ConfigError(
            f"{source}:{len(before)}: character {name} at column {len(before[-1]) + 1} is not"
            " allowed; write it as an escape in double quotes"
        )
    return decoded


def _compose(text: bytes | str, source: str) -> yaml.Node | None:
    composer = _Composer(_decode(text, source), source)
    try:
        return composer.compose_only_document()
    except yaml.MarkedYAMLError as error:
        raise _explain(error, composer.marks) from None


class _Composer(Reader, Scanner, Parser, Composer, BaseResolver):
    """PyYAML's way from text to nodes, which refuses what a config may not hold as it comes."""

    def __init__(self, text: str, source: str):
        Reader.__init__(self, text)
        self.name = source
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)
        self.open: list[str | None] = []  # the anchor, if any, of every node around this one
        self.nodes = 0
        self.aliases = 0

    def compose_only_document(self) -> yaml.Node | None:
        self.get_event()
        if self.check_event(yaml.StreamEndEvent):
            return None
        node = self.compose_document()
        if not self.check_event(yaml.StreamEndEvent):
            mark = self.peek_event().start_mark
            raise _fault(mark, "a second document starts here; a config is one document")
        return node

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()
        mark, anchor = event.start_mark, event.anchor
        if isinstance(event, yaml.AliasEvent):
            return self._alias()
        if anchor in self.anchors:
            first = f"it is first given on line {_line(self.anchors[anchor])}"
            raise _fault(mark, f"anchor {_show(anchor)} is repeated; {first}")
        self.nodes += 1
        _bound_nodes(self.nodes, mark)
        if isinstance(event, yaml.CollectionStartEvent):
            _bound_depth(len(self.open), mark)
        self.open.append(anchor)
        node = super().compose_node(parent, index)
        self.open.pop()
        return node

    def _alias(self) -> yaml.Node:
        event = self.get_event()
        mark, name = event.start_mark, _show(event.anchor)
        self.aliases += 1
        if self.aliases > MAX_ALIASES:
            raise _fault(mark, f"more than {MAX_ALIASES} aliases")
        if event.anchor in self.open:
            raise _fault(mark, f"alias {name} is inside its own anchor")
        if event.anchor not in self.anchors:
            raise _fault(mark, f"alias {name} has no anchor above it")
        node = copy.copy(self.anchors[event.anchor])
        node.start_mark = mark  # a fault in what the alias stands for is shown at the alias
        return node

    def fetch_directive(self) -> None:
        raise _fault(self.get_mark(), "directives are not allowed; quote text that begins with %")

    def fetch_tag(self) -> None:
        raise _fault(self.get_mark(), "tags are not allowed; quote text that begins with !")

    def scan_flow_scalar_non_spaces(self, double: bool, start_mark: Mark) -> list[str]:
        mark = self.get_mark()
        try:
            chunks = super().scan_flow_scalar_non_spaces(double, start_mark)
            "".join(chunks).encode()
        except (ValueError, OverflowError):  # past U+10FFFF, or half of a surrogate pair
            raise _fault(mark, "an escape in this string is not a character") from None
        return chunks


def _bound_nodes(count: int, mark: Mark) -> None:
    if count > MAX_NODES:
        raise _fault(mark, f"more than {MAX_NODES} keys and values, aliases expanded")


def _bound_depth(depth: int, mark: Mark) -> None:
    if depth >= MAX_DEPTH:
        raise _fault(mark, f"nested deeper than {MAX_DEPTH} levels")


def _explain(error: yaml.MarkedYAMLError, around: list[Mark]) -> ConfigError:
    problem, context = error.problem or "not YAML", error.context or ""
    mark = error.problem_mark or error.context_mark
    assert mark is not None, "PyYAML gives the place of every syntax error"
    opened = error.context_mark or mark
    if "cannot start any token" in problem:
        return _explain_character(mark)
    if context == "while scanning a quoted scalar":
        return _fault(opened, f"the quote at column {opened.column + 1} is not closed")
    if context.startswith("while parsing a flow"):
        return _explain_bracket(around[-1], mark)
    if context == "while scanning a simple key":
        return _fault(opened, "expected ':' and a space after a key")
    for start, explanation in _EXPLANATIONS.items():
        if problem.startswith(start):
            return _fault(mark, f"column {mark.column + 1} {explanation}")
    if opened.line != mark.line:
        context += f" that begins on line {opened.line + 1}"
    return _fault(mark, f"{problem} {context}".strip())


def _explain_character(mark: Mark) -> ConfigError:
    text = mark.buffer or ""
    if text[mark.pointer] != "\t":
        place = f"{text[mark.pointer]!r} at column {mark.column + 1}"
        return _fault(mark, f"{place} cannot begin a value; quote text that begins with it")
    leading = not text[mark.pointer - mark.column : mark.pointer].strip()
    action = "indent" if leading else "separate"
    return _fault(mark, f"tab at column {mark.column + 1}; {action} with spaces")


def _explain_bracket(opened: Mark, mark: Mark) -> ConfigError:
    text = mark.buffer or ""
    bracket = f"the {text[opened.pointer]!r} at column {opened.column + 1} is not closed"
    if text[mark.pointer] == "\0":
        return _fault(opened, bracket)
    place = f"line {mark.line + 1}, column {mark.column + 1}"
    return _fault(opened, f"{bracket}, or lacks a comma or a value at {place}")


class _Expansion:
    """The data of nodes, where every alias becomes a copy, and the line of every path."""

    def __init__(self):
        self.lines: dict[Path, int] = {}
        self.characters = 0

    def value(self, node: yaml.Node, path: Path, line: int) -> Any:
        self.lines[path] = line
        _bound_nodes(len(self.lines), node.start_mark)
        if isinstance(node, yaml.ScalarNode):
            self._bound_characters(node)
            return _scalar(node, path)
        _bound_depth(len(path), node.start_mark)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        return [self.value(item, (*path, i), _line(item)) for i, item in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = _key(key_node)
            self._bound_characters(key_node)
            place = (*path, key)
            if key in entries:
                first = f"it is first given on line {self.lines[place]}"
                raise _fault(key_node.start_mark, f"key {_show(key)} is repeated; {first}")
            entries[key] = self.value(value_node, place, _line(key_node))
        return entries

    def _bound_characters(self, node: yaml.ScalarNode) -> None:
        self.characters += len(node.value)
        if self.characters > MAX_BYTES:
            raise _fault(node.start_mark, f"aliases repeat more than {MAX_BYTES} bytes of text")


def _key(node: yaml.Node) -> str:
    mark = node.start_mark
    if not isinstance(node, yaml.ScalarNode):
        raise _fault(mark, f"keys must be text, got {_kind(node)}")
    key = _scalar(node)
    if not isinstance(key, str):
        raise _fault(mark, f'keys must be text, got {_kind(node)}; quote it: "{node.value}"')
    if key == "<<" and node.style is None:
        raise _fault(
            mark,
            "merge keys '<<' are not supported; put the shared keys in a config file of their own,"
            " since several files on the command line are merged",
        )
    return key


def _scalar(node: yaml.ScalarNode, path: Path = ()) -> Scalar:
    text = node.value
    if node.style is not None:
        return text
    if text in _WORDS:
        return _WORDS[text]
    found = _NUMBER.fullmatch(text)
    try:
        return _number(text, found.lastgroup) if found else text
    except ValueError as wanted:
        place = f"{dotted(path)}: " if path else ""
        fault = f"{place}got {_cut(text)}; expected {wanted}"
        raise _fault(node.start_mark, fault) from None


def _number(text: str, kind: str | None) -> int | float:
    """What a numeral means.

    Raises: ValueError, with what it should have been, where a computer cannot say the same.
    """
    if kind == "infinite":
        raise ValueError("a finite number")
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of at most {MAX_DIGITS} digits")
    value = float(text) if kind == "real" else int(text, 0 if kind == "based" else 10)
    if len(str(value)) > MAX_DIGITS:
        raise ValueError(f"a number of at most {MAX_DIGITS} digits")
    if math.isinf(value):
        raise ValueError("a finite number")
    if value == 0 and re.match(r"[-+.0]*[1-9]", text):
        raise ValueError("0, or a number that is not as near to it")
    return value


def _node(value: Any) -> yaml.Node:
    if isinstance(value, dict):
        entries = [(_node(key), _node(entry)) for key, entry in value.items()]
        return yaml.MappingNode("tag:yaml.org,2002:map", entries, flow_style=False)
    if isinstance(value, list):
        items = [_node(item) for item in value]
        flat = all(isinstance(item, yaml.ScalarNode) for item in items)
        short = flat and sum(len(item.value) + 2 for item in items) <= 80
        return yaml.SequenceNode("tag:yaml.org,2002:seq", items, flow_style=short)
    return _scalar_node(value)


def _scalar_node(value: Scalar) -> yaml.ScalarNode:
    if isinstance(value, str):
        style = None if value.isprintable() else '"'
        if _NUMBER.fullmatch(value) or value in ("y", "Y", "n", "N"):
            style = "'"
        return yaml.ScalarNode("tag:yaml.org,2002:str", value, style=style)
    if value is None:
        return yaml.ScalarNode("tag:yaml.org,2002:null", "null")
    if isinstance(value, bool):
        return yaml.ScalarNode("tag:yaml.org,2002:bool", "true" if value else "false")
    if isinstance(value, int):
        return yaml.ScalarNode("tag:yaml.org,2002:int", str(value))
    assert isinstance(value, float), f"a config holds no {type(value).__name__}"
    assert math.isfinite(value), "a config holds finite numbers only"
    text = repr(value)
    if "." not in text:
        text = text.replace("e", ".0e")  # YAML 1.1 takes 1e-05 for text
    return yaml.ScalarNode("tag:yaml.org,2002:float", text)
