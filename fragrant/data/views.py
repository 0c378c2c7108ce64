"""Views of a video: random ones in training, a grid of clips x crops in a test."""

import math
import random
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np

from fragrant.data import sampling


class View(NamedTuple):
    """A view of a video: the frames of a clip and the place of its crop.

    Attributes:
        frames: frame numbers, in the order of the clip.
        where: place of the crop along the long side, 0 = left or top, 0.5 = centre, 1 = right or bottom; None = random.
    """

    frames: tuple[int, ...]
    where: float | None


class ViewPlan(Protocol):
    """A function that picks the views of a video: (frames in the video, rng) -> views; ``fps`` is the video's rate
    where it is known."""

    def __call__(self, num_frames: int, rng: random.Random, *, fps: float | None = None) -> list[View]: ...


class Sampler(NamedTuple):
    """A kind of clip, by its name in ``sampling.SAMPLERS``, with its settings."""

    mode: str
    settings: sampling.ClipSettings
    faster: float = 0.0  # a training clip is up to 1 + faster times as fast as the settings say

    def random_clip(self, num_frames: int, rng: random.Random, fps: float | None) -> tuple[int, ...]:
        settings = self.settings._replace(fps=fps)
        if self.faster:
            settings = settings._replace(stride=settings.stride / (1 + rng.uniform(0, self.faster)))
        return sampling.SAMPLERS.get(self.mode).random(num_frames, settings, rng)

    def placed_clips(self, num_frames: int, clips: int, fps: float | None) -> list[tuple[int, ...]]:
        return sampling.SAMPLERS.get(self.mode).placed(num_frames, self.settings._replace(fps=fps), clips)


def _train_views(num_frames, rng, *, fps=None, sampler: Sampler, views: int, apart: bool = False) -> list[View]:
    if apart:
        return [View(sampler.random_clip(num_frames, rng, fps), None) for _ in range(views)]
    return [View(sampler.random_clip(num_frames, rng, fps), None)] * views


def _test_views(num_frames, rng, *, fps=None, sampler: Sampler, clips: Sequence[int], crops: int) -> list[View]:
    places = [0.5] if crops == 1 else [crop / (crops - 1) for crop in range(crops)]
    return [
        View(frames, where)
        for count in clips
        for frames in sampler.placed_clips(num_frames, count, fps)
        for where in places
    ]


def train_plan(
    *,
    length: int,
    stride: int = 1,
    mode: str = "dense",
    run: int = 1,
    target_fps: float | None = None,
    views: int = 1,
    apart: bool = False,
    faster: float = 0.0,
) -> ViewPlan:
    """Plan of a training video: a random clip with random crops.

    Args:
        views: the clip comes so many times, each transformed in its own way: repeated augmentation. The others: see
            ``sampling.ClipSettings``.
        apart: each of them is a clip of its own, drawn anew from the video.
        faster: a clip is drawn at a rate from the usual one to 1 + faster times that, so that it spans as much less
            (dense clips).
    """
    sampler = Sampler(mode, sampling.ClipSettings(length, stride, run, target_fps), faster)
    return partial(_train_views, sampler=sampler, views=views, apart=apart)


def evaluation_plan(
    *,
    length: int,
    stride: int = 1,
    mode: str = "dense",
    run: int = 1,
    target_fps: float | None = None,
    offset: bool = False,
    clips: int | Sequence[int] = 1,
    crops: int = 1,
) -> ViewPlan:
    """Plan of a test video: ``clips`` x ``crops`` views, view r is crop ``r % crops`` of clip ``r // crops``; one crop
    is the centre. Of several numbers of clips the views of the first, then those of the second, ...; equal ones are
    made once, see ``VideoFrames.clip_of_view``.

    The other arguments: see ``sampling.ClipSettings``."""
    settings = sampling.ClipSettings(length, stride, run, target_fps, offset)
    clips = (clips,) if isinstance(clips, int) else tuple(clips)
    return partial(_test_views, sampler=Sampler(mode, settings), clips=clips, crops=crops)


def _frame_views(num_frames, rng, *, fps=None, mode: str, interval: int, count: int) -> list[View]:
    if mode == "interval":
        frames = sampling.every(num_frames, interval=interval)
    elif mode == "random":
        frames = sampling.drawn(num_frames, count=count, rng=rng)
    else:
        settings = sampling.ClipSettings(count, interval)
        (frames,) = sampling.SAMPLERS.get(mode).placed(num_frames, settings, 1)
    return [View((frame,), 0.5) for frame in frames]


def frame_plan(mode: str, *, interval: int, count: int) -> ViewPlan:
    """Plan of single frames of a video, each a view: every ``interval``-th ("interval"), ``count`` of them ("random"),
    or those of one test clip of ``count`` frames, ``interval`` apart where they are neighbours (a name in
    ``sampling.SAMPLERS``)."""
    return partial(_frame_views, mode=mode, interval=interval, count=count)


def windows(num_frames: int, *, length: int, step: int) -> list[range]:
    """Frame ranges that cover a long video from its first frame to its last: every ``step`` frames, the last one ends
    with the video."""
    length, last = min(length, num_frames), max(num_frames - length, 0)
    starts = [*range(0, last, step), last]
    return [range(start, start + length) for start in starts]


class Part(NamedTuple):
    """A part of a long video: its frames, and its time in seconds."""

    frames: range
    start: float
    end: float


def parts_by_count(num_frames: int, *, length: int, step: int, fps: float) -> list[Part]:
    """``windows`` of a video of a constant rate."""
    ranges = windows(num_frames, length=length, step=step)
    return [Part(frames, frames.start / fps, frames.stop / fps) for frames in ranges]


def parts_by_time(times: np.ndarray, end: float, *, seconds: float, step: float) -> list[Part]:
    """Cuts a video of a variable rate into parts of ``seconds`` that begin every ``step`` seconds, with the frames
    shown
    meanwhile.

    Args:
        times: (T,) seconds at which each frame is shown, the first at 0.
        end: seconds until the last one ends.
    """
    seconds, last = min(seconds, end), max(end - seconds, 0.0)
    starts = [*(step * number for number in range(math.ceil(last / step - 1e-9))), last]
    parts = []
    for start in starts:
        first = max(int(np.searchsorted(times, start + 1e-9, side="right")) - 1, 0)
        stop = max(int(np.searchsorted(times, start + seconds - 1e-9)), first + 1)
        parts.append(Part(range(first, stop), start, start + seconds))
    return parts


def views_of_windows(plan: ViewPlan, ranges: Sequence[range]) -> ViewPlan:
    """Applies ``plan`` to every range of frames as if it were a video of its own; the views of all ranges in order."""

    def of_all(num_frames: int, rng: random.Random, *, fps: float | None = None) -> list[View]:
        parts = [(frames, view) for frames in ranges for view in plan(len(frames), rng, fps=fps)]
        return [View(tuple(frames[number] for number in view.frames), view.where) for frames, view in parts]

    return of_all


def views_label(num_frames: int, crops: int, clips: int) -> str:
    """Label of a test's views, ``"16x3x4"``: #Frame = input frames x crops x clips, as papers write it."""
    return f"{num_frames}x{crops}x{clips}"


def result_file_name(num_frames: int, crop_size: int, clips: int, crops: int) -> str:
    """Published name of a result file, ``"16x224x4x3.pkl"``: clips before crops."""
    return f"{num_frames}x{crop_size}x{clips}x{crops}.pkl"
