"""Tiles cover a map once, and are chosen to cost little."""

import pytest
import torch

from fragrant.kernels.tile_grid import TileBlock, best_tile, split_evenly, tile_blocks


@pytest.mark.parametrize(
    "length, part, expected",
    [
        (28, 7, [(0, 4, 7)]),
        (28, 8, [(0, 4, 7)]),
        (14, 4, [(0, 3, 4), (12, 1, 2)]),
        (7, 8, [(0, 1, 7)]),
        (1, 4, [(0, 1, 1)]),
        (9, 4, [(0, 3, 3)]),
        (10, 4, [(0, 2, 4), (8, 1, 2)]),
    ],
)
def test_split_evenly(length, part, expected):
    assert split_evenly(length, part) == expected


@pytest.mark.parametrize("rows_at_once", [1, 2, 100])
@pytest.mark.parametrize("tile", [(1, 1), (3, 4), (4, 3), (8, 8)])
@pytest.mark.parametrize("height, width", [(1, 1), (7, 7), (9, 11), (17, 30)])
def test_blocks_cover_the_map_once(height, width, tile, rows_at_once):
    covered = torch.zeros(2, 3, height, width, 5)
    for block in tile_blocks(height, width, tile, rows_at_once):
        assert block.tiles_y <= rows_at_once and block.height <= tile[0] and block.width <= tile[1]
        block.cut(covered).add_(1)
    assert (covered == 1).all()


def test_cut_and_its_windows():
    """Tile (1, 2) of 2 x 3 positions with its window of 4 x 5 pixels, in the map padded by one."""
    x = torch.arange(2 * 3 * 8 * 12).view(2, 3, 8, 12, 1)
    block = TileBlock(top=2, left=3, tiles_y=2, tiles_x=3, height=2, width=3)
    assert torch.equal(block.cut(x)[1, 0, 1, 2], x[0, 1, 4:6, 9:12])
    padded = torch.nn.functional.pad(x, (0, 0, 1, 1, 1, 1))
    windows = block.cut_windows(padded, 4, 5)
    assert windows.shape == (3, 2, 2, 3, 4, 5, 1)
    assert torch.equal(windows[1, 0, 1, 2], padded[0, 1, 4:8, 9:14])
    assert windows.data_ptr() == padded[:, :, 2:, 3:].data_ptr()


@pytest.mark.parametrize(
    "height, width, heads, tile", [(28, 28, 1, (4, 7)), (14, 14, 1, (7, 7)), (7, 7, 1, (7, 7)), (28, 28, 8, (2, 4))]
)
def test_best_tile(height, width, heads, tile):
    assert best_tile(height, width, heads, 7, 7) == tile


def test_one_pixel_needs_one_tile():
    assert list(tile_blocks(1, 1, best_tile(1, 1, 4, 3, 3), 9)) == [TileBlock(0, 0, 1, 1, 1, 1)]
