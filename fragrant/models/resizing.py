"""Stored tensors made for other clips: position embeddings, tables of position biases and temporal filters brought to
another length or size; tensors in, tensors out."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

Grid = tuple[int, int, int]  # frames, rows, columns
LONGEST_WINDOW = 1024  # tokens along an axis: a table of more is something else, and would be filled up to gigabytes


class ClipSize(NamedTuple):
    """The clips that weights were trained on: frames, and the side of a crop in pixels."""

    frames: int
    side: int


# ----------------------------------------------------------------------------------------------------------- along time
def shares(found: int, wanted: int) -> Tensor:
    """How much of each of ``found`` equal spans of time lies in each of ``wanted`` ones, (wanted, found); every column
    sums to 1."""
    old, new = (torch.arange(count + 1, dtype=torch.float64) / count for count in (found, wanted))
    first = torch.maximum(new[:-1, None], old[:-1])
    last = torch.minimum(new[1:, None], old[1:])
    return (last - first).clamp(min=0) * found


def spread(values: Tensor, dim: int, wanted: int) -> Tensor:
    """Resamples filters along an axis of time so that their sum there stays: the answer to a clip that stands still is
    the same. One frame is shared equally by ``wanted``, several are added up where one remains."""
    found = values.shape[dim]
    if found == 1:
        return values.repeat_interleave(wanted, dim) / wanted
    moved = values.movedim(dim, -1).double() @ shares(found, wanted).T
    return moved.to(values.dtype).movedim(-1, dim)


def centred(filters: Tensor, dim: int, wanted: int) -> Tensor:
    """Filters of another length along an axis of time with their middle in the middle: zeros around, or what has no
    room added to the outermost that has, so that the sum stays."""
    found = filters.shape[dim]
    filters = filters.movedim(dim, 0)
    result = filters.new_zeros(wanted, *filters.shape[1:])
    places = (torch.arange(found) - found // 2 + wanted // 2).clamp(0, wanted - 1)
    return result.index_add(0, places.to(filters.device), filters).movedim(0, dim)


# -------------------------------------------------------------------------------------------------- position embeddings
def resize_positions(positions: Tensor, found: Grid, wanted: Grid) -> Tensor:
    """Learned positions of the tokens of a grid resized to another (trilinear), (1, L, D) -> (1, L', D)."""
    volume = positions.transpose(1, 2).unflatten(2, found)  # (1, D, T', H', W')
    resized = F.interpolate(volume.float(), size=wanted, mode="trilinear", align_corners=False)
    return resized.to(positions.dtype).flatten(2).transpose(1, 2)


def grid_of_positions(rows: int, *, like: Grid | None, still: bool) -> tuple[Grid, int] | None:
    """The grid that stored positions belong to, and how many rows of other tokens stand before them; None where it
    cannot be told.

    Args:
        rows: of the file.
        like: the grid of the clips that the file was trained on, where the file says it.
        still: they are those of a network for images.
    """
    if like is not None and math.prod(like) == rows:
        return like, 0
    if still:
        for before in (0, 1):  # a class token
            side = math.isqrt(max(rows - before, 0))
            if side and side * side == rows - before:
                return (1, side, side), before
        return None
    squares = [(rows // side**2, side, side) for side in range(2, math.isqrt(rows) + 1) if rows % side**2 == 0]
    return (squares[0], 0) if len(squares) == 1 else None


# ----------------------------------------------------------------------------------------------------- tables of biases
def resize_table(table: Tensor, found: Grid, wanted: Grid) -> Tensor:
    """Position biases of a window resized to another window, (rows, heads) -> (rows', heads): bicubic in space, as
    published, then linear in time; a table of one frame is the same for every distance in time.

    Args:
        found, wanted: frames, rows and columns of the two windows; a window of n has 2 n - 1 distances.
    """
    (old_time, *old), (time, *new) = ([2 * size - 1 for size in window] for window in (found, wanted))
    volume = table.float().T.reshape(-1, old_time, *old).transpose(0, 1)  # (time, heads, rows, columns)
    if old != new:
        volume = F.interpolate(volume, size=new, mode="bicubic", align_corners=False)
    if old_time == 1:
        volume = volume.expand(time, -1, -1, -1)
    elif old_time != time:
        lines = volume.flatten(1).T.unsqueeze(0)  # (1, heads * rows * columns, time)
        volume = F.interpolate(lines, size=time, mode="linear", align_corners=False)[0].T.unflatten(1, (-1, *new))
    return volume.transpose(0, 1).flatten(1).T.to(table.dtype)


def resize_rows(table: Tensor, wanted: int) -> Tensor:
    """A table with a row for every distance along one axis, (rows, D) -> (wanted, D), linear."""
    lines = F.interpolate(table.float().T.unsqueeze(0), size=wanted, mode="linear", align_corners=False)
    return lines[0].T.to(table.dtype)


def window_of_table(rows: int, *, places: int | None, like: Grid, still: bool) -> Grid | None:
    """The window that a stored table of position biases belongs to; None where it cannot be told.

    Args:
        rows: of the table.
        places: places of the window, where the file says them.
        like: the window of the network; of several that fit, one with its rows and columns, else with its frames.
        still: the table of a network for images.
    """
    fitting: list[Grid] = []
    sides = range(1, min(math.isqrt(rows) // 2 + 2, LONGEST_WINDOW + 1))
    for height, width in dict.fromkeys([like[1:], *((side, side) for side in sides)]):
        times, left = divmod(rows, (2 * height - 1) * (2 * width - 1))
        time = (times + 1) // 2
        fits = not left and times % 2 and places in (None, time * height * width) and (time == 1 or not still)
        fits = fits and time <= LONGEST_WINDOW
        fitting += [(time, height, width)] if fits else []
    same_size, same_time = ([one for one in fitting if one[part] == like[part]] for part in (slice(1, 3), slice(1)))
    return next((windows[0] for windows in (same_size, same_time, fitting) if len(windows) == 1), None)


def is_longer_filter(found: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether two shapes are those of filters (O, I, T, H, W) that differ in T alone."""
    return len(found) == len(wanted) == 5 and [*found[:2], *found[3:]] == [*wanted[:2], *wanted[3:]]
