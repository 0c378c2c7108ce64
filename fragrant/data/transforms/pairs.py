"""The same transform for both videos of a pair: one crop, one flip, one draw of everything else."""

import random
from typing import Any

import torch
from torch import Tensor

from fragrant.data.transforms.view_transforms import EvaluationTransform, TrainTransform


class UnlitTrainTransform(TrainTransform):
    """A ``TrainTransform`` of an infrared video: it draws what that of the visible one draws, but brightness is not its
    matter: neither ``darken`` nor ``enhance`` nor ``gamma`` changes a pixel."""

    def prepare(self, frames: Tensor) -> Tensor:
        return frames

    def _lit(self, frames: Tensor, rng: random.Random) -> Tensor:
        if self.darken:
            rng.getrandbits(64)
        if self.gamma[0] < self.gamma[1]:
            rng.uniform(*self.gamma)
        return frames


class UnlitEvaluationTransform(EvaluationTransform):
    """An ``EvaluationTransform`` of an infrared video: none of ``darken``, ``enhance`` and ``gamma``
    changes a pixel."""

    def __init__(self, **settings: Any):
        super().__init__(**{**settings, "darken": None, "enhance": None, "gamma": 1.0})


class PairTransform:
    """Transforms both halves of a pair's channels with the same draws.

    Args:
        first, second: the transform of each; they must draw alike.
    """

    def __init__(self, first: TrainTransform | EvaluationTransform, second: TrainTransform | EvaluationTransform):
        self.each = (first, second)

    def prepare(self, frames: Tensor) -> Tensor:
        """Does once what all views share: (T, H, W, 2C) -> (T, H', W', 2C)"""
        halves = zip(self.each, frames.chunk(2, 3), strict=True)
        return torch.cat([one.prepare(half.contiguous()) for one, half in halves], 3)

    def __call__(self, frames: Tensor, where: Any, rng: random.Random) -> Tensor:
        """Makes one view: (T, H', W', 2C) -> (T, S, S, 2C)"""
        state, made = rng.getstate(), []
        for one, half in zip(self.each, frames.chunk(2, 3), strict=True):
            rng.setstate(state)
            # a test only cuts; training works on numbers that lie side by side
            own = half if isinstance(one, EvaluationTransform) else half.contiguous()
            made.append(one(own, where, rng))
        return torch.cat(made, 3)
