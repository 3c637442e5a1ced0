"""A network as a list of layers.

Families of networks describe themselves in the form in which a user writes one layer by layer
(`nnarch.layerlist`): `[{"Linear": 20}, "relu", {"Linear": "out"}]`. One form is what lets every
family be counted, drawn, compared and stacked alike; and it is plain data, made without torch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from nnarch.errors import Path

Layer = str | Mapping[str, Any]


@dataclass(frozen=True)
class Layers:
    """A description of a network.

    Attributes:
        items: its layers and structures.
        initialization: the rule (a filled component) by which its weights begin.
        at: where the list stands in a config; a family's stands nowhere.
    """

    items: Sequence[Layer]
    initialization: Mapping[str, Any]
    at: Path = ("model",)


def component(spec: Mapping[str, Any]) -> Layer:
    """A filled component as a layer.

    >>> component({"name": "elu", "alpha": 0.5}), component({"name": "relu"})
    ({'elu': {'alpha': 0.5}}, 'relu')
    """
    options = {key: value for key, value in spec.items() if key != "name"}
    return {spec["name"]: options} if options else spec["name"]


def repeated(blocks: Iterable[list[Layer]]) -> list[Layer]:
    """Blocks one after the other, equal ones that follow each other as one repetition.

    >>> repeated([["relu"], ["tanh"], ["tanh"]])
    ['relu', {'repeat': 2, 'do': ['tanh']}]
    """
    items: list[Layer] = []
    for block, equal in groupby(blocks):
        count = len(list(equal))
        items += [{"repeat": count, "do": block}] if count > 1 else block
    return items


def decaying(share: float, depth: int) -> list[float]:
    """The chance that each of `depth` blocks is left out, rising to that of the last.

    Linear in the place of a block: p_l = p l / L (Huang et al., 2016, section 3).

    >>> decaying(0.25, 2)
    [0.125, 0.25]
    """
    return [share * place / depth for place in range(1, depth + 1)]


def dropout(share: float) -> list[Layer]:
    """A layer that leaves out this share in training, or none.

    >>> dropout(0.1), dropout(0.0)
    ([{'Dropout': 0.1}], [])
    """
    return [{"Dropout": share}] if share else []
