"""Some rows of a file as cells: what its reader gives, and tables are made of."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Frame:
    """N rows.

    Attributes:
        cells: N rows of columns that are text (String), or numbers (Float64, null for nothing).
        places: N numbers, of the line in which each row begins, or of the row in its file.
    """

    cells: "pl.DataFrame"
    places: "pl.Series"
