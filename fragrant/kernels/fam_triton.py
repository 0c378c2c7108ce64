"""FAM's frequency gain as Triton kernels for CUDA: forward reads and writes every number once, backward reads two and
writes one.

A thread holds all T frames of its columns in registers. Frames t and T - t have the same cosines and opposite sines, so
the sums of the two go through the cosines alone and their differences through the sines alone: T products per bin
instead of 2T, with factors that are compiled in. What is computed is said in ``layers/fam.py``; sums are float32.

The operators are custom ones, so that torch.compile takes each as it is. Import this module only where Triton is
installed.
"""

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from fragrant.kernels.fam import MOST_FRAMES, NOISE, has_kernels_for
from fragrant.kernels.taps import KernelError
from fragrant.kernels.taps_triton import on_device
from fragrant.kernels.variants import Variant

FORWARD_NUMBERS, BACKWARD_NUMBERS = 64, 32  # of x that a thread holds at most, if its columns are more than one
VECTOR_BYTES = 16  # that a thread reads of a frame at most
WARPS = 4


@triton.constexpr_function
def bin_of(t, T):
    """Number of the frequency bin that frame t is scaled by."""
    return min(t, T - t)


@triton.constexpr_function
def frequency_scale(k, T, EXPONENT):
    """Factor of the amplitude of bin k before it is taken to the exponent."""
    return (k / T) ** (2 if EXPONENT == 1 else 1) / math.sqrt(T)


@triton.constexpr_function
def cosine(k, t, T, EXPONENT):
    """Cosine of k t / T turns, times the scale of bin k; exact at quarter turns."""
    turn = k * t % T
    value = (0.0, -1.0)[2 * turn % T == 0] if 4 * turn % T == 0 and turn else math.cos(2 * math.pi * turn / T)
    return value * frequency_scale(k, T, EXPONENT)


@triton.constexpr_function
def sine(k, t, T, EXPONENT):
    turn = k * t % T
    value = (math.sin(2 * math.pi * turn / T), 0.0)[2 * turn % T == 0]
    return value * frequency_scale(k, T, EXPONENT)


@triton.constexpr_function
def share_of_noise(k, T, EXPONENT):
    """Factor that brings the power of bin k to the scale of bin 1: before scaling, rounding leaves equal power in every
    bin."""
    return (frequency_scale(1, T, EXPONENT) / frequency_scale(k, T, EXPONENT)) ** 2


@triton.constexpr_function
def noise_power(k, T, EXPONENT):
    """Power that rounding leaves in bin k, from the power of all bins in the scale of bin 1."""
    return (NOISE * 2.0**-23) ** 2 / share_of_noise(k, T, EXPONENT)


@triton.jit
def column_places(groups, chunks, T: tl.constexpr, VECTOR: tl.constexpr, BLOCK: tl.constexpr):
    """Places of a block of columns: where their first frames lie, which columns exist, and the step to the next frame.

    Columns of (G, T, L), L = chunks * VECTOR, are counted over all groups; written like this, the compiler sees that
    VECTOR of them are neighbours."""
    length = chunks * VECTOR
    column = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    first = (column // length).to(tl.int64) * (tl.cast(length, tl.int64) * T) + column % length
    return first, column < groups * chunks * VECTOR, length


@triton.jit
def load_frames(x, first, exists, length, T: tl.constexpr):
    """Loads the T frames of a block of columns, in their own number format."""
    frames = ()
    for t in tl.static_range(T):
        frames = frames + (tl.load(x + first + t * length, mask=exists, other=0.0),)
    return frames


@triton.jit
def transform(frames, T: tl.constexpr, EXPONENT: tl.constexpr):
    """Cosine and sine sums of bins 1 .. T // 2, scaled, and their gain, zero where the power is rounding.

    The first frame is taken off, which changes no bin but makes constant columns exactly zero.
    """
    first = frames[0].to(tl.float32)
    sums, differences = (), ()  # of frames t and T - t, t = 1, 2, ..
    for t in tl.static_range(1, (T + 1) // 2):
        early, late = frames[t].to(tl.float32) - first, frames[T - t].to(tl.float32) - first
        sums = sums + (early + late,)
        differences = differences + (early - late,)
    if T % 2 == 0:
        sums = sums + (frames[T // 2].to(tl.float32) - first,)  # its own mirror, without a sine
    cosines, sines, powers = (), (), ()
    noise = tl.zeros_like(first)
    for k in tl.static_range(1, T // 2 + 1):
        a, b = tl.zeros_like(first), tl.zeros_like(first)
        for t in tl.static_range(1, T // 2 + 1):
            if cosine(k, t, T, EXPONENT) != 0:
                a += sums[t - 1] * cosine(k, t, T, EXPONENT)
        for t in tl.static_range(1, (T + 1) // 2):
            if sine(k, t, T, EXPONENT) != 0:
                b += differences[t - 1] * sine(k, t, T, EXPONENT)
        power = a * a + b * b
        noise += power * share_of_noise(k, T, EXPONENT)
        cosines, sines, powers = cosines + (a,), sines + (b,), powers + (power,)
    gains = ()
    for k in tl.static_range(1, T // 2 + 1):
        power = tl.where(powers[k - 1] <= noise * noise_power(k, T, EXPONENT), 0.0, powers[k - 1])
        gains = gains + ((tl.sqrt_rn(power) if EXPONENT == 1 else power),)
    return cosines, sines, gains


@triton.jit
def gain_kernel(
    x, y, groups, chunks, T: tl.constexpr, EXPONENT: tl.constexpr, VECTOR: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Scales every frame by the gain of its bin: y[t] = x[t] * gain[bin of t]"""
    first, exists, length = column_places(groups, chunks, T, VECTOR, BLOCK)
    frames = load_frames(x, first, exists, length, T)
    _, _, gains = transform(frames, T, EXPONENT)
    dtype = y.dtype.element_ty
    tl.store(y + first, tl.zeros_like(frames[0]), mask=exists)
    for t in tl.static_range(1, T):
        tl.store(y + first + t * length, (frames[t].to(tl.float32) * gains[bin_of(t, T) - 1]).to(dtype), mask=exists)


@triton.jit
def grad_kernel(
    x, grad, grad_x, groups, chunks, T: tl.constexpr, EXPONENT: tl.constexpr, VECTOR: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Gradient of x. Through the factor x: grad * gain. Through the gain of bin k, which scales the frames k and T - k:
    back through the transform."""
    first, exists, length = column_places(groups, chunks, T, VECTOR, BLOCK)
    frames = load_frames(x, first, exists, length, T)
    cosines, sines, gains = transform(frames, T, EXPONENT)
    dtype = grad_x.dtype.element_ty
    a, b, early, late = (), (), (), ()  # gradients of the sums; of the frames k and T - k through the factor x
    start = tl.zeros_like(frames[0]).to(tl.float32)
    for k in tl.static_range(1, T // 2 + 1):
        gain = gains[k - 1]
        grad_k = tl.load(grad + first + k * length, mask=exists, other=0.0).to(tl.float32)
        grad_gain = frames[k].to(tl.float32) * grad_k
        early = early + (grad_k * gain,)
        if 2 * k < T:
            mirrored = tl.load(grad + first + (T - k) * length, mask=exists, other=0.0).to(tl.float32)
            grad_gain += frames[T - k].to(tl.float32) * mirrored
            late = late + (mirrored * gain,)
        # d sqrt(a^2 + b^2) = (a, b) / gain, d (a^2 + b^2) = 2 (a, b); where the gain is zero, its gradient is
        silent = gain == 0.0
        grad_gain = tl.where(silent, 0.0, (grad_gain / tl.where(silent, 1.0, gain) if EXPONENT == 1 else grad_gain * 2))
        a, b = a + (cosines[k - 1] * grad_gain,), b + (sines[k - 1] * grad_gain,)
        start += a[k - 1] * cosine(k, 0, T, EXPONENT)
    tl.store(grad_x + first, start.to(dtype), mask=exists)
    for t in tl.static_range(1, T // 2 + 1):
        even, odd = tl.zeros_like(start), tl.zeros_like(start)
        for k in tl.static_range(1, T // 2 + 1):
            if cosine(k, t, T, EXPONENT) != 0:
                even += a[k - 1] * cosine(k, t, T, EXPONENT)
            if sine(k, t, T, EXPONENT) != 0:
                odd += b[k - 1] * sine(k, t, T, EXPONENT)
        tl.store(grad_x + first + t * length, (early[t - 1] + (even + odd)).to(dtype), mask=exists)
        if 2 * t < T:
            tl.store(grad_x + first + (T - t) * length, (late[t - 1] + (even - odd)).to(dtype), mask=exists)


def columns_of(x: Tensor) -> tuple[Tensor, int, int]:
    """Columns of a volume (N, C, T, H, W): x without gaps in memory; G and L of its columns (G, T, L).

    G = N*C, L = H*W; of a channels-last x, which stays one, G = N, L = H*W*C."""
    n, c, _, h, w = x.shape
    if is_channels_last(x):
        return x, n, h * w * c
    return x.contiguous(), n * c, h * w


def is_channels_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last_3d) and not x.is_contiguous()


def memory_format(x: Tensor) -> torch.memory_format:
    """Memory format of the result for an input x."""
    return torch.channels_last_3d if is_channels_last(x) else torch.contiguous_format


def vector_width(length: int, num_frames: int, numbers: int, element_bytes: int) -> int:
    """Number of neighbouring columns of a thread: a power of two that divides L."""
    width = min(VECTOR_BYTES // element_bytes, max(1, numbers // triton.next_power_of_2(num_frames)))
    while length % width:
        width //= 2
    return width


def launch(kernel, tensors: tuple[Tensor, ...], exponent: int, numbers: int, groups: int, length: int) -> None:
    """Launches a kernel with one thread for every few columns of the tensors, the last of which is written."""
    x = tensors[0]
    vector = vector_width(length, x.shape[2], numbers, x.element_size())
    block = 32 * WARPS * vector
    with on_device(x):
        kernel[(triton.cdiv(groups * length, block),)](
            *tensors,
            groups,
            length // vector,
            T=x.shape[2],
            EXPONENT=exponent,
            VECTOR=vector,
            BLOCK=block,
            num_warps=WARPS,
        )


@torch.library.custom_op("fragrant::frequency_gain", mutates_args=())
def frequency_gain(x: Tensor, exponent: int) -> Tensor:
    """FAM's frequency gain applied to x: (N, C, T, H, W) -> the same shape, in the number and memory format of x.

    Raises:
        KernelError: a number format or size that the kernels do not have.
    """
    x, groups, length = columns_of(checked(x))
    y = torch.empty_like(x, memory_format=memory_format(x))
    launch(gain_kernel, (x, y), exponent, FORWARD_NUMBERS, groups, length)
    return y


@frequency_gain.register_fake
def _(x: Tensor, exponent: int) -> Tensor:
    return torch.empty_like(x, memory_format=memory_format(x))


@torch.library.custom_op("fragrant::frequency_gain_backward", mutates_args=())
def frequency_gain_backward(grad: Tensor, x: Tensor, exponent: int) -> Tensor:
    """Gradient of x from that of y, in the number and memory format of x: (N, C, T, H, W) twice -> the same shape."""
    x, groups, length = columns_of(checked(x))
    grad = grad.to(x.dtype).contiguous(memory_format=memory_format(x))
    grad_x = torch.empty_like(x, memory_format=memory_format(x))
    launch(grad_kernel, (x, grad, grad_x), exponent, BACKWARD_NUMBERS, groups, length)
    return grad_x


@frequency_gain_backward.register_fake
def _(grad: Tensor, x: Tensor, exponent: int) -> Tensor:
    return torch.empty_like(x, memory_format=memory_format(x))


def keep_input(ctx, inputs: tuple, output: Tensor) -> None:
    x, ctx.exponent = inputs
    ctx.save_for_backward(x)


def input_gradient(ctx, grad: Tensor) -> tuple[Tensor, None]:
    return frequency_gain_backward(grad, *ctx.saved_tensors, ctx.exponent), None


frequency_gain.register_autograd(input_gradient, setup_context=keep_input)


def checked(x: Tensor) -> Tensor:
    if not has_kernels_for(x):
        raise KernelError(
            f"FAM's Triton kernels take 1 to {MOST_FRAMES} frames of float32, bfloat16 or float16, fewer than "
            "2^31 columns; "
            f"got {tuple(x.shape)} in {str(x.dtype).removeprefix('torch.')}; use the implementation 'torch'"
        )
    return x


def variants() -> list[Variant]:
    """Variants of the kernels for FRAGRANT's clip lengths, with the columns of channels-last maps."""
    found = []
    sizes = [(8, "bf16", 32, 14 * 14 * 320), (16, "bf16", 8, 14 * 14 * 320), (8, "fp32", 8, 7 * 7 * 512)]
    for num_frames, number_format, groups, length in sizes:
        for kernel, direction, numbers in (
            (gain_kernel, "forward", FORWARD_NUMBERS),
            (grad_kernel, "backward", BACKWARD_NUMBERS),
        ):
            element_bytes = 4 if number_format == "fp32" else 2
            vector = vector_width(length, num_frames, numbers, element_bytes)
            tensors = {name: f"*{number_format}" for name in kernel.arg_names[: kernel.arg_names.index("groups")]}
            constants = dict(
                groups=groups,
                chunks=length // vector,
                T=num_frames,
                EXPONENT=1,
                VECTOR=vector,
                BLOCK=32 * WARPS * vector,
            )
            name = f"FAM {direction} T={num_frames} {number_format}"
            bytes_moved = len(tensors) * groups * num_frames * length * element_bytes
            found.append(Variant(name, kernel, tensors | constants, num_warps=WARPS, bytes_moved=bytes_moved))
    return found
