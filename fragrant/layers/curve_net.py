"""A small network that changes the exposure of pictures by curves, one for every pixel and colour, as far as a wanted
exposure says."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HIDDEN = 6  # convolutions before the last; behind the fourth each takes the output of an earlier one, too


def apply_curves(pixels: Tensor, maps: Tensor) -> Tensor:
    """Bends pixels by quadratic curves, one after the other (Zero-DCE, Guo et al., CVPR 2020): x + a * x * (1 - x).

    Black stays black, white stays white, the order of values is kept; a below 0 darkens, by up to a square each time.

    Args:
        pixels: (N, C, H, W), 0..1. maps: (N, I * C, H, W), the curves' strengths -1..1, of all channels for each of I
            curves.
    """
    for strength in maps.unflatten(1, (-1, pixels.shape[1])).unbind(1):
        pixels = pixels + strength * pixels * (1 - pixels)
    return pixels


class CurveNet(nn.Module):
    """Strengths of the curves from a picture and its wanted exposure, by seven convolutions with symmetric links (the
    network of Zero-DCE, with the exposure as one channel more).

    It begins with curves that change nothing: the last convolution is zero.

    Args:
        channels: C of a picture.
        width: channels of the hidden convolutions; 32 as published.
        iterations: curves that follow each other; 8 as published.
        scale: the network sees the picture this many times smaller, its curves are enlarged; 1 as published.
    """

    def __init__(self, channels: int = 3, *, width: int = 32, iterations: int = 8, scale: int = 1):
        super().__init__()
        self.scale = scale
        inputs = [channels + 1, width, width, width, 2 * width, 2 * width]
        self.hidden = nn.ModuleList(nn.Conv2d(size, width, 3, padding=1) for size in inputs)
        self.last = nn.Conv2d(2 * width, iterations * channels, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, pixels: Tensor, exposure: Tensor) -> Tensor:
        """Pixels (N, C, H, W), 0..1, and their wanted exposure (N, 1, H, W), 0..1 -> strengths (N, I * C, h, w), -1..1,
        of a picture that is ``scale`` times smaller."""
        x = torch.cat([pixels, exposure], 1)
        if self.scale > 1:
            height, width = (max(1, side // self.scale) for side in x.shape[2:])
            x = F.adaptive_avg_pool2d(x, (height, width))
        kept: list[Tensor] = []
        for layer in self.hidden:
            if len(kept) > HIDDEN // 2:
                x = torch.cat([x, kept[HIDDEN - len(kept)]], 1)
            x = layer(x).relu()
            kept.append(x)
        return self.last(torch.cat([x, kept[0]], 1)).tanh()
