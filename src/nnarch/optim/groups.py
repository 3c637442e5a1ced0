"""Which parameters of a network are meant: by what they are, or by a pattern over their names.

Groups of an optimizer and what a config freezes are told in the same words. `biases`, `norms`
and `embeddings` say what a parameter is for, so that they mean the same in any architecture;
anything else is a pattern such as `body.0.*`, as shells have them, in which `*` goes over dots
as well. A parameter that stands in several places of a network goes by the first of its names.
"""

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from nnarch.errors import ConfigError

WORDS = ("biases", "norms", "embeddings")
NUMBERS = ("lr", "weight_decay")  # what a group may have of its own
FEW = 4  # names in a message

_CALLED = {"norms": re.compile(r"Norm(\dd)?$"), "embeddings": re.compile(r"Embedding(s|Bag)?$")}

Kinds = dict[str, set[str]]


def kinds_of(network: nn.Module) -> Kinds:
    """Which of `WORDS` each parameter is, by its name.

    A normalization is a module whose class, or one that this derives from, is called so:
    `LayerNorm`, `BatchNorm2d`; an embedding likewise. A bias is a parameter called so.

    >>> kinds = kinds_of(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)))
    >>> [(name, sorted(words)) for name, words in kinds.items()][1:3]
    [('0.bias', ['biases']), ('1.weight', ['norms'])]
    """
    names = {parameter: name for name, parameter in network.named_parameters()}
    kinds: Kinds = {name: set() for name in names.values()}
    for module in network.modules():
        words = {word for word in _CALLED if is_a(word, module)}
        for name, parameter in module.named_parameters(recurse=bool(words)):
            is_bias = "bias" in name.rsplit(".", 1)[-1].split("_")
            kinds[names[parameter]] |= words | ({"biases"} if is_bias else set())
    return kinds


def is_a(word: str, module: nn.Module) -> bool:
    """Whether a module is one of the `norms` or the `embeddings`."""
    return any(_CALLED[word].search(each.__name__) for each in type(module).__mro__)


def chosen(kinds: Kinds, patterns: Sequence[str], place: str) -> set[str]:
    """The names of the parameters that any of `patterns` means.

    A word may mean none where another pattern beside it means some, so that
    `[biases, norms]` suits a network without norms.

    Raises: ConfigError at `place` where a pattern, or all of them, means no parameter.
    """
    found = {pattern: _matching(kinds, pattern) for pattern in patterns}
    for number, pattern in enumerate(patterns):
        if not found[pattern] and (pattern not in WORDS or not any(found.values())):
            at = f"{place}[{number}]" if len(patterns) > 1 else place
            raise ConfigError(
                f"{at}: {pattern!r} matches no parameter; expected {', '.join(WORDS)}, or a "
                f"pattern over names such as {few(list(kinds))}"
            )
    return set().union(*found.values())


def _matching(kinds: Kinds, pattern: str) -> set[str]:
    if pattern in WORDS:
        return {name for name, words in kinds.items() if pattern in words}
    return {name for name in kinds if fnmatchcase(name, pattern)}


def few(names: Sequence[str]) -> str:
    """The first few names, in a row.

    >>> few(["a", "b", "c", "d", "e", "f"])
    'a, b, c, d and 2 more'
    """
    more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
    return ", ".join(names[:FEW]) + more


def assigned(network: nn.Module, groups: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The parameters of each group of a config, by name; each is in the first that matches it.

    Raises: ConfigError where none is left for a group.
    """
    kinds, made = kinds_of(network), []
    left = list(kinds)
    for number, group in enumerate(groups):
        place, match = f"optimizer.groups[{number}].match", group["match"]
        found = chosen(kinds, [match] if isinstance(match, str) else match, place)
        if not found.intersection(left):
            raise ConfigError(
                f"{place}: all that it matches is in groups before it: {few(sorted(found))}"
            )
        made.append([name for name in left if name in found])
        left = [name for name in left if name not in found]
    return made


def in_groups(network: nn.Module, groups: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The parameters that are not frozen, as optimizers take them.

    Returns: parameters, or where a config says `groups` torch's form of them: a mapping each,
        with `params` and numbers of their own, before them one of all that is in no group.

    Raises: ConfigError where none is left for a group.
    """
    trained = {name: each for name, each in network.named_parameters() if each.requires_grad}
    if not groups:
        return list(trained.values())
    members = assigned(network, groups)
    rest = [name for name in trained if not any(name in names for names in members)]
    made = [
        {"params": [trained[name] for name in names if name in trained], **numbers_of(group)}
        for names, group in zip([rest, *members], [{}, *groups], strict=True)
    ]
    return [group for group in made if group["params"]]


def numbers_of(group: Mapping[str, Any]) -> dict[str, float]:
    """What a group of a config has of its own."""
    return {name: group[name] for name in NUMBERS if group.get(name) is not None}
