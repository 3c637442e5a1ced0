"""What a traced computation draws by chance, cut out of it, to be drawn beforehand and given to it.

A compiler may change the order of what it is given, and has a generator of its own. What is drawn
by torch, in the order in which uncompiled steps draw it, is the same as theirs; and what is left
hangs on its inputs alone. (torch 2.13 reads a mask before it is drawn where several steps stand
in a row.)
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, fx

aten = torch.ops.aten
LIKE = {aten.bernoulli.p, aten.empty_like.default, aten.rand_like.default, aten.randn_like.default}
# which are given a tensor only to see its shape

Draw = Callable[[], tuple[Tensor, ...]]


class Entangled(Exception):
    """A computation that draws what hangs on its inputs."""


def apart(traced: fx.GraphModule) -> tuple[Draw, fx.GraphModule]:
    """What draws, and the rest, which takes what was drawn after its other inputs.

    Args:
        traced: by `make_fx`, functionalized.

    Raises: Entangled where that cannot be told apart.
    """
    nodes: list[fx.Node] = list(traced.graph.nodes)
    draws = [node for node in nodes if _is_by_chance(node)]
    needed = _needed(draws)
    if any(node.op == "placeholder" for node in needed):
        raise Entangled("what it draws by chance hangs on its inputs")
    drawing: fx.Graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in filter(needed.__contains__, nodes):
        for given in node.all_input_nodes[:1] if node.target in LIKE else ():
            copies[given] = copies.get(given) or _empty(drawing, given)
        copies[node] = drawing.node_copy(node, copies.__getitem__)
    drawing.output(tuple(copies[node] for node in draws))
    _give(traced.graph, draws)
    traced.recompile()
    return fx.GraphModule(traced, drawing).forward, traced


def _is_by_chance(node: fx.Node) -> bool:
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())


def _needed(draws: Iterable[fx.Node]) -> set[fx.Node]:
    """The nodes, and all that the numbers they draw hang on."""
    needed, left = set(), list(draws)
    while left:
        if (node := left.pop()) not in needed:
            needed.add(node)
            left += node.all_input_nodes[node.target in LIKE :]
    return needed


def _empty(graph: fx.Graph, like: fx.Node) -> fx.Node:
    """A tensor that lies in memory as that of `like` did when it was traced."""
    example: Any = like.meta["val"]
    options = {"dtype": example.dtype, "device": example.device}
    return graph.call_function(torch.empty_strided, (example.shape, example.stride()), options)


def _give(graph: fx.Graph, draws: Iterable[fx.Node]) -> None:
    """Have each of `draws` be an input, after those that there are."""
    last = [node for node in graph.nodes if node.op == "placeholder"][-1]
    for number, node in enumerate(draws):
        with graph.inserting_after(last):
            last = graph.placeholder(f"drawn_{number}")
        node.replace_all_uses_with(last)
        graph.erase_node(node)
