"""Sums over kernel taps as they are defined, one tap after the other, in plain PyTorch with autograd."""

import itertools
from typing import cast

import torch.nn.functional as F
from torch import Tensor


def tap_sum(kernels: Tensor, v: Tensor, size: tuple[int, int, int]) -> Tensor:
    """Applies a kernel at every position, ``y[n, h, u] = sum_m kernels[n, h, m] * v[n + m, u]``: (N, T, H, W, h, M),
    (N, T, H, W, U) -> (N, T, H, W, h, U)"""
    _, frames, height, width, _, _ = kernels.shape
    time, y, x = (k // 2 for k in size)
    padded = F.pad(v, (0, 0, x, x, y, y, time, time)).unsqueeze(4)
    offsets = itertools.product(*map(range, size))
    total = sum(
        kernels[..., m : m + 1] * padded[:, t : t + frames, y : y + height, x : x + width]
        for m, (t, y, x) in enumerate(offsets)
    )
    return cast(Tensor, total)
