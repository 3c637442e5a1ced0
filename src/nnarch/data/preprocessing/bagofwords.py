"""Texts as bags of words: how often each word of a vocabulary occurs in each text.

A vocabulary is taken from training texts, and weighs what is rare higher (tf-idf). Different
texts are counted once, however many rows hold them.
"""

import re
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from nnarch.data.preprocessing.conversion import held

MOST_TOKENS = 2000
TOKEN = re.compile(r"\w+")


def tokens(text: str) -> list[str]:
    """
    >>> tokens("It's GOOD, isn't it?")
    ['it', 's', 'good', 'isn', 't', 'it']
    """
    return TOKEN.findall(text.lower())


def vocabulary(texts: Sequence[str], counts: Tensor) -> tuple[str, ...]:
    """The commonest words, by alphabet; of those that stand in at least two rows.

    Args:
        counts: (len(texts),) how many rows hold each text.
    """
    rows, total = Counter[str](), Counter[str]()
    for text, count in zip(texts, counts.tolist(), strict=True):
        for token, times in Counter(tokens(text)).items() if count else ():
            rows[token] += count
            total[token] += count * times
    usable = sorted((token for token in rows if rows[token] > 1), key=lambda t: (-total[t], t))
    return tuple(sorted(usable[:MOST_TOKENS]))


def rarity(texts: Sequence[str], counts: Tensor, words: Sequence[str]) -> Tensor:
    """(V,) ln((1 + n) / (1 + rows with the word)) + 1, as scikit-learn has it, of n filled rows."""
    place = {word: i for i, word in enumerate(words)}
    rows = [0] * len(words)
    for text, count in zip(texts, counts.tolist(), strict=True):
        for token in set(tokens(text)) & place.keys() if count else ():
            rows[place[token]] += count
    holding = torch.tensor(rows, dtype=torch.float64)
    return ((1 + counts.sum()) / (1 + holding)).log() + 1


def bags(texts: tuple[str, ...], codes: Tensor, words: Sequence[str]) -> Tensor:
    """(N, V) how often each word stands in each row's text; zeros where there is none.

    Args:
        codes: (N,) float64 indices of `texts`, NaN for none.
    """
    texts, codes = held(texts, codes)
    place = {word: i for i, word in enumerate(words)}
    found, sizes = [], []
    for text in texts:
        here = [place[token] for token in tokens(text) if token in place]
        found += here
        sizes.append(len(here))
    length, bag = torch.tensor([*sizes, 0]), torch.tensor(found, dtype=torch.int64)
    start = length.cumsum(0) - length
    text = codes.nan_to_num(len(texts)).long()
    lengths = length[text]
    row = torch.arange(len(codes)).repeat_interleave(lengths)
    within = torch.arange(len(row)) - (lengths.cumsum(0) - lengths)[row]
    counts = torch.zeros(len(codes), len(words), dtype=torch.float64)
    one = torch.ones((), dtype=torch.float64).expand(len(row))
    return counts.index_put_((row, bag[start[text][row] + within]), one, accumulate=True)
