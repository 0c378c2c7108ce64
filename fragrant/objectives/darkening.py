"""The darkener that is learned: a curve network, the exposures that are drawn for it, the terms that keep it a picture.

After Similarity min-max (Luo et al., ICCV 2023, arXiv 2307.08779); the terms after Zero-DCE (Guo et al., CVPR 2020)."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fragrant.layers.curve_net import CurveNet, apply_curves


@dataclass(frozen=True)
class Exposures:
    """Draws of the exposure that a clip should have: a level for the clip, noise in every pixel and frame, and noise of
    patches, smooth between them and the same in all frames.

    Attributes:
        level: range of the mean brightness, 0..1, drawn evenly.
        pixel_noise, patch_noise: deviations.
        patch: rows and columns of a patch.
    """

    level: tuple[float, float] = (0.0, 0.2)
    pixel_noise: float = 0.025
    patch_noise: float = 0.025
    patch: int = 16

    def __call__(self, clips: Tensor, keys: Sequence[str] | None = None) -> Tensor:
        """Exposures (N, 1, T, H, W), 0..1, for clips (N, C, T, H, W). ``keys``: one per clip, from which alone follows
        what is drawn, on a GPU other noise than on the CPU; None = by this process's generator."""
        frames, height, width = clips.shape[2:]
        maps = []
        for at in range(len(clips)):
            rng = random.Random(keys[at] if keys is not None else random.getrandbits(64))
            level = rng.uniform(*self.level)
            noise = torch.Generator(clips.device).manual_seed(rng.getrandbits(62))
            pixels = torch.randn(frames, height, width, generator=noise, device=clips.device)
            sides = (-(-height // self.patch), -(-width // self.patch))
            patches = torch.randn(1, 1, *sides, generator=noise, device=clips.device)
            patches = F.interpolate(patches, scale_factor=self.patch, mode="bilinear", align_corners=False)
            maps.append(level + self.pixel_noise * pixels + self.patch_noise * patches[0, :, :height, :width])
        return torch.stack(maps).clamp_(0, 1).unsqueeze(1)


class Darkener(nn.Module):
    """Darkens clips, every frame by curves of its own, to the exposure that is asked for.

    Args:
        net: of the curves.
    """

    def __init__(self, net: CurveNet):
        super().__init__()
        self.net = net

    def forward(self, pixels: Tensor, exposures: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (N, C, T, H, W) and exposures (N, 1, T, H, W), 0..1 -> the dark pixels, of the same shape, float32,
        and the strengths of the curves (N, T, I * C, h, w)."""
        frames = pixels.transpose(1, 2).flatten(0, 1)  # (N * T, C, H, W)
        maps = self.net(frames, exposures.transpose(1, 2).flatten(0, 1)).float()
        sides = (int(frames.shape[2]), int(frames.shape[3]))
        whole = maps if maps.shape[2:] == sides else F.interpolate(maps, sides, mode="bilinear", align_corners=False)
        with torch.autocast(pixels.device.type, enabled=False):  # in bf16 the dark has no shades left
            dark = apply_curves(frames.float(), whole)
        clips = (-1, pixels.shape[2])
        return dark.unflatten(0, clips).transpose(1, 2), maps.unflatten(0, clips)


def exposure_errors(dark: Tensor, exposures: Tensor, *, patch: int) -> Tensor:
    """How far the patches of clips are from the exposure that they should have: mean difference of the means of
    patches, over all colours, without its sign.

    dark (N, C, T, H, W), exposures (N, 1, T, H, W) -> (N,)"""
    side = min(patch, *dark.shape[3:])
    found, wanted = (F.avg_pool3d(x.mean(1, keepdim=True), (1, side, side)) for x in (dark, exposures))
    return (found - wanted).abs().mean((1, 2, 3, 4))


def roughness(maps: Tensor) -> Tensor:
    """Total variation of the curves' strengths: mean squared difference of neighbours down and across, summed over the
    curves. (N, T, M, h, w) -> (N,)"""
    down, across = maps.diff(dim=3).square(), maps.diff(dim=4).square()
    means = [x.mean((1, 3, 4)) for x in (down, across) if x.numel()]  # each (N, M)
    return torch.stack(means).sum((0, 2)) if means else maps.new_zeros(len(maps))


def color_casts(dark: Tensor) -> Tensor:
    """How far the colours of clips are from each other in the mean: squared differences of the channels' means, summed
    over all pairs (color constancy of Zero-DCE). (N, C, T, H, W) -> (N,)"""
    means = dark.mean((2, 3, 4))  # (N, C)
    return (means.unsqueeze(1) - means.unsqueeze(2)).square().sum((1, 2)) / 2


def similarities(one: Tensor, other: Tensor) -> Tensor:
    """Cosine of pooled features, mean over the streams: (N, S, D) twice -> (N,) float32"""
    return F.cosine_similarity(one.float(), other.float(), dim=-1).mean(1)
