"""A network as a list of layers.

Families of networks describe themselves in one form, a list that reads like the network:
`[{"Linear": {"out_features": 20}}, "relu", {"Linear": {"out_features": "out"}}]`. CamelCase names
are torch.nn classes, lower-case ones registered activations, `residual` adds a list's output to
its input, and `out` is as wide as the task needs. One form is what lets every family be counted,
compared and stacked alike; and it is plain data, made without torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Layer = str | Mapping[str, Any]


@dataclass(frozen=True)
class Layers:
    """A description of a network, and the rule (a filled component) by which its weights begin."""

    items: Sequence[Layer]
    initialization: Mapping[str, Any]


def component(spec: Mapping[str, Any]) -> Layer:
    """A filled component as a layer.

    >>> component({"name": "elu", "alpha": 0.5}), component({"name": "relu"})
    ({'elu': {'alpha': 0.5}}, 'relu')
    """
    options = {key: value for key, value in spec.items() if key != "name"}
    return {spec["name"]: options} if options else spec["name"]
