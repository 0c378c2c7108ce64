"""Enhancements by models of light: multi-scale retinex, and dehazing of the inverted picture. One law for all frames of
a clip, so that nothing flickers."""

import math

import torch
from torch import Tensor

from fragrant.data.transforms.enhance import ENHANCEMENTS

SCALES = (15.0, 80.0, 250.0)  # deviations of the surrounds, in pixels
HAZE, LEAST = 0.98, 0.15  # share of the haze that is taken away, and the least transmission
WINDOW = 7  # pixels, of the dark channel
BRIGHTEST = 1000  # one of so many pixels says what colour the haze has


def surround(size: int, deviation: float, device: torch.device) -> Tensor:
    """A Gaussian blur along one side as a matrix (size, size) whose rows add up to 1: what lies outside of the picture
    does not count. Exact for any deviation, also one larger than the picture."""
    place = torch.arange(size, device=device, dtype=torch.float32)
    weights = torch.exp(-0.5 * ((place - place.unsqueeze(1)) / deviation) ** 2)
    return weights / weights.sum(1, keepdim=True)


@ENHANCEMENTS.register("retinex")
def retinex(frames: Tensor) -> Tensor:
    """Multi-scale retinex (Jobson, Rahman and Woodell 1997): the mean over three scales of ``log(x + 1) - log(blurred
    x + 1)``, stretched so that the clip's least value becomes 0 and its largest 255; (T, H, W, 3) uint8 -> the same
    shape."""
    pixels = frames.permute(0, 3, 1, 2).float()
    height, width = pixels.shape[2:]
    light = torch.zeros_like(pixels)
    for deviation in SCALES:
        down, across = (surround(size, deviation, frames.device) for size in (height, width))
        light += torch.log1p(down @ pixels @ across.T)
    reflectance = torch.log1p(pixels) - light / len(SCALES)
    low, high = reflectance.min(), reflectance.max()
    if high - low < 1e-6:  # one value everywhere
        return frames.clone()
    stretched = (255 * (reflectance - low) / (high - low)).round_().clamp_(0, 255).to(torch.uint8)
    return stretched.permute(0, 2, 3, 1).contiguous()


@ENHANCEMENTS.register("dehaze")
def dehaze(frames: Tensor) -> Tensor:
    """Dehazing of the inverted picture, which looks like a hazy one (Dong et al. 2011; dark channel of He et al. 2009):
    with I = 1 - x, dark channel d and airlight A, J = (I - A) / max(1 - 0.98 d, 0.15) + A, and 1 - J;
    (T, H, W, 3) uint8 -> the same shape. A is the mean colour of the thousandth of the clip's pixels that have the
    largest d, and of all that have as large a one."""
    hazy = 1 - frames.permute(0, 3, 1, 2).float() / 255  # (T, 3, H, W)
    least = hazy.amin(1, keepdim=True)
    dark = -torch.nn.functional.max_pool2d(-least, WINDOW, stride=1, padding=WINDOW // 2)
    least_of_most = dark.flatten().topk(math.ceil(dark.numel() / BRIGHTEST)).values[-1]
    most = (dark >= least_of_most).float()  # with all that are as large, so that no order of pixels counts
    light = (hazy * most).sum((0, 2, 3), keepdim=True) / most.sum()
    clear = (hazy - light) / (1 - HAZE * dark).clamp(min=LEAST) + light
    return (255 * (1 - clear)).round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
