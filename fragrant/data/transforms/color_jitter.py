"""Colour jitter of clips: brightness, contrast, saturation and hue by random factors, the same for all frames."""

import random

from torch import Tensor

from fragrant.data.transforms import colors as colors


def adjust_hue(frames: Tensor, turn: float) -> Tensor:
    """Turns every hue by ``turn``, from -0.5 to 0.5 of the circle: (H, W, T, C) uint8 -> the same shape"""
    from torchvision.transforms.v2.functional import adjust_hue  # a slow import: only for those who need it

    return adjust_hue(frames.permute(2, 3, 0, 1), turn).permute(2, 3, 0, 1).contiguous()


class ColorJitter:
    """Colour jitter: changes brightness, contrast, saturation and hue by random factors in random order, the same for
    all frames.

    Args:
        brightness: the factor is drawn from ``1 - brightness`` to ``1 + brightness``; contrast and saturation likewise.
        hue: largest turn of the colour circle, up to 0.5.
    """

    def __init__(self, *, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0, hue: float = 0.0):
        changes = [
            (colors.adjust_brightness, 1, brightness),
            (colors.adjust_contrast, 1, contrast),
            (colors.adjust_saturation, 1, saturation),
            (adjust_hue, 0, hue),
        ]
        self.changes = [change for change in changes if change[2]]

    def __call__(self, frames: Tensor, rng: random.Random) -> Tensor:
        """Jitters the colours of a clip: (T, H, W, C) uint8 -> the same shape"""
        clip = frames.permute(1, 2, 0, 3).contiguous()  # (H, W, T, C)
        for adjust, middle, reach in rng.sample(self.changes, len(self.changes)):
            clip = adjust(clip, middle + rng.uniform(-reach, reach))
        return clip.permute(2, 0, 1, 3)
