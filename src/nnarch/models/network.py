"""From a list of layers to a network.

The list is first followed by shapes alone, with nothing allocated: what they say (`in_features`)
is written out, and a network's size is known before its memory is. Then the modules are made in
order, from torch's random numbers as they come, just as a hand-written `nn.Sequential` would make
them.
"""

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nnarch.data.inputs import Inputs
from nnarch.errors import ConfigError, cause
from nnarch.models.embedding import embedded, embedding
from nnarch.models.layers import Layer, Layers
from nnarch.registry import activations, initializations, models

INFERRED = {"Linear": "in_features", "BatchNorm1d": "num_features", "LayerNorm": "normalized_shape"}
KEEP_SHAPE = {"BatchNorm1d", "LayerNorm", "Dropout"}


@dataclass(frozen=True)
class Size:
    """What a network costs: numbers to learn, and floating-point operations for one sample."""

    parameters: int
    flops: int


def make(spec: Mapping[str, Any], inputs: Inputs, outputs: int, seed: int) -> nn.Module:
    """The network that a filled `model` describes, its weights begun from `seed`.

    Args:
        inputs: what one sample is; codes in it are embedded first.
        outputs: how many numbers to predict for it.
    """
    torch.manual_seed(seed)
    shape = inputs.shape if takes_codes(spec) else embedded(inputs)
    described = models.build(spec, shape, outputs)
    if isinstance(described, Layers):
        network: nn.Module = build(explicit(described.items, shape, outputs))
        initialize(network, described.initialization)
    else:
        network = described
    before = None if takes_codes(spec) else embedding(inputs)
    return network if before is None else nn.Sequential(OrderedDict(embed=before, body=network))


def size(spec: Mapping[str, Any], inputs: Inputs, outputs: int) -> Size:
    """What `make` would make, counted on the meta device: nothing is allocated."""
    shape = inputs.shape if takes_codes(spec) else embedded(inputs)
    with torch.device("meta"):
        described = models.build(spec, shape, outputs)
        if isinstance(described, Layers):
            network: nn.Module = build(explicit(described.items, shape, outputs))
            flops = sum(
                2 * layer.in_features * layer.out_features
                for layer in network.modules()
                if isinstance(layer, nn.Linear)
            )
        else:
            network, flops = described, _counted(described, shape, inputs.vocabulary > 0)
        before = None if takes_codes(spec) else embedding(inputs)
        modules = [network, *filter(None, [before])]
    return Size(sum(p.numel() for module in modules for p in module.parameters()), flops)


def takes_codes(spec: Mapping[str, Any]) -> bool:
    """Whether a model is given tokens and categories as they are, to embed them itself."""
    return bool(models.get(spec["name"]).facts.get("codes"))


def autoregressive(spec: Mapping[str, Any]) -> bool:
    """Whether a model answers to every token of a text at once: (B, T) to (B, T, outputs)."""
    return bool(models.get(spec["name"]).facts.get("autoregressive") or spec.get("autoregressive"))


def _counted(network: nn.Module, shape: tuple[int, ...], codes: bool) -> int:
    """Operations of any module, by torch's counter: it takes a second to import."""
    from torch.utils.flop_counter import FlopCounterMode

    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network.eval()(torch.empty(1, *shape, dtype=torch.int64 if codes else None))
    except Exception as error:  # a module of the user's own
        raise ConfigError(f"cannot take rows of shape {shape}: {cause(error)}") from error
    return counter.get_total_flops()


class Residual(nn.Sequential):
    """x + f(x), for the layers f (He et al. 2016)."""

    def forward(self, input: Tensor) -> Tensor:
        return input + super().forward(input)


def explicit(items: Sequence[Layer], shape: tuple[int, ...], outputs: int) -> list[Layer]:
    """`items` with every argument that a sample of `shape` and `outputs` decide written out.

    >>> explicit([{"Linear": {"out_features": 20}}, "relu"], (10,), 1)
    [{'Linear': {'in_features': 10, 'out_features': 20}}, 'relu']
    """
    return _follow(items, shape, outputs)[0]


def _follow(
    items: Sequence[Layer], shape: tuple[int, ...], outputs: int
) -> tuple[list[Layer], tuple[int, ...]]:
    written: list[Layer] = []
    for item in items:
        name, arguments = _parts(item)
        if name == "residual":
            inner, after = _follow(arguments, shape, outputs)
            assert after == shape, f"a residual of {shape} and {after}"
            written.append({name: inner})
            continue
        if name in INFERRED:
            arguments = {INFERRED[name]: shape[-1], **arguments}
            _check_width(name, arguments[INFERRED[name]], shape)
        if arguments.get("out_features") == "out":
            arguments["out_features"] = outputs
        written.append({name: arguments} if arguments else name)
        shape = _shape_after(written[-1], shape)
    return written, shape


def _check_width(name: str, given: int | Sequence[int], shape: tuple[int, ...]) -> None:
    widths = (given,) if isinstance(given, int) else tuple(given)
    if widths != shape[-len(widths) :]:
        raise ConfigError(
            f"{name}: got {INFERRED[name]} {given} for samples of shape {shape}; expected "
            f"{shape[-1]}, or none to have it filled in"
        )


def _shape_after(item: Layer, shape: tuple[int, ...]) -> tuple[int, ...]:
    """What becomes of the shape of a sample.

    The meta device can tell it of any layer, but torch takes a second to import what computes
    there; the layers that small networks are made of need not wait for it.
    """
    name, arguments = _parts(item)
    if name == "Linear":
        return (*shape[:-1], arguments["out_features"])
    if name == "Flatten" and not arguments:
        return (math.prod(shape),)
    if name in KEEP_SHAPE or name[0].islower():
        return shape
    with torch.device("meta"):
        return tuple(_module(item)(torch.empty(2, *shape)).shape[1:])


def build(items: Sequence[Layer]) -> nn.Sequential:
    """The modules of a list whose arguments are all explicit, in order."""
    return nn.Sequential(*map(_module, items))


def initialize(network: nn.Module, rule: Mapping[str, Any]) -> None:
    """Begin every weight of two or more dimensions by `rule`, and biases at zero."""
    if rule["name"] == "default":
        return
    for name, parameter in network.named_parameters():
        if parameter.dim() >= 2:
            initializations.build(rule, parameter)
        elif name.rsplit(".", 1)[-1] == "bias":
            nn.init.zeros_(parameter)


def _module(item: Layer) -> nn.Module:
    name, arguments = _parts(item)
    if name == "residual":
        return Residual(*map(_module, arguments))
    if name[0].isupper():
        return getattr(nn, name)(**arguments)
    return activations.build({"name": name, **arguments})


def _parts(item: Layer) -> tuple[str, Any]:
    if isinstance(item, str):
        return item, {}
    ((name, arguments),) = item.items()
    return name, dict(arguments) if isinstance(arguments, Mapping) else arguments
