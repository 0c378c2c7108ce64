"""Rotation, shear and translation of uint8 clips: the numbers of Pillow's ``Image.transform``, all frames of a clip at once."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fragrant.data.colours import to_uint8

FILL = 128  # of what lies outside the frame: the published gray
_ROUNDING = 1e-4  # values are cut off, not rounded: a float32 sum of equal values must not fall below them


class Affine(NamedTuple):
    """Where a pixel comes from: ``x' = a x + b y + c``, ``y' = d x + e y + f``, in pixels, pixel centres at halves."""

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
    """Counter-clockwise about the centre."""
    angle = -math.radians(degrees)
    cos, sin = round(math.cos(angle), 15), round(math.sin(angle), 15)
    x, y = width / 2, height / 2
    return Affine(cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y)


def _linear(d: Tensor) -> list[Tensor]:
    return [1 - d, d]


def _cubic(d: Tensor) -> list[Tensor]:
    """Keys' kernel with a = -1, as in Pillow's transform (its resize and torch have other values)."""
    square, cube = d**2, d**3
    return [-d + 2 * square - cube, 1 - 2 * square + cube, d + square - cube, cube - square]


_KERNELS = {"bilinear": (_linear, 0), "bicubic": (_cubic, -1)}  # weights, first tap


def _taps(position: Tensor, size: int, interpolation: str) -> tuple[Tensor, Tensor]:
    """Positions (L,) along one axis -> pixels (taps, L) and weights (taps, L); one tap where all positions are pixel centres."""
    first = (position - 0.5).floor()
    d = (position - 0.5 - first).float()
    first = first.int()
    if not d.any():
        return first.clamp(0, size - 1).unsqueeze(0), torch.ones(1, len(d))
    kernel, start = _KERNELS[interpolation]
    weights = torch.stack(kernel(d))
    steps = torch.arange(start, start + len(weights), dtype=torch.int32)
    return (first + steps.unsqueeze(1)).clamp_(0, size - 1), weights


def warp(frames: Tensor, affine: Affine, *, interpolation: str = "bicubic") -> Tensor:
    """(H, W, T, C) uint8 -> the same shape; what comes from outside the frame is gray.

    Args:
        interpolation: "bicubic" | "bilinear"
    """
    height, width = frames.shape[:2]
    y, x = (torch.arange(size, dtype=torch.float64) + 0.5 for size in (height, width))
    from_x = (affine.a * x + (affine.b * y + affine.c).unsqueeze(1)).flatten()  # (H * W,)
    from_y = (affine.d * x + (affine.e * y + affine.f).unsqueeze(1)).flatten()
    columns, weights_x = _taps(from_x, width, interpolation)
    rows, weights_y = _taps(from_y, height, interpolation)
    pixels = (rows.unsqueeze(1) * width + columns).flatten(0, 1).t().contiguous()  # (H * W, taps)
    weights = (weights_y.unsqueeze(1) * weights_x).flatten(0, 1).t().contiguous()
    together = frames.reshape(height * width, -1).float()  # (H * W, T * C): one look-up for all frames
    values = F.embedding_bag(pixels, together, per_sample_weights=weights, mode="sum")
    values = to_uint8(values.add_(_ROUNDING).clamp_(0, 255))
    outside = (from_x < 0) | (from_x >= width) | (from_y < 0) | (from_y >= height)
    values.index_fill_(0, outside.nonzero().squeeze(1), FILL)
    return values.view(frames.shape)
