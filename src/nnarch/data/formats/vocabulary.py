"""Text as numbers: what counts as a token, which tokens a network knows, and their codes.

A code is a place in the vocabulary. It begins with what stands for no token of a text: padding
before a beginning, the end of a document and, where rare tokens are left out, what stands for
any of them. No token of a text is ever spelt like these three.

Bytes are handled as the characters of Latin-1, which has one for each, and get a readable name.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Literal

from nnarch.data.tokens import PADDING
from nnarch.errors import DataError
from nnarch.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    import torch
else:
    np = LazyModule("numpy")
    torch = LazyModule("torch")

Level = Literal["characters", "bytes", "words"]

PAD, END, UNKNOWN = "<pad>", "<end>", "<unknown>"
WORD = re.compile(r"\w+|[^\w\s]")
BYTES = [chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}" for byte in range(256)]


def split(text: str, level: Level) -> list[str]:
    """The tokens of a text; a word is letters and digits, or any one other sign, as it is spelt.

    >>> split("It's 5 €.", "words")
    ['It', "'", 's', '5', '€', '.']
    >>> split("1€", "bytes") == ["1", r"\\xe2", r"\\x82", r"\\xac"]
    True
    """
    if level == "bytes":
        return [BYTES[byte] for byte in text.encode(errors="surrogateescape")]
    return WORD.findall(text) if level == "words" else list(text)


def coded(
    documents: Sequence[str], level: Level, largest: int | None
) -> "tuple[torch.Tensor, torch.Tensor, tuple[str, ...]]":
    """Documents as codes, and the vocabulary made of them, its most frequent tokens first.

    Args:
        documents: at the level of bytes, as Latin-1 has them.
        largest: how many distinct tokens to keep, the most frequent; all of them for None.

    Returns: codes (T,) int64, of all documents, END after each; where each begins, and the last
        ends, (D + 1,) int64; and the vocabulary.
    """
    if level == "words":
        numbers, lengths, names = _words(documents)
    else:
        numbers = np.frombuffer("".join(documents).encode("utf-32-le"), "<u4")
        lengths = np.fromiter(map(len, documents), np.int64)
        names = BYTES if level == "bytes" else [*map(chr, range(numbers.max(initial=0) + 1))]
    counts = np.bincount(numbers, minlength=len(names))
    order = np.argsort(-counts, kind="stable")
    if level != "bytes":
        order = order[: np.count_nonzero(counts)]
    kept = order[:largest]
    special = (PAD, END, UNKNOWN) if len(kept) < len(order) else (PAD, END)
    code = np.full(len(counts), len(special) - 1)  # of those that are left out, UNKNOWN
    code[kept] = np.arange(len(special), len(special) + len(kept))
    codes = np.insert(code[numbers], np.cumsum(lengths), special.index(END))
    starts = np.concatenate([[0], np.cumsum(lengths + 1)])
    vocabulary = (*special, *(names[number] for number in kept))
    return torch.from_numpy(codes), torch.from_numpy(starts), vocabulary


def _words(documents: Sequence[str]) -> "tuple[np.ndarray, np.ndarray, list[str]]":
    """Every word as a number, in the order in which they first come."""
    known: dict[str, int] = {}
    rows = [[known.setdefault(word, len(known)) for word in WORD.findall(one)] for one in documents]
    numbers = np.fromiter(chain.from_iterable(rows), np.int64)
    return numbers, np.fromiter(map(len, rows), np.int64), list(known)


def encode(
    lines: Iterable[str], vocabulary: Sequence[str], tokens: Level, context: int
) -> "torch.Tensor":
    """(N, context) int64 codes of the last tokens of each line, padded on the left.

    Raises: DataError with the first token that is not in the vocabulary, if that has no UNKNOWN.
    """
    place = {token: index for index, token in enumerate(vocabulary)}
    rows = []
    for number, line in enumerate(lines, 1):
        last = split(line, tokens)[-context:]
        codes = [place.get(token, place.get(UNKNOWN)) for token in last]
        if None in codes:
            raise DataError(
                f"text {number}: got {last[codes.index(None)]!r}, which the network has never "
                "seen; expected tokens of its vocabulary"
            )
        rows.append([PADDING] * (context - len(codes)) + codes)
    return torch.tensor(rows, dtype=torch.int64).reshape(-1, context)
