"""What a network gets of a video in training: draws of the config's whole pipeline, beside the frames as they are
read."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from fragrant.data.clips import ClipDataset, VideoFrames
from fragrant.layers.normalize import ClipNormalize
from fragrant.report.browse.content import Draw, Drawn
from fragrant.report.browse.preview import Preview, preview, seconds_of
from fragrant.report.strips import evenly
from fragrant.workers import results_of

FRAMES = 16  # of a clip that are shown
HEIGHT = 112  # of a frame, pixels

# uint8 clips (N, C, T, H, W), a key for each -> normalised clips (N, S * C, T, H, W) of S streams, erased by the keys
Prepare = Callable[[Tensor, Sequence[str]], Tensor]


def as_pixels(clips: Tensor, normalizations: Sequence[ClipNormalize]) -> list[Tensor]:
    """Normalised clip (1, S * C, T, H, W) -> the pixels (T, H, W, C) uint8 of each of its S streams."""
    streams = clips.chunk(len(normalizations), 1)
    undone = [normalize.undo(stream)[0] for normalize, stream in zip(normalizations, streams, strict=True)]
    return [pixels.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 3, 0) for pixels in undone]


def _shown(frames: Tensor, seconds: float) -> Preview:
    return preview(frames[evenly(len(frames), FRAMES)], seconds=seconds, height=HEIGHT, width=2 * HEIGHT)


def one_draw(
    video: VideoFrames, dataset: ClipDataset, prepare: Prepare, normalizations: Sequence[ClipNormalize], epoch: int
) -> Draw:
    """The first view of a video in an epoch, as the network gets it: see ``ClipDataset`` and
    ``build_training_preparation``."""
    clip = video.clips(dataset.transform).clips[:1].permute(0, 4, 1, 2, 3)  # (1, C, T, H, W)
    prepared = prepare(clip, [f"{dataset.seed}-{epoch}-{video.id}-0-erase"])
    numbers = list(video.views[0].frames)
    streams = [_shown(pixels, seconds_of(numbers, None)) for pixels in as_pixels(prepared, normalizations)]
    each = [stream.double() for stream in prepared.chunk(len(normalizations), 1)]
    means, stds = [round(float(s.mean()), 2) for s in each], [round(float(s.std()), 2) for s in each]
    return Draw(epoch + 1, streams, numbers, means, stds)


def draws_of(
    job: tuple[int, str],
    *,
    dataset: ClipDataset,
    count: int,
    prepare: Prepare,
    normalizations: Sequence[ClipNormalize],
) -> Drawn:
    """What a training gets of the video number ``job[0]`` of its list, of class ``job[1]``, in its first ``count``
    epochs."""
    video_id, label = job
    draws, original, path = list[Draw](), None, dataset.records[video_id].path
    for epoch in range(count):
        video = dataset[(epoch, video_id)]
        if not isinstance(video, VideoFrames) or video.skipped:
            return Drawn(path, label, None, [], video.skipped[0].reason)
        if original is None:
            place = {number: at for at, number in enumerate(video.numbers)}
            frames = video.frames[[place[number] for number in video.views[0].frames]]
            both = torch.cat(frames.split(3, 3), 2)  # of a pair side by side
            original = _shown(both, seconds_of(list(video.views[0].frames), None))
        draws.append(one_draw(video, dataset, prepare, normalizations, epoch))
    return Drawn(path, label, original, draws)


def all_draws(
    jobs: Sequence[tuple[int, str]],
    dataset: ClipDataset,
    *,
    count: int,
    prepare: Prepare,
    normalizations: Sequence[ClipNormalize],
) -> list[Drawn]:
    """``draws_of`` several videos, in order; in this process: they are few, and their data set may be large."""
    assert dataset.hand_over == math.inf
    of_one = partial(draws_of, dataset=dataset, count=count, prepare=prepare, normalizations=normalizations)
    drawn: dict[tuple[int, str], Drawn] = dict(results_of(of_one, jobs, workers=1, title="augmented"))
    return [drawn[job] for job in jobs]
