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
TIME = r"([T ][0-9]{1,2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?( ?(Z|[+-][0-9]{2}:?[0-9]{2}))?)?"
YEAR_FIRST = rf"^[0-9]{{4}}([-/][0-9]{{1,2}}|(-[0-9]{{1,2}}-|/[0-9]{{1,2}}/)[0-9]{{1,2}}{TIME})$"
YEAR_LAST = rf"^[0-9]{{1,2}}(-[0-9]{{1,2}}-|/[0-9]{{1,2}}/|\.[0-9]{{1,2}}\.)[0-9]{{4}}{TIME}$"
DAYS = {"year first": "%Y-%m-%d", "day first": "%d-%m-%Y", "month first": "%m-%d-%Y"}
CLOCKS = (
    ("", ""),
    (" %H:%M:%S%.f", ""),
    (" %H:%M", ""),
    (" %H:%M:%S%.f", "%z"),
    (" %H:%M", "%z"),
)


def are_dates(words: "pl.Series", order: Order) -> bool:
    """Whether all words, of which none is null, are dates in this order."""
    return words.str.contains(_written(order)).all() and seconds(words, order).null_count() == 0


def seconds(words: "pl.Series", order: Order) -> "pl.Series":
    """Seconds since 1970 in UTC (Float64) of what is a date in this order; null of what is not."""
    rest = words.set(~words.str.contains(_written(order)), None)
    rest = _canonical(rest)
    found = pl.Series([None], dtype=pl.Float64).new_from_index(0, len(words))
    for clock, zone in CLOCKS:
        if found.null_count() == words.null_count():
            break
        kind = pl.Datetime("us", "UTC" if zone else None)
        parsed = rest.str.strptime(kind, DAYS[order] + clock + zone, strict=False)
        found = found.zip_with(found.is_not_null(), pl.select(since_1970(parsed)).to_series())
    return found


def since_1970(times: "pl.Series | pl.Expr") -> "pl.Expr":
    """Seconds of times, the Float64 that is nearest to their microseconds."""
    millionths = (pl.lit(times) if isinstance(times, pl.Series) else times).dt.epoch("us")
    million = millionths * 0 + 1e6  # a column: by a literal polars multiplies, which is not exact
    whole = millionths // 1_000_000
    far = whole + (millionths - whole * 1_000_000) / million  # more digits than a Float64 has
    return pl.when(millionths.abs() < 1 << 53).then(millionths / million).otherwise(far)


def _written(order: Order) -> str:
    return YEAR_FIRST if order == "year first" else YEAR_LAST


def _canonical(words: "pl.Series") -> "pl.Series":
    """2016/7/1T10:00 Z as 2016-7-1 10:00+00:00, and 1949-01 as 1949-01-01."""
    return (
        words.str.replace(r"^([0-9]{4})[-/]([0-9]{1,2})$", "$1-$2-01")
        .str.replace(r"^([0-9]+)[-/.]([0-9]+)[-/.]([0-9]+)", "$1-$2-$3")
        .str.replace("T", " ", literal=True)
        .str.replace(r" ?Z$", "+00:00")
        .str.replace(r" ([+-][0-9]{2}:?[0-9]{2})$", "$1")
    )
