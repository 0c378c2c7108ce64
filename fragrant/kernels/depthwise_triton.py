"""The depthwise 3D convolution as Triton kernels for CUDA: forward, input gradient and filter gradient, channels last.

No product with a matrix is in it: its floor is one multiply-add per output and tap, beside one read and one write of
the maps.
What costs beyond that is loading and converting inputs, so each thread holds GROUP neighbouring outputs of a row (times
4 or 8 channels, 16 bytes wide): an input column that it loads feeds up to kW of them. The rows and frames above and
below come from the caches; a program's tile is shaped so that little is fetched twice. Sums are float32.

The filter gradient is deterministic: a few hundred programs each sum over a part of the positions, PyTorch adds up
their sums.

The functions are custom operators, so that torch.compile takes each as it is. Import this module only where Triton is
installed; ``depthwise.py`` does.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from fragrant.kernels.taps import TRITON_DTYPES, KernelError
from fragrant.kernels.variants import Variant

Size = tuple[int, int, int]

GROUPS = (7, 8, 4)  # outputs of a row that a thread holds; maps of 224-pixel clips are multiples of 7
FILTER_GROUPS = (4,)  # of a filter gradient, beside the sums of up to 25 taps in registers
LENGTHS = ["T", "H", "W", "T_OUT", "H_OUT", "W_OUT", "groups", "clips", "parts"]  # one compiled kernel for all
PROGRAMS = 1600  # of a filter gradient, at most: about four rounds on the largest GPUs
CACHE_COST = 10  # of one input number of a tile fetched from the L2 cache, in multiply-adds


@triton.jit
def inside(i, n):
    """Whether 0 <= i < n, in one comparison."""
    return i.to(tl.uint32, bitcast=True) < n


@triton.jit
def channels_at(block, C: tl.constexpr, CHANNELS: tl.constexpr):
    """The channels of a block, and which of them exist."""
    c = block * CHANNELS + tl.arange(0, CHANNELS)
    if C % CHANNELS == 0:
        exists = tl.full((CHANNELS,), 1, tl.int1)
    else:
        exists = c < C
    return c, exists


@triton.jit
def filter_row(taps, tap, c, exists, C, POSITIONS: tl.constexpr, KW: tl.constexpr):
    """The kW weights from ``tap`` on, for the channels c: a tuple of (POSITIONS, CHANNELS), all positions alike.

    Loaded in the shape of the inputs, so that every thread gets the weights of its channels without an exchange.
    """
    offsets = tl.zeros((POSITIONS, 1), tl.int32) + c[None, :]
    mask = (tl.full((POSITIONS, 1), 1, tl.int1)) & exists[None, :]
    weights = (tl.load(taps + tap * C + offsets, mask=mask, other=0.0).to(tl.float32),)
    for k in tl.static_range(1, KW):
        weights = weights + (tl.load(taps + (tap + k) * C + offsets, mask=mask, other=0.0).to(tl.float32),)
    return weights


@triton.jit
def plus(totals, i: tl.constexpr, value):
    """A copy of the tuple with ``value`` added to its member i."""
    return totals[:i] + (totals[i] + value,) + totals[i + 1 :]


@triton.jit(do_not_specialize=LENGTHS)
def forward_kernel(
    x, taps, bias, y, T, H, W, T_OUT, H_OUT, W_OUT, groups, C: tl.constexpr, KT: tl.constexpr, KH: tl.constexpr,
    KW: tl.constexpr, ST: tl.constexpr, SH: tl.constexpr, SW: tl.constexpr, GROUP: tl.constexpr,
    POSITIONS: tl.constexpr, CHANNELS: tl.constexpr, HAS_BIAS: tl.constexpr,
):  # fmt: skip
    """The convolution y[n] = bias + sum_m taps[m] * x[stride * n + m - kernel // 2], for one tile of one frame and
    CHANNELS channels."""
    program = tl.program_id(0)
    blocks, tiles_x, tiles_y = tl.cdiv(C, CHANNELS), tl.cdiv(W_OUT, groups * GROUP), tl.cdiv(H_OUT, POSITIONS // groups)
    c, exists = channels_at(program % blocks, C, CHANNELS)
    program = program // blocks
    frame = program // (tiles_x * tiles_y)
    position = tl.arange(0, POSITIONS)
    row = program // tiles_x % tiles_y * (POSITIONS // groups) + position // groups
    column = (program % tiles_x * groups + position % groups) * GROUP
    t, in_column = frame % T_OUT * ST - KT // 2, column * SW - KW // 2
    total = tl.zeros((POSITIONS, CHANNELS), tl.float32)
    if HAS_BIAS:
        total += tl.load(bias + 0 * position[:, None] + c[None, :], mask=exists[None, :], other=0.0).to(tl.float32)
    totals = (total,) * GROUP
    for tap in range(tl.maximum(-t, 0) * KH, tl.minimum(KT, T - t) * KH):  # rows of the filter in frames that exist
        in_row = row * SH + tap % KH - KH // 2
        row_exists = inside(in_row, H)
        source = ((frame // T_OUT * T + t + tap // KH) * H + in_row) * W + in_column
        weights = filter_row(taps, tap * KW, c, exists, C, POSITIONS, KW)
        for j in tl.static_range((GROUP - 1) * SW + KW):
            mask = (row_exists & inside(in_column + j, W))[:, None] & exists[None, :]
            value = tl.load(x + (source + j)[:, None] * C + c[None, :], mask=mask, other=0.0).to(tl.float32)
            for i in tl.static_range(GROUP):
                if j - i * SW >= 0 and j - i * SW < KW:
                    totals = plus(totals, i, value * weights[j - i * SW])
    target = (frame * H_OUT + row) * W_OUT + column
    for i in tl.static_range(GROUP):
        mask = ((row < H_OUT) & (column + i < W_OUT))[:, None] & exists[None, :]
        tl.store(y + (target + i)[:, None] * C + c[None, :], totals[i].to(y.dtype.element_ty), mask=mask)


@triton.jit(do_not_specialize=LENGTHS)
def input_grad_kernel(
    grad, taps, x_grad, T, H, W, T_OUT, H_OUT, W_OUT, groups, C: tl.constexpr, KT: tl.constexpr, KH: tl.constexpr,
    KW: tl.constexpr, ST: tl.constexpr, SH: tl.constexpr, SW: tl.constexpr, GROUP: tl.constexpr,
    POSITIONS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Input gradient x_grad[n] = sum over outputs o and taps m with stride * o + m - kernel // 2 = n of taps[m] *
    grad[o], for one tile and one frame.

    With a stride only every SH-th tap of a filter's column meets a row of outputs. A tile takes the rows of equal
    remainder, so that it skips the same taps everywhere; frames likewise, and GROUP is a multiple of SW."""
    program = tl.program_id(0)
    blocks, tiles_x, tiles_y = (
        tl.cdiv(C, CHANNELS),
        tl.cdiv(W, groups * GROUP),
        tl.cdiv(tl.cdiv(H, SH), POSITIONS // groups),
    )
    c, exists = channels_at(program % blocks, C, CHANNELS)
    program = program // blocks
    position = tl.arange(0, POSITIONS)
    column = (program % tiles_x * groups + position % groups) * GROUP
    row_step = program // tiles_x % tiles_y * (POSITIONS // groups) + position // groups
    row_rest = program // (tiles_x * tiles_y) % SH
    frame = program // (tiles_x * tiles_y * SH)
    t = frame % T + KT // 2
    first_dt, first_dy = t % ST, (row_rest + KH // 2) % SH
    steps_t, steps_y = (KT - first_dt + ST - 1) // ST, (KH - first_dy + SH - 1) // SH
    # frame and row of the outputs that the first tap meets
    last_t, last_row = (
        t // ST,
        row_step + (row_rest + KH // 2) // SH,
    )
    totals = (tl.zeros((POSITIONS, CHANNELS), tl.float32),) * GROUP
    for step in range(tl.maximum(0, last_t - T_OUT + 1) * steps_y, tl.minimum(steps_t, last_t + 1) * steps_y):
        step_t, step_y = step // steps_y, step % steps_y
        out_row = last_row - step_y
        row_exists = inside(out_row, H_OUT)
        source = ((frame // T * T_OUT + last_t - step_t) * H_OUT + out_row) * W_OUT + column // SW
        tap = ((first_dt + step_t * ST) * KH + first_dy + step_y * SH) * KW
        weights = filter_row(taps, tap, c, exists, C, POSITIONS, KW)
        for j in tl.static_range(-(KW // 2 // SW), (GROUP - 1 + KW // 2) // SW + 1):
            mask = (row_exists & inside(column // SW + j, W_OUT))[:, None] & exists[None, :]
            value = tl.load(grad + (source + j)[:, None] * C + c[None, :], mask=mask, other=0.0).to(tl.float32)
            for i in tl.static_range(GROUP):
                if i + KW // 2 - SW * j >= 0 and i + KW // 2 - SW * j < KW:
                    totals = plus(totals, i, value * weights[i + KW // 2 - SW * j])
    row = row_step * SH + row_rest
    target = (frame * H + row) * W + column
    for i in tl.static_range(GROUP):
        mask = ((row < H) & (column + i < W))[:, None] & exists[None, :]
        tl.store(x_grad + (target + i)[:, None] * C + c[None, :], totals[i].to(x_grad.dtype.element_ty), mask=mask)


@triton.jit(do_not_specialize=LENGTHS)
def filter_grad_kernel(
    grad, x, sums, T, H, W, T_OUT, H_OUT, W_OUT, groups, clips, parts, C: tl.constexpr, KT: tl.constexpr,
    KH: tl.constexpr, KW: tl.constexpr, ST: tl.constexpr, SH: tl.constexpr, SW: tl.constexpr, GROUP: tl.constexpr,
    POSITIONS: tl.constexpr, CHANNELS: tl.constexpr, TAP_ROWS: tl.constexpr,
):  # fmt: skip
    """Filter gradient sums[part, m] = sum of grad[o] * x[stride * o + m - kernel // 2] over one of ``parts`` parts of
    the outputs o.

    A program takes CHANNELS channels, one frame offset dt and TAP_ROWS rows of the filter, whose sums stay in
    registers. The last row, sums[part, kT*kH*kW], is the bias gradient."""
    program = tl.program_id(0)
    blocks, tiles_x, tiles_y = tl.cdiv(C, CHANNELS), tl.cdiv(W_OUT, groups * GROUP), tl.cdiv(H_OUT, POSITIONS // groups)
    tap_blocks: tl.constexpr = KH // TAP_ROWS
    c, exists = channels_at(program % blocks, C, CHANNELS)
    first_dy = program // blocks % tap_blocks * TAP_ROWS
    dt = program // (blocks * tap_blocks) % KT
    part = program // (blocks * tap_blocks * KT)
    position = tl.arange(0, POSITIONS)
    first_row, first_column = position // groups, position % groups * GROUP
    zeros = tl.zeros((POSITIONS, CHANNELS), tl.float32)
    bias_total = zeros
    totals = (zeros,) * (TAP_ROWS * KW)
    first_out = tl.cdiv(tl.maximum(KT // 2 - dt, 0), ST)  # of the frames that meet a frame of the input
    frames = tl.maximum(tl.minimum(T_OUT, tl.cdiv(T + KT // 2 - dt, ST)) - first_out, 0)
    tiles = clips * frames * tiles_y * tiles_x
    tiles_each = tl.cdiv(tiles, parts)
    for tile in range(part * tiles_each, tl.minimum((part + 1) * tiles_each, tiles)):
        clip = tile // (tiles_x * tiles_y * frames)
        t_out = first_out + tile // (tiles_x * tiles_y) % frames
        row = tile // tiles_x % tiles_y * (POSITIONS // groups) + first_row
        column = tile % tiles_x * (groups * GROUP) + first_column
        source = ((clip * T_OUT + t_out) * H_OUT + row) * W_OUT + column
        grads = ()
        for i in tl.static_range(GROUP):
            mask = ((row < H_OUT) & (column + i < W_OUT))[:, None] & exists[None, :]
            value = tl.load(grad + (source + i)[:, None] * C + c[None, :], mask=mask, other=0.0).to(tl.float32)
            grads = grads + (value,)
            bias_total += value
        in_column = column * SW - KW // 2
        for dy in tl.static_range(TAP_ROWS):
            in_row = row * SH + first_dy + dy - KH // 2
            row_exists = inside(in_row, H)
            source = ((clip * T + t_out * ST + dt - KT // 2) * H + in_row) * W + in_column
            for j in tl.static_range((GROUP - 1) * SW + KW):
                mask = (row_exists & inside(in_column + j, W))[:, None] & exists[None, :]
                value = tl.load(x + (source + j)[:, None] * C + c[None, :], mask=mask, other=0.0).to(tl.float32)
                for i in tl.static_range(GROUP):
                    if j - i * SW >= 0 and j - i * SW < KW:
                        totals = plus(totals, dy * KW + j - i * SW, value * grads[i])
    target = sums + part * (KT * KH * KW + 1) * C + c
    for m in tl.static_range(TAP_ROWS * KW):
        tl.store(target + ((dt * KH + first_dy) * KW + m) * C, tl.sum(totals[m], 0), mask=exists)
    if (dt == KT // 2) & (first_dy == 0):  # the frame offset that meets every output
        tl.store(target + KT * KH * KW * C, tl.sum(bias_total, 0), mask=exists)


class Tile(NamedTuple):
    """The part of a frame that a program computes: ``rows x groups`` places of ``group`` columns each."""

    group: int
    groups: int
    rows: int

    @property
    def positions(self) -> int:
        return self.rows * self.groups

    def count(self, height: int, width: int) -> int:
        return triton.cdiv(height, self.rows) * triton.cdiv(width, self.groups * self.group)

    def work(self, height: int, width: int, size: Size, stride: Size) -> int:
        """Cost of a frame with this tile, in multiply-adds: the filter's, two instructions for each load, and what
        comes from the L2 cache."""
        loads = size[1] * ((self.group - 1) * stride[2] + size[2])
        products = self.positions * (self.group * size[1] * size[2] + 2 * loads)
        window = (self.rows * stride[1] + size[1] - 1) * (self.groups * self.group * stride[2] + size[2] - 1)
        return self.count(height, width) * (products + CACHE_COST * window)


@functools.lru_cache(maxsize=256)
def best_tile(
    height: int, width: int, size: Size, stride: Size, positions: tuple[int, ...], groups_of_columns: tuple[int, ...]
) -> Tile:
    """The tile with the least work on a map of outputs."""
    tiles = [
        Tile(group, groups, count // groups)
        for count in positions
        for group in groups_of_columns
        for groups in (1, 2, 4, 8, 16)
        if groups <= count
    ]
    return min(tiles, key=lambda tile: tile.work(height, width, size, stride))


class Launch(NamedTuple):
    """Launch of a kernel: its number of programs and warps; ``arguments`` are all but its tensors, by name."""

    programs: int
    num_warps: int
    arguments: dict[str, Any]


class Shapes(NamedTuple):
    """Sizes of one convolution: x (N, C, T, H, W), kernel size, stride. Each kernel's launch follows from them."""

    clips: int
    channels: int
    map: Size
    size: Size
    stride: Size
    dtype: torch.dtype

    @property
    def out(self) -> Size:
        return tuple(-(-length // step) for length, step in zip(self.map, self.stride, strict=True))

    @property
    def block(self) -> int:
        """Number of channels of a program: 128 bytes of them."""
        return min(128 // self.dtype.itemsize, triton.next_power_of_2(self.channels))

    def _arguments(self, tile: Tile) -> dict[str, Any]:
        lengths = zip(
            ("T", "H", "W", "C", "T_OUT", "H_OUT", "W_OUT"), (*self.map, self.channels, *self.out), strict=True
        )
        filters = zip(("KT", "KH", "KW", "ST", "SH", "SW"), (*self.size, *self.stride), strict=True)
        tiles = {"groups": tile.groups, "GROUP": tile.group, "POSITIONS": tile.positions}
        return dict([*lengths, *filters]) | tiles | {"CHANNELS": self.block}

    def forward(self, has_bias: bool) -> Launch:
        tile = best_tile(*self.out[1:], self.size, self.stride, (16, 8), GROUPS)
        programs = self.clips * self.out[0] * tile.count(*self.out[1:]) * triton.cdiv(self.channels, self.block)
        return Launch(programs, tile.positions // 4, self._arguments(tile) | {"HAS_BIAS": has_bias})

    def input_grad(self) -> Launch:
        (frames, height, width), (_, step, step_x) = self.map, self.stride
        groups = tuple(group for group in (*GROUPS, step_x) if group % step_x == 0)
        tile = best_tile(triton.cdiv(height, step), width, self.size, (1, 1, 1), (16, 8), groups)
        tiles = step * tile.count(triton.cdiv(height, step), width)
        programs = self.clips * frames * tiles * triton.cdiv(self.channels, self.block)
        return Launch(programs, tile.positions // 4, self._arguments(tile))

    def filter_grad(self) -> tuple[Launch, int]:
        """Launch of the filter gradient, and the number of parts that the positions are summed in."""
        tap_rows = self.size[1] if self.size[1] * self.size[2] <= (25 if self.dtype.itemsize == 2 else 9) else 1
        positions = 8 if self.dtype.itemsize == 2 else 16  # 4 channels to a thread
        tile = best_tile(*self.out[1:], self.size, self.stride, (positions,), FILTER_GROUPS)
        tiles = self.clips * self.out[0] * tile.count(*self.out[1:])
        programs = triton.cdiv(self.channels, self.block) * self.size[0] * (self.size[1] // tap_rows)  # for each part
        parts = max(1, min(tiles, PROGRAMS // programs))
        parts = triton.cdiv(tiles, triton.cdiv(tiles, parts))  # all of one length
        arguments = self._arguments(tile) | {"clips": self.clips, "parts": parts, "TAP_ROWS": tap_rows}
        return Launch(programs * parts, 4, arguments), parts


def shapes_of(x: Tensor, size: Sequence[int], stride: Sequence[int]) -> Shapes:
    return Shapes(*x.shape[:2], tuple(x.shape[2:]), tuple(size), tuple(stride), x.dtype)


@torch.library.custom_op("fragrant::depthwise_conv3d", mutates_args=())
def depthwise_conv3d(x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int]) -> Tensor:
    """Depthwise 3D convolution: (N, C, T, H, W), (C, 1, kT, kH, kW), (C) -> (N, C, T', H', W'), see
    ``depthwise_torch.depthwise_conv3d``."""
    x = checked(x)
    shapes = shapes_of(x, weight.shape[2:], stride)
    y = empty(x, shapes.clips, shapes.channels, *shapes.out)
    launch = shapes.forward(bias is not None)
    taps = by_tap(weight, x.dtype)
    bias = taps if bias is None else bias.to(x.dtype).contiguous()
    with on_device(x):
        forward_kernel[(launch.programs,)](x, taps, bias, y, **launch.arguments, num_warps=launch.num_warps)
    return y


@depthwise_conv3d.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int]) -> Tensor:
    return empty(x, *x.shape[:2], *(-(-length // step) for length, step in zip(x.shape[2:], stride, strict=True)))


@torch.library.custom_op("fragrant::depthwise_conv3d_input_grad", mutates_args=())
def input_grad(grad: Tensor, weight: Tensor, map: Sequence[int], stride: Sequence[int]) -> Tensor:
    """Input gradient of the convolution: (N, C, T', H', W'), (C, 1, kT, kH, kW), (T, H, W) -> (N, C, T, H, W)"""
    grad = checked(grad)
    shapes = Shapes(*grad.shape[:2], tuple(map), tuple(weight.shape[2:]), tuple(stride), grad.dtype)
    x_grad = empty(grad, *grad.shape[:2], *map)
    launch = shapes.input_grad()
    with on_device(grad):
        taps = by_tap(weight, grad.dtype)
        input_grad_kernel[(launch.programs,)](grad, taps, x_grad, **launch.arguments, num_warps=launch.num_warps)
    return x_grad


@input_grad.register_fake
def _(grad: Tensor, weight: Tensor, map: Sequence[int], stride: Sequence[int]) -> Tensor:
    return empty(grad, *grad.shape[:2], *map)


@torch.library.custom_op("fragrant::depthwise_conv3d_filter_grad", mutates_args=())
def filter_grad(grad: Tensor, x: Tensor, size: Sequence[int], stride: Sequence[int]) -> Tensor:
    """Gradients of the taps and, in the last row, the bias: (N, C, T', H', W'), (N, C, T, H, W) -> (kT*kH*kW + 1, C),
    float32."""
    grad, x = checked(grad), checked(x)
    launch, parts = shapes_of(x, size, stride).filter_grad()
    sums = x.new_empty(parts, size[0] * size[1] * size[2] + 1, x.shape[1], dtype=torch.float32)
    with on_device(x):
        filter_grad_kernel[(launch.programs,)](grad, x, sums, **launch.arguments, num_warps=launch.num_warps)
    return sums.sum(0)


@filter_grad.register_fake
def _(grad: Tensor, x: Tensor, size: Sequence[int], stride: Sequence[int]) -> Tensor:
    return x.new_empty(size[0] * size[1] * size[2] + 1, x.shape[1], dtype=torch.float32)


def keep_for_backward(ctx, inputs: tuple, output: Tensor) -> None:
    x, weight, bias, ctx.stride = inputs
    ctx.save_for_backward(x, weight)
    ctx.bias_dtype = None if bias is None else bias.dtype


def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
    x, weight = ctx.saved_tensors
    needs_x, needs_weight, needs_bias, _ = ctx.needs_input_grad
    x_grad = input_grad(grad, weight, x.shape[2:], ctx.stride) if needs_x else None
    weight_grad = bias_grad = None
    if needs_weight or needs_bias:
        sums = filter_grad(grad, x, weight.shape[2:], ctx.stride)
        weight_grad = sums[:-1].t().reshape(weight.shape).to(weight.dtype) if needs_weight else None
        bias_grad = sums[-1].to(ctx.bias_dtype) if needs_bias else None
    return x_grad, weight_grad, bias_grad, None


depthwise_conv3d.register_autograd(backward, setup_context=keep_for_backward)


def checked(x: Tensor) -> Tensor:
    """Checks x for the kernels, and returns it in channels_last_3d.

    Raises:
        KernelError: a number format that the kernels do not have, or more numbers than their 32-bit indices reach.
    """
    if x.dtype not in TRITON_DTYPES:
        known = ", ".join(str(dtype).removeprefix("torch.") for dtype in TRITON_DTYPES)
        raise KernelError(f"the Triton kernels compute in {known}; got {x.dtype}; use the implementation 'torch'")
    if x.numel() >= 2**31:
        raise KernelError(
            f"the Triton kernels take fewer than 2^31 numbers; got {tuple(x.shape)}; use the implementation 'torch'"
        )
    return x.contiguous(memory_format=torch.channels_last_3d)


def by_tap(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Weights with one row per tap: (C, 1, kT, kH, kW) -> (kT*kH*kW, C)"""
    return weight.reshape(len(weight), -1).t().to(dtype).contiguous()


def empty(like: Tensor, *shape: int) -> Tensor:
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last_3d)


def on_device(x: Tensor):
    return torch.cuda.device(x.device if x.device.type == "cuda" else -1)  # -1: no change


# (C, (T, H, W), kernel, stride, bias) of the shipped networks on clips of 224 pixels
NETWORK_LAYERS = [
    (64, (8, 56, 56), (3, 3, 3), (1, 1, 1), True),  # UniFormer
    (64, (8, 56, 56), (5, 5, 5), (1, 1, 1), True),
    (128, (8, 28, 28), (3, 3, 3), (1, 1, 1), True),
    (128, (8, 28, 28), (5, 5, 5), (1, 1, 1), True),
    (320, (8, 14, 14), (3, 3, 3), (1, 1, 1), True),
    (512, (8, 7, 7), (3, 3, 3), (1, 1, 1), True),
    (128, (32, 56, 56), (3, 3, 3), (2, 2, 2), False),  # CSN
    (512, (8, 14, 14), (3, 3, 3), (2, 2, 2), False),
]


def variants() -> list[Variant]:
    """Variants of the kernels for one clip of every layer of the networks, in bfloat16, as in training, and in float32,
    as in tests; of two layers also in float16."""
    return [
        variant
        for layer, (channels, map, size, stride, has_bias) in enumerate(NETWORK_LAYERS)
        for dtype in (torch.bfloat16, torch.float32, *((torch.float16,) if layer < 2 else ()))
        for variant in layer_variants(
            Shapes(1, channels, map, size, stride, dtype),
            has_bias,
            quick=dtype == torch.bfloat16 and layer in (0, 1, 6),
        )
    ]


def layer_variants(shapes: Shapes, has_bias: bool, *, quick: bool = False) -> list[Variant]:
    """Variants of one layer: forward and both gradients."""
    pointer = {torch.bfloat16: "*bf16", torch.float16: "*fp16", torch.float32: "*fp32"}[shapes.dtype]
    inputs, outputs = (
        torch.Size((shapes.clips, shapes.channels, *sizes)).numel() for sizes in (shapes.map, shapes.out)
    )
    found = []
    for kernel, launch in (
        (forward_kernel, shapes.forward(has_bias)),
        (input_grad_kernel, shapes.input_grad()),
        (filter_grad_kernel, shapes.filter_grad()[0]),
    ):
        tensors = {name: pointer for name in kernel.arg_names if name not in launch.arguments}
        arguments = tensors | ({"sums": "*fp32"} if "sums" in tensors else {}) | launch.arguments
        name = (
            f"depthwise {kernel.__name__.removesuffix('_kernel')} {shapes.size} {shapes.map}x{shapes.channels} "
            f"{pointer[1:]}"
        )
        bytes_moved = (inputs + outputs) * shapes.dtype.itemsize
        found.append(Variant(name, kernel, arguments, num_warps=launch.num_warps, bytes_moved=bytes_moved, quick=quick))
    return found
