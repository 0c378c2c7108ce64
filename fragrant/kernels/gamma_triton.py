"""DGAM's passes over clips as Triton kernels for CUDA: the range and statistics of every frame, the experts, and the
experts' gradient.

A clip lies in memory as segments of neighbouring values, each within one frame: one segment per frame if it is channels
last, else one per frame and channel. A program takes a block of a segment; what concerns a whole frame is put together
from the numbers of its blocks, in an order that is always the same. Two reads give all statistics, one read and one
write the brightened clips. What is computed is said in ``layers/frame_statistics.py`` and ``layers/gamma_experts.py``;
arithmetic is float32.

The operators are custom ones, so that torch.compile takes each as it is. Import this module only where Triton is
installed.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from fragrant.kernels.fam_triton import is_channels_last, memory_format
from fragrant.kernels.taps import TRITON_DTYPES, KernelError
from fragrant.kernels.taps_triton import on_device
from fragrant.kernels.variants import Variant

BLOCK = 4096  # values of a program
EXPERTS_BLOCK = 2048  # likewise, where every value goes through the experts
HISTOGRAM_BLOCKS = 4  # that one program counts, one after the other
WARPS = 4
PRODUCT_WARPS = 8  # of the gradient of the weights: with 4 it spills on sm_80 (Triton 3.6)


@triton.jit
def block_of_frame(program, T, S, L, BLOCK: tl.constexpr):
    """Place of a program: frame (over all clips), number of the block within it, where the segment lies, first value
    within the segment."""
    blocks = tl.cdiv(L, BLOCK)
    frame, block = program // (S * blocks), program % (S * blocks)
    segment = ((frame // T * S + block // blocks) * T + frame % T).to(tl.int64) * L
    return frame, block, segment, block % blocks * BLOCK


@triton.jit
def load_block(clips, segment, start, L, BLOCK: tl.constexpr):
    """Loads the values of a block as float32, and which of them exist."""
    place = start + tl.arange(0, BLOCK)
    return tl.load(clips + segment + place, mask=place < L, other=0.0).to(tl.float32), place < L


@triton.jit
def moments_kernel(clips, parts, T, S, L, BLOCK: tl.constexpr):
    """Moments of every block, parts (F, 4, B): smallest and largest value, sum, sum of squares around the block's own
    mean."""
    frame, block, segment, start = block_of_frame(tl.program_id(0), T, S, L, BLOCK)
    values, exists = load_block(clips, segment, start, L, BLOCK)
    blocks = S * tl.cdiv(L, BLOCK)
    total = tl.sum(values, 0)
    around = tl.where(exists, values - total / tl.minimum(L - start, BLOCK).to(tl.float32), 0.0)
    first = parts + frame * 4 * blocks + block
    tl.store(first, tl.min(tl.where(exists, values, float("inf")), 0))
    tl.store(first + blocks, tl.max(tl.where(exists, values, float("-inf")), 0))
    tl.store(first + 2 * blocks, total)
    tl.store(first + 3 * blocks, tl.sum(around * around, 0))


@triton.jit
def load_parts(parts, frame, row, blocks, BLOCKS: tl.constexpr, other):
    b = tl.arange(0, BLOCKS)
    return tl.load(parts + (frame * 4 + row) * blocks + b, mask=b < blocks, other=other)


@triton.jit
def histogram_kernel(clips, parts, counts, T, S, L, BLOCK: tl.constexpr, REPEATS: tl.constexpr, BLOCKS: tl.constexpr):
    """Adds REPEATS blocks to counts (F, 256); the order of operations is that of ``histogram_counts``, every division
    the exact one."""
    frame, _, segment, start = block_of_frame(tl.program_id(0), T, S, L, BLOCK * REPEATS)
    blocks = S * tl.cdiv(L, BLOCK)
    low = tl.min(load_parts(parts, frame, 0, blocks, BLOCKS, float("inf")), 0)
    high = tl.max(load_parts(parts, frame, 1, blocks, BLOCKS, float("-inf")), 0)
    span = tl.zeros((BLOCK,), dtype=tl.float32) + (high - low + 1e-10)
    width = tl.full((BLOCK,), 255 / 256, dtype=tl.float32)
    found = tl.zeros((256,), dtype=tl.int32)
    for repeat in range(REPEATS):
        values, exists = load_block(clips, segment, start + repeat * BLOCK, L, BLOCK)
        places = tl.div_rn(tl.div_rn((values - low) * 255.0, span), width)  # 0 .. 256; above it numpy counts nothing
        bins = tl.minimum(places.to(tl.int32), 255)
        found += tl.histogram(bins, 256, mask=exists & (places <= 256.0))
    bin = tl.arange(0, 256)
    tl.atomic_add(counts + frame * 256 + bin, found, mask=found > 0, sem="relaxed")


@triton.jit
def statistics_kernel(
    parts, counts, statistics, ranges, S, L, BLOCK: tl.constexpr, BLOCKS: tl.constexpr, WIDTH: tl.constexpr,
    MEAN: tl.constexpr, STD: tl.constexpr, ENTROPY: tl.constexpr,
):  # fmt: skip
    """Range and statistics of one frame, from its parts and counts: ranges (F, 2) and statistics (F, WIDTH), each in
    its column, -1 = not asked for."""
    frame = tl.program_id(0)
    blocks_per_segment = tl.cdiv(L, BLOCK)
    blocks = S * blocks_per_segment
    tl.store(ranges + frame * 2, tl.min(load_parts(parts, frame, 0, blocks, BLOCKS, float("inf")), 0))
    tl.store(ranges + frame * 2 + 1, tl.max(load_parts(parts, frame, 1, blocks, BLOCKS, float("-inf")), 0))
    b = tl.arange(0, BLOCKS)
    sums = load_parts(parts, frame, 2, blocks, BLOCKS, 0.0)
    length = tl.cast(S * L, tl.float32)
    mean = tl.sum(sums, 0) / length
    if MEAN >= 0:
        tl.store(statistics + frame * WIDTH + MEAN, mean)
    if STD >= 0:
        count = tl.minimum(L - b % blocks_per_segment * BLOCK, BLOCK).to(tl.float32)
        apart = sums / count - mean
        squares = load_parts(parts, frame, 3, blocks, BLOCKS, 0.0) + tl.where(b < blocks, count * apart * apart, 0.0)
        tl.store(statistics + frame * WIDTH + STD, tl.sqrt(tl.sum(squares, 0) / (length - 1.0)))
    if ENTROPY >= 0:
        count = tl.load(counts + frame * 256 + tl.arange(0, 256)).to(tl.float64)
        share = count / tl.sum(count, 0)
        terms = tl.where(count > 0, share * tl.log(tl.where(count > 0, share, 1.0)), 0.0)
        tl.store(statistics + frame * WIDTH + ENTROPY, (-tl.sum(terms, 0)).to(tl.float32))


@triton.jit
def load_range(ranges, frame):
    """Loads the darkest value of a frame, and its range."""
    low = tl.load(ranges + frame * 2)
    return low, tl.load(ranges + frame * 2 + 1) - low


@triton.jit
def brighten_kernel(
    clips, ranges, weights, exponents, brightened, T, S, L, exponent_step, EXPERTS: tl.constexpr, BLOCK: tl.constexpr
):
    """Brightened clips sum_j weights[n, j] * (share ** exponents[n, j] * span + low); exponents of clip n begin at n *
    exponent_step."""
    frame, _, segment, start = block_of_frame(tl.program_id(0), T, S, L, BLOCK)
    values, exists = load_block(clips, segment, start, L, BLOCK)
    low, span = load_range(ranges, frame)
    clip = frame // T
    share = (values - low) / (span + 1e-5)
    logs = tl.log2(share)
    power, total = tl.zeros_like(share), 0.0
    for j in tl.static_range(EXPERTS):
        exponent, weight = tl.load(exponents + clip * exponent_step + j), tl.load(weights + clip * EXPERTS + j)
        power += tl.where(exponent == 1.0, share, tl.exp2(logs * exponent)) * weight
        total += weight
    place = start + tl.arange(0, BLOCK)
    tl.store(brightened + segment + place, (power * span + low * total).to(brightened.dtype.element_ty), mask=exists)


@triton.jit
def products_kernel(clips, grad, ranges, exponents, parts, T, S, L, EXPERTS: tl.constexpr, BLOCK: tl.constexpr):
    """Products of each expert's brightened block with the gradient, summed: parts (F, B, EXPERTS)."""
    frame, block, segment, start = block_of_frame(tl.program_id(0), T, S, L, BLOCK)
    values, exists = load_block(clips, segment, start, L, BLOCK)
    grads, _ = load_block(grad, segment, start, L, BLOCK)
    low, span = load_range(ranges, frame)
    share = tl.where(exists, (values - low) / (span + 1e-5), 0.0)
    logs = tl.log2(share)
    constant = tl.sum(grads, 0) * low
    for j in tl.static_range(EXPERTS):
        exponent = tl.load(exponents + j)
        product = tl.sum(tl.where(exponent == 1.0, share, tl.exp2(logs * exponent)) * grads, 0)
        tl.store(parts + tl.program_id(0) * EXPERTS + j, product * span + constant)


def segments(clips: Tensor) -> tuple[int, int, int, int]:
    """Segments of clips (N, C, T, H, W) without gaps in memory: N, T, S segments per frame, L values each."""
    n, c, t, h, w = clips.shape
    return (n, t, 1, h * w * c) if is_channels_last(clips) else (n, t, c, h * w)


def dense(clips: Tensor) -> Tensor:
    """The clips, copied where there are gaps.

    Raises:
        KernelError: a number format that the kernels do not have, or more numbers than their indices reach.
    """
    if clips.dtype not in TRITON_DTYPES or clips.numel() >= 2**31 * BLOCK or clips[0].numel() >= 2**31:
        dtype = str(clips.dtype).removeprefix("torch.")
        raise KernelError(
            f"DGAM's Triton kernels take float32, bfloat16 or float16; got {tuple(clips.shape)} in {dtype}"
        )
    return clips.contiguous(memory_format=memory_format(clips))


def block_moments(clips: Tensor) -> Tensor:
    """Moments of every block: dense clips (N, C, T, H, W) -> parts (N*T, 4, B), see ``moments_kernel``."""
    n, t, s, length = segments(clips)
    blocks = s * triton.cdiv(length, BLOCK)
    parts = clips.new_empty(n * t, 4, blocks, dtype=torch.float32)
    with on_device(clips):
        moments_kernel[(n * t * blocks,)](clips, parts, t, s, length, BLOCK=BLOCK, num_warps=WARPS)
    return parts


def histogram_counts(clips: Tensor, parts: Tensor) -> Tensor:
    """Histogram of every frame, as ``frame_statistics.histogram_counts``: dense clips (N, C, T, H, W) and their parts
    -> (N*T, 256) int32."""
    n, t, s, length = segments(clips)
    counts = clips.new_zeros(n * t, 256, dtype=torch.int32)
    grid = (n * t * s * triton.cdiv(length, BLOCK * HISTOGRAM_BLOCKS),)
    merged = triton.next_power_of_2(parts.shape[2])
    with on_device(clips):
        histogram_kernel[grid](
            clips, parts, counts, t, s, length, BLOCK=BLOCK, REPEATS=HISTOGRAM_BLOCKS, BLOCKS=merged, num_warps=WARPS
        )
    return counts


@torch.library.custom_op("fragrant::measure_frames", mutates_args=())
def measure_frames(clips: Tensor, names: str) -> tuple[Tensor, Tensor]:
    """Measures every frame of clips (N, C, T, H, W): statistics (N, T*S), see ``frame_statistics``; smallest and
    largest value (N, T, 2). Both float32.

    Args:
        names: S of mean, std and entropy, with spaces between them; may be empty.
    """
    clips, wanted = dense(clips), names.split()
    n, t, s, length = segments(clips)
    parts = block_moments(clips)
    counts = histogram_counts(clips, parts) if "entropy" in wanted else parts  # which then nobody reads
    statistics = clips.new_empty(n, t * len(wanted), dtype=torch.float32)
    ranges = clips.new_empty(n, t, 2, dtype=torch.float32)
    columns = {name.upper(): wanted.index(name) if name in wanted else -1 for name in ("mean", "std", "entropy")}
    merged = triton.next_power_of_2(parts.shape[2])
    with on_device(clips):
        statistics_kernel[(n * t,)](
            parts,
            counts,
            statistics,
            ranges,
            s,
            length,
            BLOCK=BLOCK,
            BLOCKS=merged,
            WIDTH=len(wanted),
            **columns,
            num_warps=WARPS,
        )
    return statistics, ranges


@measure_frames.register_fake
def _(clips: Tensor, names: str) -> tuple[Tensor, Tensor]:
    n, t = clips.shape[0], clips.shape[2]
    statistics = clips.new_empty(n, t * len(names.split()), dtype=torch.float32)
    return statistics, clips.new_empty(n, t, 2, dtype=torch.float32)


@torch.library.custom_op("fragrant::brighten_clips", mutates_args=())
def brighten_clips(clips: Tensor, ranges: Tensor, weights: Tensor, exponents: Tensor, one_each: bool) -> Tensor:
    """Brightens clips, as ``Brighten`` does: (N, C, T, H, W), (N, T, 2), (N, E), (E,) -> as the clips. Differentiable
    by the weights alone."""
    clips = dense(clips)
    n, t, s, length = segments(clips)
    brightened = torch.empty_like(clips, memory_format=memory_format(clips))
    if one_each:
        exponents, weights = exponents[weights.argmax(1)], torch.ones_like(weights[:, :1])
    weights, exponents = weights.float().contiguous(), exponents.float().contiguous()
    with on_device(clips):
        brighten_kernel[(n * t * s * triton.cdiv(length, EXPERTS_BLOCK),)](
            clips,
            ranges,
            weights,
            exponents,
            brightened,
            t,
            s,
            length,
            int(one_each),
            EXPERTS=weights.shape[1],
            BLOCK=EXPERTS_BLOCK,
            num_warps=WARPS,
        )
    return brightened


@brighten_clips.register_fake
def _(clips: Tensor, ranges: Tensor, weights: Tensor, exponents: Tensor, one_each: bool) -> Tensor:
    return torch.empty_like(clips, memory_format=memory_format(clips))


@torch.library.custom_op("fragrant::expert_products", mutates_args=())
def expert_products(clips: Tensor, grad: Tensor, ranges: Tensor, exponents: Tensor) -> Tensor:
    """Gradient of the experts' weights (N, E), ``products`` over all frames, from the clips and the gradient of the
    brightened clips, (N, C, T, H, W)."""
    clips = dense(clips)
    grad = grad.contiguous(memory_format=memory_format(clips))
    n, t, s, length = segments(clips)
    parts = clips.new_empty(n, t * s * triton.cdiv(length, EXPERTS_BLOCK), len(exponents), dtype=torch.float32)
    with on_device(clips):
        products_kernel[(parts.shape[0] * parts.shape[1],)](
            clips,
            grad,
            ranges,
            exponents.float().contiguous(),
            parts,
            t,
            s,
            length,
            EXPERTS=len(exponents),
            BLOCK=EXPERTS_BLOCK,
            num_warps=PRODUCT_WARPS,
        )
    return parts.sum(1)


@expert_products.register_fake
def _(clips: Tensor, grad: Tensor, ranges: Tensor, exponents: Tensor) -> Tensor:
    return clips.new_empty(len(clips), len(exponents), dtype=torch.float32)


def keep_inputs(ctx, inputs: tuple, output: Tensor) -> None:
    clips, ranges, weights, exponents, _ = inputs
    ctx.save_for_backward(clips, ranges, exponents)
    ctx.weights_dtype = weights.dtype


def weights_gradient(ctx, grad: Tensor) -> tuple:
    if ctx.needs_input_grad[0]:
        raise KernelError("DGAM's Triton kernels have no gradient of the clips; use the implementation 'torch'")
    clips, ranges, exponents = ctx.saved_tensors
    needed = ctx.needs_input_grad[2]
    return (
        None,
        None,
        expert_products(clips, grad, ranges, exponents).to(ctx.weights_dtype) if needed else None,
        None,
        None,
    )


brighten_clips.register_autograd(weights_gradient, setup_context=keep_inputs)


def variants() -> list[Variant]:
    """Variants of the kernels for Swin-B's clips of 32 frames, float32; channels last where the layout makes other
    machine code."""
    return [*layout_variants("contiguous", 3, 224 * 224), layout_variants("channels last", 1, 3 * 224 * 224)[1]]


def layout_variants(layout: str, s: int, length: int, n: int = 8, t: int = 32) -> list[Variant]:
    """Variants of all kernels for n clips of t frames with s segments of ``length`` values."""
    clip_bytes, merged = 4 * n * t * s * length, triton.next_power_of_2(s * triton.cdiv(length, BLOCK))
    tensors = ("clips", "grad", "parts", "statistics", "ranges", "weights", "exponents", "brightened")
    arguments = dict.fromkeys(tensors, "*fp32") | dict(
        counts="*i32", T=t, S=s, L=length, BLOCKS=merged, REPEATS=HISTOGRAM_BLOCKS
    )
    arguments |= dict(WIDTH=3, MEAN=0, STD=1, ENTROPY=2)
    kernels = [
        ("moments", moments_kernel, 1, dict(BLOCK=BLOCK)),
        ("histogram", histogram_kernel, 1, dict(BLOCK=BLOCK)),
        ("statistics", statistics_kernel, 0, dict(BLOCK=BLOCK)),
        ("one expert", brighten_kernel, 2, dict(BLOCK=EXPERTS_BLOCK, EXPERTS=1, exponent_step=1)),
        ("all experts", brighten_kernel, 2, dict(BLOCK=EXPERTS_BLOCK, EXPERTS=5, exponent_step=0)),
        ("gradient of the weights", products_kernel, 2, dict(BLOCK=EXPERTS_BLOCK, EXPERTS=5)),
    ]
    found = []
    for name, kernel, passes, special in kernels:
        its_own = {key: value for key, value in (arguments | special).items() if key in kernel.arg_names}
        warps = PRODUCT_WARPS if kernel is products_kernel else WARPS
        found.append(
            Variant(f"DGAM {name}, {layout}", kernel, its_own, num_warps=warps, bytes_moved=passes * clip_bytes)
        )
    return found
