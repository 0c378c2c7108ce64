"""How bright, how contrasted and how varied every frame is: mean, deviation, histogram entropy, on the clip's device.

The features that the gate of DGAM (Jeong et al., ELLAR, ACCV 2024) decides by. The published code takes them with numpy, frame by
frame on the CPU; these are the same numbers.
"""

import torch
from torch import Tensor

BINS = 256
WORK_NUMBERS = 1 << 24  # numbers at work together: bounds the buffers


@torch.no_grad()
def frame_statistics(clips: Tensor) -> Tensor:
    """(N, C, T, H, W) -> (N, 3T): mean, deviation and entropy of the first frame, then of the second, ... over all C*H*W values of each.

    The deviation is the unbiased one. The entropy, in nats, is that of ``histogram_counts``.
    """
    frames = clips.transpose(1, 2).flatten(2).flatten(0, 1)  # (N*T, C*H*W)
    at_once = max(1, WORK_NUMBERS // frames.shape[1])
    parts = [_statistics(part.to(torch.promote_types(part.dtype, torch.float32))) for part in frames.split(at_once)]
    return torch.cat(parts).view(len(clips), -1)  # (N, 3T)


def _statistics(frames: Tensor) -> Tensor:
    """(F, P) -> (F, 3)"""
    std, mean = torch.std_mean(frames, dim=1)
    counts = histogram_counts(frames).double()
    share = counts / counts.sum(1, keepdim=True)
    return torch.stack([mean, std, torch.special.entr(share).sum(1).to(mean.dtype)], dim=1)


def histogram_counts(frames: Tensor) -> Tensor:
    """Counts of 256 even bins over each frame's own range: (F, P) float32 -> (F, 256), equal to numpy's to the last count.

    Values are stretched to 0..255 in float32; of numbers that rounding puts above 255 (the frame's maximum may be one) numpy takes none,
    so they are counted nowhere. A bin holds its lower edge, the last one both.
    """
    low, high = frames.amin(1, keepdim=True), frames.amax(1, keepdim=True)
    values = (frames - low).mul_(255).div_(high - low + 1e-10)  # (F, P), in this order
    edges = torch.arange(BINS + 1, device=frames.device, dtype=torch.float64).mul_(255 / BINS).to(frames.dtype)
    bins = (values * (BINS / 255)).int().clamp_(0, BINS - 1)  # off by one near an edge
    bins -= (values < edges[bins]).int()
    bins += ((values >= edges[bins + 1]) & (bins < BINS - 1)).int()
    bins.masked_fill_(values > 255, BINS)  # a bin that nobody reads
    places = bins + (BINS + 1) * torch.arange(len(frames), device=frames.device, dtype=torch.int32).unsqueeze(1)
    counts = _count(places.flatten(), len(frames) * (BINS + 1))
    return counts.view(len(frames), BINS + 1)[:, :BINS]


def _count(places: Tensor, length: int) -> Tensor:
    """How often each of 0 .. length-1 occurs. On a GPU without waiting for it, and the same every time: the counts are whole numbers."""
    if places.device.type == "cpu":
        return torch.bincount(places, minlength=length)
    return torch.zeros(length, dtype=torch.int32, device=places.device).scatter_add_(0, places.long(), torch.ones_like(places))
