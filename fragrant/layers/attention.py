"""Multi-head self-attention over a list of tokens."""

import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head self-attention: every token attends to every token of its list (Vaswani et al. 2017), through
    PyTorch's fused attention.

    Args:
        qk_scale: factor of the logits; None or 0 means 1 / sqrt(width of a head).
    """

    def __init__(
        self,
        dim: int,
        *,
        num_heads: int,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.num_heads = num_heads
        self.scale = qk_scale or (dim // num_heads) ** -0.5
        self.attention_dropout = attention_dropout
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of the tokens: (N, L, D) -> (N, heads, L, d) each"""
        qkv = self.qkv(x).unflatten(2, (3, self.num_heads, -1))  # (N, L, 3, heads, d)
        return tuple(part.transpose(1, 2) for part in qkv.unbind(2))  # unbinding this axis saves backward a copy

    def weights(self, x: Tensor) -> Tensor:
        """Attention weights of every pair of tokens, for inspection (``forward`` never computes them): (N, L, D) -> (N,
        heads, L, L), rows sum to 1."""
        q, k, _ = self.queries_keys_values(x)
        return (q @ k.transpose(2, 3) * self.scale).softmax(-1)

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """(N, L, D) -> (N, L, D); ``seen``: (N, L) bool, the tokens that may be attended to, None = all."""
        q, k, v = self.queries_keys_values(x)
        mask = None if seen is None else seen[:, None, None]
        y = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, dropout_p=self.attention_dropout if self.training else 0.0, scale=self.scale
        )
        y = y.transpose(1, 2).flatten(2)  # (N, L, D)
        return self.dropout(self.proj(y))
