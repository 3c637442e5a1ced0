"""A guard for tests of what must neither compute nor allocate."""

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class NothingReal(TorchDispatchMode):
    """Lets nothing be computed but on the meta device, where tensors have no memory."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            assert not isinstance(tensor, Tensor) or tensor.is_meta, func
        return made
