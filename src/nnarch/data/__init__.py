"""Data: the sources that a config may name, and what becomes of their rows before training."""

from nnarch.data import csv, idx, images, npz, parquet, series, sklearn, synthetic, text

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
]
