"""Clips cut into patches of pixels, and put together again."""

from torch import Tensor


def to_patches(clips: Tensor, size: tuple[int, int, int]) -> Tensor:
    """Cuts clips into patches: (N, C, T, H, W) -> (N, L, P, C), L patches in the order of ``to_tokens``, P pixels each.

    Args:
        size: frames, rows and columns of a patch, which divide those of the clips.
    """
    (frames, rows, columns), (n, channels, t, h, w) = size, clips.shape
    cut = clips.reshape(n, channels, t // frames, frames, h // rows, rows, w // columns, columns)
    return cut.permute(0, 2, 4, 6, 3, 5, 7, 1).flatten(4, 6).flatten(1, 3)


def from_patches(patches: Tensor, size: tuple[int, int, int], grid: tuple[int, int, int]) -> Tensor:
    """Puts patches together again: (N, L, P, C) -> (N, C, T, H, W); ``grid``: patches along time, height and width."""
    (frames, rows, columns), (t, h, w) = size, grid
    cut = patches.unflatten(1, grid).unflatten(4, size)  # (N, t, h, w, frames, rows, columns, C)
    return cut.permute(0, 7, 1, 4, 2, 5, 3, 6).reshape(-1, patches.shape[3], t * frames, h * rows, w * columns)


def normalized_patches(patches: Tensor, eps: float = 1e-6) -> Tensor:
    """Takes brightness and contrast out of patches (N, L, P, C): each has mean 0 and variance 1 in every colour, and a
    patch of one colour becomes 0.

    VideoMAE's targets (Tong et al. 2022), here with ``eps`` under the root, so that no gradient and no number gets
    out of hand where a patch is constant."""
    patches = patches.float()
    centred = patches - patches.mean(2, keepdim=True)
    return centred * (centred.square().mean(2, keepdim=True) + eps).rsqrt()
