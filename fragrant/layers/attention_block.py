"""UniFormer's global block: attention over all tokens of space and time at once."""

from timm.layers import DropPath
from torch import Tensor, nn

from fragrant.layers.attention import Attention
from fragrant.layers.depthwise_conv import DepthwiseConv3d
from fragrant.layers.mlp import Mlp
from fragrant.layers.tokens import to_tokens, to_volume


class AttentionBlock(nn.Module):
    """Global block: position from a 3x3x3 depthwise convolution, then attention and an MLP on LayerNormed tokens; each
    with a residual.

    UniFormer (Li et al. 2022), the block of its last two stages ("SABlock").

    Args:
        drop_path: probability that a sample skips a branch in training.
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
        self.pos_embed = DepthwiseConv3d(dim, kernel_size=3)
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(
            dim,
            num_heads=num_heads,
            qkv_bias=qkv_bias,
            qk_scale=qk_scale,
            attention_dropout=attention_dropout,
            dropout=dropout,
        )
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, int(dim * mlp_ratio), dropout=dropout)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> the same shape"""
        x = x + self.pos_embed(x)
        z = to_tokens(x)  # (N, L, C)
        z = z + self.drop_path(self.attn(self.norm1(z)))
        z = z + self.drop_path(self.mlp(self.norm2(z)))
        return to_volume(z, like=x)  # (N, C, T, H, W)
