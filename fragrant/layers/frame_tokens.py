"""Tokens of frames, and the maps that their patches make: where they lie, and which of them are there."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class FrameGrid(NamedTuple):
    """Where the patches of a frame lie.

    Attributes:
        rows, columns: patches of a frame, down and across.
        visible: (N, P) int64, the places of the patches that are there, the same in all frames of a clip; None = all.
    """

    rows: int
    columns: int
    visible: Tensor | None = None

    def to_map(self, patches: Tensor) -> Tensor:
        """Lays out patches as a map, zeros where none is: (N, T, P, C) -> (N, C, T, H, W), channels last in memory."""
        if self.visible is not None:
            places = self.places(patches)
            empty = patches.new_zeros(*patches.shape[:2], self.rows * self.columns, patches.shape[3])
            patches = empty.scatter(2, places, patches)
        # to_channels_last's own format: what is not contiguous, such as patches beside class tokens, is copied once
        return patches.contiguous().unflatten(2, (self.rows, self.columns)).permute(0, 4, 1, 2, 3)

    def to_patches(self, volume: Tensor) -> Tensor:
        """The patches of a map: (N, C, T, H, W) -> (N, T, P, C)"""
        patches = volume.permute(0, 2, 3, 4, 1).flatten(2, 3)
        return patches if self.visible is None else patches.gather(2, self.places(patches))

    def places(self, patches: Tensor) -> Tensor:
        """Places of the visible patches for every number of ``patches`` (N, T, P, C): (N, T, P visible, C) int64"""
        assert self.visible is not None
        return self.visible[:, None, :, None].expand(-1, patches.shape[1], -1, patches.shape[3])


def split_class_token(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Class tokens and patches of frames: (N, T, 1 + P, C) -> (N, T, 1, C), (N, T, P, C)"""
    return tokens[:, :, :1], tokens[:, :, 1:]


def resized_positions(positions: Tensor, rows: int, columns: int) -> Tensor:
    """Resizes learned positions of a class token and a square of patches to another grid, bicubic: (1 + G * G, C) -> (1
    + rows * columns, C). The class token's stays.

    Raises:
        ValueError: there is no such square.
    """
    side = round((len(positions) - 1) ** 0.5)
    if side * side != len(positions) - 1 or side < 1:
        raise ValueError(f"{len(positions)} positions are not a class token and a square of patches")
    if (rows, columns) == (side, side):
        return positions
    grid = positions[1:].float().T.unflatten(1, (side, side))[None]  # (1, C, G, G)
    grid = F.interpolate(grid, size=(rows, columns), mode="bicubic", align_corners=False)
    return torch.cat([positions[:1], grid[0].flatten(1).T.to(positions.dtype)])
