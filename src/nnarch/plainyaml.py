"""The YAML that nnarch writes itself, read a hundred times as fast as YAML at large.

What `yamlfile.dump` writes has an entry or an item on each line, plain keys, and a value that is
whole on its line, so one section of a config of thousands of runs is found and read in a moment.
Whatever looks otherwise, as it may where a person has edited it, is read by `yamlfile`: slowly,
and to the same values.
"""

import math
import re
from collections import deque
from functools import lru_cache
from typing import Any, NamedTuple

MAX_CHARACTERS = 2**20
_USUAL = re.compile(r"(?=[A-Za-z_])(?:(?:[A-Za-z_]\w*:(?![^ \n])|  |- ).*\n)*", re.ASCII)
_SECTIONS = re.compile(r"^([A-Za-z_]\w*):(.*\n(?:[ -].*\n)*)", re.ASCII | re.MULTILINE)
_BEHIND = re.compile(r".*\n(?:[ -].*\n)*")
_FORM = re.compile(r"([A-Za-z_]\w*):(?: (.+))?", re.ASCII)
_WHOLE = re.compile(r"-?\d{1,15}", re.ASCII)
_REAL = re.compile(r"-?\d{1,20}\.\d{0,20}(?:e[-+]?\d{1,3})?", re.ASCII)
_TEXT = re.compile(r"[A-Za-z_][\w./-]*(?: [\w./-]+)*", re.ASCII)
_LIST = re.compile(r"\[([\w. +-]+(?:, [\w. +-]+)*)\]", re.ASCII)
_QUOTED = re.compile(r"'([ -&(-~]*)'")
_WORDS = {"null": None, "true": True, "false": False}


class _Unusual(Exception):
    """Text that `yamlfile.dump` would not write so."""


def whole(text: str, source: str) -> dict[str, Any]:
    """All of a config; lists and mappings in it are shared, and not to be changed.

    Args:
        source: what the text is called in messages.

    Raises: ConfigError where `text` is no config.

    >>> whole("seed: 0\\nmodel:\\n  name: mlp\\n  widths: [8, 8]\\n", "resolved.yaml")
    {'seed': 0, 'model': {'name': 'mlp', 'widths': [8, 8]}}
    """
    try:
        found = _SECTIONS.findall(_usual(text))
        if len(sections := {name: _value(block) for name, block in found}) == len(found) > 0:
            return sections
    except (_Unusual, RecursionError):
        pass
    return _by_yaml(text, source)


def section(text: str, name: str, source: str) -> Any:
    """The value of one key of a config, for which little else is read.

    Raises: KeyError where there is no such key, ConfigError where `text` is no config.

    >>> section("seed: 0\\nmodel:\\n  name: mlp\\n  widths: [8, 8]\\n", "model", "resolved.yaml")
    {'name': 'mlp', 'widths': [8, 8]}
    """
    try:
        return _value(_behind(name, _usual(text)))
    except (_Unusual, RecursionError):
        return _by_yaml(text, source)[name]


def _behind(name: str, text: str) -> str:
    """What stands behind a key's colon, up to the next key.

    Raises: KeyError where there is no such key.
    """
    lines, start = f"\n{text}", f"\n{name}:"
    place = lines.find(start)
    if place < 0 or not name.isidentifier():
        raise KeyError(name)
    if lines.find(start, place + 1) >= 0:
        raise _Unusual
    found = _BEHIND.match(lines, place + len(start))
    assert found, "usual text ends with a line's end"
    return found[0]


def _usual(text: str) -> str:
    if len(text) > MAX_CHARACTERS or not _USUAL.fullmatch(text):
        raise _Unusual
    return text


def _by_yaml(text: str, source: str) -> dict[str, Any]:
    from nnarch import yamlfile

    return yamlfile.parse(text, source).value


@lru_cache(4096)
def _value(block: str) -> Any:
    """What stands behind a key's colon: the rest of the line, or the lines below it."""
    first, *below = block.removesuffix("\n").split("\n")
    if first:
        value = _scalar(first.removeprefix(" "))
    else:
        bodies = [line.lstrip(" ") for line in below]
        indents = [len(line) - len(body) for line, body in zip(below, bodies, strict=True)]
        lines = deque(zip(indents, bodies, strict=True))
        value, below = _inner(lines, 0), lines
    if below:
        raise _Unusual
    return value


def _inner(lines: deque[tuple[int, str]], around: int) -> Any:
    """The mapping or list that begins here, below a key that is indented by `around`."""
    if not lines or lines[0][0] < around + 2 * (not lines[0][1].startswith("- ")):
        raise _Unusual
    return _block(lines)


def _block(lines: deque[tuple[int, str]]) -> Any:
    indent, body = lines[0]
    if body.startswith("- "):
        return _items(lines, indent)
    if _entry(body):
        return _entries(lines, indent)
    lines.popleft()
    return _scalar(body)


def _items(lines: deque[tuple[int, str]], indent: int) -> list[Any]:
    items = []
    while lines and lines[0][0] == indent and lines[0][1].startswith("- "):
        lines[0] = (indent + 2, lines[0][1][2:])
        items.append(_block(lines))
    return items


def _entries(lines: deque[tuple[int, str]], indent: int) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    while lines and lines[0][0] == indent and (entry := _entry(lines[0][1])):
        lines.popleft()
        if entry.key in entries:
            raise _Unusual
        entries[entry.key] = entry.value if entry.is_whole else _inner(lines, indent)
    return entries


class _Entry(NamedTuple):
    """A line of a mapping."""

    key: str
    is_whole: bool
    value: Any


@lru_cache(4096)
def _entry(body: str) -> _Entry | None:
    """What a line says, which the next thousand configs may say too; None where it is no entry."""
    if not (found := _FORM.fullmatch(body)):
        return None
    key, rest = found.groups()
    return _Entry(key, bool(rest), _scalar(rest) if rest else None)


def _scalar(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    if _REAL.fullmatch(text) and math.isfinite(value := float(text)) and value:
        return value
    if _TEXT.fullmatch(text) and text.lower() not in _WORDS:
        return text
    if text in ("[]", "{}"):
        return [] if text == "[]" else {}
    if found := _QUOTED.fullmatch(text):
        return found[1]
    if found := _LIST.fullmatch(text):
        return [_scalar(item) for item in found[1].split(", ")]
    return _scalar_by_yaml(text)


@lru_cache(4096)
def _scalar_by_yaml(text: str) -> Any:
    from nnarch import yamlfile
    from nnarch.errors import ConfigError

    try:
        return yamlfile.parse_value(text, "")
    except ConfigError as error:
        raise _Unusual from error
