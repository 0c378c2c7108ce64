"""Colour operations on uint8 clips: the numbers of Pillow's ImageOps and ImageEnhance for every frame, without Pillow.

Clips are (H, W, T, C): all frames of a pixel lie together, which makes every operation one pass over the memory.

Every operation takes clips on any device, to the same numbers. Where numpy is much faster than torch on the host, it
has a form of its own there.
"""

import numpy as np
import torch
from torch import Tensor

VALUES = torch.arange(256)


def on_host(tensor: Tensor) -> bool:
    """Whether numpy can work on this tensor."""
    return tensor.device.type == "cpu"


def pixels_together(frames: Tensor) -> Tensor:
    """Moves the frames of each pixel together, (T, H, W, C) -> (H, W, T, C), copied: channel by channel, which is more
    than twice as fast as all at once."""
    time, height, width, channels = frames.shape
    together = frames.new_empty(height, width, time, channels)
    for channel in range(channels):
        together[..., channel] = frames[..., channel].permute(1, 2, 0)
    return together


def frames_apart(together: Tensor) -> Tensor:
    """Inverts ``pixels_together``: (H, W, T, C) -> (T, H, W, C), copied."""
    height, width, time, channels = together.shape
    frames = together.new_empty(time, height, width, channels)
    for channel in range(channels):
        frames[..., channel] = together[..., channel].permute(2, 0, 1)
    return frames


def transposed(matrix: Tensor) -> Tensor:
    """(N, M) -> (M, N), copied; on the host by numpy, where torch takes up to four times as long."""
    if not on_host(matrix):
        return matrix.T.contiguous()
    return torch.from_numpy(np.ascontiguousarray(matrix.numpy().T))


def map_values(frames: Tensor, table: Tensor) -> Tensor:
    """Replaces every value of uint8 frames of any shape by its entry in ``table`` (256,)."""
    if not on_host(frames):
        return taken(table.to(frames.device, torch.uint8), frames)
    values = bytearray(frames.contiguous().numpy())
    # twice as fast as numpy's take, ten times as torch's indexing
    mapped = values.translate(table.to(torch.uint8).numpy().tobytes())
    return torch.frombuffer(mapped, dtype=torch.uint8).view(frames.shape)


def taken(table: Tensor, places: Tensor) -> Tensor:
    """The entries of ``table`` (N,) at ``places``, whole numbers of any shape and kind."""
    if on_host(places):
        return torch.from_numpy(table.numpy().take(places.numpy()))
    return table.index_select(0, places.flatten().int()).view(places.shape)


def to_uint8(values: Tensor) -> Tensor:
    """Converts floats from 0 to 255 to uint8, cut off; numpy needs a sixth of torch's time."""
    if not on_host(values):
        return values.to(torch.uint8)
    return torch.from_numpy(values.numpy().astype(np.uint8))


def luma(frames: Tensor) -> Tensor:
    """ITU-R 601 brightness, rounded as Pillow's convert("L") does: (..., 3) uint8 -> (...) float32 whole numbers."""
    weights = torch.tensor([19595.0, 38470.0, 7471.0], device=frames.device)
    # whole numbers below 2 ** 24: exact in any order; but a GPU's matrix product may round its factors
    sums = frames.float() @ weights if on_host(frames) else frames.float().mul_(weights).sum(-1)
    return sums.add_(32768).div_(65536).floor_()


# ------------------------------------------------------------------------------------------------- each value by itself
def invert(frames: Tensor) -> Tensor:
    return map_values(frames, 255 - VALUES)


def posterize(frames: Tensor, bits: int) -> Tensor:
    """Keeps the upper ``bits`` of each value."""
    return map_values(frames, VALUES & (256 - 2 ** (8 - bits)))


def solarize(frames: Tensor, threshold: int) -> Tensor:
    """Inverts values from ``threshold`` up."""
    return map_values(frames, torch.where(VALUES < threshold, VALUES, 255 - VALUES))


def solarize_add(frames: Tensor, amount: int, threshold: int = 128) -> Tensor:
    """Raises values below ``threshold`` by ``amount``."""
    return map_values(frames, torch.where(VALUES < threshold, (VALUES + amount).clamp(max=255), VALUES))


# ------------------------------------------------------------------------------------ between an image and a poorer one
def blend(poor: Tensor | float, frames: Tensor, factor: float) -> Tensor:
    """Blends ``poor + factor * (frames - poor)``, cut off to 0..255: a factor above 1 goes beyond the frames. float32,
    as Pillow."""
    pixels = frames.float()
    # spread once: a sum that spreads three channels takes longer
    poor = torch.as_tensor(poor).expand_as(pixels).contiguous()
    return to_uint8(pixels.sub_(poor).mul_(factor).add_(poor).clamp_(0, 255))


def adjust_brightness(frames: Tensor, factor: float) -> Tensor:
    """Changes the brightness: factor 0 = black, 1 = unchanged."""
    return map_values(frames, blend(0.0, VALUES, factor))


def adjust_contrast(frames: Tensor, factor: float) -> Tensor:
    """Changes the contrast: factor 0 = each frame in its mean brightness, 1 = unchanged."""
    mean = luma(frames).sum(0).double().sum(0) / (frames.shape[0] * frames.shape[1])  # (T,); the sums are exact
    return blend((mean + 0.5).floor().float().unsqueeze(1).repeat(1, frames.shape[3]), frames, factor)


def adjust_saturation(frames: Tensor, factor: float) -> Tensor:
    """Changes the saturation: factor 0 = gray, 1 = unchanged."""
    gray, brightness = torch.empty(frames.shape, device=frames.device), luma(frames)
    for channel in range(frames.shape[-1]):  # half the time of all at once
        gray[..., channel] = brightness
    return blend(gray, frames, factor)


def adjust_sharpness(frames: Tensor, factor: float) -> Tensor:
    """Changes the sharpness: factor 0 = smoothed over 3 x 3 pixels, whose centre counts five times, 1 = unchanged; the
    outermost pixels stay."""
    pixels = frames.to(torch.int16)
    rows = (pixels[:-2] + pixels[1:-1]).add_(pixels[2:])
    sums = (rows[:, :-2] + rows[:, 1:-1]).add_(rows[:, 2:]).add_(pixels[1:-1, 1:-1], alpha=4)
    sharp = frames.clone()
    # a 13th part is never half
    sharp[1:-1, 1:-1] = blend(sums.float().mul_(1 / 13).round_(), frames[1:-1, 1:-1], factor)
    return sharp


# -------------------------------------------------------------------------------------------------------- by histograms
def equalizing_tables(counts: Tensor) -> Tensor:
    """Lookup tables of histogram equalisation, counts (P, 256) -> (P, 256): the values that occur are spread evenly
    over 0..255, as Pillow's equalize does."""
    last = 255 - (counts > 0).double().flip(1).argmax(dim=1, keepdim=True)
    step = (counts.sum(1, keepdim=True) - counts.gather(1, last)) // 255
    below = counts.cumsum(1) - counts
    return torch.where(step > 0, ((step // 2 + below) // step.clamp(min=1)).clamp(max=255), VALUES.to(counts.device))


def autocontrast(frames: Tensor) -> Tensor:
    """Stretches each channel of each frame: its smallest value becomes 0, its largest 255."""
    planes = frames.flatten(2)  # (H, W, T * C)
    low, high = planes.amin(0).amin(0).double(), planes.amax(0).amax(0).double()
    scale = torch.where(high > low, 255 / (high - low), 1.0)
    shift = torch.where(high > low, -low * scale, 0.0)
    return to_uint8(planes.double().mul_(scale).add_(shift).clamp_(0, 255)).view(frames.shape)


def equalize(frames: Tensor) -> Tensor:
    """Equalises the histogram of each channel of each frame by itself."""
    planes = transposed(frames.flatten(2).flatten(0, 1))  # (T * C, H * W)
    if not on_host(frames):
        first = 256 * torch.arange(len(planes), device=frames.device).unsqueeze(1)
        counts = torch.bincount((planes + first).flatten(), minlength=256 * len(planes)).view(-1, 256)
        return transposed(equalizing_tables(counts).gather(1, planes.long()).to(torch.uint8)).view(frames.shape)
    counts = torch.stack([torch.bincount(plane, minlength=256) for plane in planes])
    mapped = torch.stack(
        [map_values(plane, table) for plane, table in zip(planes, equalizing_tables(counts), strict=True)]
    )
    return transposed(mapped).view(frames.shape)
