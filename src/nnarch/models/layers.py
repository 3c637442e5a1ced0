"""A network as a list of layers.

Families of networks describe themselves in the form in which a user writes one layer by layer
(`nnarch.layerlist`): `[{"Linear": 20}, "relu", {"Linear": "out"}]`. One form is what lets every
family be counted, drawn, compared and stacked alike; and it is plain data, made without torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
