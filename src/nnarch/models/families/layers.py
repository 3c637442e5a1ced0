"""The network that a user writes layer by layer, as one family among the others."""

from nnarch.models.layers import Layers
from nnarch.options import Initialization, LayerList
from nnarch.registry import models


@models.register(codes=True)
def layers(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    layers: LayerList,
    initialization: Initialization = "default",
    autoregressive: bool = False,
    ensemble: bool = False,
) -> Layers:
    """A network layer by layer: torch.nn's classes, registered layers, and structures of them.

    `model: {layers: [...]}` means it. Nobody computes a shape: what comes into a layer decides
    its `in_features` and the like, `same` is as wide as what enters the enclosing block, and
    `out` as wide as the task needs.

    Options:
        layers: The layers in order, as `Linear`, `{Linear: 64}` or `{residual: [...]}`.
        initialization: How the weights begin; default is torch's own.
        autoregressive: Whether it answers to every token of a text from those before it.
        ensemble: Whether it ends in (members, out), each member an answer of its own: their losses
            are averaged in training, their predictions afterwards.
    """
    return Layers(layers, initialization, ("model", "layers"))
