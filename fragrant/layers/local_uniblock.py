"""UniFormerV2's local block (Li et al., ICCV 2023): an image transformer's block with cheap relations over time before
its attention, and before its MLP.
"""

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fragrant.layers.frame_tokens import split_class_token
from fragrant.layers.mlp import QuickGELU
from fragrant.layers.transformer_block import TransformerBlock


class LocalRelation(nn.Module):
    """Relation of a patch to the same place one frame before and after, with fixed weights ("L_MHRA").

    BatchNorm, to fewer channels, a sum over three frames with weights of every channel, and back. It adds nothing at
    first: its last layer starts at 0, so that the network starts as the image network that it came from.

    Published as convolutions of maps; here as products of tokens, which need no map: the same numbers.

    Args:
        reduction: width of the tokens over that of the layers inside; the quotient is rounded down.
    """

    def __init__(self, dim: int, *, reduction: float = 1.5):
        super().__init__()
        hidden = int(dim // reduction)
        self.norm = nn.BatchNorm1d(dim)
        self.reduce = nn.Linear(dim, hidden)
        self.time = nn.Conv1d(hidden, hidden, 3, padding=1, groups=hidden)  # holds the weights of the sum
        self.expand = nn.Linear(hidden, dim)
        nn.init.zeros_(self.expand.weight)
        nn.init.zeros_(self.expand.bias)

    def forward(self, patches: Tensor) -> Tensor:
        """(N, T, P, C) -> the same shape"""
        rows = patches.flatten(0, 2)  # (N * T * P, C)
        x = self.reduce(self.norm(rows)).unflatten(0, patches.shape[:3])  # (N, T, P, hidden)
        bias = cast(Tensor, self.time.bias)
        before, here, after = self.time.weight.squeeze(1).to(x.dtype).unbind(1)
        padded = F.pad(x, (0, 0, 0, 0, 1, 1))  # (N, T + 2, P, hidden)
        x = padded[:, :-2] * before + padded[:, 1:-1] * here + padded[:, 2:] * after
        return self.expand(x + bias.to(x.dtype))


class LocalUniBlock(TransformerBlock):
    """Local UniBlock: every frame by itself in attention and MLP, neighbouring frames in the local relations.

    Args:
        relations: 0 (a plain image block), 1 (before the attention) or 2 (before the MLP, too) local relations.
        reduction: see ``LocalRelation``.
        drop_path: probability that a clip skips a branch in training.
    """

    def __init__(
        self,
        dim: int,
        *,
        num_heads: int,
        relations: int = 2,
        reduction: float = 1.5,
        drop_path: float = 0.0,
        activation: Callable[[], nn.Module] = QuickGELU,
    ):
        super().__init__(dim, num_heads=num_heads, drop_path=drop_path, eps=1e-5, activation=activation)
        self.local1 = LocalRelation(dim, reduction=reduction) if relations > 0 else None
        self.local2 = LocalRelation(dim, reduction=reduction) if relations > 1 else None
        nn.init.xavier_uniform_(self.attn.qkv.weight)
        nn.init.zeros_(self.attn.qkv.bias)
        nn.init.zeros_(self.attn.proj.bias)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # every token is attended to
        """Tokens of frames, the class token first: (N, T, 1 + P, C) -> the same shape"""
        x = self._related(self.local1, x)
        attended = self.attn(self.norm1(x).flatten(0, 1))  # (N * T, 1 + P, C)
        x = x + self.drop_path(attended.unflatten(0, x.shape[:2]))
        x = self._related(self.local2, x)
        return x + self.drop_path(self.mlp(self.norm2(x)))

    def _related(self, relation: LocalRelation | None, x: Tensor) -> Tensor:
        if relation is None:
            return x
        classes, patches = split_class_token(x)
        return torch.cat([classes, patches + self.drop_path(relation(patches))], 2)
