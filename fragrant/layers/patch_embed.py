"""A strided convolution that turns a volume into fewer, wider positions."""

import torch
from torch import Tensor, nn

from fragrant.layers.channel_norm import ChannelNorm
from fragrant.layers.convolution import Conv3d


class PatchEmbed(nn.Module):
    """Patch embedding: convolution, then LayerNorm over the channels. Pixels that the strides leave over at the far
    edges are dropped.

    Args:
        time_kernel: frames that one output frame sees; odd, padded so that every input frame counts.
        time_stride: 2 halves the number of frames, rounding up.
        patch_size: edge of the square of pixels that becomes one position.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, patch_size: int, time_kernel: int = 1, time_stride: int = 1
    ):
        super().__init__()
        self.norm = ChannelNorm(out_channels)  # eps 1e-5, unlike the 1e-6 inside the blocks
        self.proj = Conv3d(
            in_channels,
            out_channels,
            kernel_size=(time_kernel, patch_size, patch_size),
            stride=(time_stride, patch_size, patch_size),
            padding=(time_kernel // 2, 0, 0),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> (N, D, ceil(T / time_stride), H // patch_size, W // patch_size)"""
        if x.device.type == "cpu" and 1 < x.shape[2] < self.proj.kernel_size[0]:
            # so few frames that rounding to bfloat16 would turn the gradient of the norm by up to 30 degrees
            with torch.autocast("cpu", enabled=False):
                return self.norm(self.proj(x.to(self.proj.weight.dtype)))
        return self.norm(self.proj(x))
