"""Models: families of networks by name, and the parts that they are made of."""

from nnarch.models import activations, blocks, families, initializations

__all__ = ["activations", "blocks", "families", "initializations"]
