"""UniFormer's global block with attention split into time and space."""

from functools import partial

from timm.layers import DropPath
from torch import Tensor, nn

from fragrant.layers.attention import Attention
from fragrant.layers.depthwise_conv import DepthwiseConv3d
from fragrant.layers.mlp import Mlp
from fragrant.layers.tokens import to_tokens, to_volume


class SplitAttentionBlock(nn.Module):
    """Global block with split attention: over the frames of a position (``t_attn``), then over the positions of a frame
    (``attn``), then an MLP.

    UniFormer (Li et al. 2022), "SplitSABlock". As published, the residual around the attention over space starts
    before the attention over time: time reaches the output only through what space makes of it.

    Args:
        drop_path: probability of skipping a branch in training, drawn per position (time), per frame (space)
            and per sample (MLP).
    """

    def __init__(
        self,
        dim: int,
        *,
        num_heads: int,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        drop_path: float = 0.0,
    ):
        super().__init__()
        attention = partial(
            Attention,
            dim,
            num_heads=num_heads,
            qkv_bias=qkv_bias,
            qk_scale=qk_scale,
            attention_dropout=attention_dropout,
            dropout=dropout,
        )
        self.pos_embed = DepthwiseConv3d(dim, kernel_size=3)
        self.t_norm = nn.LayerNorm(dim, eps=1e-6)
        self.t_attn = attention()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = attention()
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, int(dim * mlp_ratio), dropout=dropout)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> the same shape"""
        num_frames, num_places = x.shape[2], x.shape[3] * x.shape[4]
        x = x + self.pos_embed(x)
        z = to_tokens(x).unflatten(1, (num_frames, num_places))  # (N, T, HW, C)
        u = z.transpose(1, 2).flatten(0, 1)  # (N*HW, T, C)
        u = u + self.drop_path(self.t_attn(self.t_norm(u)))
        u = u.unflatten(0, (-1, num_places)).transpose(1, 2).flatten(0, 1)  # (N*T, HW, C)
        z = z.flatten(0, 1) + self.drop_path(self.attn(self.norm1(u)))  # (N*T, HW, C)
        z = z.unflatten(0, (-1, num_frames)).flatten(1, 2)  # (N, L, C)
        z = z + self.drop_path(self.mlp(self.norm2(z)))
        return to_volume(z, like=x)  # (N, C, T, H, W)
