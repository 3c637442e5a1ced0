"""How a value that is left open is written, and what it may be.

    {choice: [relu, gelu]}                one of these, each of which may hold open values again
    {int: [1, 4]}                         an integer, both ends included; `step: 2`, `log: true`
    {float: [1e-4, 1e-1], log: true}      a number, on a log scale or not; or in steps
    {repeat: {int: [1, 3]}, of: {int: [8, 128]}}      a list of open length, each item by itself

`default` beside it is the value that is taken where nothing is explored, and those of one `name`
are one value. What is read here is a single form; what a whole config leaves open is for
`nnarch.space.space`.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nnarch.errors import Fault, Path
from nnarch.registry import suggestion
from nnarch.space.domains import FARTHEST, Choice, Domain, Float, Int, is_number
from nnarch.validate import shortened

BESIDE = {  # what may stand beside each form
    "choice": ("default", "name"),
    "int": ("step", "log", "default", "name"),
    "float": ("step", "log", "default", "name"),
}
EVERY_KEY = {"choice", *BESIDE, *BESIDE["int"]}
LIST = {"repeat", "of"}
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,59}")
MOST_STEPS = 10**9
EXAMPLES = {"int": "two integers, as [1, 4]", "float": "two numbers, as [1e-4, 1e-1]"}


def is_open(value: Any) -> bool:
    """Whether `value` stands for a set of values, be it well written or not.

    >>> is_open({"float": [1e-4, 1e-1], "log": True}), is_open({"name": "mlp"})
    (True, False)
    """
    if not isinstance(value, Mapping):
        return False
    if value.keys() == LIST:
        return True
    forms = [form for form in BESIDE if form in value]
    alone = len(forms) == 1 and value.keys() <= EVERY_KEY
    return alone or any(isinstance(value[form], list) for form in forms)


def open_values(value: Any, at: Path = ()) -> Iterator[Path]:
    """The paths of the open values within `value`, those within others apart.

    >>> list(open_values({"model": {"widths": {"choice": [[8], [8, 8]]}}, "epochs": 3}))
    [('model', 'widths')]
    """
    if at == ("data", "types"):  # whose keys are a user's own
        return
    if at and is_open(value):  # a whole config is none, whatever its keys
        yield at
        return
    if isinstance(value, Mapping):
        inside = value.items()
    else:
        inside = enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield from open_values(inner, (*at, key))


@dataclass(frozen=True)
class Form:
    """An open value as it was read.

    Attributes:
        domain: what it may be.
        default: as it is drawn, which of a choice is a place; None where there is none.
        name: which it shares with others.
        places: of a choice, where each option stands in the list as it was written.
    """

    domain: Domain
    default: Any = None
    name: str | None = None
    places: tuple[int, ...] = ()


def read(raw: Mapping[str, Any], at: Path) -> tuple[Form | None, list[Fault]]:
    """What an open value means, or what is wrong with it.

    >>> read({"int": [1, 4], "default": 2}, ())
    (Form(domain=Int(low=1, high=4, step=1, log=False), default=2, name=None, places=()), [])
    """
    form, *more = [form for form in BESIDE if form in raw]
    if more:
        return None, [Fault(at, f"got {' and '.join([form, *more])}; expected one of them")]
    faults = _faults_beside(form, raw, at)
    places: tuple[int, ...] = ()
    if form == "choice":
        domain, places, found = _choice(raw["choice"], (*at, "choice"))
    else:
        domain, found = _range(form, raw, at)
    faults += found
    default = None
    if domain is not None and "default" in raw:
        default = _drawn(domain, raw["default"])
        if default is None:
            told = f"got {shortened(raw['default'])}; expected {in_words(domain)}"
            faults.append(Fault((*at, "default"), told))
    if faults or domain is None:
        return None, faults
    return Form(domain, default, raw.get("name"), places), []


def _faults_beside(form: str, raw: Mapping[str, Any], at: Path) -> list[Fault]:
    faults = [
        Fault((*at, key), f"unknown key beside {form}; {suggestion(str(key), [*BESIDE[form]])}")
        for key in raw
        if key not in (form, *BESIDE[form])
    ]
    name = raw.get("name", "unnamed")
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        wanted = "a name of letters, digits, '_' and '-', the first a letter or '_'"
        faults.append(Fault((*at, "name"), f"got {shortened(name)}; expected {wanted}"))
    return faults


def _choice(options: Any, at: Path) -> tuple[Choice | None, tuple[int, ...], list[Fault]]:
    if not isinstance(options, list) or not options:
        told = f"got {shortened(options)}; expected a list of at least one option"
        return None, (), [Fault(at, told)]
    seen: dict[Any, int] = {}
    for place, option in enumerate(options):
        seen.setdefault(_content(option), place)
    places = list(seen.values())
    if all(is_number(options[place]) for place in places):
        places.sort(key=lambda place: options[place])
    return Choice.among([options[place] for place in places]), tuple(places), []


def _content(option: Any) -> Any:
    """What two options share if they are the same."""
    return option if is_number(option) else json.dumps(option, sort_keys=True)


def _range(form: str, raw: Mapping[str, Any], at: Path) -> tuple[Domain | None, list[Fault]]:
    given, place = raw[form], (*at, form)
    fits: Callable[[Any], Any] = _whole if form == "int" else _real
    ends: list[Any] = [fits(end) for end in given] if isinstance(given, list) else []
    if len(ends) != 2 or None in ends:
        return None, [Fault(place, f"got {shortened(given)}; expected {EXAMPLES[form]}")]
    low, high = ends
    log, faults = raw.get("log", False), list[Fault]()
    if low > high:
        faults.append(Fault(place, f"got {shortened(given)}; expected the smaller one first"))
    if not isinstance(log, bool):
        faults.append(Fault((*at, "log"), f"got {shortened(log)}; expected true or false"))
    elif log and low <= 0:
        told = f"got {shortened(given)} on a log scale; expected both > 0"
        faults.append(Fault(place, told))
    faults += _faults_of_step(form, raw, high - low, at)
    if faults:
        return None, faults
    step = None if raw.get("step") is None else fits(raw["step"])
    if form == "int":
        return Int(low, high, int(step or 1), log), []
    return Float(low, high, log, step), []


def _faults_of_step(form: str, raw: Mapping[str, Any], width: float, at: Path) -> list[Fault]:
    step, at = raw.get("step"), (*at, "step")
    if step is None:
        return []
    given = (_whole if form == "int" else _real)(step)
    if given is None or given <= 0:
        wanted = "an integer >= 1" if form == "int" else "a number > 0"
        return [Fault(at, f"got {shortened(step)}; expected {wanted}")]
    if width / given > MOST_STEPS:
        told = f"got {shortened(step)}, which makes more than {MOST_STEPS:,} values"
        return [Fault(at, f"{told}; expected larger steps, or none")]
    if form == "float" and raw.get("log") is True:
        return [Fault(at, "stands beside log: true; expected one of them, of a float")]
    return []


def _whole(value: Any) -> int | None:
    whole = is_number(value) and abs(value) <= FARTHEST and value == int(value)
    return int(value) if whole else None


def _real(value: Any) -> float | None:
    return float(value) if is_number(value) and abs(value) <= 1e300 else None


def _drawn(domain: Domain, value: Any) -> Any:
    """What is drawn where `value` is, None where it cannot be."""
    if isinstance(domain, Choice):
        contents = [_content(option) for option in domain.options]
        if _content(value) in contents:
            return contents.index(_content(value))
        names = labels(domain.options)
        return names.index(value) if isinstance(value, str) and value in names else None
    number = _whole(value) if isinstance(domain, Int) else _real(value)
    return number if number is not None and domain.contains(number) else None


def in_words(domain: Domain) -> str:
    """What a domain holds, in words.

    >>> in_words(Int(8, 64, 8)), in_words(Choice.among(["relu", "gelu"]))
    ('an integer from 8 to 64 in steps of 8', 'one of relu, gelu')
    """
    if isinstance(domain, Choice):
        names = labels(domain.options)
        return f"one of {', '.join(names[:10])}{', …' if len(names) > 10 else ''}"
    steps = f" in steps of {domain.step:g}" if domain.step not in (None, 1) else ""
    kind = "an integer" if isinstance(domain, Int) else "a number"
    return f"{kind} from {domain.low:g} to {domain.high:g}{steps}"


def labels(options: Sequence[Any]) -> list[str]:
    """What a person calls each option of a choice: no two the same.

    >>> labels(["relu", {"name": "sgd", "lr": 0.1}, {"LeakyReLU": 0.1}, {"LeakyReLU": 0.2}, []])
    ['relu', 'sgd', 'LeakyReLU', 'LeakyReLU#2', 'none']
    """
    counts: dict[str, int] = {}
    given: list[str] = []
    for option in options:
        label = _label(option)
        counts[label] = counts.get(label, 0) + 1
        given.append(label if counts[label] == 1 else f"{label}#{counts[label]}")
    return given


def _label(option: Any) -> str:
    if isinstance(option, Mapping) and option:
        named = option.get("name", option.get("source"))
        return named if isinstance(named, str) else str(next(iter(option)))
    if isinstance(option, list):
        return "+".join(map(_label, option))[:60] or "none"
    return option[:60] if isinstance(option, str) else shortened(option)
