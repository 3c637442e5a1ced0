"""Which members are of one kind, so that a stack can hold them, and how many are one stack.

A stack that is too small spends its time in Python, one that is too large in waiting for memory.
Members of a kind are parted where others are not alike: those of one seed share their batches,
those of one activation a function, and those of like widths waste little on padding. Each parting
costs what a step costs before it computes anything, which is weighed against that. Measured on one
core, a step of networks with one to three layers of 32 units takes 150 µs and 3 to 12 a network.

Networks that are mapped gain less, and some nothing. Of one thread's time for an epoch of a small
network alone, a member of 8 (of 32) took this share, with the numbers that its step touches:
dlinear 0.33 (0.19) of 5 thousand, tabm 0.57 (0.43) of 28, cnn 0.65 (0.61) of 130, tcn 0.59 (0.44)
of 170, ft_transformer 0.85 (0.68) of 218, transformer 0.79 (1.30) of 819, mixer 0.89 (1.60) of
1307. Of two it was around 1, of four 0.8 to 1. So it hangs on the numbers rather than the family.
"""

import json
import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any, NamedTuple

from torch import nn

from nnarch.data.streamed import Streamed
from nnarch.models.network import autoregressive
from nnarch.optim.stepper import Stepper
from nnarch.stacked.mapped import check, numbers_of, structure
from nnarch.stacked.member import Ground, Member
from nnarch.stacked.outline import Unstackable, activations, outline, widths
from nnarch.stacked.padded import common

FEW = 12  # members of a stack that are mapped, however large their steps
PLACES = 8  # in equal parts of a layer's widths, between which a cut is looked for
LITTLE = 100_000  # numbers: a step of fewer takes most of its time in Python
MIXED = 2  # times these numbers are quicker apart than with others that have another function
MAPPED = 4  # members: fewer that are mapped are no quicker than each alone
LARGE = 250_000  # numbers that a step of a mapped network touches; beyond, a stack is no quicker


Wide = tuple[tuple[int, ...], Member]  # with the width of each of its linear layers


@dataclass(frozen=True)
class Chunk:
    """Members that are trained as one stack, or alone.

    Attributes:
        why: what keeps a single one from a stack, if anything does.
    """

    members: tuple[Member, ...]
    why: str | None = None


class Kind(NamedTuple):
    """What members of one stack have in common.

    Attributes:
        is_padded: whether their widths may differ.
    """

    is_padded: bool
    facts: tuple[Hashable, ...]


def kind(member: Member) -> Kind:
    """What `member` must have in common with others of its stack.

    Raises: Unstackable where this one is part of none.
    """
    config, training = member.config, member.training
    optimizer = training.optimizer
    if why := _hindrance(member):
        raise Unstackable(why)
    assert isinstance(optimizer, Stepper)
    network = training.network
    try:
        operations, is_padded = outline(network), True
    except Unstackable:
        operations, is_padded = structure(network), False
    exact = not (is_padded and optimizer.rule.elementwise)
    group_of = {id(e): n for n, g in enumerate(optimizer.param_groups) for e in g["params"]}
    counting = [optimizer.param_groups[0].get(n) for n in ("beta1", "beta2", "momentum_decay")]
    settings = member.settings
    facts = (
        operations,
        _shapes(network) if exact else (),
        tuple(group_of[id(each)] for each in network.parameters()),
        optimizer.rule,
        tuple(counting),
        json.dumps([config.loss, config.clip and config.clip.model_dump(), config.precision]),
        (settings.batch_size, settings.epochs, settings.drop_last, settings.sampling),
        (training.average is not None, training.epoch),
    )
    return Kind(is_padded, facts)


def _hindrance(member: Member) -> str | None:
    config = member.config
    if not isinstance(member.training.optimizer, Stepper):
        return f"{config.optimizer['name']} is none of nnarch's own rules"
    if config.accumulate > 1:
        return f"a step takes {config.accumulate} batches"
    if config.augment:
        return "augmentation draws by chance for each network"
    if config.precision == "bf16":
        return "bf16 is not stacked"
    if config.compile:
        return "compile: true"
    if autoregressive(config.model):
        return "it answers to every token of a text"
    return None


def chunks(members: Iterable[Member], ground: Ground, numbers: int) -> list[Chunk]:
    """Members in the chunks that they are best trained in, the longest first.

    Args:
        numbers: that a layer's outputs and weights of a whole chunk may be.
    """
    groups: dict[Kind, list[Member]] = {}
    made: list[Chunk] = []
    for member in members:
        try:
            if isinstance(ground.rows, Streamed):
                raise Unstackable("its rows are read from disk as they are needed")
            groups.setdefault(kind(member), []).append(member)
        except Unstackable as error:
            made.append(Chunk((member,), str(error)))
    for shared, group in groups.items():
        if not shared.is_padded:
            made += _mapped(group, ground, numbers)
            continue
        for alike in _runs(sorted(group, key=_alike)):
            for piece in _cut_by_width([(widths(each.training.network), each) for each in alike]):
                most = max(1, numbers // max(map(_numbers, piece)))
                ordered = evenly(sorted(piece, key=_order), most)
                made += [Chunk(tuple(each)) for each in ordered]
    return sorted(made, key=lambda chunk: -sum(map(cost, chunk.members)))


def _mapped(group: Sequence[Member], ground: Ground, numbers: int) -> list[Chunk]:
    """Chunks of members whose networks are of the same modules."""
    first = group[0]
    try:
        if len(group) < MAPPED:
            raise Unstackable(f"fewer than {MAPPED} networks of its shapes")
        sample = next(ground.rows.first(1).in_order(1)).inputs
        check(first.training.network, sample)
        each = numbers_of(first.training.network, sample, first.settings.batch_size)
        if each > LARGE:
            raise Unstackable(f"its steps are large, with {each:,} numbers")
    except Unstackable as error:
        return [Chunk((member,), str(error)) for member in group]
    ordered = sorted(group, key=lambda member: member.settings.seed)
    return [Chunk(tuple(piece)) for piece in evenly(ordered, max(FEW, numbers // each))]


def cost(member: Member) -> float:
    """How long a member takes beside others: the size of its weights, times the epochs left."""
    size = sum(each.numel() for each in member.training.network.parameters())
    return size * (member.settings.epochs - member.training.epoch)


def _alike(member: Member) -> tuple[object, ...]:
    return member.settings.seed, activations(member.training.network)


def _order(member: Member) -> tuple[object, ...]:
    return *_alike(member), widths(member.training.network)


def _runs(members: Sequence[Member]) -> list[list[Member]]:
    """Runs of members that are alike; short ones as one with what stands beside them."""
    runs: list[list[Member]] = []
    for _, run in groupby(members, key=_alike):
        alike = list(run)
        if runs and min(sum(map(_numbers, each)) for each in (runs[-1], alike)) < MIXED * LITTLE:
            runs[-1] += alike
        else:
            runs.append(alike)
    return runs


def evenly(items: Sequence[Any], most: int) -> Iterator[Sequence[Any]]:
    """Pieces of as equal a length as can be, of which each holds at most so many."""
    count = math.ceil(len(items) / most)
    for begin, end in pairwise(len(items) * place // count for place in range(count + 1)):
        yield items[begin:end]


def _cut_by_width(members: Sequence[Wide]) -> Iterator[list[Member]]:
    """Pieces in which little is wasted on padding.

    One piece is two where two are quicker; where to cut is looked for along each layer's width.
    """
    least, parts = _cost(members), None
    for layer in range(len(members[0][0])):
        ordered = sorted(members, key=lambda each: each[0][layer])
        for cut in {len(ordered) * place // PLACES for place in range(1, PLACES)} - {0}:
            both = _cost(ordered[:cut]) + _cost(ordered[cut:])
            if both < least:
                least, parts = both, (ordered[:cut], ordered[cut:])
    if parts is None:
        yield [member for _, member in members]
        return
    for part in parts:
        yield from _cut_by_width(part)


def _cost(members: Sequence[Wide]) -> int:
    """How long a step takes, as the numbers that it touches when all are as wide as the widest."""
    wide = map(common, zip(*(each for each, _ in members), strict=True))
    return LITTLE + len(members) * _touched(members[0][1], list(wide))


def _numbers(member: Member) -> int:
    return _touched(member, widths(member.training.network))


def _touched(member: Member, wide: Sequence[int]) -> int:
    """The numbers that a step of a network of such widths touches: weights, and rows' outputs."""
    first = next(member.training.network.parameters())
    products = sum(before * after for before, after in pairwise((first.shape[-1], *wide)))
    return products + member.settings.batch_size * sum(wide)


def _shapes(network: nn.Module) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(each.shape) for each in network.parameters())
