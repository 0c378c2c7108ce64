"""Transforms of training clips by name, for DATA.TRANSFORMS: after the built-in crop, colours and flip; plug-ins add
theirs."""

import random
from collections.abc import Callable, Sequence

from torch import Tensor

from fragrant.registry import Registry

ClipTransform = Callable[[Tensor, random.Random], Tensor]

# name -> function(clip (C, T, H, W) uint8, rng) -> the same shape; all that is random comes from ``rng``, so that runs
# repeat
TRANSFORMS = Registry("DATA.TRANSFORMS")


@TRANSFORMS.register("reverse_half")
def reverse_half(clip: Tensor, rng: random.Random) -> Tensor:
    """Reverses the frames of half of the clips, drawn at random: (C, T, H, W) -> the same shape"""
    return clip.flip(1) if rng.random() < 0.5 else clip


def transforms_of(names: Sequence[str]) -> list[ClipTransform]:
    """Finds the transforms that DATA.TRANSFORMS names, in its order.

    Raises:
        UserError: a name is not known.
    """
    return [TRANSFORMS.get(name) for name in names]
