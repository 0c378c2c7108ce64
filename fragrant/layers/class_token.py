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

    def forward(self, tokens: Tensor, present: Tensor | None = None, *, only: int | None = None) -> Tensor:
        """(N, S, T', D) -> (N, D)

        Args:
            present: (N, S) bool, which streams a clip has: the tokens of the others count for nothing; None = all.
            only: the tokens are those of this one stream, (N, 1, T', D): as if it alone were present.
        """
        count, _, length, _ = tokens.shape
        if self.token is None:
            if present is None:
                return tokens.mean((1, 2))
            shares = present.to(tokens.dtype) / present.sum(1, keepdim=True)
            return (tokens.mean(2) * shares.unsqueeze(2)).sum(1)
        listed = torch.cat([self.token.to(tokens.dtype).expand(count, -1, -1), tokens.flatten(1, 2)], 1)
        positions = self._positions(length).to(tokens.dtype)
        if only is not None:
            first = 1 + only * length
            positions = torch.cat([positions[:, :1], positions[:, first : first + length]], 1)
        x = self.dropout(listed + positions)  # (N, 1 + S * T', D)
        seen = None
        if present is not None:
            seen = torch.cat([present.new_ones(count, 1), present.repeat_interleave(length, 1)], 1)  # (N, 1 + S * T')
        for block in self.blocks:
            x = self.dropout(block(x, seen))
        return x[:, 0]
