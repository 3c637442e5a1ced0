"""The structures of a list of layers as modules: chains, residual links, branches and named links.

Each takes a tensor and the named outputs so far, and passes the names on to what it holds, so that
a link leads from anywhere to anywhere later. Names live for one forward pass alone: nothing is kept
on a module, which stays a pure function of its input and its weights.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from functools import reduce

import torch
from torch import Tensor, nn

from nnarch.models.torchlayers import output

Named = dict[str, Tensor]


def passed(module: nn.Module, inputs: Tensor, named: Named) -> Tensor:
    """What a layer or structure makes of `inputs`."""
    if isinstance(module, Chain | Residual | Branches | Link):
        return module(inputs, named)
    return output(module, inputs)


class Chain(nn.Sequential):
    """One layer after the other; the outputs of some are kept under names for links.

    Attributes:
        widest: of a whole network, how many numbers its largest output has, for one sample.
    """

    widest = 0

    def __init__(self, modules: Mapping[str, nn.Module], kept: Mapping[str, str] | None = None):
        super().__init__(OrderedDict(modules))
        self.kept = dict(kept or {})  # the name of a module, and that of its output

    def forward(self, input: Tensor, named: Named | None = None) -> Tensor:
        named = {} if named is None else named
        for key, module in self._modules.items():
            assert module is not None
            input = passed(module, input, named)
            if key in self.kept:
                named[self.kept[key]] = input
        return input


class Residual(nn.Module):
    """x + f(x) (He et al., 2016); where f changes the shape, the projection of x, and f(x).

    In training f may be dropped for a sample at random (Huang et al., 2016).
    """

    def __init__(
        self, body: nn.Module, project: nn.Module | None = None, drop: nn.Module | None = None
    ):
        super().__init__()
        self.body, self.project, self.drop = body, project, drop

    def forward(self, input: Tensor, named: Named | None = None) -> Tensor:
        made = passed(self.body, input, {} if named is None else named)
        made = made if self.drop is None else self.drop(made)
        return (input if self.project is None else self.project(input)) + made


class Branches(nn.ModuleList):
    """Several ways through, brought together: side by side, as a sum, or as a product."""

    def __init__(self, branches: Iterable[nn.Module], how: str, dim: int | None = None):
        super().__init__(branches)
        self.how, self.dim = how, dim

    def extra_repr(self) -> str:
        return self.how if self.dim is None else f"{self.how}, dim={self.dim}"

    def forward(self, input: Tensor, named: Named | None = None) -> Tensor:
        named = {} if named is None else named
        made = [passed(branch, input, named) for branch in self]
        if self.how == "concat":
            assert self.dim is not None
            return torch.cat(made, self.dim)
        return reduce(torch.add if self.how == "sum" else torch.mul, made)


class Link(nn.Module):
    """The output of an earlier layer, by its name."""

    def __init__(self, name: str):
        super().__init__()
        self.name = name

    def extra_repr(self) -> str:
        return self.name

    def forward(self, input: Tensor, named: Named) -> Tensor:
        return named[self.name]
