"""A feature map as a volume and as a list of tokens: the two views of one memory.

Most layers work on volumes (N, C, T, H, W); attention and LayerNorm work on tokens (N, L, C) with L = T*H*W, time
first, then rows, then columns. In channels_last_3d memory both are the same bytes and no step here copies.
"""

import torch
from torch import Tensor

from fragrant.errors import UserError


def need_volume(x: Tensor, layer: str, channels: int | None = None) -> None:
    """Checks the shape of an input.

    Raises:
        UserError: x is no (N, C, T, H, W), or has not so many channels.
    """
    if x.ndim != 5 or channels not in (None, x.shape[1]):
        raise UserError(
            f"{layer} needs a volume (N, {channels or 'C'}, T, H, W), a batch of clips; got the shape {tuple(x.shape)}"
        )


def to_tokens(volume: Tensor) -> Tensor:
    """Views a volume as tokens: (N, C, T, H, W) -> (N, L, C); the memory is contiguous if the volume is
    channels_last_3d."""
    return volume.flatten(2).transpose(1, 2)


def to_volume(tokens: Tensor, like: Tensor) -> Tensor:
    """Turns tokens into a volume: (N, L, C) -> (N, C, T, H, W) in the sizes and memory format of ``like``, so that one
    choice at the input holds throughout."""
    volume = tokens.transpose(1, 2).unflatten(2, like.shape[2:])
    if like.is_contiguous(memory_format=torch.channels_last_3d):
        return volume.contiguous(memory_format=torch.channels_last_3d)  # free where the tokens are contiguous
    return volume.contiguous()
