"""Data: the sources that a config may name, and what becomes of their rows before training."""

from nnarch.data import sources

__all__ = ["sources"]
