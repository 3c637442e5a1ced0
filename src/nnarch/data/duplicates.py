"""Rows that stand in two parts at once, which make a test too easy.

Rows are compared by a number of 64 bits each: the bits of every value, folded so that round
numbers differ in their low bits too, and summed with odd weights of chance. Equal rows have equal
numbers; unequal ones share theirs about as seldom as two random numbers do.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

SEED = 20_161_217  # any
BLOCK = 1 << 16
BITS = 22


def numbers(blocks: Iterable[Tensor]) -> Tensor:
    """(N,) int64, a number for each row of the blocks (n, ...) of float64, float32 or bytes."""
    return torch.cat([_of_block(block.flatten(1)) for block in blocks])


def shared(first: Tensor, second: Tensor) -> int:
    """How many rows of the second stand in the first as well."""
    # Few rows of the first have the high bits of one of the second; only those are compared.
    likely = torch.zeros(1 << BITS, dtype=torch.bool)
    likely[_high(second)] = True
    candidates = [block[likely[_high(block)]] for block in first.split(BLOCK)]
    return int(torch.isin(second, torch.cat(candidates)).sum()) if candidates else 0


def _high(numbers: Tensor) -> Tensor:
    """The highest bits of numbers, as indices from 0."""
    return (numbers >> (64 - BITS)) + (1 << (BITS - 1))


def _of_block(rows: Tensor) -> Tensor:
    if rows.is_floating_point():
        rows = rows.double() + 0.0  # -0.0 is 0.0
        if bool(rows.sum().isnan()):
            rows = torch.where(rows.isnan(), torch.nan, rows)  # of many bit patterns one
        rows = rows.contiguous().view(torch.int64)
    bits = rows.long()
    weights = torch.randint(
        -(2**62), 2**62, (rows.shape[1],), generator=torch.Generator().manual_seed(SEED)
    )
    return (bits >> 32).bitwise_xor_(bits).mul_(weights * 2 + 1).sum(1)
