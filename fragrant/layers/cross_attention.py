"""Attention from the tokens of one stream to those of another, and the fusion of two streams by it."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CrossAttention(nn.Module):
    """Multi-head attention of one list of tokens to another (Vaswani et al. 2017), through PyTorch's fused attention.

    Args:
        dropout: rate for attention weights and the result.
    """

    def __init__(self, dim: int, *, num_heads: int, dropout: float = 0.0):
        super().__init__()
        self.num_heads, self.attention_dropout = num_heads, dropout
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, 2 * dim)
        self.proj = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, others: Tensor) -> Tensor:
        """(N, L, D), (N, M, D) -> (N, L, D)"""
        q = self.q(x).unflatten(2, (self.num_heads, -1)).transpose(1, 2)  # (N, heads, L, d)
        k, v = self.kv(others).unflatten(2, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=self.attention_dropout if self.training else 0.0)
        return self.dropout(self.proj(y.transpose(1, 2).flatten(2)))


class CrossFusion(nn.Module):
    """Fuses two streams by attention both ways: with F1, F2 the places of their maps as tokens,
    [mean(F1 + MHA(F1 -> F2)), mean(F2 + MHA(F2 -> F1))].

    A stream that is missing is nothing to attend to: the other keeps its tokens as they are, and the missing one's half
    of the result is 0.

    Args:
        width: D of both maps.
    """

    def __init__(self, width: int, *, num_heads: int, dropout: float = 0.0):
        super().__init__()
        self.first = CrossAttention(width, num_heads=num_heads, dropout=dropout)
        self.second = CrossAttention(width, num_heads=num_heads, dropout=dropout)

    def attended(self, maps: Sequence[Tensor], present: Tensor | None = None) -> list[Tensor]:
        """Both maps (N, D, T, H, W), each with what it finds in the other: the same shapes.

        Args:
            present: (N, 2) bool, which streams a clip has; None = both.
        """
        tokens = [x.flatten(2).transpose(1, 2) for x in maps]  # (N, L, D)
        found = [self.first(tokens[0], tokens[1]), self.second(tokens[1], tokens[0])]
        if present is not None:
            there = present.to(found[0].dtype).flip(1)[..., None, None]  # (N, 2, 1, 1), whether the other is there
            found = [x * share for x, share in zip(found, there.unbind(1), strict=True)]
        return [x + more.transpose(1, 2).unflatten(2, x.shape[2:]) for x, more in zip(maps, found, strict=True)]

    def forward(self, maps: Sequence[Tensor | None], present: Tensor | None = None) -> Tensor:
        """Two maps (N, D, T, H, W) -> (N, 2D); None = no clip has this stream."""
        both = [x for x in maps if x is not None]
        if len(both) < len(maps):
            mean = both[0].mean((2, 3, 4))
            return torch.cat([torch.zeros_like(mean) if x is None else mean for x in maps], 1)
        means = torch.stack([x.mean((2, 3, 4)) for x in self.attended(both, present)], 1)  # (N, 2, D)
        return (means if present is None else means * present.to(means.dtype).unsqueeze(2)).flatten(1)
