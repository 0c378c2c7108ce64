"""Builds from the config what makes the streams of a clip on the device, and what normalises them."""

from collections.abc import Callable

import torch
from fvcore.common.config import CfgNode
from torch import Tensor

from fragrant.config.streams import alone_in_test, has_pairs, has_two_streams
from fragrant.data.transforms.enhance import enhancement_of
from fragrant.data.transforms.gamma import brighten
from fragrant.layers.normalize import ClipNormalize, StreamsNormalize
from fragrant.layers.preparation import ClipPreparation, StreamsPreparation
from fragrant.layers.random_erasing import RandomErasing


def clip_enhancement(name: str, gamma: float) -> Callable[[Tensor], Tensor]:
    """Builds the brightening of whole batches on their device: pixels (N, C, T, H, W), 0..255 -> uint8 of the same
    shape, each clip enhanced by itself as a worker would do it.

    Args:
        name: of DATA.ENHANCE, "none" for nothing.
        gamma: what follows, see ``brighten``; 1 = nothing.

    Raises:
        UserError: the name is not known.
    """
    enhance = enhancement_of(name)

    def enhanced(pixels: Tensor) -> Tensor:
        if pixels.dtype != torch.uint8:
            pixels = pixels.round().clamp(0, 255).to(torch.uint8)
        if enhance is not None:
            frames = pixels.permute(0, 2, 3, 4, 1)  # (N, T, H, W, C)
            pixels = torch.stack([enhance(clip) for clip in frames]).permute(0, 4, 1, 2, 3)
        return brighten(pixels, gamma)

    return enhanced


def build_streams(cfg: CfgNode) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """Builds what makes the streams of clips: pixels (N, C, T, H, W) -> those of each stream. The second is the first,
    enhanced by DUAL.ENHANCE and DUAL.GAMMA; of pairs, (N, 2C, T, H, W), both are there, or one alone."""
    if not has_two_streams(cfg):
        return lambda pixels: (pixels,)
    if has_pairs(cfg):
        return lambda pixels: pixels.split(cfg.DATA.INPUT_CHANNEL_NUM[0], 1)
    enhance = clip_enhancement(cfg.DUAL.ENHANCE, cfg.DUAL.GAMMA)
    return lambda pixels: (pixels, enhance(pixels))


def build_normalizations(cfg: CfgNode) -> list[ClipNormalize]:
    """Builds the normalisation of each stream, on the CPU."""
    data, dual = cfg.DATA, cfg.DUAL
    values = [(data.MEAN, data.STD)]
    if has_two_streams(cfg):
        values.append((dual.MEAN or data.MEAN, dual.STD or data.STD))
    return [ClipNormalize(*pair, reverse_channels=data.REVERSE_INPUT_CHANNEL) for pair in values]


def build_normalization(cfg: CfgNode) -> ClipNormalize | StreamsNormalize:
    """Builds the normalisation of what the network takes in a test, pixels of all streams, on the CPU."""
    each = build_normalizations(cfg)
    if (alone := alone_in_test(cfg)) is not None:
        return each[alone]
    return each[0] if len(each) == 1 else StreamsNormalize(each)


def build_erasing(cfg: CfgNode) -> RandomErasing | None:
    """Builds the random erasing of training clips; None where the config has none."""
    aug = cfg.AUG
    if not aug.ENABLE or not aug.RE_PROB:
        return None
    return RandomErasing(aug.RE_PROB, mode=aug.RE_MODE, max_count=aug.RE_COUNT)


def prepared_streams(
    cfg: CfgNode, device: torch.device, *, erasing: RandomErasing | None = None, channels_last: bool = False
) -> ClipPreparation | StreamsPreparation:
    """Builds the preparation of clips on a device: pixels (N, C, T, H, W) -> what the network of the config takes,
    normalised, the channels of its streams one behind the other."""
    each = [
        ClipPreparation(normalize.to(device), erasing=erasing, channels_last=channels_last)
        for normalize in build_normalizations(cfg)
    ]
    return each[0] if len(each) == 1 else StreamsPreparation(each, build_streams(cfg), alone=alone_in_test(cfg))
