"""Motion in the place of colours."""

import torch
from torch import Tensor


def motion_channels(clips: Tensor) -> Tensor:
    """Brightness of every frame, its change to the next frame and the size of the change, in the place of three
    colours: (N, 3, T, H, W) -> the same shape. The last frame repeats the change to it; a clip of one frame has none.

    In the dark colours are noise, while what moves is a person; this project's own."""
    brightness = clips.mean(1)  # (N, T, H, W)
    change = brightness.diff(dim=1)
    change = torch.cat([change, change[:, -1:]], 1) if clips.shape[2] > 1 else torch.zeros_like(brightness)
    return torch.stack([brightness, change, change.abs()], 1)
