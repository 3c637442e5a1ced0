"""Gated linear units: one half of the features times an activation of the other."""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from nnarch.errors import ConfigError

GATES = {"geglu": functional.gelu, "reglu": functional.relu, "swiglu": functional.silu}


class Gated(nn.Module):
    """(..., 2F) to (..., F).

    Raises: ConfigError for an odd number of features.
    """

    def __init__(self, kind: Literal["geglu", "reglu", "swiglu"]):
        super().__init__()
        self.kind = kind

    def forward(self, samples: Tensor) -> Tensor:
        if samples.shape[-1] % 2:
            raise ConfigError(
                f"{self.kind}: got {samples.shape[-1]} features; expected an even number, to "
                "gate one half by the other"
            )
        passed, gate = samples.chunk(2, dim=-1)
        return passed * GATES[self.kind](gate)

    def extra_repr(self) -> str:
        return repr(self.kind)
