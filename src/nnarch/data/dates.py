r"""Dates and times in text, as seconds since 1970 in UTC.

The year first is ISO 8601, give or take: 2016-07-01, 2016/07/01, 1949-01, with a time after a
space or a T, with fractions of a second, with Z or an offset. A day and a month before the year
are told apart only by a day above 12 somewhere in the column; where there is none, nothing is
assumed, since a guess would be wrong for half the world.
"""

from typing import TYPE_CHECKING, Literal

from nnarch.lazy import LazyModule

if TYPE_CHECKING:
    import polars as pl
else:
    pl = LazyModule("polars")

Order = Literal["year first", "day first", "month first"]

ORDERS: tuple[Order, ...] = ("year first", "day first", "month first")
TIME = r"([T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?(Z|[+-]\d{2}:?\d{2}))?)?"
YEAR_FIRST = rf"^\d{{4}}([-/]\d{{1,2}}|(-\d{{1,2}}-|/\d{{1,2}}/)\d{{1,2}}{TIME})$"
YEAR_LAST = rf"^\d{{1,2}}(-\d{{1,2}}-|/\d{{1,2}}/|\.\d{{1,2}}\.)\d{{4}}{TIME}$"
DAYS = {"year first": "%Y-%m-%d", "day first": "%d-%m-%Y", "month first": "%m-%d-%Y"}
CLOCKS = ("", " %H:%M:%S%.f", " %H:%M")


def seconds(words: "pl.Series", order: Order) -> "pl.Series":
    """Seconds since 1970 in UTC (Float64) of what is a date in this order; null of what is not."""
    written = words.str.contains(YEAR_FIRST if order == "year first" else YEAR_LAST)
    rest = pl.select(pl.when(written).then(_canonical(words)).otherwise(None)).to_series()
    found = pl.Series([None], dtype=pl.Float64).new_from_index(0, len(words))
    for clock in CLOCKS:
        for zone in (False, True) if clock else (False,):
            if found.null_count() == words.null_count():
                return found
            kind = pl.Datetime("us", "UTC" if zone else None)
            form = DAYS[order] + clock + ("%z" if zone else "")
            parsed = rest.str.strptime(kind, form, strict=False)
            found = found.zip_with(found.is_not_null(), parsed.dt.epoch("us") / 1e6)
    return found


def _canonical(words: "pl.Series") -> "pl.Series":
    """2016/7/1T10:00 Z as 2016-7-1 10:00+00:00, and 1949-01 as 1949-01-01."""
    return (
        words.str.replace(r"^(\d{4})[-/](\d{1,2})$", "$1-$2-01")
        .str.replace(r"^(\d+)[-/.](\d+)[-/.](\d+)", "$1-$2-$3")
        .str.replace("T", " ", literal=True)
        .str.replace(r" ?Z$", "+00:00")
        .str.replace(r" ([+-]\d{2}:?\d{2})$", "$1")
    )
