"""Cuts a map into tiles, so that sums over a sliding window become few and dense matrix products."""

import functools
from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor

# What a window pixel costs beside its products, in rows of a product: copying it, reading it, starting the product.
PIXEL_OVERHEAD = 25
BLOCK_OVERHEAD = 0.1  # of the whole work, for every block of tiles of another size
LARGEST_TILE = 8


class TileBlock(NamedTuple):
    """A block of ``tiles_y x tiles_x`` equal tiles of ``height x width`` positions, the first one at (top, left)."""

    top: int
    left: int
    tiles_y: int
    tiles_x: int
    height: int
    width: int

    def cut(self, x: Tensor) -> Tensor:
        """Cuts a map into the block's tiles, a view: (N, T, H, W, ...) -> (T, N, tiles_y, tiles_x, height, width,
        ...)"""
        x = x[:, :, self.top : self.top + self.tiles_y * self.height, self.left : self.left + self.tiles_x * self.width]
        x = x.unflatten(3, (self.tiles_x, self.width)).unflatten(2, (self.tiles_y, self.height))
        return x.movedim((1, 0, 2, 4), (0, 1, 2, 3))

    def cut_windows(self, padded: Tensor, window_height: int, window_width: int) -> Tensor:
        """Cuts the windows that the tiles see, an overlapping view: (N, T, Hp, Wp, U) -> (T, N, tiles_y, tiles_x,
        window_height, window_width, U)"""
        bottom = self.top + (self.tiles_y - 1) * self.height + window_height
        right = self.left + (self.tiles_x - 1) * self.width + window_width
        windows = padded[:, :, self.top : bottom, self.left : right]
        # (N, T, ty, tx, U, wh, ww)
        windows = windows.unfold(2, window_height, self.height).unfold(3, window_width, self.width)
        return windows.permute(1, 0, 2, 3, 5, 6, 4)


def split_evenly(length: int, part: int) -> list[tuple[int, int, int]]:
    """Splits a length into the fewest parts of at most ``part``, equal ones, then the shorter rest: [(start, count,
    size)]."""
    size = -(-length // -(-length // part))
    whole = length // size
    rest = length - whole * size
    return [(0, whole, size)] + ([(whole * size, 1, rest)] if rest else [])


def tile_blocks(height: int, width: int, tile: tuple[int, int], rows_at_once: int) -> Iterator[TileBlock]:
    """Blocks that cover a map of ``height x width``; at most ``rows_at_once`` rows of tiles to a block."""
    for top, tiles_y, tile_height in split_evenly(height, tile[0]):
        for left, tiles_x, tile_width in split_evenly(width, tile[1]):
            for first in range(0, tiles_y, rows_at_once):
                rows = min(rows_at_once, tiles_y - first)
                yield TileBlock(top + first * tile_height, left, rows, tiles_x, tile_height, tile_width)


@functools.lru_cache(maxsize=256)
def best_tile(height: int, width: int, heads: int, kernel_height: int, kernel_width: int) -> tuple[int, int]:
    """The tile (height, width) with the least work: window pixels times (outputs of the tile + overhead), over the
    whole map."""

    def block_work(b: TileBlock) -> int:
        window = (b.height + kernel_height - 1) * (b.width + kernel_width - 1)
        return b.tiles_y * b.tiles_x * window * (heads * b.height * b.width + PIXEL_OVERHEAD)

    def work(tile: tuple[int, int]) -> float:
        blocks = list(tile_blocks(height, width, tile, height))
        return sum(map(block_work, blocks)) * (1 + BLOCK_OVERHEAD * (len(blocks) - 1))

    sizes = range(1, LARGEST_TILE + 1)
    return min(((h, w) for h in sizes for w in sizes), key=work)
