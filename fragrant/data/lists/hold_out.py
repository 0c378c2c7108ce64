"""A part of the training videos that is held out for validation, where a set brings no validation list."""

import random
from collections.abc import Sequence


def hold_out(labels: Sequence[int], share: float, *, seed: int) -> tuple[list[int], list[int]]:
    """Ids of the videos that stay for training, and of those held out: ``share`` of every class, at least one of two,
    in list order.

    The same for every process, every run and every epoch: it depends on the list and the seed alone.
    """
    held = set()
    for label in sorted(set(labels) - {-1}):  # a video of unknown class validates nothing
        ids = [i for i, other in enumerate(labels) if other == label]
        count = min(max(1, round(share * len(ids))), len(ids) - 1)
        held.update(random.Random(f"hold out {seed}-{label}").sample(ids, count))
    return [i for i in range(len(labels)) if i not in held], sorted(held)
