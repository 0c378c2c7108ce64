"""Prepares a stream frame by frame for clips that overlap: what a frame needs is done once, to the same numbers as for
whole clips."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fragrant.data.transforms.colors import luma, to_uint8
from fragrant.data.transforms.enhance import standardize, standardized
from fragrant.data.transforms.gamma import brighten
from fragrant.data.transforms.view_transforms import EvaluationTransform, resize


class FrameByFrame:
    """``finish([start(frame) for frame in frames])`` is ``transform.prepare(frames)``, bit for bit.

    Without an enhancement ``start`` does all of it. ``standardize`` needs the brightness of the whole clip: what is
    kept of a frame is its brightness. Any other enhancement works on whole clips: frames are kept as they are.
    """

    def __init__(self, transform: EvaluationTransform):
        self.transform = transform

    def start(self, frame: Tensor) -> Tensor:
        """What is kept of a frame (H, W, 3) uint8: a tensor of its own."""
        if self.transform.enhance is None:
            return self.transform.prepare(frame.unsqueeze(0))[0].clone()
        if self.transform.enhance is standardize:
            return to_uint8(luma(frame))  # whole numbers
        return frame.clone()

    def finish(self, kept: Sequence[Tensor]) -> Tensor:
        """The frames of a clip, prepared: (T, H', W', C)"""
        if self.transform.enhance is None:
            return torch.stack(list(kept))
        if self.transform.enhance is not standardize:
            return self.transform.prepare(torch.stack(list(kept)))
        gray = standardized(torch.stack(list(kept)).float())
        frames = brighten(gray.unsqueeze(-1).expand(*gray.shape, 3).contiguous(), self.transform.gamma)
        height, width = frames.shape[1:3]
        if min(height, width) == self.transform.short_side:
            return frames.to(self.transform.dtype)
        size = self.transform.rounding.resized(height, width, self.transform.short_side)
        return resize(frames, *size, dtype=self.transform.dtype)
