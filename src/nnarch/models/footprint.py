"""What a network keeps from its forward pass until the backward pass has used it.

This is what fills memory in training, and what grows with the batch. It is measured, not guessed:
a batch is sent through the network on the meta device, and every tensor that autograd lays aside
is noted. Several may share one storage, which is counted once; parameters and buffers are there
anyway.

What is laid aside is what torch's kernels for the CPU lay aside, byte for byte, but for LSTMs: the
library that computes them there (oneDNN) keeps a workspace of its own, and a few times as much.
A GPU keeps about the same; a mask of dropout in fewer bytes.
"""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from nnarch.models.metadevice import TellingShapes


def activations(network: nn.Module, rows: Tensor) -> int:
    """Bytes that a training step on `rows` (B, ...) keeps for the backward pass.

    Precision is that of the network. Under bf16, which keeps weights in float32, some of this is
    laid aside in half as many bytes.

    Args:
        network: on the meta device, or on any other; it is left in training mode.
    """
    own = {_key(tensor) for tensor in chain(network.parameters(), network.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept.setdefault(_key(tensor), tensor.untyped_storage())  # held, so that no key comes twice
        return tensor

    noting = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with _Attention(), TellingShapes(), noting:
        network.train()(rows)
    return sum(storage.nbytes() for key, storage in kept.items() if key not in own)


def _key(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


class _Attention(TorchFunctionMode):
    """Attention on the meta device by the kernel that a CPU would choose.

    It keeps a number for each row of attention weights, where torch's way for want of a kernel
    keeps all of the weights: of long sequences, the most by far.
    """

    def __torch_function__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is scaled_dot_product_attention and args[0].is_meta:
            return _attended(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _attended(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **others: Any,
) -> Tensor:
    learnt_mask = attn_mask is not None and attn_mask.requires_grad
    unequal = len({each.shape[-1] for each in (query, key, value)}) > 1
    if dropout_p or learnt_mask or unequal or query.dim() != 4 or others.pop("enable_gqa", False):
        return scaled_dot_product_attention(
            query, key, value, attn_mask, dropout_p, is_causal, **others
        )
    flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    return flash(query, key, value, dropout_p, is_causal, attn_mask=attn_mask, **others)[0]
