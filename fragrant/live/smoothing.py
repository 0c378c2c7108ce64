"""Smooths the probabilities of a stream over time."""

import math

from torch import Tensor


class Smoother:
    """Exponential mean whose memory is counted in seconds, whatever the distance of windows: a value counts
    ``exp(-age / seconds)`` as much as it did when it was new.

    Args:
        seconds: 0 = no smoothing.
    """

    def __init__(self, seconds: float):
        self.seconds = seconds
        self._mean: Tensor | None = None
        self._time = 0.0

    def reset(self) -> None:
        """Forgets everything: what comes now is not the continuation of what was."""
        self._mean = None

    def update(self, time: float, probs: Tensor) -> Tensor:
        """The smoothed probabilities (K,) at a time, from those of its window."""
        if self._mean is None or self.seconds <= 0:
            self._mean = probs
        else:
            kept = math.exp(-max(time - self._time, 0.0) / self.seconds)
            self._mean = kept * self._mean + (1 - kept) * probs
        self._time = time
        return self._mean
