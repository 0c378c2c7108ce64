"""The three sums over kernel taps as Triton kernels for CUDA: arguments and results of ``taps_torch.py``, no buffers.

One program computes the R = HEADS * ROWS * COLUMNS outputs of a tile. All of them see the same window, so every sum is
a product with a banded matrix: tap (dy, dx) of the output at (y, x) stands in the column of window pixel (y + dy, x +
dx), the rest of the matrix is zero. It is put together in registers and multiplied on tensor cores; float32 in three
TF32 products, which keeps float32 accuracy. Sums are float32.

The functions are custom operators, so that torch.compile takes each as it is. Import this module only where Triton is
installed; ``taps.py`` does.
"""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from fragrant.kernels.taps import TRITON_DTYPES, KernelError
from fragrant.kernels.variants import Variant

OUTPUTS = 64  # of a tile
TILE_WIDTH = 8
MOST_WINDOW_PIXELS = (
    128  # of a correlation: columns of a product that fits the registers without spilling; float32: half
)
SMALLEST_SIDE = 16  # of a product on tensor cores


@triton.jit
def tile_at(program, H, W, heads, HEADS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Place of a tile: frame (over all clips), first row and column, and first head."""
    tiles_x = tl.cdiv(W, COLUMNS)
    tiles_y = tl.cdiv(H, ROWS)
    head_blocks = tl.cdiv(heads, HEADS)
    x0 = program % tiles_x * COLUMNS
    y0 = program // tiles_x % tiles_y * ROWS
    head0 = program // (tiles_x * tiles_y) % head_blocks * HEADS
    frame = program // (tiles_x * tiles_y * head_blocks)
    return frame, y0, x0, head0


@triton.jit
def in_map(x, y, t, W, H, T):
    """Whether each pixel lies in the map: columns x (a vector), rows y and frames t (vectors or numbers)."""
    y, t = y + 0 * x, t + 0 * x  # the interpreter combines vectors of booleans only with vectors
    return (x >= 0) & (x < W) & (y >= 0) & (y < H) & (t >= 0) & (t < T)


@triton.jit
def apply_kernel(
    kernels, v, y, T, H, W, U, heads, KT: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr, HEADS: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, WINDOW: tl.constexpr, CHANNELS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Applies kernels, y[n, h, u] = sum_m kernels[n, h, m] * v[n + m, u], for one tile and CHANNELS channels; WINDOW
    pixels of a window row at a time."""
    frame, y0, x0, head0 = tile_at(tl.program_id(0), H, W, heads, HEADS, ROWS, COLUMNS)
    t = frame % T
    r = tl.arange(0, HEADS * ROWS * COLUMNS)
    column, row, head = r % COLUMNS, r // COLUMNS % ROWS, head0 + r // (COLUMNS * ROWS)
    is_output = (x0 + column < W) & (y0 + row < H) & (head < heads)
    output = ((frame * H + y0 + row) * W + x0 + column) * heads + head
    pixel = tl.arange(0, WINDOW)
    window_x = x0 + pixel - KW // 2
    dx = pixel[None, :] - column[:, None]
    is_tap_x = (dx >= 0) & (dx < KW)
    u = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    total = tl.zeros((HEADS * ROWS * COLUMNS, CHANNELS), dtype=tl.float32)
    for dt in range(KT):
        for window_row in range(ROWS + KH - 1):
            window_y = y0 + window_row - KH // 2
            dy = window_row - row
            is_tap = is_output & (dy >= 0) & (dy < KH)
            first_tap = output * (KT * KH * KW) + (dt * KH + dy) * KW
            banded = tl.load(kernels + first_tap[:, None] + dx, mask=is_tap[:, None] & is_tap_x, other=0.0)
            inside = in_map(window_x, window_y, t + dt - KT // 2, W, H, T)
            source = ((frame + dt - KT // 2) * H + window_y) * W + window_x
            values = tl.load(v + source[:, None] * U + u[None, :], mask=inside[:, None] & (u < U)[None, :], other=0.0)
            total = tl.dot(banded, values, total, input_precision=PRECISION)
    tl.store(
        y + output[:, None] * U + u[None, :], total.to(y.dtype.element_ty), mask=is_output[:, None] & (u < U)[None, :]
    )


@triton.jit
def scatter_kernel(
    kernels, y, v, T, H, W, U, heads, KT: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr, ROWS: tl.constexpr,
    COLUMNS: tl.constexpr, WINDOW: tl.constexpr, CHANNELS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Applies transposed kernels, v[n, u] = sum_{h, m} kernels[n - m, h, m] * y[n - m, h, u], for one tile and CHANNELS
    channels.

    The window holds the positions that the sum comes from; tap (dy, dx) leads from there to the output."""
    frame, y0, x0, _ = tile_at(tl.program_id(0), H, W, 1, 1, ROWS, COLUMNS)
    t = frame % T
    r = tl.arange(0, ROWS * COLUMNS)
    column, row = r % COLUMNS, r // COLUMNS
    is_output = (x0 + column < W) & (y0 + row < H)
    output = (frame * H + y0 + row) * W + x0 + column
    pixel = tl.arange(0, WINDOW)
    window_x = x0 + pixel - KW // 2
    dx = column[:, None] - pixel[None, :] + KW - 1
    is_tap_x = (dx >= 0) & (dx < KW)
    u = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    total = tl.zeros((ROWS * COLUMNS, CHANNELS), dtype=tl.float32)
    for dt in range(KT):
        for window_row in range(ROWS + KH - 1):
            window_y = y0 + window_row - KH // 2
            inside = in_map(window_x, window_y, t - dt + KT // 2, W, H, T)
            dy = row - window_row + KH - 1
            is_tap = (is_output & (dy >= 0) & (dy < KH))[:, None] & is_tap_x & inside[None, :]
            source = ((frame - dt + KT // 2) * H + window_y) * W + window_x
            tap = ((dt * KH + dy) * KW)[:, None] + dx
            for head in range(heads):
                place = (source * heads + head)[None, :]
                banded = tl.load(kernels + place * (KT * KH * KW) + tap, mask=is_tap, other=0.0)
                place = (source * heads + head)[:, None]
                values = tl.load(y + place * U + u[None, :], mask=inside[:, None] & (u < U)[None, :], other=0.0)
                total = tl.dot(banded, values, total, input_precision=PRECISION)
    tl.store(
        v + output[:, None] * U + u[None, :], total.to(v.dtype.element_ty), mask=is_output[:, None] & (u < U)[None, :]
    )


@triton.jit
def correlate_kernel(
    y, v, s, T, H, W, U, heads, KT: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr, HEADS: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, WINDOW: tl.constexpr, WINDOW_ROWS: tl.constexpr, CHANNELS: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Correlates y with v, s[n, h, m] = sum_u y[n, h, u] * v[n + m, u], for one tile, one dt and WINDOW_ROWS rows of
    the window."""
    frame, y0, x0, head0 = tile_at(tl.program_id(0), H, W, heads, HEADS, ROWS, COLUMNS)
    row_blocks = tl.cdiv(ROWS + KH - 1, WINDOW_ROWS)
    dt = tl.program_id(1) // row_blocks
    t = frame % T + dt - KT // 2
    r = tl.arange(0, HEADS * ROWS * COLUMNS)
    column, row, head = r % COLUMNS, r // COLUMNS % ROWS, head0 + r // (COLUMNS * ROWS)
    is_output = (x0 + column < W) & (y0 + row < H) & (head < heads)
    output = ((frame * H + y0 + row) * W + x0 + column) * heads + head
    pixel = tl.arange(0, WINDOW * WINDOW_ROWS)
    window_column = pixel % WINDOW
    window_row = tl.program_id(1) % row_blocks * WINDOW_ROWS + pixel // WINDOW
    window_x, window_y = x0 + window_column - KW // 2, y0 + window_row - KH // 2
    inside = in_map(window_x, window_y, t, W, H, T)
    source = ((frame + dt - KT // 2) * H + window_y) * W + window_x
    products = tl.zeros((HEADS * ROWS * COLUMNS, WINDOW * WINDOW_ROWS), dtype=tl.float32)
    for first in range(0, U, CHANNELS):
        u = first + tl.arange(0, CHANNELS)
        left = tl.load(y + output[:, None] * U + u[None, :], mask=is_output[:, None] & (u < U)[None, :], other=0.0)
        right = tl.load(v + source[None, :] * U + u[:, None], mask=inside[None, :] & (u < U)[:, None], other=0.0)
        products = tl.dot(left, right, products, input_precision=PRECISION)
    dy, dx = window_row[None, :] - row[:, None], window_column[None, :] - column[:, None]
    is_tap = is_output[:, None] & (dy >= 0) & (dy < KH) & (dx >= 0) & (dx < KW)
    place = output[:, None] * (KT * KH * KW) + (dt * KH + dy) * KW + dx
    tl.store(s + place, products.to(s.dtype.element_ty), mask=is_tap)


class Tile(NamedTuple):
    """Sizes of the tile that a kernel is compiled for; powers of two, as tensor cores want them."""

    heads: int
    rows: int
    columns: int
    window: int  # columns of the window, rounded up

    @classmethod
    def for_heads(cls, heads: int, kernel_width: int) -> "Tile":
        """The tile of OUTPUTS outputs for a number of heads; heads share the window, so that many heads make a tile of
        few rows."""
        heads = min(triton.next_power_of_2(heads), OUTPUTS // TILE_WIDTH)
        window = max(SMALLEST_SIDE, triton.next_power_of_2(TILE_WIDTH + kernel_width - 1))
        return cls(heads, OUTPUTS // (TILE_WIDTH * heads), TILE_WIDTH, window)

    def count(self, frames: int, height: int, width: int, heads: int) -> int:
        return (
            frames * triton.cdiv(height, self.rows) * triton.cdiv(width, self.columns) * triton.cdiv(heads, self.heads)
        )

    def window_rows(self, kernel_height: int, most_pixels: int) -> int:
        """Number of rows of the window that a correlation computes at once."""
        return min(triton.next_power_of_2(self.rows + kernel_height - 1), max(1, most_pixels // self.window))


class Shapes(NamedTuple):
    """Sizes of one call, y (N, T, H, W, h, U) and the kernel size (kT, kH, kW). Each method returns a kernel's grid,
    and its arguments by name.

    ``precision``: how float32 products are computed."""

    y: tuple[int, ...]
    size: tuple[int, ...]
    dtype: torch.dtype
    precision: str

    def apply(self) -> tuple[tuple[int, int], dict[str, Any]]:
        n, t, h, w, heads, u = self.y
        tile, channels = Tile.for_heads(heads, self.size[2]), channel_block(u)
        return (tile.count(n * t, h, w, heads), triton.cdiv(u, channels)), self._arguments(tile, channels)

    def correlate(self) -> tuple[tuple[int, int], dict[str, Any]]:
        n, t, h, w, heads, u = self.y
        tile = Tile.for_heads(heads, self.size[2])
        wide = self.dtype == torch.float32
        window_rows = tile.window_rows(self.size[1], MOST_WINDOW_PIXELS // 2 if wide else MOST_WINDOW_PIXELS)
        arguments = self._arguments(tile, min(16 if wide else 32, channel_block(u)))
        grid = (tile.count(n * t, h, w, heads), self.size[0] * triton.cdiv(tile.rows + self.size[1] - 1, window_rows))
        return grid, arguments | {"WINDOW_ROWS": window_rows}

    def scatter(self) -> tuple[tuple[int, int], dict[str, Any]]:
        n, t, h, w, _, u = self.y
        tile = Tile.for_heads(1, self.size[2])
        wide = self.dtype == torch.float32
        channels = min(64 if wide else 128, channel_block(u))  # 128 of float32 spill, as 64 in three stages do
        arguments = self._arguments(tile, channels) | ({"num_stages": 2} if wide else {})
        del arguments["HEADS"]
        return (tile.count(n * t, h, w, 1), triton.cdiv(u, channels)), arguments

    def _arguments(self, tile: Tile, channels: int) -> dict[str, Any]:
        lengths = zip(("T", "H", "W", "heads", "U"), self.y[1:], strict=True)
        filters = zip(("KT", "KH", "KW"), self.size, strict=True)
        tiles = zip(("HEADS", "ROWS", "COLUMNS", "WINDOW"), tile, strict=True)
        return dict([*lengths, *filters, *tiles]) | {"CHANNELS": channels, "PRECISION": self.precision}


def shapes_of(y_shape: Sequence[int], size: Sequence[int], like: Tensor) -> Shapes:
    return Shapes(tuple(y_shape), tuple(size), like.dtype, precision(like))


@torch.library.custom_op("fragrant::apply_taps", mutates_args=())
def apply_taps(kernels: Tensor, v: Tensor, size: Sequence[int]) -> Tensor:
    """Applies a kernel at every position: (N, T, H, W, h, M), (N, T, H, W, U) -> (N, T, H, W, h, U), see
    ``taps_torch.apply_taps``."""
    kernels, v = checked(kernels), checked(v)
    y = v.new_empty(*kernels.shape[:5], v.shape[-1])
    grid, arguments = shapes_of(y.shape, size, v).apply()
    with on_device(v):
        apply_kernel[grid](kernels, v, y, **arguments)
    return y


@apply_taps.register_fake
def _(kernels: Tensor, v: Tensor, size: Sequence[int]) -> Tensor:
    return v.new_empty(*kernels.shape[:5], v.shape[-1])


@torch.library.custom_op("fragrant::correlate_taps", mutates_args=())
def correlate_taps(y: Tensor, v: Tensor, size: Sequence[int]) -> Tensor:
    """Correlates y with v at every tap: (N, T, H, W, h, U), (N, T, H, W, U) -> (N, T, H, W, h, M), see
    ``taps_torch.correlate_taps``."""
    y, v = checked(y), checked(v)
    s = v.new_empty(*y.shape[:5], size[0] * size[1] * size[2])
    grid, arguments = shapes_of(y.shape, size, v).correlate()
    with on_device(v):
        correlate_kernel[grid](y, v, s, **arguments)
    return s


@correlate_taps.register_fake
def _(y: Tensor, v: Tensor, size: Sequence[int]) -> Tensor:
    return v.new_empty(*y.shape[:5], size[0] * size[1] * size[2])


@torch.library.custom_op("fragrant::scatter_taps", mutates_args=())
def scatter_taps(kernels: Tensor, y: Tensor, size: Sequence[int]) -> Tensor:
    """Applies transposed kernels: (N, T, H, W, h, M), (N, T, H, W, h, U) -> (N, T, H, W, U), see
    ``taps_torch.scatter_taps``."""
    kernels, y = checked(kernels), checked(y)
    v = y.new_empty(*y.shape[:4], y.shape[-1])
    grid, arguments = shapes_of(y.shape, size, v).scatter()
    with on_device(v):
        scatter_kernel[grid](kernels, y, v, **arguments)
    return v


@scatter_taps.register_fake
def _(kernels: Tensor, y: Tensor, size: Sequence[int]) -> Tensor:
    return y.new_empty(*y.shape[:4], y.shape[-1])


def checked(x: Tensor) -> Tensor:
    """Checks x for the kernels, and returns it contiguous.

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
    return x.contiguous()


def channel_block(channels: int) -> int:
    return min(128, max(SMALLEST_SIDE, triton.next_power_of_2(channels)))


def precision(x: Tensor) -> str:
    """Precision of float32 products: three TF32 products, or plain ones where the GPU has no TF32."""
    has_tf32 = (
        x.device.type == "cuda" and torch.version.hip is None and torch.cuda.get_device_capability(x.device) >= (8, 0)
    )
    return "tf32x3" if has_tf32 else "ieee"


def on_device(x: Tensor):
    return torch.cuda.device(x.device if x.device.type == "cuda" else -1)  # -1: no change


def variants() -> list[Variant]:
    """Variants of the kernels for RAM of FRAGRANT after stage 3 (8 heads of 40 channels), and with a single head."""
    found = []
    for (heads, channels), (dtype, pointer) in itertools.product(
        ((8, 40), (1, 128)), ((torch.bfloat16, "*bf16"), (torch.float32, "*fp32"))
    ):
        shapes = Shapes((1, 8, 14, 14, heads, channels), (3, 7, 7), dtype, "tf32x3")
        launches = {apply_kernel: shapes.apply, correlate_kernel: shapes.correlate, scatter_kernel: shapes.scatter}
        numbers = 8 * 14 * 14 * (heads * channels + channels + heads * 3 * 7 * 7)  # y, v and a kernel at every position
        for kernel, launch in launches.items():
            name = (
                f"ram {kernel.__name__.removesuffix('_kernel')} (3, 7, 7) (8, 14, 14)x{heads}x{channels} {pointer[1:]}"
            )
            arguments = dict.fromkeys(kernel.arg_names[:3], pointer) | launch()[1]
            stages = arguments.pop("num_stages", 3)
            quick = heads == 8 and dtype == torch.bfloat16 or kernel is scatter_kernel and dtype == torch.float32
            moved = numbers * dtype.itemsize
            found.append(Variant(name, kernel, arguments, num_stages=stages, bytes_moved=moved, quick=quick))
    return found
