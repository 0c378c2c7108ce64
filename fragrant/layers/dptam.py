"""DPTAM, double pooling temporal attention (MIE-Net): weights the channels of each frame by what all frames show."""

import torch
from torch import Tensor, nn

from fragrant.errors import UserError
from fragrant.layers.autocast import autocast_off


class DPTAM(nn.Module):
    """Scales every channel of every frame by a number in 0..1. Goes anywhere into a network with maps (N, C, T, H, W).

    With p the mean over space and U one C x C matrix that is used twice:

        z = p + (U p) * (U mean over time of p),    scale = sigmoid(expand(ReLU(norm(reduce(z)))))

    The picture of the paper adds U p instead of p; the published weights were trained with p.

    Args:
        channels: C, at least 4.
        time_kernel: frames that ``reduce`` looks at, an odd number.
    """

    def __init__(self, channels: int, *, time_kernel: int = 3):
        super().__init__()
        if channels < 4 or time_kernel < 1 or time_kernel % 2 == 0:
            raise UserError(f"DPTAM needs at least 4 channels and an odd time_kernel; got {channels} and {time_kernel}")
        self.mix = nn.Conv1d(channels, channels, 1, bias=False)
        self.reduce = nn.Conv1d(channels, channels // 4, time_kernel, padding=time_kernel // 2, bias=False)
        self.norm = nn.BatchNorm1d(channels // 4)
        self.expand = nn.Conv1d(channels // 4, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> the same shape, in the memory format of x."""
        return x * self.scale(x).to(x.dtype)[..., None, None]

    def scale(self, x: Tensor) -> Tensor:
        """The scale 0..1 of every channel of every frame: (N, C, T, H, W) -> (N, C, T); float32 at least, since the
        norm amplifies the small differences between frames."""
        with autocast_off(x):
            pooled = x.mean((3, 4), dtype=torch.promote_types(x.dtype, torch.float32))  # (N, C, T)
            pooled = pooled + self.mix(pooled) * self.mix(pooled.mean(2, keepdim=True))
            return torch.sigmoid(self.expand(torch.relu(self.norm(self.reduce(pooled)))))
