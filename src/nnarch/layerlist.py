"""The grammar of a network written layer by layer.

An item of the list is a layer, by a bare name or as `{Name: arguments}`, or a structure: a word
in lower case with lists of its own. What is parsed here is the form alone, so that a mistake in
it is told with all others of a config and before torch is imported; which layers torch has, and
which shapes fit, shows when the list is followed (`nnarch.models.following`).

    layer       Linear | {Linear: 64} | {Conv2d: [16, 3]} | {Linear: {out_features: 64}}
    residual    {residual: LIST}, with `project: true` and `drop: 0.1` beside it
    repeat      {repeat: 3, do: LIST}
    branches    {concat: [LIST, ...]}, with `dim: 0` beside it; {sum: [...]}, {mul: [...]}
    link        {from: NAME}, of what another item calls its output by `as: NAME`
    tied        {Linear: out, tie: NAME}, with the weight of the layer of that name
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nnarch.errors import Fault, Path

MOST_LAYERS = 5_000
SYMBOLS = ("out", "same")
BESIDE = {  # what may stand beside the word or the layer, `as` apart
    "residual": ("project", "drop"),
    "repeat": ("do",),
    "concat": ("dim",),
    "sum": (),
    "mul": (),
    "from": (),
}
COMMON = (  # of torch's layers, to be hinted at before torch is imported
    "Linear", "Conv1d", "Conv2d", "BatchNorm1d", "BatchNorm2d", "LayerNorm", "Dropout", "Flatten",
    "MaxPool2d", "Embedding", "RNN", "LSTM", "GRU", "MultiheadAttention", "ReLU", "GELU",
)  # fmt: skip
OF_LAYERS = ("tie",)
OPTIONS = {"as", "tie", *(key for keys in BESIDE.values() for key in keys)}
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,59}")
OF_TORCH = re.compile(r"[A-Z][A-Za-z0-9]{0,59}")
REGISTERED = re.compile(r"[a-z][a-z0-9_]{0,59}")
LINK = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,59}(\.[0-9]{1,4})*")


@dataclass(frozen=True)
class Item:
    """One item of a list of layers.

    Attributes:
        word: the name of a layer, or the word of a structure.
        path: where it stands in the config.
        value: a layer's arguments as they were given, the number of repetitions, or the name
            that a link leads to.
        lists: the lists of a structure.
        name: what its output is called, by `as`.
        options: what stands beside it, `do` and `as` apart.
        bare: whether it is a name alone.
    """

    word: str
    path: Path
    value: Any = None
    lists: "tuple[tuple[Item, ...], ...]" = ()
    name: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    bare: bool = False

    @property
    def at(self) -> Path:
        """Where its word stands."""
        return self.path if self.bare else (*self.path, self.word)

    @property
    def is_layer(self) -> bool:
        return self.word not in BESIDE

    @property
    def ends(self) -> bool:
        """Whether it is, or ends with, a layer as wide as the task needs."""
        if self.is_layer:
            values = self.value if isinstance(self.value, Mapping | list) else [self.value]
            return "out" in (values.values() if isinstance(values, Mapping) else values)
        return any(items[-1].ends for items in self.lists if items)


def parse(raw: Any, at: Path) -> tuple[tuple[Item, ...], list[Fault]]:
    """The items of a list, and what is wrong with it; a list with faults is not to be used.

    >>> items, faults = parse([{"Linear": 64}, "GELU", {"residual": ["GELU"], "as": "r"}], ())
    >>> [item.word for item in items], items[2].name, faults
    (['Linear', 'GELU', 'residual'], 'r', [])
    """
    faults: list[Fault] = []
    items = _items(raw, at, faults)
    if not faults:
        _count(items, faults)
        _check_ends(items, faults)
        _check_names(items, faults)
    return items, faults


def walk(items: tuple[Item, ...]) -> Iterator[Item]:
    """Every item, those within structures too."""
    for item in items:
        yield item
        for inner in item.lists:
            yield from walk(inner)


def _items(raw: Any, at: Path, faults: list[Fault]) -> tuple[Item, ...]:
    if not isinstance(raw, list):
        faults.append(Fault(at, f"got {_shown(raw)}; expected a list of layers"))
        return ()
    parsed = [_item(one, (*at, place), faults) for place, one in enumerate(raw)]
    return tuple(item for item in parsed if item is not None)


def _item(raw: Any, at: Path, faults: list[Fault]) -> Item | None:
    bare = isinstance(raw, str)
    if bare:
        raw = {raw: None}
    if not isinstance(raw, Mapping):
        faults.append(Fault(at, f"got {_shown(raw)}; {EXPECTED}"))
        return None
    heads = [key for key in raw if key not in OPTIONS]
    if len(heads) != 1:
        got = " and ".join(map(str, heads)) if heads else f"{_shown(list(raw))} alone"
        faults.append(Fault(at, f"got {got}; expected one layer an item; {EXPECTED}"))
        return None
    (word,) = heads
    before = len(faults)
    _check_word(word, at if bare else (*at, word), faults)
    _check_beside(word, raw, at, faults)
    lists = () if word not in BESIDE else _lists(word, raw, at, faults)
    if len(faults) > before:
        return None
    kept = {key: raw[key] for key in raw if key not in (word, "as", "do")}
    return Item(word, at, raw[word], lists, raw.get("as"), kept, bare)


EXPECTED = "expected a layer, such as Linear or {Linear: 64}, or one of " + ", ".join(BESIDE)


def _check_word(word: str, at: Path, faults: list[Fault]) -> None:
    if word in ("choice", "int", "float"):
        faults.append(Fault(at, "is left open; expected one layer, in the file or as an override"))
    elif not OF_TORCH.fullmatch(word) and not REGISTERED.fullmatch(word):
        faults.append(
            Fault(
                at,
                f"no layer is called {_shown(word)}; expected the name of a torch.nn class, as "
                "Linear, or of a registered layer or activation, as relu",
            )
        )


def _check_beside(word: str, raw: Mapping[str, Any], at: Path, faults: list[Fault]) -> None:
    accepted = (*BESIDE.get(word, OF_LAYERS), "as")
    for key in raw:
        if key != word and key not in accepted:
            names = ", ".join(accepted)
            faults.append(Fault((*at, key), f"does not stand beside {word}; expected {names}"))
            continue
        if key != word and (wanted := _unlike(key, raw[key])):
            faults.append(Fault((*at, key), f"got {_shown(raw[key])}; expected {wanted}"))


def _unlike(key: str, value: Any) -> str | None:
    """What the value of an option should have been, where it is something else."""
    if key == "as" and not (isinstance(value, str) and NAME.fullmatch(value)):
        return "a name of letters, digits and '_', the first no digit"
    if key == "tie" and not (isinstance(value, str) and LINK.fullmatch(value)):
        return "the name of a layer before"
    if key == "project" and not isinstance(value, bool):
        return "true or false"
    if key == "drop" and not (isinstance(value, int | float) and 0 <= value < 1):
        return "a number >= 0 and < 1"
    if key == "dim" and not (isinstance(value, int) and not isinstance(value, bool)):
        return "a dimension of a sample, as 0 or -1"
    return None


def _lists(
    word: str, raw: Mapping[str, Any], at: Path, faults: list[Fault]
) -> tuple[tuple[Item, ...], ...]:
    """The lists that a structure holds."""
    value, place = raw[word], (*at, word)
    if word == "from":
        if not (isinstance(value, str) and LINK.fullmatch(value)):
            faults.append(Fault(place, f"got {_shown(value)}; expected the name of an item before"))
        return ()
    if word == "repeat":
        if not (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
            faults.append(Fault(place, f"got {_shown(value)}; expected an integer >= 1"))
        if "do" not in raw:
            faults.append(Fault(at, "repeats nothing; expected do: and a list of layers"))
            return ()
        return (_within(raw["do"], (*at, "do"), faults),)
    if word == "residual":
        return (_within(value, place, faults),)
    if not isinstance(value, list) or len(value) < 2:
        faults.append(Fault(place, f"got {_shown(value)}; expected a list of two lists or more"))
        return ()
    return tuple(_within(branch, (*place, i), faults) for i, branch in enumerate(value))


def _within(value: Any, at: Path, faults: list[Fault]) -> tuple[Item, ...]:
    """The items of a structure's list; one of a single item may be written as the item."""
    if isinstance(value, str | Mapping):
        item = _item(value, at, faults)
        return () if item is None else (item,)
    return _items(value, at, faults)


def _count(items: tuple[Item, ...], faults: list[Fault]) -> int:
    """The layers of a list once its repetitions are written out."""
    total = 0
    for item in items:
        inside = sum(_count(inner, faults) for inner in item.lists)
        total += max(inside, 1) * (item.value if item.word == "repeat" else 1)
        if total > MOST_LAYERS and not faults:
            faults.append(
                Fault(item.path, f"makes {total:,} layers; expected at most {MOST_LAYERS:,}")
            )
    return total


def _check_names(items: tuple[Item, ...], faults: list[Fault]) -> None:
    seen: set[str] = set()
    for item in walk(items):
        if item.name in seen:
            message = f"{item.name!r} is the name of another item"
            faults.append(Fault((*item.path, "as"), message))
        elif item.name:
            seen.add(item.name)


def _check_ends(items: tuple[Item, ...], faults: list[Fault]) -> None:
    for place, item in enumerate(items):
        for inner in item.lists:
            _check_ends(inner, faults)
        if item.ends and place + 1 < len(items):
            after = items[place + 1]
            faults.append(
                Fault(
                    after.path,
                    f"{after.word} comes after a layer as wide as 'out'; expected that layer to be "
                    "the last, since its raw outputs go into the loss",
                )
            )
        elif item.ends and item.word == "repeat" and item.value > 1:
            faults.append(
                Fault(item.path, "repeats a layer as wide as 'out', which ends a network")
            )


def _shown(value: Any) -> str:
    text = json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
