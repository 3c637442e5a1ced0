"""The data sources that a config may name: each reads its files into one of the records."""

from nnarch.data.sources import (
    csv,
    idx,
    images,
    npz,
    parquet,
    series,
    sklearn,
    synthetic,
    text,
    waves,
)

__all__ = [
    "csv",
    "idx",
    "images",
    "npz",
    "parquet",
    "series",
    "sklearn",
    "synthetic",
    "text",
    "waves",
]
