"""Balance of rare and frequent classes: the weights of a loss, and the order of an epoch."""

import math
import random
from collections.abc import Sequence

import numpy as np

SAMPLERS = {"balanced": 0.0, "sqrt": 0.5}  # TRAIN.SAMPLER -> a class is drawn as (number of its videos) ** this


def inverse_frequency(counts: Sequence[int]) -> list[float]:
    """Weights of K classes from the numbers of their videos: w_k = (1 / n_k) / mean of 1 / n_j, over the classes that
    have videos, whose mean weight is 1; a class without any weighs 1."""
    inverse = [1 / count for count in counts if count]
    mean = sum(inverse) / len(inverse) if inverse else 1.0
    return [1 / count / mean if count else 1.0 for count in counts]


def quotas(counts: Sequence[int], total: int, power: float, rng: random.Random) -> list[int]:
    """How often each class is drawn among ``total`` videos, in proportion to count ** power; what is left of whole
    numbers goes to as many classes, drawn by their remainders, so that the mean over many draws is exact."""
    weights = [count**power if count else 0.0 for count in counts]
    wanted = [total * weight / sum(weights) for weight in weights]
    found, at, offset = [], 0.0, rng.random()
    for share in wanted:  # systematic sampling: a comb with teeth of distance 1
        found.append(math.floor(at + share + offset) - math.floor(at + offset))
        at += share
    found[max(range(len(wanted)), key=wanted.__getitem__)] += total - sum(found)  # of rounding
    return found


def balanced_order(labels: np.ndarray, power: float, rng: random.Random) -> list[int]:
    """The videos of an epoch, as many as the list has, by place in the list; within a class every video is used equally
    often, but for one time.

    Args:
        labels: (n,) class of each video.
        power: see ``SAMPLERS``; 1 would be each video once.
        rng: generator of all draws.
    """
    classes, of_video = np.unique(labels, return_inverse=True)
    members = [np.flatnonzero(of_video == number).tolist() for number in range(len(classes))]
    order: list[int] = []
    for videos, quota in zip(members, quotas([*map(len, members)], len(labels), power, rng), strict=True):
        for first in range(0, quota, len(videos)):
            rng.shuffle(videos)
            order += videos[: quota - first]
    rng.shuffle(order)
    return order
