"""A condition that runs are chosen by, such as `val_loss < 0.1`.

Numbers are compared as numbers and text as text, dates among it. A run that says nothing of the
key, or something of another type, is not chosen, whatever the comparison.
"""

import json
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from nnarch.errors import UsageError

EXPECTED = "expected a key, one of = != < <= > >= ~ and a value, as in 'val_loss < 0.1'"
_FORM = re.compile(r"\s*([^\s=!<>~]+)\s*(==|!=|<=|>=|=|<|>|~)\s*(.+?)\s*")
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


@dataclass(frozen=True)
class Condition:
    """A key, how it is compared, and with what."""

    key: str
    sign: str
    text: str

    def holds(self, value: Any) -> bool:
        """Whether a value of the key is as wanted.

        >>> [parse("lr <= 1e-3").holds(value) for value in (1e-4, 1, "1e-4", None)]
        [True, False, False, False]
        >>> parse("model.widths = [64,64]").holds([64, 64]), parse("name ~ iris").holds("my-iris-1")
        (True, True)
        """
        if value is None:
            return False
        if self.sign == "~":
            return self.text in told(value)
        if self.sign in ("=", "!="):
            return self._equals(value) == (self.sign == "=")
        number = _number(self.text)
        if number is None:
            return isinstance(value, str) and _ORDER[self.sign](value, self.text)
        return is_number(value) and _ORDER[self.sign](value, number)

    def _equals(self, value: Any) -> bool:
        if is_number(value):
            return value == _number(self.text)
        if isinstance(value, list):
            return told(value).replace(" ", "") == self.text.replace(" ", "")
        return told(value) == self.text


def parse(text: str) -> Condition:
    """The condition that `text` says.

    Raises: UsageError where it says none.

    >>> parse("model.name = 'mlp'")
    Condition(key='model.name', sign='=', text='mlp')
    """
    if not (found := _FORM.fullmatch(text)):
        raise UsageError(f"--where: got {text!r}; {EXPECTED}")
    key, sign, value = found.groups()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    return Condition(key, "=" if sign == "==" else sign, value)


def is_number(value: Any) -> bool:
    """Whether a value is one; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def told(value: Any) -> str:
    """A value as a config would say it.

    >>> told("mlp"), told([1, "a"]), told(True), told(0.5)
    ('mlp', '[1, a]', 'true', '0.5')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return f"[{', '.join(map(told, value))}]"
    return json.dumps(value, ensure_ascii=False)


@lru_cache(1024)
def _number(text: str) -> int | float | None:
    """The number that `text` is; a whole one of any length to its last digit."""
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        return value if value == value else None  # nan is text
    return None
