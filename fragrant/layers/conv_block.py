"""UniFormer's local block: convolutions take the place of attention."""

from timm.layers import DropPath
from torch import Tensor, nn

from fragrant.layers.depthwise_conv import DepthwiseConv3d
from fragrant.layers.mlp import Mlp


def pointwise_conv(in_channels: int, out_channels: int) -> nn.Conv3d:
    """A linear map of the channels at every position of a volume."""
    return nn.Conv3d(in_channels, out_channels, kernel_size=1)


class ConvBlock(nn.Module):
    """Local block: position from a 3x3x3 depthwise convolution, mixing of neighbours by a 5x5x5 one, then an MLP; each
    with a residual.

    UniFormer (Li et al. 2022), the block of its first two stages ("CBlock"). The norms are BatchNorm.

    Args:
        drop_path: probability that a sample skips a branch in training.
    """

    def __init__(self, dim: int, *, mlp_ratio: float = 4.0, dropout: float = 0.0, drop_path: float = 0.0):
        super().__init__()
        self.pos_embed = DepthwiseConv3d(dim, kernel_size=3)
        self.norm1 = nn.BatchNorm3d(dim)
        self.conv1 = pointwise_conv(dim, dim)
        self.conv2 = pointwise_conv(dim, dim)
        self.attn = DepthwiseConv3d(dim, kernel_size=5)
        self.norm2 = nn.BatchNorm3d(dim)
        self.mlp = Mlp(dim, int(dim * mlp_ratio), linear=pointwise_conv, dropout=dropout)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> the same shape"""
        x = x + self.pos_embed(x)
        x = x + self.drop_path(self.conv2(self.attn(self.conv1(self.norm1(x)))))
        return x + self.drop_path(self.mlp(self.norm2(x)))
