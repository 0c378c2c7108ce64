"""What the training loop reports to in a range test, in place of the meter of an epoch."""

from collections.abc import Iterator

from torch import Tensor

from fragrant.data.loader import Batches
from fragrant.distributed import mean_over_ranks
from fragrant.optim.range_test import Smoothed, has_diverged


class Enough(Exception):  # noqa: N818 (no error: it leaves the loop)
    """The test is over."""


class RangeMeter:
    """Keeps rate, loss and smoothed loss of every optimiser step of a range test, over its epochs.

    Args:
        steps: optimiser steps of the test.
        accum_steps: batches of a step.
    """

    def __init__(self, *, steps: int, accum_steps: int):
        self.steps, self.accum_steps = steps, accum_steps
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.smoothed: list[float] = []
        self.why = "all steps are done"
        self._mean = Smoothed()
        self._batches: list[Tensor] = []

    def watch(self, loader: Batches) -> Iterator:
        self._num_batches = len(loader)
        return iter(loader)

    def update(
        self, step: int, *, lr: float, loss: Tensor, logged: dict[str, Tensor], grad_norm: Tensor | None, weight: int
    ) -> None:
        """Takes a batch.

        Raises:
            Enough: it was the last, or the loss has broken away.
        """
        self._batches.append(loss.detach().float())
        if len(self._batches) < self.accum_steps and step + 1 < self._num_batches:
            return
        mean = sum(self._batches) / len(self._batches)
        self._batches = []
        # Waits for the GPU, every step: the test may have to end with it.
        value = float(mean_over_ranks(mean))  # type: ignore[arg-type]  # the sum of tensors is one
        self.rates.append(lr)
        self.losses.append(value)
        self.smoothed.append(self._mean.add(value))
        if has_diverged(self.smoothed):
            self.why = "the loss broke away"
            raise Enough
        if len(self.rates) == self.steps:
            raise Enough

    def finish(self, *, lr: float, bad_steps: int) -> None:
        """The end of an epoch; the test goes on in the next."""
