"""The families of networks, one file each: options in, a list of layers out."""

from nnarch.models.families import layers, mlp, nlinear

__all__ = ["layers", "mlp", "nlinear"]
