"""Tables out of files of rows, whatever their format.

Every file is gone through twice: once to find what each column is, once to turn its cells into
numbers. `read` keeps the cells in memory between the two; `chunks` reads them again, and what is
larger than memory is kept on disk.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from nnarch import machine
from nnarch.data.formats import findings
from nnarch.data.formats.cells import MOST_NAMES
from nnarch.data.formats.survey import RowFile, Survey, Target, Wanted
from nnarch.data.table import Table
from nnarch.errors import ConfigError, DataError
from nnarch.lazy import LazyModule

if TYPE_CHECKING:
    import polars as pl
    import torch

    from nnarch.data import spool
else:
    pl = LazyModule("polars")
    torch = LazyModule("torch")
    spool = LazyModule("nnarch.data.spool")


Stream = Literal["auto", "always", "never"]
SHARE = 0.25  # of the memory that a table may take
SMALL = 1 << 26  # bytes that are never too many

Names = Annotated[list[str], Field(min_length=1)]


def words(missing: Sequence[str] | None) -> frozenset[str] | None:
    """Words that mean nothing, as they are compared with cells."""
    return None if missing is None else frozenset(word.strip().lower() for word in missing)


def parted(
    files: Sequence[Sequence[RowFile]],
    target: str | list[str] | None,
    wanted: Wanted,
    stream: Stream,
) -> Table:
    """What a data source gives: all rows of the files for each of `split.PARTS`.

    Where there are files for the first part alone, rows are still to be parted. A table that
    would take more than `SHARE` of the memory is kept on disk, unless `stream` says otherwise.
    """
    first = files[0][0]
    targets = [target] if isinstance(target, str) else target
    if targets is None:
        names = [*first.names[:MOST_NAMES], *["..."][: len(first.names) > MOST_NAMES]]
        raise ConfigError(
            f"data.target: missing; expected the column to predict, one of {', '.join(names)}"
        )
    if twice := [name for name in targets if targets.count(name) > 1]:
        raise ConfigError(f"data.target: {twice[0]!r} is named twice; expected it once")
    first.require(targets)
    if set(first.names) == set(targets):
        only = "no column is left to learn from; expected one beside the target"
        raise DataError(f"{first.name}: {only}")
    parts = [part for part, group in enumerate(files) for _ in group]
    together = [file for group in files for file in group]
    wanted, bound = replace(wanted, target=tuple(targets)), parts if any(parts) else None
    if not streams(together, stream):
        return read(together, wanted, bound)
    return spool.spooled(chunks([file.in_blocks() for file in together], wanted, bound))


def streams(files: Sequence[RowFile], stream: Stream) -> bool:
    """Whether the rows of the files are to stay on disk."""
    if stream != "auto":
        return stream == "always"
    needed = sum(file.memory for file in files)
    return needed > SMALL and needed > SHARE * machine.memory()


def read(files: Sequence[RowFile], wanted: Wanted, parts: Sequence[int] | None = None) -> Table:
    """All rows of the files.

    Args:
        parts: which part the rows of each file are for.

    Raises: DataError where a file is damaged, or its target cannot be used.
    """
    survey = Survey(files, wanted)
    kept = survey.run(keep=True)
    cells = pl.concat([survey.inputs(rows) for _, rows in kept])
    targets = [survey.target(rows) for _, rows in kept]
    counts = [len(rows.places) for _, rows in kept]
    part_of = None
    if parts is not None:
        of_blocks = torch.tensor([parts[file] for file, _ in kept])
        part_of = of_blocks.repeat_interleave(torch.tensor(counts))
    return survey.table(cells, _joined(targets), sum(counts), part_of)


def chunks(
    files: Sequence[RowFile], wanted: Wanted, parts: Sequence[int] | None = None
) -> Iterator[Table]:
    """The rows of the files as they come, never all at once; each table has the same columns."""
    survey = Survey(files, wanted, findings.MOST_WORDS)
    survey.run()
    for file, rows in survey.rows():
        count = len(rows.places)
        bound = None if parts is None else torch.full((count,), parts[file])
        yield survey.table(survey.inputs(rows), survey.target(rows), count, bound)


def _joined(targets: Sequence[Target]) -> Target:
    tensors = [target for target in targets if isinstance(target, torch.Tensor)]
    labels = [label for target in targets if isinstance(target, list) for label in target]
    return torch.cat(tensors) if tensors else labels or None
