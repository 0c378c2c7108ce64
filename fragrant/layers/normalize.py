"""Normalisation of pixel values on the device; clips travel there as uint8."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ClipNormalize(nn.Module):
    """Normalises clips, ``(pixels / 255 - mean) / std`` in float32; the module has no entry in a state dict.

    Args:
        mean: one value per channel (RGB), for pixels in 0..1.
        std: one value per channel (RGB), for pixels in 0..1.
        reverse_channels: give the model BGR.
    """

    mean: Tensor  # (1, C, 1, 1, 1)
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float], *, reverse_channels: bool = False):
        super().__init__()
        self.reverse_channels = reverse_channels
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalises pixels: (N, C, T, H, W) uint8 or float, values 0..255 -> the same shape and memory format,
        float32"""
        clips = pixels.to(torch.float32, copy=True)  # our own copy: the rest works in place
        clips.div_(255).sub_(self.mean).div_(self.std)
        return clips.flip(1) if self.reverse_channels else clips

    def undo(self, clips: Tensor) -> Tensor:
        """Inverts ``forward``: normalised clips -> pixel values 0..255, float32"""
        clips = clips.float().flip(1) if self.reverse_channels else clips.float()
        return (clips * self.std + self.mean) * 255


class StreamsNormalize(nn.Module):
    """Normalises clips whose channels are those of several streams, each by its own values.

    Args:
        each: the normalisation of every stream.
    """

    def __init__(self, each: Sequence[ClipNormalize]):
        super().__init__()
        self.each = nn.ModuleList(each)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels (N, S * C, T, H, W), 0..255 -> the same shape, float32"""
        streams = pixels.chunk(len(self.each), dim=1)
        return torch.cat([normalize(stream) for normalize, stream in zip(self.each, streams, strict=True)], 1)
