"""Mean and standard deviation of the pixels that a network is trained on, measured on videos: what DATA.MEAN and
DATA.STD stand for."""

import math
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from fragrant.data.lists.errors import ListError
from fragrant.data.video.frames import OpenFrames, VideoError
from fragrant.data.views import ViewPlan
from fragrant.workers import results_of

DIGITS = 4  # behind the point
LEAST_STD = 10.0**-DIGITS  # of videos of one colour: DATA.STD is above 0


class Moments(NamedTuple):
    """Of the pixels of one video, in 0..1: their mean and the mean of their squares, each (streams, 3), RGB."""

    mean: list[list[float]]
    square: list[list[float]]


class PixelStatistics(NamedTuple):
    """Statistics of one stream of clips.

    Attributes:
        mean: (3,) per channel, RGB, of pixels in 0..1.
        std: the same.
        videos: how many they are measured on.
        unreadable: why the others could not be read.
    """

    mean: list[float]
    std: list[float]
    videos: int
    unreadable: list[str]


Streams = Callable[[Tensor], tuple[Tensor, ...]]  # frames (T, H, W, 3) uint8 -> those of each stream, the same shape
Lit = Callable[[Tensor, random.Random], Tensor]  # frames as read -> in the light that the network sees them in


def moments(frames: Tensor) -> tuple[list[float], list[float]]:
    """Mean and mean square per channel of frames (T, H, W, 3) uint8, as pixels in 0..1; from exact counts."""
    values = torch.arange(256, dtype=torch.float64) / 255
    counts = torch.stack(
        [torch.bincount(frames[..., channel].flatten().int(), minlength=256) for channel in range(frames.shape[3])]
    ).double()  # (3, 256)
    shares = counts / counts.sum(1, keepdim=True)
    return (shares @ values).tolist(), (shares @ values**2).tolist()


def measured_video(
    job: tuple[int, str], *, plan: ViewPlan, lit: Lit, streams: Streams, open_frames: OpenFrames, seed: int
) -> Moments | str:
    """The moments of the frames that one training clip of a video shows; why it cannot be read, as a text.

    Args:
        job: number and path of the video; the number and ``seed`` decide what is drawn.
    """
    number, path = job
    try:
        with open_frames(path) as frames:
            views = plan(len(frames), random.Random(f"{seed}-{number}"), fps=frames.fps)
            pixels = frames.read(sorted({at for view in views for at in view.frames}))
    except VideoError as error:
        return str(error)
    each = [moments(stream) for stream in streams(lit(pixels, random.Random(f"{seed}-{number}-0")))]
    return Moments([mean for mean, _ in each], [square for _, square in each])


def pooled(each: Sequence[Moments], unreadable: Sequence[str] = ()) -> list[PixelStatistics]:
    """Statistics of every stream from the moments of videos, each of which counts the same, whatever its size and
    length.

    Mean: of the videos' means. Standard deviation: of single pixels of all videos around that mean, so that videos of
    different brightness count, ``sqrt(E[x**2] - E[x]**2)``.
    """
    found = []
    mean, square = (torch.tensor(values, dtype=torch.float64).mean(0) for values in zip(*each, strict=True))
    for means, squares in zip(mean.tolist(), square.tolist(), strict=True):
        stds = [math.sqrt(max(of_square - of**2, 0.0)) for of, of_square in zip(means, squares, strict=True)]
        found.append(PixelStatistics(means, [max(std, LEAST_STD) for std in stds], len(each), list(unreadable)))
    return found


def measure(
    paths: Sequence[str],
    *,
    workers: int,
    plan: ViewPlan,
    lit: Lit,
    streams: Streams,
    open_frames: OpenFrames,
    seed: int,
) -> list[PixelStatistics]:
    """Statistics of every stream, see ``pooled`` and ``measured_video``.

    Raises:
        ListError: not one of the videos can be read.
    """
    of_one = partial(measured_video, plan=plan, lit=lit, streams=streams, open_frames=open_frames, seed=seed)
    jobs = list(enumerate(paths))
    results = dict(results_of(of_one, jobs, workers=workers, title="statistics"))
    each: list[Moments] = []
    unreadable: list[str] = []
    for job in jobs:  # in the order of the list, whoever was first: the sums are the same
        result = results[job]
        if isinstance(result, Moments):
            each.append(result)
        else:
            unreadable.append(result or f"video '{job[1]}' cannot be read: reading it ends the process")
    if not each:
        raise ListError(f"not one of {len(paths)} videos can be read; the first: {(unreadable or ['no video'])[0]}")
    return pooled(each, unreadable)


def told(node: str, found: PixelStatistics) -> list[str]:
    """The two keys of a node, "DATA", as they are given on the command line and in a yaml file."""
    values = {
        name: "[" + ", ".join(f"{value:.{DIGITS}f}" for value in getattr(found, name.lower())) + "]"
        for name in ("MEAN", "STD")
    }
    words = " ".join(f'{node}.{name} "{text}"' for name, text in values.items())
    return [words, f"{node}:", *(f"  {name}: {text}" for name, text in values.items())]
