"""The rows of a text file, as cells.

A block of rows is read by one of two readers. polars is fast, but fills a short row in silence
and cannot say in which line a fault is. So its answer is taken only where nothing at all is
amiss: every quote opens or closes a cell, there is a row for each line, and as many separators as
the rows need. Otherwise the csv module reads on from there, slowly and exactly. Either it names
the line and the column, or it finds that all is well (empty lines at the end, quotes within a
word) and gives the rows itself: what it accepts is the definition of what a file may be.
"""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import islice
from typing import IO, TYPE_CHECKING

from nnarch.data.formats import dialect
from nnarch.data.formats.block import BLANK, Block, blocks, joined
from nnarch.data.formats.cells import LARGEST, number_in
from nnarch.data.formats.frame import Frame
from nnarch.data.formats.panics import unheard
from nnarch.errors import DataError
from nnarch.lazy import LazyModule

if TYPE_CHECKING:
    import polars as pl

    from nnarch.data.formats.textfile import TextFile
else:
    pl = LazyModule("polars")

PIECE = 1 << 18  # bytes of a file that are looked through at once, so few that memory is used again
LIKELY = 1000  # rows that are looked at to see which columns are likely to be numbers
BOM = "\ufeff".encode()
DROPPED = (b"x^", b"x\x01", BOM)  # polars would decompress, or leave away, what begins so


def rows(file: "TextFile", strings: Collection[str] | None = None) -> Iterator[Frame]:
    """All cells, in one frame or several; those of `strings`, or all if None, as text.

    Another column is numbers in a frame where its cells are all clean numbers or nothing, and
    may be text in any other.

    Raises: DataError with the line where a row does not fit the header.
    """
    numbers = {} if strings is None else _likely_numbers(file, strings)
    whole = _whole(file, numbers) if file.is_quicker and not file.is_packed else None
    some = False
    for frame in _blocks(file, numbers) if whole is None else [whole]:
        some = some or len(frame.places) > 0
        yield frame
    if not some:
        what = "has a header, but no rows" if file.dialect.header else "has no rows"
        raise file.fault(f"{what}; expected some")


def _whole(file: "TextFile", numbers: Mapping[str, str]) -> Frame | None:
    """All rows as polars reads them by itself, while the file is looked through; or None."""
    with ThreadPoolExecutor(1) as other:
        looked = other.submit(_looked_through, file)
        frame = _frame(file, os.path.abspath(file.path), numbers)
        block = looked.result()
    if block is None:
        return None
    if numbers and (frame is None or not _are_clean(frame)):
        frame = _frame(file, os.path.abspath(file.path), {})
    return _certain(file, block, frame)


def _looked_through(file: "TextFile") -> Block | None:
    """What can be told of all rows, as if they were one block; None if they are not plain."""
    found: list[Block] = []
    with file.open() as stream:
        for block in blocks(stream, file.dialect.separator, file.header_lines, PIECE):
            file.check_utf8(block.data)
            if not _is_safe(file, block, bool(found)):
                return None
            found.append(replace(block, data=b""))
    return joined(found) if found else None


def _blocks(file: "TextFile", numbers: Mapping[str, str]) -> Iterator[Frame]:
    with file.open() as stream:
        for block in blocks(stream, file.dialect.separator, file.header_lines, file.size):
            file.check_utf8(block.data)
            found = _read_fast(file, block, numbers)
            if found is None:
                yield from _read_exactly(file, stream, block)
                return
            yield found


def _likely_numbers(file: "TextFile", strings: Collection[str]) -> dict[str, str]:
    """Columns whose first cells are numbers, and the word among them that means nothing.

    Whole numbers of one length could be codes, some of which begin with zeros, and are to be
    seen as they are written.
    """
    sample = dialect.records(file.lines, file.dialect.separator, LIKELY)
    sample = [row for row in sample[file.dialect.header :] if len(row) == len(file.names)]
    found = {}
    for place, name in enumerate(file.names):
        cells = {row[place].strip() for row in sample} - {""}
        words = {cell for cell in cells if cell.lower() in file.missing}
        cells -= words
        lengths = {len(cell) if cell.isdecimal() else 0 for cell in cells}
        are_codes = len(lengths) == 1 and min(lengths) > 1
        are_numbers = all(number_in(cell, file.decimal) is not None for cell in cells)
        if cells and are_numbers and not are_codes and len(words) < 2 and name not in strings:
            found[name] = "".join(words)
    return found


def _is_safe(file: "TextFile", block: Block, is_within: bool = False) -> bool:
    """Whether there is nothing in the block that polars would read in another way."""
    dropped = not is_within and block.data.startswith(DROPPED)
    both = file.decimal == "," and b"." in block.data  # it takes both as decimals then
    blank = len(file.names) == 1 and BLANK.search(block.data, 0, len(block.data) - 1)
    # a cell too many is let pass there, where it is the file's last and holds nothing
    ends = block.data.endswith(file.dialect.separator.encode())
    return block.is_plain and not (dropped or both or blank or ends)


def _read_fast(file: "TextFile", block: Block, numbers: Mapping[str, str]) -> Frame | None:
    """The block as polars reads it, or None unless that is beyond doubt."""
    if not _is_safe(file, block):
        return None
    frame = _frame(file, block.data, numbers)
    if numbers and (frame is None or not _are_clean(frame)):
        frame = _frame(file, block.data, {})
    return _certain(file, block, frame)


def _certain(file: "TextFile", block: Block, frame: "pl.DataFrame | None") -> Frame | None:
    if frame is None or len(frame) != block.rows:
        return None
    if block.separators != (len(file.names) - 1) * block.rows:
        return None
    return Frame(frame, pl.Series(block.first_lines))


def _frame(
    file: "TextFile", data: bytes | str, numbers: Mapping[str, str]
) -> "pl.DataFrame | None":
    """What polars makes of some rows, or of the file with this path."""
    kinds = {name: pl.Float64 if name in numbers else pl.String for name in file.names}
    try:
        with unheard():
            return pl.read_csv(
                data,
                has_header=isinstance(data, str) and file.dialect.header,
                schema=kinds,
                separator=file.dialect.separator,
                decimal_comma=file.decimal == ",",
                null_values={name: word for name, word in numbers.items() if word} or None,
                glob=False,
            )
    except (Exception, pl.exceptions.PanicException):  # the exact reader says what is wrong
        return None


def _are_clean(frame: "pl.DataFrame") -> bool:
    kind = pl.selectors.float()
    largest = frame.select(pl.max_horizontal(kind.abs().fill_nan(None).max())).item()
    return largest is None or largest <= LARGEST


def _read_exactly(file: "TextFile", stream: IO[bytes], block: Block) -> Iterator[Frame]:
    """The rest of the file as the csv module reads it, or an error that says what is wrong."""
    cells, lines, room = [], [], file.size
    with closing(file.records(stream, block.offset, block.line)) as records:
        header = int(file.dialect.header and not block.offset)  # the whole file is the rest
        for line, row, _ in islice(records, header, None):
            if len(row) != len(file.names):
                raise _misfit(file, line, row)
            cells.append(row)
            lines.append(line)
            room -= sum(map(len, row))
            if room <= 0:
                yield _cells(file, cells, lines)
                cells, lines, room = [], [], file.size
    if cells:
        yield _cells(file, cells, lines)


def _misfit(file: "TextFile", line: int, row: Sequence[str]) -> DataError:
    like = "header" if file.dialect.header else "first row"
    return file.fault(
        f"line {line}: got {len(row)} cell{'s' * (len(row) > 1)}; expected {len(file.names)} as "
        f"in the {like}, with quotes around a cell that holds the separator"
    )


def _cells(file: "TextFile", cells: list[list[str]], lines: list[int]) -> Frame:
    kinds = dict.fromkeys(file.names, pl.String)
    frame = pl.DataFrame(cells, kinds, orient="row")
    return Frame(frame, pl.Series(lines, dtype=pl.Int64))
