"""Positions of tokens in space and time as fixed vectors of sines and cosines."""

import torch
from torch import Tensor


def _sines(count: int, width: int) -> Tensor:
    """Sines and cosines of the places 0 .. count - 1 along one axis, (count, width) float32; ``width`` is even."""
    rates = 10000.0 ** -(torch.arange(width // 2, dtype=torch.float64) / max(width // 2, 1))
    angles = torch.arange(count, dtype=torch.float64)[:, None] * rates  # (count, width / 2)
    return torch.cat([angles.sin(), angles.cos()], 1).float()


def sine_positions(grid: tuple[int, int, int], width: int, device: torch.device | None = None) -> Tensor:
    """Positions of the tokens of a grid (frames, rows, columns), (L, width), L in the order of ``to_tokens``.

    A third of the width each for time, height and width (Vaswani et al. 2017, along every axis by itself); what does
    not divide by 6 is left 0.
    """
    share = 2 * (width // 6)
    parts = []
    for axis, count in enumerate(grid):
        shape = [1, 1, 1, share]
        shape[axis] = count
        parts.append(_sines(count, share).view(shape).expand(*grid, share))
    positions = torch.cat([*parts, torch.zeros(*grid, width - 3 * share)], -1)
    return positions.flatten(0, 2).to(device)
