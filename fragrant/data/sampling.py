"""Frame numbers of a clip: numbers in, integers out.

Five kinds of clip: dense and mmaction (neighbouring frames, a fixed step apart), and three that spread over the whole
video: sparse and uniform (one frame from each part of it) and segment (a run of neighbours from each part). All frame
numbers count from 0; every kind takes videos of one frame upwards."""

import math
import random
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from fragrant.registry import Registry

WINDOW = 64  # frames of a looped clip: published
TEST_SEED = 255  # of the draws that a uniform test clip is made with: published


# ---------------------------------------------------------------------------------------------------------------- dense
def clip_span(length: int, stride: float, *, fps: float | None = None, target_fps: float | None = None) -> float:
    """Frames of the video that a dense clip covers: ``length * stride``.

    Args:
        fps: frames per second of the video; with ``target_fps`` the clip covers ``length * stride / target_fps``
            seconds instead.
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
    """Dense clip: ``length`` frame numbers, evenly from ``start`` to ``start + span - 1``; behind the end the last
    frame is repeated.

    The distance is ``(span - 1) / (length - 1)``, not the stride, and the sum is float32: both as published, to the
    frame."""
    numbers = torch.linspace(start, start + span - 1, length, dtype=torch.float32)
    return tuple(numbers.clamp(0, num_frames - 1).long().tolist())


# ------------------------------------------------------------------------------------------------------------- mmaction
def mmaction_start(num_frames: int, *, length: int, stride: int, rng: np.random.RandomState) -> int:
    """Where a training clip of MMAction2's SampleFrames begins, to the draw: any place that leaves ``length * stride``
    frames, so that the last ``stride - 1`` frames of a video are in no clip; 0 where there is none."""
    return int(rng.randint(max(1, num_frames - length * stride + 1)))


def mmaction_starts(num_frames: int, *, length: int, stride: int, clips: int, offset: bool) -> tuple[int, ...]:
    """Where the test clips of MMAction2's SampleFrames begin; all at 0 in a video that is too short.

    Args:
        offset: True: from the first to the last start that fits, halves to the even number, one clip in the middle (1.x
            of it). False: in the middles of ``clips`` equal parts (0.x of it, and ELLAR).
    """
    if not offset or length == 1:  # single frames begin in the middles in 1.x as well, and need no room behind them
        part = max(num_frames - (1 if offset else length * stride) + 1, 0) / clips
        return tuple(int(view * part + part / 2) for view in range(clips))
    slack = max(num_frames - (length - 1) * stride - 1, 0)
    if clips == 1:
        return (slack // 2,)
    return tuple(round(view * (slack / (clips - 1))) for view in range(clips))


def looped(num_frames: int, *, length: int, stride: int, start: int) -> tuple[int, ...]:
    """Every ``stride``-th frame from ``start``; behind the end it goes on at frame 0."""
    return tuple((start + stride * step) % num_frames for step in range(length))


# --------------------------------------------------------------------------------------------------------------- sparse
def segments(num_frames: int, length: int) -> list[tuple[int, int]]:
    """First and last frame of ``length`` equal parts of the video; both ends belong to the part, so that neighbours
    share one."""
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


# -------------------------------------------------------------------------------------------------------------- segment
def segment_starts(num_frames: int, *, segments: int, run: int, rng: np.random.RandomState) -> tuple[int, ...]:
    """Starts of the runs of ``run`` frames in a training clip (TSN, PAN, MIE-Net): a random place of each part of the
    video.

    Where the parts would be empty, ``segments`` places of the whole video in ascending order; one run of them all where
    the video is no longer than the clip. The published code draws those places from too few (TSN) or too many frames
    (MIE-Net); here from all."""
    size = (num_frames - run + 1) // segments
    if size > 0:
        return tuple((np.arange(segments) * size + rng.randint(size, size=segments)).tolist())
    if num_frames > segments:
        return tuple(np.sort(rng.randint(num_frames, size=segments)).tolist())
    return (0,) * segments


def segment_starts_placed(
    num_frames: int, *, segments: int, run: int, view: int = 0, views: int = 1
) -> tuple[int, ...]:
    """Starts of the runs in test clip ``view``.

    One clip: the middle of each part. Two: the middles, then the first frames (MIE-Net's "twice"). More: evenly from
    the first frame of each part to its last."""
    size = (num_frames - run + 1) / segments
    inside = size / 2 * (1 - view) if views <= 2 else max(size - 1, 0) * view / (views - 1)
    return tuple(max(0, int(inside + size * i)) for i in range(segments))  # int: towards 0, as published


def looped_starts(num_frames: int, *, segments: int, start: int) -> tuple[int, ...]:
    """Starts of the runs of a clip from a window of 64 frames (TSN's "dense"): evenly from ``start``, behind the end
    from frame 0."""
    stride = max(1, WINDOW // segments)
    return tuple((start + stride * i) % num_frames for i in range(segments))


def random_window(num_frames: int, rng: np.random.RandomState) -> int:
    """The first frame of a window in a training clip; the published code never draws the last one."""
    return int(rng.randint(max(1, num_frames - WINDOW + 1)))


def placed_window(num_frames: int, *, view: int = 0, views: int = 1) -> int:
    """The first frame of a window in test clip ``view``: evenly from the first to the last one; one clip has the middle
    one."""
    last = max(0, num_frames - WINDOW)
    return last // 2 if views == 1 else int(np.linspace(0, last, views)[view])


def runs(starts: tuple[int, ...], num_frames: int, *, run: int) -> tuple[int, ...]:
    """Segment clip: ``run`` neighbouring frames from each start; behind the end the last frame is repeated."""
    return tuple(min(start + step, num_frames - 1) for start in starts for step in range(run))


# -------------------------------------------------------------------------------------------------------------- uniform
def uniform(num_frames: int, *, length: int, rng: np.random.RandomState, start: int | None = None) -> tuple[int, ...]:
    """Uniform clip: one frame of each of ``length`` parts of the video, drawn (UniformSampleFrames of MMAction2, to the
    draw).

    A video shorter than the clip is repeated from its beginning; one shorter than two clips leaves frames out at random
    places.

    Args:
        start: frame that a repeated video begins with; None = a random one.
    """
    if num_frames < length:
        start = rng.randint(num_frames) if start is None else start
        return tuple((start + step) % num_frames for step in range(length))
    if num_frames < 2 * length:
        left_out = np.zeros(length + 1, dtype=int)
        left_out[rng.choice(length + 1, num_frames - length, replace=False)] = 1
        return tuple((np.arange(length) + left_out.cumsum()[:-1]).tolist())
    borders = np.arange(length + 1) * num_frames // length
    return tuple((borders[:-1] + rng.randint(np.diff(borders))).tolist())


def uniform_placed(num_frames: int, *, length: int, views: int = 1) -> list[tuple[int, ...]]:
    """The ``views`` test clips of a video: drawn like a training clip, always with the same numbers."""
    rng = np.random.RandomState(TEST_SEED)
    starts = [view if num_frames < views else view * num_frames // views for view in range(views)]
    return [uniform(num_frames, length=length, rng=rng, start=start) for start in starts]


# ------------------------------------------------------------------------------------------------------ frames, no clip
def every(num_frames: int, *, interval: int) -> tuple[int, ...]:
    """Every ``interval``-th frame: 0, interval, 2 * interval, ..."""
    return tuple(range(0, num_frames, interval))


def drawn(num_frames: int, *, count: int, rng: random.Random) -> tuple[int, ...]:
    """Draws ``count`` different frames in ascending order, or all where there are fewer."""
    return tuple(sorted(rng.sample(range(num_frames), min(count, num_frames))))


# ------------------------------------------------------------------------------------------------ kinds of clip by name
class ClipSettings(NamedTuple):
    """Settings that a kind of clip may depend on.

    Attributes:
        length: frames of a clip.
        stride: step between two frames of a dense clip.
        run: neighbouring frames that a segment clip takes from each part of the video.
        target_fps: rate that ``stride`` counts in, whatever the video's own rate; None = in frames of the video.
        offset: see ``placed_start``.
        fps: rate of the video; None where it is not known.
    """

    length: int
    stride: float = 1
    run: int = 1
    target_fps: float | None = None
    offset: bool = False
    fps: float | None = None

    @property
    def segments(self) -> int:
        return self.length // self.run

    @property
    def span(self) -> float:
        return clip_span(self.length, self.stride, fps=self.fps, target_fps=self.target_fps)


class ClipSampler(NamedTuple):
    """A kind of clip: how frames are chosen.

    Attributes:
        random: (frames in the video, settings, rng) -> the frame numbers of a training clip.
        placed: (frames in the video, settings, number of clips) -> the frame numbers of each test clip.
        covers: settings -> frames of the video that a clip of neighbours covers; None: its frames come from all over
            the video.
    """

    random: Callable[[int, ClipSettings, random.Random], tuple[int, ...]]
    placed: Callable[[int, ClipSettings, int], list[tuple[int, ...]]]
    covers: Callable[[ClipSettings], float] | None = None


SAMPLERS = Registry("DATA.SAMPLING", keys=("DATA.SAMPLING", "FEATURES.SAMPLING"))  # name -> ClipSampler


def _published_draws(rng: random.Random) -> np.random.RandomState:
    """The generator that the published draws come from."""
    return np.random.RandomState(rng.getrandbits(32))


def _random_dense(num_frames: int, clip: ClipSettings, rng: random.Random) -> tuple[int, ...]:
    return dense(num_frames, length=clip.length, span=clip.span, start=random_start(num_frames, clip.span, rng))


def _placed_dense(num_frames: int, clip: ClipSettings, clips: int) -> list[tuple[int, ...]]:
    starts = [placed_start(num_frames, clip.span, view=view, views=clips, offset=clip.offset) for view in range(clips)]
    return [dense(num_frames, length=clip.length, span=clip.span, start=start) for start in starts]


def _dense_span(clip: ClipSettings) -> float:
    return clip.span


def _random_mmaction(num_frames: int, clip: ClipSettings, rng: random.Random) -> tuple[int, ...]:
    how = {"length": clip.length, "stride": round(clip.stride)}
    return looped(num_frames, **how, start=mmaction_start(num_frames, **how, rng=_published_draws(rng)))


def _placed_mmaction(num_frames: int, clip: ClipSettings, clips: int) -> list[tuple[int, ...]]:
    how = {"length": clip.length, "stride": round(clip.stride)}
    starts = mmaction_starts(num_frames, **how, clips=clips, offset=clip.offset)
    return [looped(num_frames, **how, start=start) for start in starts]


def _mmaction_span(clip: ClipSettings) -> float:
    return clip.length * clip.stride  # of the video's own frames: MMAction2's recipes know no other rate


def _random_sparse(num_frames: int, clip: ClipSettings, rng: random.Random) -> tuple[int, ...]:
    return sparse_random(num_frames, length=clip.length, rng=rng)


def _placed_sparse(num_frames: int, clip: ClipSettings, clips: int) -> list[tuple[int, ...]]:
    return [sparse_placed(num_frames, length=clip.length, view=view, views=clips) for view in range(clips)]


def _random_segment(num_frames: int, clip: ClipSettings, rng: random.Random) -> tuple[int, ...]:
    starts = segment_starts(num_frames, segments=clip.segments, run=clip.run, rng=_published_draws(rng))
    return runs(starts, num_frames, run=clip.run)


def _placed_segment(num_frames: int, clip: ClipSettings, clips: int) -> list[tuple[int, ...]]:
    how = {"segments": clip.segments, "run": clip.run, "views": clips}
    starts = [segment_starts_placed(num_frames, view=view, **how) for view in range(clips)]
    return [runs(some, num_frames, run=clip.run) for some in starts]


def _random_segment_dense(num_frames: int, clip: ClipSettings, rng: random.Random) -> tuple[int, ...]:
    start = random_window(num_frames, _published_draws(rng))
    return runs(looped_starts(num_frames, segments=clip.segments, start=start), num_frames, run=clip.run)


def _placed_segment_dense(num_frames: int, clip: ClipSettings, clips: int) -> list[tuple[int, ...]]:
    windows = [placed_window(num_frames, view=view, views=clips) for view in range(clips)]
    starts = [looped_starts(num_frames, segments=clip.segments, start=start) for start in windows]
    return [runs(some, num_frames, run=clip.run) for some in starts]


def _random_uniform(num_frames: int, clip: ClipSettings, rng: random.Random) -> tuple[int, ...]:
    return uniform(num_frames, length=clip.length, rng=_published_draws(rng))


def _placed_uniform(num_frames: int, clip: ClipSettings, clips: int) -> list[tuple[int, ...]]:
    return uniform_placed(num_frames, length=clip.length, views=clips)


SAMPLERS.register("dense")(ClipSampler(_random_dense, _placed_dense, _dense_span))
SAMPLERS.register("mmaction")(ClipSampler(_random_mmaction, _placed_mmaction, _mmaction_span))
SAMPLERS.register("sparse")(ClipSampler(_random_sparse, _placed_sparse))
SAMPLERS.register("segment")(ClipSampler(_random_segment, _placed_segment))
SAMPLERS.register("segment_dense")(ClipSampler(_random_segment_dense, _placed_segment_dense))
SAMPLERS.register("uniform")(ClipSampler(_random_uniform, _placed_uniform))
