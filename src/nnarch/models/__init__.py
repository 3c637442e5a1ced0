"""Models: families of networks by name, and the parts that they are made of."""

from nnarch.models import activations, initializations, mlp, nlinear

__all__ = ["activations", "initializations", "mlp", "nlinear"]
