"""Short looped previews of clips: their frames side by side in one JPEG, which a style sheet moves through a window."""

import base64
import io
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fragrant.report.strips import evenly, lift, scaled

FRAMES = 12  # of a preview at most
RATE = 6.0  # of them per second of the video: a preview shows two seconds
USUAL_FPS = 30.0  # of folders of frames, which do not tell
HEIGHT, WIDTH = 84, 160  # pixels of a frame at most
QUALITY = 70
GAMMA_STEPS = 2  # per 1 of gamma: the page has a filter for every one


class Preview(NamedTuple):
    """A looped preview.

    Attributes:
        src: data URL of a JPEG, ``frames`` pictures of ``width`` x ``height`` side by side, brightened.
        gamma: by which they are brightened, 1 = not; the page darkens them again by it until the mouse is over them, so
            that the dark does not suffer from JPEG.
        seconds: of one loop.
    """

    src: str
    frames: int
    width: int
    height: int
    gamma: float
    seconds: float


def preview_numbers(num_frames: int, fps: float | None) -> list[int]:
    """Frames of a preview, ``RATE`` per second from the middle of the video; of one that is too short for a third of
    that, all or evenly spaced ones."""
    step = max(1, round((fps or USUAL_FPS) / RATE))
    count = min(FRAMES, num_frames // step)
    if count < FRAMES // 3:
        return evenly(num_frames, FRAMES)
    first = (num_frames - (count - 1) * step - 1) // 2
    return [first + step * at for at in range(count)]


def _fitted(frame: Tensor, height: int, width: int) -> Tensor:
    """One frame (H, W, 3) uint8 in a box, never enlarged."""
    high, wide = frame.shape[:2]
    fit = max(1, round(high * min(1.0, height / high, width / wide)))
    return torch.from_numpy(np.array(scaled(Image.fromarray(frame.numpy()), fit)))


def preview(frames: Tensor, *, seconds: float, height: int = HEIGHT, width: int = WIDTH) -> Preview:
    """The preview of frames (T, H, W, 3) uint8 of one size.

    Args:
        seconds: of one loop.
        height, width: of a frame at most.
    """
    small = torch.stack([_fitted(frame, height, width) for frame in frames])
    _, gamma = lift(small)
    gamma = math.floor(gamma * GAMMA_STEPS + 0.5) / GAMMA_STEPS
    bright, _ = lift(small, gamma)
    count, high, wide = bright.shape[:3]
    row = bright.permute(1, 0, 2, 3).reshape(high, count * wide, 3)
    data = io.BytesIO()
    Image.fromarray(row.contiguous().numpy()).save(data, "JPEG", quality=QUALITY, optimize=True)
    src = "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode()
    return Preview(src, count, wide, high, gamma, round(seconds, 2))


def seconds_of(numbers: Sequence[int], fps: float | None) -> float:
    """How long a preview of these frames lasts as the video plays; at least a second, so that it can be seen."""
    span = numbers[-1] - numbers[0] + (numbers[-1] - numbers[0]) / max(len(numbers) - 1, 1)
    return min(max(span / (fps or USUAL_FPS), 1.0), 4.0)
