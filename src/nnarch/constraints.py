"""Bounds on what a network may cost, as a line of text: `params <= 50_000`.

A constraint is checked on numbers that no training is needed for, so a network that breaks one
costs nothing. It is read by a grammar of its own, never evaluated.

    constraint  [NUMBER <=] SUM OPERATOR NUMBER     sides may change places: 10k <= params <= 50k
    SUM         QUANTITY, or QUANTITY + QUANTITY
    NUMBER      50000, 50_000, 50k, 2M, 1e6
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from nnarch.errors import ConfigError

QUANTITIES = {  # what each is, in words
    "params": "numbers that training changes",
    "flops": "multiplications and additions for one row",
    "depth": "layers with weights",
    "width": "numbers that the widest layer makes",
}
ALIASES = {"parameters": "params"}
OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}
TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "=="}
LETTERS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}
NUMBER = re.compile(r"(\d[\d_]*(?:\.\d+)?(?:e[+-]?\d{1,3})?)([kmgb]?)", re.IGNORECASE)
SIDES = re.compile(r"(<=|>=|==|<|>)")
EXAMPLE = "expected a bound such as 'params <= 50_000', 'flops < 1e6' or '2 <= depth <= 4'"


@dataclass(frozen=True)
class Constraint:
    """One bound, or two.

    Attributes:
        text: as it was written.
        quantity: what is bound: `params`, `flops`, `depth`, `width`, or a sum of them.
        bounds: operators and the numbers to their right.
    """

    text: str
    quantity: str
    bounds: tuple[tuple[str, float], ...]

    def satisfied(self, values: Mapping[str, float]) -> bool:
        """Whether a network keeps to it, given what it has of each quantity."""
        had = sum(values[name] for name in self.quantities)
        return all(OPERATORS[sign](had, bound) for sign, bound in self.bounds)

    @property
    def quantities(self) -> list[str]:
        """What has to be known of a network."""
        return self.quantity.split(" + ")


def parse(text: str) -> Constraint:
    """The constraint that `text` means.

    >>> constraint = parse("10k <= params <= 50_000")
    >>> constraint.quantity, constraint.satisfied({"params": 50_001})
    ('params', False)

    Raises: ConfigError saying what was expected.
    """
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    parts = [part.strip() for part in SIDES.split(text)]
    if len(parts) not in (3, 5) or "" in parts:
        raise ConfigError(f"got {shown!r}; {EXAMPLE}")
    numbers = [_number(part) for part in parts]
    if len(parts) == 3:
        left, sign, right = parts
        about, bounds = (left, [(sign, numbers[2])])
        if numbers[2] is None and numbers[0] is not None:
            about, bounds = right, [(TURNED[sign], numbers[0])]
    else:
        about = parts[2]
        bounds = [(TURNED[parts[1]], numbers[0]), (parts[3], numbers[4])]
        if parts[1][0] != parts[3][0] or parts[1] == "==":
            raise ConfigError(f"got {shown!r}; expected both bounds to point the same way")
    found = tuple((sign, bound) for sign, bound in bounds if bound is not None)
    if len(found) < len(bounds):
        raise ConfigError(f"got {shown!r}; expected a number, as 50_000, 50k, 2M or 1e6")
    return Constraint(text, _sum(about, shown), found)


def _number(text: str) -> float | None:
    """
    >>> _number("50_000"), _number("1.5k"), _number("wide")
    (50000.0, 1500.0, None)
    """
    found = NUMBER.fullmatch(text)
    return float(found[1].replace("_", "")) * LETTERS[found[2].lower()] if found else None


def _sum(text: str, shown: str) -> str:
    names = [name.strip() for name in text.split("+")]
    meant = [ALIASES.get(name, name) for name in names]
    for name, known in zip(names, meant, strict=True):
        if known not in QUANTITIES:
            raise ConfigError(f"got {name!r} in {shown!r}; {_suggestion(name)}")
    return " + ".join(meant)


def _suggestion(name: str) -> str:
    near = get_close_matches(name.lower(), [*QUANTITIES, *ALIASES], n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}known: {', '.join(QUANTITIES)}"
