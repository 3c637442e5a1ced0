"""The samplers, one file each: a space in, points out, results back in."""

from nnarch.samplers import evolution, gp, grid, nsga2, quasirandom, random, tpe

__all__ = ["evolution", "gp", "grid", "nsga2", "quasirandom", "random", "tpe"]
