"""Enhancements of whole clips by name: histogram equalisation, whole or by tiles, with one curve for all frames, so
that nothing flickers."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from fragrant.data.transforms.colors import VALUES, luma, map_values, taken, to_uint8
from fragrant.registry import Registry

# name -> function: all frames of a clip, (T, H, W, 3) uint8 -> the same shape, before gamma, in training and test
ENHANCEMENTS = Registry("DATA.ENHANCE", keys=("DATA.ENHANCE", "DUAL.ENHANCE"))

TILES = 8  # of CLAHE, along each side
CLIP_LIMIT = 2.0  # of CLAHE: a value counts at most so many times as often as if all were alike


def enhancement_of(name: str) -> Callable[[Tensor], Tensor] | None:
    """Finds the enhancement that DATA.ENHANCE names; None for "none".

    Raises:
        UserError: the name is not known.
    """
    return None if name == "none" else ENHANCEMENTS.get(name)


def _with_brightness(frames: Tensor, old: Tensor, new: Tensor) -> Tensor:
    """Changes the brightness of frames (T, H, W, 3) from ``old`` to ``new`` (T, H, W), with colour differences
    unchanged."""
    return (frames.float() + (new - old).unsqueeze(-1)).clamp_(0, 255).to(torch.int16).to(torch.uint8)


@ENHANCEMENTS.register("equalize")
def equalize(frames: Tensor) -> Tensor:
    """Histogram equalisation of a clip, (T, H, W, 3) uint8 -> the same shape: brightness becomes ``round(255 * share of
    pixels that are no brighter)``."""
    old = luma(frames)
    counts = torch.bincount(old.to(torch.int32).flatten(), minlength=256).double()
    curve = (255 * counts.cumsum(0) / counts.sum()).round().float()
    return _with_brightness(frames, old, taken(curve, old.to(torch.int32)))


def standardized(old: Tensor) -> Tensor:
    """What ``standardize`` makes of the brightness of a clip: (T, H, W) whole numbers -> uint8 of the same shape."""
    deviation = old.std(correction=0).clamp(min=1.0)
    table = (128 + 48 * (VALUES.to(old.device) - old.mean()) / deviation).round_().clamp_(0, 255).to(torch.uint8)
    return map_values(to_uint8(old), table)


@ENHANCEMENTS.register("standardize")
def standardize(frames: Tensor) -> Tensor:
    """Makes clips alike in brightness and contrast, and gray: (T, H, W, 3) uint8 -> the same shape.

    Brightness becomes 128 + 48 z, where z is 0 on average over the clip and has variance 1; MEAN 0.502 and STD 0.188
    turn it into z. Colours, which are noise in the dark, are gone."""
    return standardized(luma(frames)).unsqueeze(-1).expand_as(frames).contiguous()


@ENHANCEMENTS.register("clahe")
def clahe(frames: Tensor) -> Tensor:
    """Contrast-limited adaptive histogram equalisation of a clip's brightness (Zuiderveld 1994): (T, H, W, 3) uint8 ->
    the same shape

    For a clip of one gray frame it gives the numbers of OpenCV's createCLAHE."""
    old = luma(frames)
    values = old.to(torch.int32)
    curves = _tile_curves(values)
    (top, bottom, down), (left, right, across) = (_between_tiles(size, frames.device) for size in values.shape[1:])

    def looked_up(rows: Tensor, columns: Tensor) -> Tensor:
        return taken(curves, values + 256 * (TILES * rows.unsqueeze(1) + columns))

    upper = looked_up(top, left) * (1 - across) + looked_up(top, right) * across
    lower = looked_up(bottom, left) * (1 - across) + looked_up(bottom, right) * across
    down = down.unsqueeze(1)
    return _with_brightness(frames, old, (upper * (1 - down) + lower * down).round_())


def _between_tiles(size: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Interpolation between tiles, for each pixel along one side: the tiles whose centres lie before and behind it, and
    how far it is from the first to the second."""
    place = np.arange(size, dtype=np.float32) * np.float32(1 / -(-size // TILES)) - np.float32(0.5)
    before = np.floor(place).astype(np.int32)
    found = before.clip(0), (before + 1).clip(max=TILES - 1), place - before
    before, behind, way = (torch.from_numpy(part).to(device) for part in found)
    return before, behind, way


def _tile_curves(values: Tensor) -> Tensor:
    """(T, H, W) brightness -> (TILES * TILES * 256,) float32: new brightness of each value in each tile, over all
    frames"""
    rows, columns = (torch.from_numpy(_mirrored(size)).to(values.device) for size in values.shape[1:])
    tiles = values[:, rows[:, :, None, None], columns]  # (T, TILES, h, TILES, w)
    area = len(values) * rows.shape[1] * columns.shape[1]
    numbers = torch.arange(TILES, dtype=torch.int32, device=values.device)
    places = tiles + 256 * (TILES * numbers[:, None, None, None] + numbers[:, None])
    counts = torch.bincount(places.flatten(), minlength=TILES * TILES * 256).view(-1, 256).cpu().numpy()
    limit = max(int(CLIP_LIMIT * area / 256), 1)
    cut = np.minimum(counts, limit)
    left_over = (counts - cut).sum(1, keepdims=True)
    cut += left_over // 256 + _spread(left_over % 256)
    curves = np.rint(cut.cumsum(1) * np.float32(255 / area)).clip(0, 255).astype(np.float32)
    return torch.from_numpy(curves).flatten().to(values.device)


def _mirrored(size: int) -> np.ndarray:
    """Pixel numbers of the tiles along one side, (TILES, pixels of a tile), mirrored at its end where the tiles reach
    beyond it."""
    numbers = np.arange(TILES * -(-size // TILES))
    return np.where(numbers < size, numbers, 2 * (size - 1) - numbers).clip(0).reshape(TILES, -1)


def _spread(counts: np.ndarray) -> np.ndarray:
    """Spreads counts (P, 1) below 256 as ones over (P, 256): that many in each row, a whole number of places apart,
    from the first on."""
    step = np.maximum(256 // np.maximum(counts, 1), 1)
    places = np.arange(256)
    return ((places % step == 0) & (places // step < counts)).astype(counts.dtype)
