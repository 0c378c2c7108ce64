"""The three sums over kernel taps in plain PyTorch: exact, on any device, as dense matrix products over small tiles of
the map.

A tile of ``R = height * width * h`` outputs sees, in each of the kT frames around it, a window of
``K = (height + kH - 1) * (width + kW - 1)`` pixels. The kernels of the tile, written into a zero matrix A (R, K) per
frame, turn the sum over taps into ``A @ window``. Where a tap lands in A is plain stride arithmetic, so A is filled and
read through one strided view, without an index. Most entries of A stay zero: for 7 x 7 taps a tile of 4 x 7 multiplies
2.7 times what is needed, at a speed that loops over taps do not come near.

Letters: N clips, T H W the map, h heads, M = kT*kH*kW taps, U channels of v, b tiles at work together.
No function here records a graph.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from fragrant.kernels.tile_grid import TileBlock, best_tile, tile_blocks

Size = tuple[int, int, int]

CPU_WORK_BYTES = 3 << 20  # buffers of the tiles at work together: what the caches near two cores hold
GPU_WORK_BYTES = 64 << 20


@torch.no_grad()
def apply_taps(kernels: Tensor, v: Tensor, size: Size) -> Tensor:
    """Applies a kernel at every position: ``y[n, h, u] = sum_m kernels[n, h, m] * v[n + m, u]``, v zero outside the
    map.

    (N, T, H, W, h, M), (N, T, H, W, U) -> (N, T, H, W, h, U)"""
    y = v.new_empty(*kernels.shape[:5], v.shape[-1])
    tiling = Tiling(y, size)
    for clips in tiling.clip_groups():
        padded = tiling.pad(v[clips])
        for block in tiling.blocks():
            kernel_matrix = tiling.kernel_matrix(block, kernels[clips])  # (kT, T*b, R, K)
            windows = tiling.windows(block, padded)  # (T+kT-1, b, K, U)
            out = torch.bmm(kernel_matrix[0], tiling.frames(windows, 0))  # (T*b, R, U)
            for dt in range(1, size[0]):
                out.baddbmm_(kernel_matrix[dt], tiling.frames(windows, dt))
            target = block.cut(y[clips])
            target.copy_(out.view(target.shape))
    return y


@torch.no_grad()
def correlate_taps(y: Tensor, v: Tensor, size: Size) -> Tensor:
    """Correlates y with v at every tap: ``s[n, h, m] = sum_u y[n, h, u] * v[n + m, u]``, v zero outside the map.

    (N, T, H, W, h, U), (N, T, H, W, U) -> (N, T, H, W, h, M)"""
    s = v.new_empty(*y.shape[:5], size[0] * size[1] * size[2])
    tiling = Tiling(y, size)
    for clips in tiling.clip_groups():
        padded = tiling.pad(v[clips])
        for block in tiling.blocks():
            rows = tiling.rows(block, y[clips])  # (T*b, R, U)
            windows = tiling.windows(block, padded)  # (T+kT-1, b, K, U)
            matrix = tiling.matrix(block, len(rows))  # (kT, T*b, R, K)
            for dt in range(size[0]):
                torch.bmm(rows, tiling.frames(windows, dt).mT, out=matrix[dt])
            tiling.cut_taps(block, s[clips]).copy_(tiling.taps_in_matrix(block, matrix))
    return s


@torch.no_grad()
def scatter_taps(kernels: Tensor, y: Tensor, size: Size) -> Tensor:
    """Applies the transpose of :func:`apply_taps`: ``v[n, u] = sum_{h, m} kernels[n - m, h, m] * y[n - m, h, u]`` over
    n - m inside the map.

    (N, T, H, W, h, M), (N, T, H, W, h, U) -> (N, T, H, W, U)"""
    v = y.new_empty(*y.shape[:4], y.shape[-1])
    tiling = Tiling(y, size)
    for clips in tiling.clip_groups():
        padded = tiling.pad(torch.zeros_like(v[clips]))
        for block in tiling.blocks():
            kernel_matrix = tiling.kernel_matrix(block, kernels[clips])  # (kT, T*b, R, K)
            rows = tiling.rows(block, y[clips])  # (T*b, R, U)
            windows = tiling.empty_windows(block, padded)  # (T+kT-1, b, K, U)
            for dt in range(size[0]):
                tiling.frames(windows, dt).baddbmm_(kernel_matrix[dt].mT, rows)
            tiling.add_windows(block, windows, padded)
        v[clips] = tiling.unpad(padded)
    return v


class Tiling:
    """Cuts the tensors of one call into blocks of tiles, and builds the matrices of a block.

    Args:
        y: (N, T, H, W, h, U), for its sizes, number format and device.
    """

    def __init__(self, y: Tensor, size: Size):
        self.num_clips, self.num_frames, self.map_height, self.map_width, self.heads, self.channels = y.shape
        self.size, self.like = size, y
        self.tile = best_tile(self.map_height, self.map_width, self.heads, *size[1:])
        self.kernel_matrices: dict[tuple, Tensor] = {}
        work_bytes = CPU_WORK_BYTES if y.device.type == "cpu" else GPU_WORK_BYTES
        tile_rows = max(1, work_bytes // (self._bytes_per_tile() * -(-self.map_width // self.tile[1])))
        tile_rows_per_clip = -(-self.map_height // self.tile[0])
        self.clips_at_once = max(1, tile_rows // tile_rows_per_clip)
        self.rows_at_once = min(tile_rows, tile_rows_per_clip)

    def _bytes_per_tile(self) -> int:
        window_height, window_width = self.window(self.tile)
        outputs, pixels = self.heads * self.tile[0] * self.tile[1], window_height * window_width
        matrix = self.size[0] * outputs * pixels
        return self.num_frames * (matrix + pixels * self.channels + outputs * self.channels) * self.like.element_size()

    def clip_groups(self) -> Iterator[slice]:
        for first in range(0, self.num_clips, self.clips_at_once):
            yield slice(first, min(first + self.clips_at_once, self.num_clips))

    def blocks(self) -> Iterator[TileBlock]:
        return tile_blocks(self.map_height, self.map_width, self.tile, self.rows_at_once)

    def window(self, tile: tuple[int, int]) -> tuple[int, int]:
        return tile[0] + self.size[1] - 1, tile[1] + self.size[2] - 1

    def pad(self, v: Tensor) -> Tensor:
        """Pads v with zeros on all sides: (n, T, H, W, U) -> (n, T + kT - 1, H + kH - 1, W + kW - 1, U)"""
        t, h, w = (k // 2 for k in self.size)
        return F.pad(v, (0, 0, w, w, h, h, t, t))

    def unpad(self, padded: Tensor) -> Tensor:
        t, h, w = (k // 2 for k in self.size)
        return padded[:, t : t + self.num_frames, h : h + self.map_height, w : w + self.map_width]

    def windows(self, block: TileBlock, padded: Tensor) -> Tensor:
        """Windows of a block's tiles: (n, T + kT - 1, .., .., U) -> (T + kT - 1, b, K, U)"""
        windows = block.cut_windows(padded, *self.window((block.height, block.width)))
        return windows.flatten(4, 5).flatten(1, 3)

    def empty_windows(self, block: TileBlock, padded: Tensor) -> Tensor:
        """Zeros in the shape of :meth:`windows`."""
        window_height, window_width = self.window((block.height, block.width))
        tiles = len(padded) * block.tiles_y * block.tiles_x
        return padded.new_zeros(padded.shape[1], tiles, window_height * window_width, padded.shape[-1])

    def add_windows(self, block: TileBlock, windows: Tensor, padded: Tensor) -> None:
        """The transpose of :meth:`windows`: adds every window to its place.

        Windows overlap, but their parts of at most the size of a tile, at the same offset, do not: one addition per
        offset.
        """
        window_height, window_width = self.window((block.height, block.width))
        shape = (
            padded.shape[1],
            len(padded),
            block.tiles_y,
            block.tiles_x,
            window_height,
            window_width,
            padded.shape[-1],
        )
        windows = windows.view(shape)
        for y in range(0, window_height, block.height):
            for x in range(0, window_width, block.width):
                part = windows[:, :, :, :, y : y + block.height, x : x + block.width]
                block._replace(top=block.top + y, left=block.left + x).cut_windows(padded, *part.shape[4:6]).add_(part)

    def frames(self, windows: Tensor, dt: int) -> Tensor:
        """Windows that each frame sees at frame offset ``dt``: (T + kT - 1, b, K, U) -> (T*b, K, U)"""
        return windows[dt : dt + self.num_frames].flatten(0, 1)

    def rows(self, block: TileBlock, y: Tensor) -> Tensor:
        """Outputs of a block's tiles as rows: (n, T, H, W, h, U) -> (T*b, R, U)"""
        return block.cut(y).reshape(-1, block.height * block.width * self.heads, self.channels)

    def matrix(self, block: TileBlock, batch: int) -> Tensor:
        """Zeros for the matrices of a block, (kT, T*b, R, K)."""
        window_height, window_width = self.window((block.height, block.width))
        return self.like.new_zeros(
            self.size[0], batch, block.height * block.width * self.heads, window_height * window_width
        )

    def kernel_matrix(self, block: TileBlock, kernels: Tensor) -> Tensor:
        """Matrices of a block with the kernels written in: (n, T, H, W, h, M) -> (kT, T*b, R, K); valid until the next
        call, which reuses the zeros between the taps."""
        batch = self.num_frames * len(kernels) * block.tiles_y * block.tiles_x
        key = (batch, block.height, block.width)
        if key not in self.kernel_matrices:
            self.kernel_matrices[key] = self.matrix(block, batch)
        matrix = self.kernel_matrices[key]
        taps = self.cut_taps(block, kernels)
        self.taps_in_matrix(block, matrix).copy_(taps)
        return matrix

    def cut_taps(self, block: TileBlock, kernels: Tensor) -> Tensor:
        """Taps of a block's tiles, a view: (n, T, H, W, h, M) -> (T, n, tiles_y, tiles_x, height, width, h, kT, kH,
        kW)"""
        return block.cut(kernels).unflatten(-1, self.size)

    def taps_in_matrix(self, block: TileBlock, matrix: Tensor) -> Tensor:
        """The taps' entries of a matrix (kT, T*b, R, K), a view shaped like :meth:`cut_taps`.

        The taps of a position begin at the window's pixel of the position: one row or column further, one pixel row or
        pixel further.
        """
        _, batch, outputs, pixels = matrix.shape
        window_width = block.width + self.size[2] - 1
        tiles = block.tiles_y * block.tiles_x
        clips = batch // (self.num_frames * tiles)
        per_tile = outputs * pixels
        per_head, per_tap_row = pixels, window_width
        per_column, per_row = self.heads * pixels + 1, block.width * self.heads * pixels + window_width
        shape = (
            self.num_frames,
            clips,
            block.tiles_y,
            block.tiles_x,
            block.height,
            block.width,
            self.heads,
            *self.size,
        )
        strides = (
            clips * tiles * per_tile,
            tiles * per_tile,
            block.tiles_x * per_tile,
            per_tile,
            per_row,
            per_column,
            per_head,
        )
        return matrix.as_strided(shape, (*strides, batch * per_tile, per_tap_row, 1))
