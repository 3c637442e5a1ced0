"""Blocks of whole rows out of a stream of bytes, and what can be told of them without parsing.

Where every quote opens or closes a cell, or is one of a pair within quotes, a byte is within
quotes if the quotes before it are odd in number. Then rows and separators can be counted, and a
block can end where a row does. A block of which this is not certain is not plain.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING

from nnarch.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
else:
    np = LazyModule("numpy")

LF, CR, QUOTE = b'\n\r"'
LONE_CR = re.compile(rb"\r(?!\n)")
BLANK = re.compile(rb"^[ \t]*\r?$", re.MULTILINE)
SEVERAL_SPACES = re.compile(rb"  |^ | \r?$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """Bytes of a stream.

    Attributes:
        offset: of the first byte in the stream.
        line: the number of the first line.
        is_plain: whether it holds whole rows, ended and separated by single characters, with
            quotes where they should be; only then is the rest known.
        separators: how many separate cells.
        rows: how many there are, in `line_count` lines.
        starts: (rows,) lines from the first to that in which each row begins, unless each row is
            a line.
    """

    data: bytes
    offset: int
    line: int
    is_plain: bool = False
    separators: int = 0
    rows: int = 0
    line_count: int = 0
    starts: "np.ndarray | None" = None

    @property
    def first_lines(self) -> "np.ndarray":
        """(rows,) numbers of the lines in which each row begins."""
        return self.line + (np.arange(self.rows) if self.starts is None else self.starts)


def blocks(stream: IO[bytes], separator: str, skip: int, size: int) -> Iterator[Block]:
    """All lines but the first `skip`, about `size` bytes at once.

    A block that is not plain is the last one. It begins where a row does, or where the stream
    does, so that another reader can go on from there.
    """
    head = b"".join(stream.readline() for _ in range(skip))
    if LONE_CR.search(head):
        yield Block(b"", 0, 1)
        return
    offset, line, rest = len(head), 1 + skip, b""
    while more := stream.read(size):
        data = b"".join((rest, more, stream.readline()))
        block = _block(data, offset, line, separator)
        yield block
        if not block.is_plain:
            return
        rest = data[len(block.data) :]
        offset += len(block.data)
        line += block.line_count
    if rest:  # quotes that are not closed
        yield Block(rest, offset, line)


def joined(parts: Sequence[Block]) -> Block:
    """Blocks that follow on one another as one, without its bytes."""
    starts = None
    if any(part.starts is not None for part in parts):
        starts = np.concatenate([part.first_lines - parts[0].line for part in parts])
    return replace(
        parts[0],
        data=b"",
        separators=sum(part.separators for part in parts),
        rows=sum(part.rows for part in parts),
        line_count=sum(part.line_count for part in parts),
        starts=starts,
    )


def _block(data: bytes, offset: int, line: int, separator: str) -> Block:
    """The whole rows that the data begin with."""
    if (b"\r" in data and LONE_CR.search(data)) or (
        separator == " " and SEVERAL_SPACES.search(data)
    ):
        return Block(data, offset, line)
    cells = np.frombuffer(data, np.uint8)
    if b'"' in data:
        return _quoted(data, cells, offset, line, separator)
    rows = int(np.count_nonzero(cells == LF)) + (not data.endswith(b"\n"))
    separators = int(np.count_nonzero(cells == ord(separator)))
    return Block(data, offset, line, True, separators, rows, rows)


def _quoted(data: bytes, cells: "np.ndarray", offset: int, line: int, separator: str) -> Block:
    quotes = np.flatnonzero(cells == QUOTE)
    breaks = np.flatnonzero(cells == LF)
    if not data.endswith(b"\n"):
        breaks = np.append(breaks, len(data))
    ends = np.flatnonzero(np.searchsorted(quotes, breaks) % 2 == 0)  # breaks outside quotes
    if not len(ends):
        return Block(data, offset, line)
    data = data[: breaks[ends[-1]] + 1]
    cells, quotes = cells[: len(data)], quotes[quotes < len(data)]
    if not _are_well_placed(quotes, cells, separator):
        return Block(data, offset, line)
    separators = np.flatnonzero(cells == ord(separator))
    before = np.searchsorted(separators, quotes)
    within = int(before[1::2].sum() - before[::2].sum())
    starts = np.append(0, ends[:-1] + 1) if ends[-1] >= len(ends) else None
    count = int(ends[-1]) + 1
    return Block(data, offset, line, True, len(separators) - within, len(ends), count, starts)


def _are_well_placed(quotes: "np.ndarray", cells: "np.ndarray", separator: str) -> bool:
    """Whether each odd quote begins a cell and each even one ends it, or they are a pair."""
    opening, closing = quotes[::2], quotes[1::2]
    borders = (ord(separator), LF, QUOTE)
    before = cells[opening[opening > 0] - 1]
    after = cells[closing[closing < len(cells) - 1] + 1]
    return bool(np.isin(before, borders).all() and np.isin(after, (*borders, CR)).all())
