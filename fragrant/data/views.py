"""Which views of a video are looked at: random ones in training, a grid of clips x crops in a test."""

import random
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, Protocol

from fragrant.data import sampling


class View(NamedTuple):
    """One clip of a video.

    Attributes:
        frames: frame numbers, in the order of the clip.
        where: place of the crop along the long side, 0 = left or top, 0.5 = centre, 1 = right or bottom; None = random.
    """

    frames: tuple[int, ...]
    where: float | None


class ViewPlan(Protocol):
    """(frames in the video, rng) -> its views; ``fps`` is the video's rate where it is known."""

    def __call__(self, num_frames: int, rng: random.Random, *, fps: float | None = None) -> list[View]: ...


def _train_views(num_frames, rng, *, fps=None, length, stride, views, sparse, target_fps) -> list[View]:
    if sparse:
        return [View(sampling.sparse_random(num_frames, length=length, rng=rng), None) for _ in range(views)]
    span = sampling.clip_span(length, stride, fps=fps, target_fps=target_fps)
    starts = [sampling.random_start(num_frames, span, rng) for _ in range(views)]
    return [View(sampling.dense(num_frames, length=length, span=span, start=start), None) for start in starts]


def _test_views(num_frames, rng, *, fps=None, length, stride, clips, crops, sparse, offset, target_fps) -> list[View]:
    if sparse:
        rows = [sampling.sparse_placed(num_frames, length=length, view=clip, views=clips) for clip in range(clips)]
    else:
        span = sampling.clip_span(length, stride, fps=fps, target_fps=target_fps)
        starts = [sampling.placed_start(num_frames, span, view=clip, views=clips, offset=offset) for clip in range(clips)]
        rows = [sampling.dense(num_frames, length=length, span=span, start=start) for start in starts]
    places = [0.5] if crops == 1 else [crop / (crops - 1) for crop in range(crops)]
    return [View(frames, where) for frames in rows for where in places]


def train_plan(*, length: int, stride: int, views: int = 1, sparse: bool = False, target_fps: float | None = None) -> ViewPlan:
    """Random clips with random crops.

    Args:
        length: frames of a clip.
        stride: step between two frames of a dense clip.
        sparse: one frame from each of ``length`` parts of the video instead of neighbouring frames.
        target_fps: rate that ``stride`` counts in, whatever the video's own rate; None = in frames of the video.
    """
    return partial(_train_views, length=length, stride=stride, views=views, sparse=sparse, target_fps=target_fps)


def test_plan(
    *, length: int, stride: int, clips: int = 1, crops: int = 1, sparse: bool = False, offset: bool = False, target_fps: float | None = None
) -> ViewPlan:
    """Every video in ``clips`` x ``crops`` views: view r is crop ``r % crops`` of clip ``r // crops``; one crop is the centre.

    Args:
        offset: see ``sampling.placed_start``; the others as in ``train_plan``.
    """
    return partial(_test_views, length=length, stride=stride, clips=clips, crops=crops, sparse=sparse, offset=offset, target_fps=target_fps)


test_plan.__test__ = False  # pytest: this is no test


def windows(num_frames: int, *, length: int, step: int) -> list[range]:
    """Frame ranges that cover a long video from its first frame to its last: every ``step`` frames, the last one ends with the video."""
    length, last = min(length, num_frames), max(num_frames - length, 0)
    starts = [*range(0, last, step), last]
    return [range(start, start + length) for start in starts]


def views_of_windows(plan: ViewPlan, ranges: Sequence[range]) -> ViewPlan:
    """``plan`` applied to every range of frames as if it were a video of its own; the views of all ranges in order."""

    def of_all(num_frames: int, rng: random.Random, *, fps: float | None = None) -> list[View]:
        parts = [(frames, view) for frames in ranges for view in plan(len(frames), rng, fps=fps)]
        return [View(tuple(frames[number] for number in view.frames), view.where) for frames, view in parts]

    return of_all


def views_label(num_frames: int, crops: int, clips: int) -> str:
    """``"16x3x4"``: #Frame = input frames x crops x clips, as papers write it."""
    return f"{num_frames}x{crops}x{clips}"


def result_file_name(num_frames: int, crop_size: int, clips: int, crops: int) -> str:
    """``"16x224x4x3.pkl"``: the published name, clips before crops."""
    return f"{num_frames}x{crop_size}x{clips}x{crops}.pkl"
