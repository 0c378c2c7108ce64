"""Pooling of a clip's tokens by a class token, which attends to all of them."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fragrant.layers.transformer_block import TransformerBlock


class ClassTokenPool(nn.Module):
    """Pools the tokens of several streams: a class token and learned positions, then transformer blocks, of which the
    class token comes out. As in DarkLight (Chen et al., CVPRW 2021): one pre-norm block, no norm behind it, token and
    positions from N(0, 0.02).

    Args:
        width: D.
        streams: S, lists of tokens whose positions are told apart.
        length: T', tokens of a stream in training; for another number positions are resized (linearly).
        depth: blocks; 0 = the mean of all tokens, without a class token.
        dropout: rate behind the positions, in the block (attention weights, both branches, MLP) and behind it.
    """

    def __init__(
        self, width: int, *, streams: int, length: int, num_heads: int = 8, depth: int = 1, dropout: float = 0.1
    ):
        super().__init__()
        self.streams, self.length = streams, length
        self.blocks = nn.ModuleList(TransformerBlock(width, num_heads=num_heads, dropout=dropout) for _ in range(depth))
        self.dropout = nn.Dropout(dropout)
        self.token: nn.Parameter | None = None
        if depth:
            self.token = nn.Parameter(torch.empty(1, 1, width).normal_(std=0.02))
            self.positions = nn.Parameter(torch.empty(1, 1 + streams * length, width).normal_(std=0.02))

    def _positions(self, length: int) -> Tensor:
        """Positions of the class token and of streams of ``length`` tokens, (1, 1 + S * length, D)"""
        if length == self.length:
            return self.positions
        first, rest = self.positions[:, :1], self.positions[0, 1:].unflatten(0, (self.streams, self.length))
        resized = F.interpolate(rest.transpose(1, 2), size=length, mode="linear", align_corners=False)  # (S, D, length)
        return torch.cat([first, resized.transpose(1, 2).flatten(0, 1).unsqueeze(0)], 1)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, S, T', D) -> (N, D)"""
        if self.token is None:
            return tokens.mean((1, 2))
        listed = torch.cat([self.token.to(tokens.dtype).expand(tokens.shape[0], -1, -1), tokens.flatten(1, 2)], 1)
        x = self.dropout(listed + self._positions(tokens.shape[2]).to(tokens.dtype))  # (N, 1 + S * T', D)
        for block in self.blocks:
            x = self.dropout(block(x))
        return x[:, 0]
