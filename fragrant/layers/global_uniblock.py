"""UniFormerV2's global block (Li et al., ICCV 2023): one token of the video reads all tokens of all frames."""

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from timm.layers import DropPath
from torch import Tensor, nn

from fragrant.layers.depthwise_conv import DepthwiseConv3d
from fragrant.layers.mlp import Mlp, QuickGELU


class ConvPosition(DepthwiseConv3d):
    """Adds to a map what its neighbours say of its place: ``x + depthwise 3x3x3 convolution of x`` ("DPE")."""

    def __init__(self, dim: int):
        super().__init__(dim, kernel_size=3)
        assert self.bias is not None
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> the same shape"""
        return x + super().forward(x)


class OneQueryAttention(nn.Module):
    """Multi-head attention of a single query over many tokens, without their keys and values.

    With one query q a head needs but two products with the tokens y: the scores ``q . (W_k y + b_k)`` are ``(W_k^T q) .
    y`` and a number that softmax drops, and the sum over the values is ``W_v (sum a y) + b_v``. That is exact, costs 2
    * heads * C multiply-adds per token instead of 2 * C * C, and keeps no keys and values for the backward pass. The
    bias of the keys has no influence, and a gradient of exactly 0.

    Its parameters are those of ``Attention``.
    """

    def __init__(self, dim: int, *, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.scale = (dim // num_heads) ** -0.5
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def weights(self, query: Tensor, tokens: Tensor) -> Tensor:
        """What every head looks at, for inspection: (N, C), (N, L, C) -> (N, heads, L), rows sum to 1."""
        to_query, to_key, _ = self._by_head()
        return self._weights(query, tokens, to_query, to_key)

    def _by_head(self) -> tuple[Tensor, ...]:
        """Filters of queries, keys and values, each (heads, d, C). Taken apart at once: a slice for each would cost the
        backward pass a gradient of all three for each."""
        return self.qkv.weight.unflatten(0, (3, self.num_heads, -1)).unbind(0)

    def _weights(self, query: Tensor, tokens: Tensor, to_query: Tensor, to_key: Tensor) -> Tensor:
        q = F.linear(query, to_query.flatten(0, 1), self.qkv.bias[: query.shape[1]])
        q = q.unflatten(1, (self.num_heads, -1)) * self.scale  # (N, h, d)
        return (torch.einsum("nhd,hdc->nhc", q, to_key) @ tokens.mT).softmax(-1)

    def forward(self, query: Tensor, tokens: Tensor) -> Tensor:
        """(N, C), (N, L, C) -> (N, C)"""
        to_query, to_key, to_value = self._by_head()
        seen = self._weights(query, tokens, to_query, to_key) @ tokens  # (N, h, C)
        values = torch.einsum("nhc,hdc->nhd", seen, to_value).flatten(1)  # (N, C)
        return self.proj(values + self.qkv.bias[2 * query.shape[1] :].to(values.dtype))


class GlobalUniBlock(nn.Module):
    """Global UniBlock: attention of the video's token over all tokens of all frames, then an MLP; each with a residual.

    It changes nothing at first: both its last layers start at 0.

    Args:
        mlp_ratio: hidden width of the MLP over the token's.
        dropout: rate behind the activation of the MLP.
        drop_path: probability that a clip skips a branch in training.
    """

    def __init__(
        self,
        dim: int,
        *,
        num_heads: int,
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        activation: Callable[[], nn.Module] = QuickGELU,
    ):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = OneQueryAttention(dim, num_heads=num_heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, round(dim * mlp_ratio), activation=activation, dropout=dropout, output_dropout=0.0)
        self.norm3 = nn.LayerNorm(dim)
        self.drop_path = DropPath(drop_path)
        nn.init.xavier_uniform_(self.attn.qkv.weight)
        nn.init.xavier_uniform_(cast(Tensor, self.mlp.fc1.weight))
        for zero in (self.attn.qkv.bias, self.attn.proj.weight, self.attn.proj.bias):
            nn.init.zeros_(zero)
        for parameter in self.mlp.fc2.parameters():
            nn.init.zeros_(parameter)

    def forward(self, video: Tensor, tokens: Tensor) -> Tensor:
        """The video's token and all tokens of its frames: (N, C), (N, L, C) -> (N, C)"""
        video = video + self.drop_path(self.attn(self.norm1(video), self.norm3(tokens)))
        return video + self.drop_path(self.mlp(self.norm2(video)))
