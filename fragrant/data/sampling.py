"""Frame numbers of a clip: numbers in, integers out.

Two kinds of clip: dense (neighbouring frames, a fixed step apart) and sparse (one frame from each part of the whole video).
All frame numbers count from 0.
"""

import math
import random

import torch


# ------------------------------------------------------------------------------------------------------------------- dense
def clip_span(length: int, stride: float, *, fps: float | None = None, target_fps: float | None = None) -> float:
    """Frames of the video that a dense clip covers: ``length * stride``.

    Args:
        fps: frames per second of the video; with ``target_fps`` the clip covers ``length * stride / target_fps`` seconds instead.
    """
    if fps is None or target_fps is None:
        return length * stride
    return stride * length * fps / target_fps


def random_start(num_frames: int, span: float, rng: random.Random) -> float:
    """A start, not rounded, from which the clip fits; 0 where it does not."""
    return rng.random() * max(num_frames - span, 0)


def placed_start(num_frames: int, span: float, *, view: int, views: int, offset: bool) -> float:
    """Start of test clip ``view`` of ``views``.

    Args:
        offset: True: whole numbers from the first to the last start that fits, one clip in the middle.
            False: ``slack * view / views``, as published: the end of the video is never reached, one clip begins at 0.
    """
    slack = max(num_frames - span, 0)
    if not offset:
        return slack * view / views
    return float(math.floor(slack / 2) if views == 1 else view * math.floor(slack / (views - 1)))


def dense(num_frames: int, *, length: int, span: float, start: float) -> tuple[int, ...]:
    """``length`` frame numbers, evenly from ``start`` to ``start + span - 1``; behind the end the last frame is repeated.

    The distance is ``(span - 1) / (length - 1)``, not the stride, and the sum is float32: both as published, to the frame.
    """
    numbers = torch.linspace(start, start + span - 1, length, dtype=torch.float32)
    return tuple(numbers.clamp(0, num_frames - 1).long().tolist())


# ------------------------------------------------------------------------------------------------------------------ sparse
def segments(num_frames: int, length: int) -> list[tuple[int, int]]:
    """First and last frame of ``length`` equal parts of the video; both ends belong to the part, so that neighbours share one."""
    size = (num_frames - 1) / length
    return [(round(size * i), round(size * (i + 1))) for i in range(length)]  # halves to the even number


def sparse_random(num_frames: int, *, length: int, rng: random.Random) -> tuple[int, ...]:
    """A random frame of every part."""
    return tuple(min(rng.randint(first, last), num_frames - 1) for first, last in segments(num_frames, length))


def sparse_placed(num_frames: int, *, length: int, view: int, views: int) -> tuple[int, ...]:
    """The frame at ``(view + 1) / (views + 1)`` of every part. Frame folders published for it count from 1: add 1."""
    inside = int((num_frames - 1) / length / (views + 1) * (view + 1))
    return tuple(min(first + inside, num_frames - 1) for first, _ in segments(num_frames, length))


def sparse_middle(num_frames: int, *, length: int) -> tuple[int, ...]:
    """The middle frame of every part: the one test clip of SlowFast's ``ssv2``."""
    return tuple((first + last) // 2 for first, last in segments(num_frames, length))
