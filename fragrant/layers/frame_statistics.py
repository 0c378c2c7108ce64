"""Statistics of every frame's brightness: mean, standard deviation, histogram entropy, on the clip's device.

The features that the gate of DGAM (Jeong et al., ELLAR, ACCV 2024) decides by. The published code takes them with
numpy, frame by frame on the CPU; these are the same numbers."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from fragrant.kernels.gamma import passes_by_triton

BINS = 256
STATISTICS = ("mean", "std", "entropy")


def pieces(clips: Tensor) -> Iterator[tuple[slice, slice]]:
    """Cuts (N, C, T, H, W) for many passes over it: on the CPU a frame for each thread, whose cache holds one; into
    clips elsewhere.

    Yields the places n, t of each piece ``clips[n, :, t]``. What compilers and exports see is one piece, or their graph
    would repeat.
    """
    if torch.compiler.is_compiling():
        yield slice(None), slice(None)
        return
    num_clips, _, num_frames = clips.shape[:3]
    step = torch.get_num_threads() if clips.device.type == "cpu" else num_frames
    for n in range(num_clips):
        for t in range(0, num_frames, step):
            yield slice(n, n + 1), slice(t, t + step)


@torch.no_grad()
def frame_statistics(clips: Tensor, names: Sequence[str] = STATISTICS, *, impl: str = "auto") -> Tensor:
    """Statistics of every frame over its C*H*W values: (N, C, T, H, W) -> (N, T*S), those of the first frame, then of
    the second, ...

    Args:
        names: S of "mean"; "std", the unbiased one; "entropy" of ``histogram_counts``, in nats. Those not asked for
            cost nothing.
        impl: auto, torch or triton.
    """
    if passes_by_triton(impl, clips.detach()):
        return torch.ops.fragrant.measure_frames(clips, " ".join(names))[0]
    # No compiler may look into it: it might divide less exactly, which moves values from one bin to the next.
    opaque = torch.compiler.is_compiling() and not torch.compiler.is_exporting()
    return (_operator if opaque else _of_all_frames)(clips, " ".join(names))


def _of_all_frames(clips: Tensor, names: str) -> Tensor:
    dtype, width = torch.promote_types(clips.dtype, torch.float32), len(names.split())
    statistics = clips.new_empty(len(clips), clips.shape[2], width, dtype=dtype)  # (N, T, S)
    for n, t in pieces(clips):
        frames = clips[n, :, t].transpose(1, 2).flatten(2)  # (n, t, C*H*W)
        statistics[n, t] = _statistics(frames.flatten(0, 1).to(dtype), names.split()).view(*frames.shape[:2], width)
    return statistics.flatten(1)  # (N, T*S)


@torch.library.custom_op("fragrant::frame_statistics", mutates_args=())
def _operator(clips: Tensor, names: str) -> Tensor:
    return _of_all_frames(clips, names)


@_operator.register_fake
def _(clips: Tensor, names: str) -> Tensor:
    return clips.new_empty(
        len(clips), len(names.split()) * clips.shape[2], dtype=torch.promote_types(clips.dtype, torch.float32)
    )


def _statistics(frames: Tensor, names: Sequence[str]) -> Tensor:
    """Statistics of F frames of P values: (F, P) -> (F, S)"""
    mean = frames.mean(1, keepdim=True)
    found = {"mean": mean}
    if "std" in names:
        found["std"] = (frames - mean).square_().sum(1, keepdim=True).div_(frames.shape[1] - 1).sqrt_()
    if "entropy" in names:
        counts = histogram_counts(frames)
        found["entropy"] = torch.special.entr(counts / counts.sum(1, keepdim=True)).sum(1, keepdim=True).to(mean.dtype)
    return torch.cat([found[name] for name in names], dim=1)


def histogram_counts(frames: Tensor) -> Tensor:
    """Counts of 256 even bins over each frame's own range: (F, P) float32 -> (F, 256) float64, equal to numpy's to the
    last count.

    Values are stretched to 0..255 in float32; of numbers that rounding puts above 255 (the frame's maximum may be one)
    numpy takes none, so they are counted nowhere. A bin holds its lower edge, the last one both."""
    low, high = frames.amin(1, keepdim=True), frames.amax(1, keepdim=True)
    # a GPU multiplies by the inverse of a plain number
    width = torch.full((), 255 / BINS, dtype=frames.dtype, device=frames.device)
    # In this order. The last division gives a whole number or more exactly where a value has reached that edge: both
    # are exact in float32, and the number before an edge is more than one rounding away from it.
    places = (frames - low).mul_(255).div_(high - low + 1e-10).div_(width)  # (F, P), 0 .. 256
    first_bins = torch.arange(0, len(frames) * (BINS + 1), BINS + 1, dtype=torch.int32, device=frames.device)
    bins = places.int().clamp_(0, BINS).add_(first_bins.unsqueeze(1))
    above = places.gt_(BINS).sum(1)
    counts = _count(bins.flatten(), len(frames) * (BINS + 1)).view(len(frames), BINS + 1).double()
    counts[:, BINS - 1] += counts[:, BINS] - above  # the upper edge itself
    return counts[:, :BINS]


def _count(places: Tensor, length: int) -> Tensor:
    """Counts how often each of 0 .. length-1 occurs. On a GPU without waiting for it, and the same every time: the
    counts are whole numbers."""
    # torch.export of torch 2.11 expects another type of it
    if places.device.type == "cpu" and not torch.compiler.is_exporting():
        return torch.bincount(places, minlength=length)
    return torch.zeros(length, dtype=torch.int32, device=places.device).scatter_add_(
        0, places.long(), torch.ones_like(places)
    )
