"""A decoder that paints pixels from the feature map of a network: for pre-training alone."""

import torch
from torch import Tensor, nn

from fragrant.layers.patches import from_patches
from fragrant.layers.positions import sine_positions
from fragrant.layers.tokens import to_tokens
from fragrant.layers.transformer_block import TransformerBlock

HEAD_WIDTH = 64  # of the decoder's attention, as VideoMAE's: 6 heads of 384


class PixelDecoder(nn.Module):
    """Paints the pixels behind every place of a feature map.

    With blocks it is VideoMAE's decoder (Tong et al. 2022: 4 blocks of width 384); without any, SimMIM's single linear
    layer (Xie et al. 2022).

    Args:
        features: D, the width of the feature map.
        sees: frames, rows and columns of pixels behind one place of it.
        channels: C of the clips.
        width: of the blocks; read with ``depth`` above 0 only.
        depth: blocks.
    """

    def __init__(
        self, features: int, sees: tuple[int, int, int], *, channels: int = 3, width: int = 384, depth: int = 4
    ):
        super().__init__()
        self.sees, self.channels = sees, channels
        frames, rows, columns = sees
        heads = max(width // HEAD_WIDTH, 1)
        heads = heads if width % heads == 0 else 1
        self.embed = nn.Linear(features, width) if depth else nn.Identity()
        self.blocks = nn.ModuleList(TransformerBlock(width, num_heads=heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6) if depth else nn.Identity()
        self.paint = nn.Linear(width if depth else features, frames * rows * columns * channels)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Feature map (N, D, t, h, w) -> pixels (N, C, T, H, W)"""
        grid = (features.shape[2], features.shape[3], features.shape[4])
        x = self.embed(to_tokens(features))  # (N, L, width)
        if len(self.blocks):
            x = x + sine_positions(grid, x.shape[2], x.device).to(x.dtype)
        for block in self.blocks:
            x = block(x)
        pixels = self.paint(self.norm(x)).unflatten(2, (-1, self.channels))  # (N, L, P, C)
        return from_patches(pixels, self.sees, grid)


def new_token(width: int) -> nn.Parameter:
    """A learned vector that stands for what is hidden, (width,)"""
    return nn.Parameter(torch.nn.init.trunc_normal_(torch.empty(width), std=0.02))
