"""What a network does, one operation after the other, whatever its widths.

Networks of one outline can be computed together: their weights are padded to the widest, and
what differs otherwise (a share of dropout, the activation at some place) is a number or a slice
for each. What is not known here may look at a whole layer, or draw by chance, so that padding
would change it; that is said, and such a network trains in another way.
"""

from collections.abc import Hashable, Iterator

from torch import nn

from nnarch.models.structures import Chain, Residual

ALONE = (nn.Softmax, nn.LogSoftmax, nn.Softmin, nn.Softmax2d, nn.GLU, nn.RReLU, nn.PReLU)


class Unstackable(Exception):
    """Why a network, or its training, is not part of a stack."""


def outline(network: nn.Module) -> Hashable:
    """The operations of `network` without their widths, equal for networks that can be stacked.

    Raises: Unstackable.
    """
    parameters = [each for module in network.modules() for each in module.parameters(False)]
    if len({id(each) for each in parameters}) < len(parameters):
        raise Unstackable("layers share a weight")
    if not all(each.requires_grad for each in parameters):
        raise Unstackable("some of its parameters are frozen")
    if not isinstance(network, Chain):
        raise Unstackable(f"{type(network).__name__} is no list of layers")
    found = tuple(_chain(network, first=True))
    if not any(word == "linear" for word, *_ in _flat(found)):
        raise Unstackable("has no linear layer")
    return found


def activations(network: nn.Module) -> tuple[str, ...]:
    """What the activations of `network` are, in order."""
    return tuple(str(each) for each in network.modules() if is_activation(each))


def widths(network: nn.Module) -> tuple[int, ...]:
    """The width of each linear layer of `network`, in order."""
    return tuple(each.out_features for each in network.modules() if isinstance(each, nn.Linear))


def is_activation(module: nn.Module) -> bool:
    """Whether `module` is a function of one number at a time, without weights."""
    of_torch = type(module).__module__ == "torch.nn.modules.activation"
    plain = of_torch and not isinstance(module, (*ALONE, nn.MultiheadAttention))
    return plain or isinstance(module, nn.Identity)


def _chain(chain: Chain, first: bool = False) -> Iterator[tuple[Hashable, ...]]:
    if chain.kept:
        raise Unstackable("outputs are linked by name")
    for place, module in enumerate(chain):
        if isinstance(module, Chain):
            yield from _chain(module)
        elif isinstance(module, nn.Flatten) and first and not place:
            yield ("flatten",)
        else:
            yield _operation(module)


def _operation(module: nn.Module) -> tuple[Hashable, ...]:
    match module:
        case Residual(drop=None):
            project = () if module.project is None else _operation(module.project)
            body = module.body
            inside = tuple(_chain(body)) if isinstance(body, Chain) else (_operation(body),)
            return ("residual", inside, project)
        case nn.Linear():
            return ("linear", module.bias is not None)
        case nn.Dropout():
            return ("dropout",)
        case nn.BatchNorm1d(momentum=float(), track_running_stats=True):
            return ("batch_norm", module.eps, module.momentum, module.affine)
        case nn.LayerNorm() if len(module.normalized_shape) == 1:
            weighted, biased = module.weight is not None, module.bias is not None
            return ("layer_norm", module.eps, weighted, biased)
        case _ if is_activation(module):
            return ("activation",)
    raise Unstackable(f"{type(module).__name__} is not stacked with padding")


def _flat(operations: tuple[tuple[Hashable, ...], ...]) -> Iterator[tuple[Hashable, ...]]:
    for operation in operations:
        yield operation
        if operation[0] == "residual":
            inside: tuple[tuple[Hashable, ...], ...] = operation[1]  # type: ignore
            yield from _flat(inside)
