"""The way from the clips that a network gets back to pixels, and to such clips again, through which gradients flow."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fragrant.layers.normalize import ClipNormalize


class PixelClips:
    """Pixels of normalised clips, and normalised clips of pixels.

    Args:
        each: the normalisation of every stream, on the device of the clips.
        streams: pixels (N, C, T, H, W), 0..255 -> those of every stream, the first of them the pixels themselves.
        channels_last: whether clips are channels last in memory.
    """

    def __init__(
        self,
        each: Sequence[ClipNormalize],
        streams: Callable[[Tensor], Sequence[Tensor]] = lambda pixels: (pixels,),
        *,
        channels_last: bool = False,
    ):
        self.each, self.streams = list(each), streams
        self.layout = torch.channels_last_3d if channels_last else torch.contiguous_format

    def pixels(self, clips: Tensor) -> Tensor:
        """The pixels of the first stream: (N, S * C, T, H, W) normalised -> (N, C, T, H, W), 0..1"""
        first = self.each[0]
        return (first.undo(clips[:, : first.mean.shape[1]]) / 255).clamp(0, 1)

    def clips(self, pixels: Tensor) -> Tensor:
        """What a network gets of pixels: (N, C, T, H, W), 0..1 -> (N, S * C, T, H, W) normalised, float32. Gradients
        flow through the first stream; what else is made of a clip is made of whole pixel values."""
        values = pixels.float() * 255
        parts = [normalize(x) for normalize, x in zip(self.each, self.streams(values), strict=True)]
        return torch.cat(parts, 1).contiguous(memory_format=self.layout)
