"""Dropout of a whole stream, so that a network learns to do with the other."""

import torch
from torch import Tensor, nn


class StreamDropout(nn.Module):
    """Draws which of two streams take part, for every clip of a training step; one always does.

    Args:
        rate: share of the clips that lose a stream, half of them the first and half the second.
    """

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, clips: Tensor) -> Tensor | None:
        """(N, 2) bool for N clips; None where nothing is lost: in evaluation, or with the rate 0."""
        if not self.training or not self.rate:
            return None
        drawn = torch.rand(len(clips), device=clips.device)
        return torch.stack([drawn >= self.rate / 2, (drawn < self.rate / 2) | (drawn >= self.rate)], 1)
