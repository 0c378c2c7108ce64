"""Preparation of clips from pixels as a Triton kernel for CUDA: normalised, erased, in the memory and number format of
the model, each value written once.

A program computes a block of one clip in the order in which the result lies in memory. Erased boxes are a small table;
their noise comes from Philox counters, so that it follows from the seed of a box and the place in the clip alone. What
is computed is said in ``layers/preparation.py``; arithmetic is float32, every division the exact one.

The operator is a custom one, so that torch.compile takes it as it is. Import this module only where Triton is
installed."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from fragrant.kernels.fam_triton import is_channels_last
from fragrant.kernels.taps import TRITON_DTYPES, KernelError
from fragrant.kernels.taps_triton import on_device
from fragrant.kernels.variants import Variant

BLOCK = 1024
WARPS = 4
PIXEL_DTYPES = (torch.uint8, *TRITON_DTYPES)
FILLS = ("pixel", "rand", "const")  # of an erased box: normal noise per value, per channel and frame, zero


@triton.jit
def normal_noise(seed, counter):
    """Standard normal noise by Box and Muller, from Philox. The cosine is 1 - 2 sin^2 of the half angle, a series: the
    library's takes angles of any size."""
    uniform, turn, _, _ = tl.rand4x(seed, counter)
    angle = 3.141592653589793 * (turn - 0.5)
    square = angle * angle
    series = 1.0 / 362880 - square * (1.0 / 39916800)
    series = 1.0 / 120 - square * (1.0 / 5040 - square * series)
    sine = angle * (1.0 - square * (1.0 / 6 - square * series))
    return tl.sqrt(-2.0 * tl.log(tl.maximum(uniform, 1e-7))) * (1.0 - 2.0 * sine * sine)


@triton.jit
def erase_box(values, boxes, first, frame, channel, y, x, value, FILL: tl.constexpr, frames):
    """Fills the values inside of the box (top, left, height, width, seed) at ``boxes + first``."""
    top, left, seed = tl.load(boxes + first), tl.load(boxes + first + 1), tl.load(boxes + first + 4)
    inside = (y >= top) & (y < top + tl.load(boxes + first + 2)) & (x >= left) & (x < left + tl.load(boxes + first + 3))
    if tl.sum(inside.to(tl.int32), 0) > 0:  # most blocks have none, and noise costs more than everything else
        if FILL == 0:
            fill = normal_noise(seed, value)
        elif FILL == 1:
            fill = normal_noise(seed, channel * frames + frame)
        else:
            fill = tl.zeros_like(values)
        values = tl.where(inside, fill, values)
    return values


@triton.jit
def prepare_kernel(
    pixels, mean, std, boxes, clips, frames, height, width, CHANNELS: tl.constexpr, FROM_LAST: tl.constexpr,
    TO_LAST: tl.constexpr, REVERSE: tl.constexpr, BOXES: tl.constexpr, FILL: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Prepares clips = (pixels / 255 - mean) / std, boxes erased; FROM_LAST, TO_LAST: channels last in memory; BOXES:
    boxes of every clip."""
    positions = frames * height * width
    blocks = tl.cdiv(positions * CHANNELS, BLOCK)
    clip = tl.program_id(0) // blocks
    value = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    exists = value < positions * CHANNELS
    if TO_LAST:
        channel, position = value % CHANNELS, value // CHANNELS
    else:
        channel, position = value // positions, value % positions
    source_channel = CHANNELS - 1 - channel if REVERSE else channel
    if FROM_LAST == TO_LAST and not REVERSE:
        source = value  # said like this, the compiler sees neighbours
    elif FROM_LAST:
        source = position * CHANNELS + source_channel
    else:
        source = source_channel * positions + position
    clip_start = clip.to(tl.int64) * positions * CHANNELS
    values = tl.load(pixels + clip_start + source, mask=exists, other=0).to(tl.float32)
    means, stds = tl.zeros_like(values), tl.full((BLOCK,), 1.0, dtype=tl.float32)
    for c in tl.static_range(CHANNELS):
        means = tl.where(source_channel == c, tl.load(mean + c), means)
        stds = tl.where(source_channel == c, tl.load(std + c), stds)
    values = tl.div_rn(tl.div_rn(values, tl.full((BLOCK,), 255.0, dtype=tl.float32)) - means, stds)
    for box in range(BOXES):
        frame, y, x = position // (height * width), position // width % height, position % width
        values = erase_box(values, boxes, (clip * BOXES + box) * 5, frame, channel, y, x, value, FILL, frames)
    tl.store(clips + clip_start + value, values.to(clips.dtype.element_ty), mask=exists)


@torch.library.custom_op("fragrant::prepare_clips", mutates_args=())
def prepare_clips(
    pixels: Tensor,
    mean: Tensor,
    std: Tensor,
    boxes: Tensor,
    fill: str,
    reverse: bool,
    channels_last: bool,
    dtype: torch.dtype,
) -> Tensor:
    """Normalises and erases clips: (N, C, T, H, W) uint8 or float, 0..255 -> the same shape, in ``dtype`` and the
    memory format asked for.

    Args:
        mean, std: (C) float32, of the channels in the order of the pixels.
        reverse: write the channels in reverse order.
        boxes: (N, K, 5) int64: top, left, height, width, seed; of height 0 = none. Later ones lie above.
        fill: how boxes are filled, one of ``FILLS``.

    Raises:
        KernelError: a number format or size that the kernel does not have.
    """
    if pixels.dtype not in PIXEL_DTYPES or dtype not in TRITON_DTYPES or pixels[:1].numel() >= 2**31:
        formats = " to ".join(str(name).removeprefix("torch.") for name in (pixels.dtype, dtype))
        raise KernelError(
            f"clips of {tuple(pixels.shape)} from {formats} cannot be prepared by Triton; use the implementation "
            "'torch'"
        )
    from_last = is_channels_last(pixels)
    pixels = pixels if from_last else pixels.contiguous()
    n, c, t, h, w = pixels.shape
    clips = torch.empty(pixels.shape, dtype=dtype, device=pixels.device, memory_format=result_format(channels_last))
    grid = (n * triton.cdiv(c * t * h * w, BLOCK),)
    constants = dict(
        CHANNELS=c,
        FROM_LAST=from_last,
        TO_LAST=channels_last,
        REVERSE=reverse,
        BOXES=boxes.shape[1],
        FILL=FILLS.index(fill),
        BLOCK=BLOCK,
    )
    with on_device(pixels):
        prepare_kernel[grid](pixels, mean, std, boxes.contiguous(), clips, t, h, w, **constants, num_warps=WARPS)
    return clips


@prepare_clips.register_fake
def _(
    pixels: Tensor,
    mean: Tensor,
    std: Tensor,
    boxes: Tensor,
    fill: str,
    reverse: bool,
    channels_last: bool,
    dtype: torch.dtype,
) -> Tensor:
    return torch.empty(pixels.shape, dtype=dtype, device=pixels.device, memory_format=result_format(channels_last))


def result_format(channels_last: bool) -> torch.memory_format:
    return torch.channels_last_3d if channels_last else torch.contiguous_format


def variants() -> list[Variant]:
    """Variants of the kernel for clips as the loader gives them, 16 x 224 x 224, to the formats that the networks
    take."""
    return [prepare_variant("*fp32", True, 4), prepare_variant("*bf16", True, 2), prepare_variant("*fp32", False, 4)]


def prepare_variant(
    number_format: str, channels_last: bool, element_bytes: int, n: int = 16, frames: int = 16, side: int = 224
) -> Variant:
    tensors = dict(pixels="*u8", mean="*fp32", std="*fp32", boxes="*i64", clips=number_format)
    constants = dict(CHANNELS=3, FROM_LAST=True, TO_LAST=channels_last, REVERSE=False, BOXES=1, FILL=0, BLOCK=BLOCK)
    name = f"preparation to {number_format.strip('*')}, {'channels last' if channels_last else 'contiguous'}"
    moved = n * 3 * frames * side * side * (1 + element_bytes)
    sizes = dict(frames=frames, height=side, width=side)
    return Variant(name, prepare_kernel, tensors | sizes | constants, num_warps=WARPS, bytes_moved=moved)
