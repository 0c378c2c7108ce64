"""How the depthwise kernels of ``depthwise_triton.py`` are started: tiles, numbers of programs, arguments."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

Size = tuple[int, int, int]

GROUPS = (7, 8, 4)  # outputs of a row that a thread holds; maps of 224-pixel clips are multiples of 7
FILTER_GROUPS = (4,)  # of a filter gradient, beside the sums of up to 25 taps in registers
PROGRAMS = 1600  # of a filter gradient, at most: about four rounds on the largest GPUs
CACHE_COST = 10  # of one input number of a tile fetched from the L2 cache, in multiply-adds
THREE_PROGRAMS, FOUR_PROGRAMS = (
    168,
    128,
)  # registers of a thread, where so many programs of 4 warps share a multiprocessor

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
    (256, (8, 14, 14), (3, 3, 3), (1, 1, 1), False),
]


def cdiv(a: int, b: int) -> int:
    """a / b, rounded up."""
    return -(-a // b)


class Tile(NamedTuple):
    """What a program computes of a frame: ``rows x groups`` places of ``group`` columns each."""

    group: int
    groups: int
    rows: int

    @property
    def positions(self) -> int:
        return self.rows * self.groups

    def count(self, height: int, width: int) -> int:
        return cdiv(height, self.rows) * cdiv(width, self.groups * self.group)

    def work(self, height: int, width: int, size: Size, stride: Size) -> int:
        """What a frame costs, in multiply-adds: the filter's, two for each load, and what comes from the L2 cache."""
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
    """How a kernel is started; ``arguments`` are all but its tensors, by name."""

    programs: int
    options: dict[str, int | None]  # num_warps; maxnreg: ptxas, left alone, aims at fewer registers and spills a few
    arguments: dict[str, Any]


def options_of(tile: Tile) -> dict[str, int | None]:
    """Of a forward pass or an input gradient: 4 positions to a warp."""
    return {"num_warps": tile.positions // 4, "maxnreg": THREE_PROGRAMS}


class Shapes(NamedTuple):
    """Of one convolution: x (N, C, T, H, W), kernel size, stride."""

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
        """Channels of a program: 128 bytes."""
        return min(128 // self.dtype.itemsize, 1 << (self.channels - 1).bit_length())

    def _arguments(self, tile: Tile) -> dict[str, Any]:
        lengths = zip(
            ("T", "H", "W", "C", "T_OUT", "H_OUT", "W_OUT"), (*self.map, self.channels, *self.out), strict=True
        )
        filters = zip(("KT", "KH", "KW", "ST", "SH", "SW"), (*self.size, *self.stride), strict=True)
        tiles = {"groups": tile.groups, "GROUP": tile.group, "POSITIONS": tile.positions}
        return dict([*lengths, *filters]) | tiles | {"CHANNELS": self.block}

    def forward(self, has_bias: bool) -> Launch:
        tile = best_tile(*self.out[1:], self.size, self.stride, (16, 8), GROUPS)
        programs = self.clips * self.out[0] * tile.count(*self.out[1:]) * cdiv(self.channels, self.block)
        return Launch(programs, options_of(tile), self._arguments(tile) | {"HAS_BIAS": has_bias})

    def input_grad(self) -> Launch:
        (frames, height, width), (_, step, step_x) = self.map, self.stride
        groups = tuple(group for group in (*GROUPS, step_x) if group % step_x == 0)
        tile = best_tile(cdiv(height, step), width, self.size, (1, 1, 1), (16, 8), groups)
        tiles = step * tile.count(cdiv(height, step), width)
        programs = self.clips * frames * tiles * cdiv(self.channels, self.block)
        return Launch(programs, options_of(tile), self._arguments(tile))

    def filter_grad(self) -> tuple[Launch, int]:
        """And the number of parts that the positions are summed in."""
        tap_rows = self.size[1] if self.size[1] * self.size[2] <= (25 if self.dtype.itemsize == 2 else 9) else 1
        positions = 8 if self.dtype.itemsize == 2 else 16  # 4 channels to a thread
        tile = best_tile(*self.out[1:], self.size, self.stride, (positions,), FILTER_GROUPS)
        tiles = self.clips * self.out[0] * tile.count(*self.out[1:])
        programs = cdiv(self.channels, self.block) * self.size[0] * (self.size[1] // tap_rows)  # for each part
        parts = max(1, min(tiles, PROGRAMS // programs))
        parts = cdiv(tiles, cdiv(tiles, parts))  # all of one length
        arguments = self._arguments(tile) | {"clips": self.clips, "parts": parts, "TAP_ROWS": tap_rows}
        few = self.dtype.itemsize == 2 and tap_rows * self.size[2] <= 9
        options = {"num_warps": 4, "maxnreg": FOUR_PROGRAMS if few else None}
        return Launch(programs * parts, options, arguments), parts


def shapes_of(x: Tensor, size: Sequence[int], stride: Sequence[int]) -> Shapes:
    return Shapes(*x.shape[:2], tuple(x.shape[2:]), tuple(size), tuple(stride), x.dtype)
