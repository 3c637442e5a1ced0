"""Parameters that stay as they are while others train.

A frozen parameter has no gradient, so that no optimizer sees it: neither a step nor weight decay
moves it. What a normalization has measured of earlier rows belongs to its weights: where all of
them are frozen it goes on as it does when the network is used, and its running statistics stay.
"""

from collections.abc import Sequence

from torch import nn

from nnarch.errors import ConfigError
from nnarch.optim.groups import chosen, is_a, kinds_of


def freeze(network: nn.Module, patterns: Sequence[str]) -> None:
    """Let the parameters that `patterns` mean have no gradient.

    Raises: ConfigError where a pattern means none, or nothing is left to train.
    """
    if not patterns:
        return
    names = chosen(kinds_of(network), patterns, "freeze")
    for name, parameter in network.named_parameters():
        if name in names:
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise ConfigError(f"freeze: got {list(patterns)}, which leaves nothing to train")


def set_to_train(network: nn.Module) -> None:
    """Put `network` in training mode, but for normalizations that are frozen."""
    network.train()
    for module in network.modules():
        if is_a("norms", module) and _is_frozen(module):
            module.eval()


def _is_frozen(module: nn.Module) -> bool:
    parameters = list(module.parameters())
    return bool(parameters) and not any(each.requires_grad for each in parameters)
