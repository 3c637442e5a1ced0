"""The pruners, one file each: how long a training is in, brackets of trials out."""

from nnarch.pruners import halving, hyperband

__all__ = ["halving", "hyperband"]
