"""H2CN's hourglass convolution, which looks at more of the frames before and after than of its own, and the gate made
of it."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Hourglass(nn.Module):
    """A temporal convolution of every channel whose two outer taps see a spatially enlarged neighbourhood (H2CN, MM
    2022).

    Args:
        out_channels: a multiple of the channels.
        dilation: dilation of the 3 x 3 neighbourhood in the outer frames.
        padding: frames of zeros at both ends; 0: two frames fewer come out.
    """

    def __init__(self, channels: int, out_channels: int | None = None, *, dilation: int = 1, padding: int = 1):
        super().__init__()
        self.around = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, groups=channels, bias=False)
        self.over_time = nn.Conv3d(channels, out_channels or channels, (3, 1, 1), groups=channels, bias=False)
        self.padding = padding
        with torch.no_grad():  # x_t - around(x_t+1)
            self.over_time.weight.copy_(torch.tensor([0.0, 1.0, -1.0]).view(1, 1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> (N, C', T + 2 * padding - 2, H, W)"""
        x = F.pad(x, (0, 0, 0, 0, self.padding, self.padding))
        around = self.around(x.transpose(1, 2).flatten(0, 1)).unflatten(0, (-1, x.shape[2])).transpose(1, 2)
        before, now, after = self.over_time.weight.squeeze(1).unbind(1)  # (C', 1, 1) each
        repeats = self.over_time.out_channels // x.shape[1]
        x, around = (part.repeat_interleave(repeats, 1) for part in (x, around))  # (N, C', T, H, W)
        taps = zip((before, now, after), (around[:, :, :-2], x[:, :, 1:-1], around[:, :, 2:]), strict=True)
        return cast(Tensor, sum(weight[:, None] * frames for weight, frames in taps))


class HourglassGate(nn.Module):
    """Gate of H2CN: weights the channels by the motion between the frames.

    Args:
        reduction: channels of the map over channels that the hourglass works on.
    """

    def __init__(self, channels: int, *, reduction: int = 16):
        super().__init__()
        narrow = channels // reduction
        self.reduce = nn.Conv2d(channels, narrow, 1, bias=False)
        self.norm = nn.BatchNorm2d(narrow)
        self.hourglass = Hourglass(narrow)
        self.expand = nn.Conv2d(narrow, channels, 1, bias=False)
        self.gate_norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> the same shape"""
        frames = x.shape[2]
        narrow = self.norm(self.reduce(x.transpose(1, 2).flatten(0, 1)))  # (N*T, c, H, W)
        moving = self.hourglass(narrow.unflatten(0, (-1, frames)).transpose(1, 2)).mean((3, 4))  # (N, c, T)
        # (N*T, C, 1, 1)
        gate = self.gate_norm(self.expand(moving.transpose(1, 2).flatten(0, 1)[..., None, None])).sigmoid()
        return x * gate.unflatten(0, (-1, frames)).transpose(1, 2)
