"""Rotation, shear and translation of uint8 clips as Pillow's ``Image.transform`` does them, all frames of a clip at
once.

Nearly its numbers: Pillow cuts off a sum in double precision, which may fall just below a whole number where the exact
one is whole; here such a sum counts as whole. A value is then one higher than Pillow's: of noise up to 8 in 100 with
bilinear shifts by simple fractions of a pixel, and 5 in 1000 with bicubic ones (the default)."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fragrant.data.transforms.colors import on_host, to_uint8, transposed

FILL = 128  # of what lies outside the frame: the published gray
_ROUNDING = 1e-4  # values are cut off, not rounded: a float32 sum of equal values must not fall below them


class Affine(NamedTuple):
    """Affine map from a pixel to the place that its value comes from: ``x' = a x + b y + c``, ``y' = d x + e y + f``,
    in pixels, pixel centres at halves."""

    a: float
    b: float
    c: float
    d: float
    e: float
    f: float


def shear_x(amount: float) -> Affine:
    return Affine(1, amount, 0, 0, 1, 0)


def shear_y(amount: float) -> Affine:
    return Affine(1, 0, 0, amount, 1, 0)


def translate(x: float, y: float) -> Affine:
    return Affine(1, 0, x, 0, 1, y)


def rotate(degrees: float, height: int, width: int) -> Affine:
    """Rotation by ``degrees``, counter-clockwise about the centre."""
    angle = -math.radians(degrees)
    cos, sin = round(math.cos(angle), 15), round(math.sin(angle), 15)
    x, y = width / 2, height / 2
    return Affine(cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y)


def _linear(d: Tensor) -> list[Tensor]:
    return [1 - d, d]


def _cubic(d: Tensor) -> list[Tensor]:
    """Weights of Keys' bicubic kernel with a = -1, as in Pillow's transform (its resize and torch have other
    values)."""
    square, cube = d**2, d**3
    return [-d + 2 * square - cube, 1 - 2 * square + cube, d + square - cube, cube - square]


_KERNELS = {"bilinear": (_linear, 0), "bicubic": (_cubic, -1)}  # weights, first tap


def _position(step: float, centres: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Splits ``step * centres + shift`` into whole pixels and the rest, which is small where the step is one pixel."""
    if step == 1:
        return centres.int(), shift + 0.5
    return torch.zeros(1, 1, dtype=torch.int32, device=centres.device), step * centres + shift


def _taps(whole: Tensor, rest: Tensor, size: int, interpolation: str) -> tuple[Tensor, Tensor]:
    """Taps of the interpolation along one axis: positions (H, W) -> pixels (taps, H, W) and weights, which broadcast to
    it; one tap where all positions are pixel centres."""
    rest = rest - 0.5
    first = rest.floor()
    d = (rest - first).float()
    first = (whole + first.int()).unsqueeze(0)
    if not d.any():
        return first.clamp_(0, size - 1), torch.ones(1, 1, 1, device=d.device)
    kernel, start = _KERNELS[interpolation]
    weights = torch.stack(kernel(d))
    steps = torch.arange(start, start + len(weights), dtype=torch.int32, device=d.device)
    return (first + steps.view(-1, 1, 1)).clamp_(0, size - 1), weights


def _outside(whole: Tensor, rest: Tensor, size: int) -> Tensor:
    pixel = whole + rest.floor().int()
    return pixel != pixel.clamp(0, size - 1)


def warp(frames: Tensor, affine: Affine, *, interpolation: str = "bicubic") -> Tensor:
    """Warps a clip, (H, W, T, C) uint8 -> the same shape; pixels from outside the frame are gray.

    Args:
        interpolation: "bicubic" | "bilinear"
    """
    shape = frames.shape
    if affine[:4] == (1, 0, 0, 0):  # rows stay as they are: each is looked up at once
        frames = frames.flatten(1).unsqueeze(1)
    height, width = frames.shape[:2]
    y, x = (torch.arange(size, dtype=torch.float64, device=frames.device) + 0.5 for size in (height, width))
    y = y.unsqueeze(1)  # (H, 1)
    from_x = _position(affine.a, x, affine.b * y + affine.c)
    from_y = _position(affine.e, y, affine.d * x.unsqueeze(0) + affine.f)
    columns, weights_x = _taps(*from_x, width, interpolation)
    rows, weights_y = _taps(*from_y, height, interpolation)
    pixels = (rows.unsqueeze(1) * width + columns).flatten(0, 1)  # (taps, H, W)
    weights = (weights_y.unsqueeze(1) * weights_x).flatten(0, 1)  # (taps, H or 1, W or 1)
    # each pixel's taps lie together
    first = torch.arange(0, pixels.numel(), len(pixels), dtype=torch.int32, device=frames.device)
    # (H * W * taps,)
    weights = transposed(weights.flatten(1)).view(*weights.shape[1:], -1).expand(height, width, -1).flatten()
    pixels = transposed(pixels.flatten(1)).flatten()
    together = frames.reshape(height * width, -1).float()  # (H * W, T * C): one look-up for all frames
    values = F.embedding_bag(pixels, together, first, per_sample_weights=weights, mode="sum")
    values = to_uint8(values.add_(_ROUNDING).clamp_(0, 255))
    outside = (_outside(*from_x, width) | _outside(*from_y, height)).flatten()
    if on_host(values):
        values.numpy()[outside.numpy()] = FILL
    else:
        values.masked_fill_(outside.unsqueeze(1), FILL)
    return values.view(shape)
