"""Self-attention with one linear layer before it and one behind."""

from torch import Tensor, nn
from torch.nn import functional

from nnarch.errors import ConfigError


class SelfAttention(nn.Module):
    """(B, T, F) to (B, T, F): softmax(q k' / sqrt(F / heads)) v in each head.

    `qkv` makes queries, keys and values at once, in this order and each head after head, which is
    the order of `torch.nn.MultiheadAttention.in_proj_weight`.

    Raises: ConfigError where the heads do not divide the features.
    """

    def __init__(
        self,
        features: int,
        heads: int = 8,
        dropout: float = 0.0,
        causal: bool = False,
        bias: bool = True,
    ):
        super().__init__()
        if features % heads:
            raise ConfigError(
                f"attention: got {heads} heads for {features} features; expected heads that "
                "divide them"
            )
        self.heads, self.dropout, self.causal = heads, dropout, causal
        self.qkv = nn.Linear(features, 3 * features, bias)
        self.out = nn.Linear(features, features, bias)

    def forward(self, series: Tensor) -> Tensor:
        qkv = self.qkv(series).unflatten(-1, (3, self.heads, -1))
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, T, F / heads)
        mixed = functional.scaled_dot_product_attention(
            query,
            key,
            value,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=self.causal,
        )
        return self.out(mixed.transpose(1, 2).flatten(2))

    def extra_repr(self) -> str:
        return f"heads={self.heads}, dropout={self.dropout}, causal={self.causal}"
