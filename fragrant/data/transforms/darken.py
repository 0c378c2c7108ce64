"""Darkens clips of lit scenes as a camera in the dark would have recorded them, for training on lit videos alone.

In linear light: exposure, colour of the light, shot and read noise of the sensor (variance ``shot * signal + read``,
Brooks et al., "Unprocessing Images for Learned Raw Denoising", CVPR 2019), noise of its rows; then the tone curve back,
8 bits, and the blocks of a strong compression. Exposure, colour, levels and curve are one draw for a clip, noise is new
in every frame. Where no source gives a value, it is a key."""

import math
import random
from dataclasses import dataclass

import torch
from torch import Tensor

from fragrant.data.transforms.colors import taken

GAMMA = 2.2  # of the tone curve
BLOCK = 8  # pixels along a side
ROWS = (0.2, 0.5)  # deviation of a row's noise, as a share of that of the read noise


@dataclass(frozen=True)
class Darken:
    """Callable: (frames (T, H, W, 3) uint8, rng) -> the same shape.

    What is drawn follows from ``rng`` alone; the noise itself is that of the device's generator, so that a GPU and the
    CPU differ in it.

    Attributes:
        exposure: range of the factor on linear light, drawn evenly in its logarithm.
        share: of the clips that are darkened.
        shot: range of the variance of shot noise per unit of signal, drawn evenly in its logarithm; the read noise
            follows from it as measured on cameras (Brooks et al. 2019, section 3.1). 0 is no noise.
        color: the light is up to so much redder or bluer, as a share.
        blocking: range of the step, of 255, to which the 8x8 cosine coefficients of the brightest and darkest are
            rounded; 0 is none.
    """

    exposure: tuple[float, float]
    share: float = 1.0
    shot: tuple[float, float] = (1e-5, 1e-3)
    color: float = 0.15
    blocking: tuple[float, float] = (0.0, 8.0)

    def __call__(self, frames: Tensor, rng: random.Random) -> Tensor:
        if rng.random() >= self.share:
            return frames
        exposure, shot = (
            math.exp(rng.uniform(*map(math.log, span))) if span[1] else 0.0 for span in (self.exposure, self.shot)
        )
        warm, step, rows = rng.uniform(-self.color, self.color), rng.uniform(*self.blocking), rng.uniform(*ROWS)
        read = math.exp(2.18 * math.log(shot) + 1.20 + 0.26 * rng.gauss(0, 1)) if shot else 0.0
        gains = torch.tensor([1 + warm, 1.0, 1 - warm])
        linear = exposure * (torch.arange(256) / 255) ** GAMMA
        noise = torch.Generator(frames.device).manual_seed(rng.getrandbits(62))
        dark = torch.stack(
            [self._recorded(frames[..., c], gains[c] * linear, shot, read, rows, noise) for c in range(3)], -1
        )
        return blocked(dark, step).round_().clamp_(0, 255).to(torch.uint8)

    @staticmethod
    def _recorded(values: Tensor, linear: Tensor, shot: float, read: float, rows: float, generator) -> Tensor:
        """One colour (T, H, W) uint8 -> float 0..255, whole numbers, through the curve ``linear`` (256,)."""
        at = {"device": values.device, "generator": generator}
        signal = taken(linear.to(values.device), values)
        if shot:
            deviation = taken((shot * linear + read).sqrt().to(values.device), values)
            signal = torch.addcmul(signal, deviation, torch.randn(values.shape, **at))
            signal += rows * math.sqrt(read) * torch.randn((*values.shape[:2], 1), **at)
        return signal.clamp_(0, 1).pow_(1 / GAMMA).mul_(255).round_()


def cosines(device: torch.device) -> Tensor:
    """The orthonormal cosine transform (DCT-II) of BLOCK values, (BLOCK, BLOCK): rows are frequencies."""
    k, n = torch.arange(BLOCK, device=device).float(), torch.arange(BLOCK, device=device).float()
    matrix = torch.cos(math.pi / BLOCK * (n + 0.5) * k.unsqueeze(1)) * math.sqrt(2 / BLOCK)
    matrix[0] /= math.sqrt(2)
    return matrix


def blocked(frames: Tensor, step: float) -> Tensor:
    """Rounds the cosine coefficients of 8x8 blocks to multiples of ``step``: (T, H, W, C) float -> the same shape. The
    mean of a block is kept; what a block lacks at the border is a repetition."""
    if step <= 0:
        return frames
    time, height, width, channels = frames.shape
    down, across = -height % BLOCK, -width % BLOCK
    planes = frames.permute(0, 3, 1, 2)
    planes = torch.nn.functional.pad(planes, (0, across, 0, down), mode="replicate")
    matrix = cosines(frames.device)
    blocks = planes.unflatten(3, (-1, BLOCK)).unflatten(2, (-1, BLOCK)).movedim(3, 4)  # (T, C, h, w, 8, 8)
    coefficients = matrix @ blocks @ matrix.T
    means = coefficients[..., 0, 0].clone()
    coefficients = (coefficients / step).round_() * step
    coefficients[..., 0, 0] = means
    planes = (matrix.T @ coefficients @ matrix).movedim(4, 3).flatten(2, 3).flatten(3, 4)
    return planes[:, :, :height, :width].permute(0, 2, 3, 1)
