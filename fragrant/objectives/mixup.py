"""Mixup and CutMix of a batch of clips: every clip with its mirror image in the batch, one draw for all."""

import math
import random
from typing import NamedTuple

from torch import Tensor

from fragrant.objectives.losses import as_soft_labels

Box = tuple[int, int, int, int]  # rows from, to, columns from, to; of all frames


class Mix(NamedTuple):
    """One draw for a batch: the share of the clip itself in the label, and the box that comes from its partner (None:
    mixup)."""

    lam: float
    box: Box | None = None


def cutmix_box(height: int, width: int, lam: float, *, centre: tuple[int, int]) -> Box:
    """The box of CutMix: ``1 - lam`` of the area around ``centre`` (row, column), cut off at the border; as published,
    odd sides lose a pixel."""
    limits: list[int] = []
    for size, middle in zip((height, width), centre, strict=True):
        half = int(size * math.sqrt(1 - lam)) // 2
        limits += [max(0, middle - half), min(size, middle + half)]
    top, bottom, left, right = limits
    return top, bottom, left, right


def box_mix(height: int, width: int, lam: float, *, centre: tuple[int, int], correct_lam: bool = True) -> Mix:
    """The draw of CutMix at ``centre``; with ``correct_lam`` the label counts the pixels that are really pasted."""
    top, bottom, left, right = box = cutmix_box(height, width, lam, centre=centre)
    return Mix(1 - (bottom - top) * (right - left) / (height * width) if correct_lam else lam, box)


def mix_clips(clips: Tensor, mix: Mix) -> Tensor:
    """Mixes clip i with clip N-1-i of the batch: (N, C, T, H, W) -> the same shape."""
    partners = clips.flip(0)
    if mix.box is None:
        return clips.lerp(partners, 1 - mix.lam)
    top, bottom, left, right = mix.box
    mixed = clips.clone()
    mixed[..., top:bottom, left:right] = partners[..., top:bottom, left:right]
    return mixed


def mix_labels(labels: Tensor, mix: Mix, *, num_classes: int, smoothing: float = 0.0) -> Tensor:
    """Mixes the labels of clips i and N-1-i: class numbers (N,) or soft labels (N, K) -> soft labels (N, K)"""
    soft_labels = as_soft_labels(labels, num_classes, smoothing=smoothing)
    return soft_labels.lerp(soft_labels.flip(0), 1 - mix.lam)


class Mixup:
    """Mixup (Zhang et al. 2018) or CutMix (Yun et al. 2019) of whole batches, as SlowFast and UniFormer train with it.

    Args:
        alpha, cutmix_alpha: mixup and CutMix draw the share of the clip itself from Beta(alpha, alpha); 0 = not this
            kind.
        prob: probability that a batch is mixed at all; labels are smoothed anyway.
        switch_prob: probability of CutMix, where both kinds are on.
        smoothing: share of every label that is spread over all classes.
        rng: generator of all draws.
    """

    def __init__(
        self,
        num_classes: int,
        rng: random.Random,
        *,
        alpha: float = 0.8,
        cutmix_alpha: float = 1.0,
        prob: float = 1.0,
        switch_prob: float = 0.5,
        smoothing: float = 0.1,
    ):
        self.num_classes, self.rng = num_classes, rng
        self.alpha, self.cutmix_alpha = alpha, cutmix_alpha
        self.prob, self.switch_prob, self.smoothing = prob, switch_prob, smoothing

    def draw(self, height: int, width: int) -> Mix:
        rng = self.rng
        if rng.random() >= self.prob or not (self.alpha or self.cutmix_alpha):
            return Mix(1.0)
        cut = rng.random() < self.switch_prob if self.alpha and self.cutmix_alpha else bool(self.cutmix_alpha)
        alpha = self.cutmix_alpha if cut else self.alpha
        lam = rng.betavariate(alpha, alpha)
        return box_mix(height, width, lam, centre=(rng.randrange(height), rng.randrange(width))) if cut else Mix(lam)

    def __call__(self, clips: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mixes a batch: clips (N, C, T, H, W), labels (N,) or (N, K) -> mixed clips, soft labels (N, K)"""
        mix = self.draw(*clips.shape[-2:])
        return mix_clips(clips, mix), mix_labels(labels, mix, num_classes=self.num_classes, smoothing=self.smoothing)
