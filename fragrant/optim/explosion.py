"""Watches the loss of a training for a sudden rise that it would not come back from."""

from collections import deque

from fragrant.errors import RunStopped

BEFORE = 5  # losses that a new one is compared with: published


class ExplosionGuard:
    """Stops a run whose loss rises to a multiple of what it was (SlowFast's TRAIN.KILL_LOSS_EXPLOSION_FACTOR).

    Counts from the start of the process: a resumed run needs five steps before it can stop.

    Args:
        factor: of the mean of the five losses before that ends the run; 0 = never.
    """

    def __init__(self, factor: float):
        self.factor = factor
        self._losses: deque[float] = deque(maxlen=BEFORE)

    def check(self, loss: float) -> None:
        """Takes the loss of a step, a finite one.

        Raises:
            RunStopped: it is too large.
        """
        mean = sum(self._losses) / BEFORE
        if len(self._losses) == BEFORE and loss > self.factor * mean:
            raise RunStopped(
                f"the loss of a step is {loss:.4g}, more than TRAIN.KILL_LOSS_EXPLOSION_FACTOR {self.factor:g} times "
                f"the mean of the {BEFORE} before, {mean:.4g}"
            )
        self._losses.append(loss)
