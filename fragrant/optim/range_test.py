"""The learning-rate range test: the rate of every step, and what the losses say.

Source: Smith 2015, "Cyclical learning rates for training neural networks".
Steps are counted from 0; rates rise by the same factor from step to step.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

SMOOTHING = 0.9  # share of the mean before in the next one: it lags by about ten steps; more would shift the rates
DIVERGED = 4.0  # a smoothed loss above so many times the smallest ends the test
LEAST_FALL = 0.02  # of the smoothed loss, as a share of it: without it there is nothing to see
MARGIN = 0.05  # share of the steps at the start whose slope does not count: their mean is of too few


def rate_at(step: int, steps: int, low: float, high: float) -> float:
    """The rate of step 0 .. steps - 1, from ``low`` to ``high``."""
    return low * (high / low) ** (step / max(steps - 1, 1))


class Smoothed:
    """The exponential mean of a series, corrected for its start at 0 as Adam does it."""

    def __init__(self, share: float = SMOOTHING):
        self._share, self._mean, self._count = share, 0.0, 0

    def add(self, value: float) -> float:
        self._mean = self._share * self._mean + (1 - self._share) * value
        self._count += 1
        return self._mean / (1 - self._share**self._count)


def has_diverged(smoothed: Sequence[float]) -> bool:
    """Whether the last smoothed loss is no number, or far above the smallest. Of losses that may be negative the
    second is not asked."""
    last = smoothed[-1]
    return not math.isfinite(last) or (min(smoothed) > 0 and last > DIVERGED * min(smoothed))


class Suggestion(NamedTuple):
    """What a test suggests.

    Attributes:
        steepest: the rate at which the smoothed loss falls fastest, per factor of the rate: a good highest rate.
        tenth: a tenth of the rate of the smallest smoothed loss, the older rule.
        lowest: the rate of the smallest smoothed loss: above it training gets worse.
        clear: the loss fell enough to say so.
    """

    steepest: float
    tenth: float
    lowest: float
    clear: bool


def suggest(rates: Sequence[float], smoothed: Sequence[float]) -> Suggestion | None:
    """The suggestion of a test; None of fewer than five finite steps."""
    points = [(rate, loss) for rate, loss in zip(rates, smoothed, strict=True) if math.isfinite(loss)]
    if len(points) < 5:
        return None
    losses = [loss for _, loss in points]
    at_lowest = min(range(len(losses)), key=losses.__getitem__)
    first = min(int(MARGIN * len(points)), max(at_lowest - 1, 0))
    slopes = [_slope(points, at) for at in range(len(points))]
    steepest = min(range(first, max(at_lowest, first + 1)), key=slopes.__getitem__)
    fall = max(losses[: at_lowest + 1]) - losses[at_lowest]
    clear = fall > LEAST_FALL * abs(max(losses[: at_lowest + 1])) and slopes[steepest] < 0
    lowest = points[at_lowest][0]
    return Suggestion(points[steepest][0], lowest / 10, lowest, clear)


def _slope(points: Sequence[tuple[float, float]], at: int) -> float:
    """Of the loss over the logarithm of the rate, between both neighbours."""
    (low, before), (high, after) = points[max(at - 1, 0)], points[min(at + 1, len(points) - 1)]
    return (after - before) / (math.log(high) - math.log(low))
