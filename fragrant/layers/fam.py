"""FAM, the frequency-auxiliary module: every frame is scaled by the strength of the motion frequency that has its
index.

    FAM(x)[t] = x[t] * f[t]^2 * A[t],   A[k] = |sum_t x[t] exp(-2 pi i k t / T)| / sqrt(T),   f = 0, 1/T, 2/T, .., -2/T,
    -1/T

per channel and pixel; the index t counts frames in x and frequencies in f and A. So frame 0 becomes zero, and
everything does for T = 1.

The bins k and T - k share f^2 and A, so bins 1 .. K = T // 2 are enough, as one small matrix product: row k of a cosine
and a sine matrix, with f folded in, gives the pair (a_k, b_k) whose length is the gain f[k]^2 * A[k]."""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fragrant.errors import UserError
from fragrant.kernels.fam import NOISE, gains_by_triton
from fragrant.kernels.own_backward import applied, one_node, own_backward
from fragrant.kernels.taps import check_implementation
from fragrant.layers.autocast import autocast_off
from fragrant.layers.tokens import need_volume

# frames x columns at work together: a buffer of 1 MB in float32, the fastest of 2^15 .. 2^22
CPU_WORK_NUMBERS = 1 << 18
GPU_WORK_NUMBERS = 1 << 25


class FAM(nn.Module):
    """FAM, the frequency-auxiliary module: scales every frame by the strength of the motion frequency of its index; no
    parameters, no residual inside.

    Args:
        amplitude_exponent: 1 is f^2 * A (the published code), 2 is f^2 * A^2 (the published figure).
        impl: auto, torch or triton; ``auto`` takes Triton's kernels on CUDA for at most 32 frames.

    Raises:
        UserError: another exponent; KernelError: Triton was asked for and is missing.
    """

    def __init__(self, *, amplitude_exponent: int = 1, impl: str = "auto"):
        super().__init__()
        if amplitude_exponent not in (1, 2):
            raise UserError(
                f"FAM amplitude_exponent must be 1 (published code) or 2 (published figure); got {amplitude_exponent}"
            )
        self.amplitude_exponent, self.impl = amplitude_exponent, check_implementation(impl)

    def forward(self, x: Tensor) -> Tensor:
        """Scales every frame of x: (N, C, T, H, W) -> the same shape, in the number and memory format of x; computed in
        float32 at least.

        Raises:
            UserError: x has another number of dimensions.
        """
        need_volume(x, "FAM")
        with autocast_off(x):
            if gains_by_triton(self.impl, x):
                return torch.ops.fragrant.frequency_gain(x, self.amplitude_exponent)
            return applied(FrequencyGain, x, self.amplitude_exponent)

    @torch.no_grad()
    def gain(self, x: Tensor) -> Tensor:
        """The factor f^2 * A^exponent of every value, for inspection: (N, C, T, H, W) -> the same shape."""
        need_volume(x, "FAM")
        columns, restore = as_columns(x)
        columns = widen(columns)
        gain = Bins(columns, Fourier.for_columns(columns, self.amplitude_exponent)).gain
        return restore(torch.cat([torch.zeros_like(columns[:, :1]), gain, mirrored(gain, x.shape[2])], 1))

    def extra_repr(self) -> str:
        return f"amplitude_exponent={self.amplitude_exponent}"


@one_node
class FrequencyGain(torch.autograd.Function):
    """FAM's product x * f^2 * A^exponent. Keeps x alone for the backward pass, and transforms it again there."""

    @staticmethod
    def forward(ctx, x: Tensor, exponent: int) -> Tensor:
        """Scales every frame: (N, C, T, H, W) -> the same shape"""
        ctx.save_for_backward(x)
        ctx.exponent = exponent
        columns, restore = as_columns(x)  # (G, T, L)
        y, fourier = torch.empty_like(columns), Fourier.for_columns(columns, exponent)
        for part in column_parts(columns):
            wide = widen(columns[part])
            multiply_frames(wide, Bins(wide, fourier).gain, out=y[part])
        return restore(y)

    @staticmethod
    @own_backward
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        """Gradient of x. Through the factor x: grad * gain. Through the gain of bin k, which scales the frames k and T
        - k: see Bins.to_frames."""
        (x,) = ctx.saved_tensors
        columns, restore = as_columns(x)  # (G, T, L)
        grads, _ = as_columns(grad, like=x)
        grad_x, fourier = torch.empty_like(columns), Fourier.for_columns(columns, ctx.exponent)
        for part in column_parts(columns):
            wide, wide_grad = widen(columns[part]), widen(grads[part])
            bins = Bins(wide, fourier)
            direct = multiply_frames(wide_grad, bins.gain, out=torch.empty_like(wide))
            grad_x[part] = bins.to_frames(fold_frames(wide * wide_grad), add_to=direct)
        return restore(grad_x), None


class Fourier(NamedTuple):
    """The Fourier transform of columns of T frames to K = T // 2 bins, as a matrix.

    rows (2K, T): cosines, then sines, with the frequency folded in.
    noise (K, K): from the power of all bins to the power that rounding leaves in each."""

    rows: Tensor
    noise: Tensor
    exponent: int

    @classmethod
    def for_columns(cls, columns: Tensor, exponent: int) -> "Fourier":
        """Builds the transform for columns (G, T, L)."""
        num_frames, dtype = columns.shape[1], torch.promote_types(columns.dtype, torch.float32)
        k = torch.arange(1, num_frames // 2 + 1, device=columns.device)
        # whole turns come off while exact
        turn = k[:, None] * torch.arange(num_frames, device=columns.device) % num_frames
        angle = turn.double() * (2 * math.pi / num_frames)
        scale = (k.double() / num_frames) ** (2 if exponent == 1 else 1) / math.sqrt(num_frames)
        rows = torch.cat([angle.cos(), angle.sin()]) * scale.repeat(2)[:, None]
        noise = (NOISE * torch.finfo(dtype).eps) ** 2 * (scale[:, None] / scale) ** 2
        return cls(rows.to(dtype), noise.to(dtype), exponent)


class Bins:
    """The transformed columns: frequencies 1 .. K of columns (g, T, l), and their gain.

    The first frame is taken off, which changes no bin but makes constant columns exactly zero; the gradient of that
    term vanishes."""

    def __init__(self, columns: Tensor, fourier: Fourier):
        self.fourier, self.num_bins = fourier, columns.shape[1] // 2
        self.pairs = left_product(fourier.rows, columns - columns[:, :1])  # (g, 2K, l): a_1 .. a_K, b_1 .. b_K
        cosines, sines = self.pairs[:, : self.num_bins], self.pairs[:, self.num_bins :]
        power = cosines.square().addcmul_(sines, sines)
        power.masked_fill_(power <= left_product(fourier.noise, power), 0)
        self.gain = power.sqrt_() if fourier.exponent == 1 else power  # (g, K, l)

    def to_frames(self, grad_gain: Tensor, *, add_to: Tensor) -> Tensor:
        """Gradient of the frames from that of the gain: (g, K, l), (g, T, l) -> (g, T, l). Where the gain is zero, its
        gradient is."""
        # d sqrt(a^2 + b^2) = (a, b) / gain, d (a^2 + b^2) = 2 (a, b)
        grad_gain = grad_gain.div_(self.gain) if self.fourier.exponent == 1 else grad_gain.mul_(2)
        grad_gain.masked_fill_(self.gain == 0, 0)
        pairs = self.pairs.unflatten(1, (2, self.num_bins)).mul_(grad_gain.unsqueeze(1)).flatten(1, 2)
        return torch.baddbmm(add_to, self.fourier.rows.mT.expand(len(pairs), -1, -1), pairs)


def left_product(matrix: Tensor, columns: Tensor) -> Tensor:
    """Multiplies every group of columns by a matrix from the left: (a, b), (g, b, l) -> (g, a, l)"""
    return torch.bmm(matrix.expand(len(columns), -1, -1), columns)


def multiply_frames(frames: Tensor, gain: Tensor, *, out: Tensor) -> Tensor:
    """Scales frames by the gain of their bins, out[t] = frames[t] * gain[bin of t], frame 0 by zero: (g, T, l), (g, K,
    l) -> (g, T, l)"""
    num_bins = gain.shape[1]
    out[:, 0] = 0
    torch.mul(frames[:, 1 : num_bins + 1], gain, out=out[:, 1 : num_bins + 1])
    torch.mul(frames[:, num_bins + 1 :], mirrored(gain, frames.shape[1]), out=out[:, num_bins + 1 :])
    return out


def fold_frames(frames: Tensor) -> Tensor:
    """Adds up the frames k and T - k, for k = 1 .. K; frame T / 2 is its own mirror: (g, T, l) -> (g, K, l)"""
    num_frames = frames.shape[1]
    pairs = (num_frames - 1) // 2
    folded = frames[:, 1 : num_frames // 2 + 1].clone()
    folded[:, :pairs] += frames[:, num_frames - pairs :].flip(1)
    return folded


def mirrored(gain: Tensor, num_frames: int) -> Tensor:
    """Bins K+1 .. T-1 from bins 1 .. K: (g, K, l) -> (g, T - 1 - K, l)"""
    return gain[:, : (num_frames - 1) // 2].flip(1)


def as_columns(x: Tensor, *, like: Tensor | None = None) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Reshapes a volume to columns of frames, (N, C, T, H, W) -> (G, T, L), a view if x is dense: G = N*C, L = H*W;
    channels last: G = N, L = H*W*C. Also returns the function that reshapes back.

    ``like``: the tensor whose memory format decides (default x)."""
    n, c, t, h, w = x.shape
    like = x if like is None else like
    if like.is_contiguous(memory_format=torch.channels_last_3d) and not like.is_contiguous():
        columns = x.permute(0, 2, 3, 4, 1).reshape(n, t, h * w * c)
        return columns, lambda y: y.view(n, t, h, w, c).permute(0, 4, 1, 2, 3)
    return x.reshape(n * c, t, h * w), lambda y: y.view(n, c, t, h, w)


def column_parts(columns: Tensor) -> Iterator[tuple[slice, slice, slice]]:
    """Indices that cut (G, T, L) into parts small enough for the cache."""
    groups, num_frames, length = columns.shape
    columns_at_once = max(1, (CPU_WORK_NUMBERS if columns.device.type == "cpu" else GPU_WORK_NUMBERS) // num_frames)
    groups_at_once = max(1, columns_at_once // max(length, 1))
    for group in range(0, groups, groups_at_once):
        for first in range(0, length, columns_at_once):
            yield slice(group, group + groups_at_once), slice(None), slice(first, first + columns_at_once)


def widen(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
