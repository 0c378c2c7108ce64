"""A video of a list becomes the clips of its views: opened once, the frames that its views need decoded once.

Clips are made where the video is read, or later on the device of the model, from the frames that a worker hands over:
by the same code, with the same draws.
"""

import itertools
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from fragrant.config.pixel_statistics import LUMA_WEIGHTS
from fragrant.data.figures import Track, read_track
from fragrant.data.lists.records import RecordList, VideoRecord, each_label
from fragrant.data.transforms.view_transforms import TrainTransform
from fragrant.data.video.frames import Frames, OpenFrames, VideoError, open_frames
from fragrant.data.views import View, ViewPlan

TRIES = 10  # videos of a class that are tried in place of an unreadable one


class Batch(NamedTuple):
    """Videos with all their views.

    Attributes:
        clips: (B, V, C, T, H, W) pixel values 0..255, uint8 or float32; channels last in memory, so that
            ``flatten(0, 1)`` is a
            channels_last_3d tensor without a copy. Views that show the same share a clip: there are as many as the
            video with the most needs, and what others have more than they need is a repetition.
        labels: (B,) long; or (B, K) bool where a video has several, no True in a row: nobody knows; or (B, K) float32
            where a list in training has probabilities as targets.
        ids: (B,) place of each video in its list.
        luma: (B,) mean brightness 0..1 of the decoded frames, before any transform; NaN where it was not measured.
        views: (B, V) which of its video's clips each view is; in training every view has a clip of its own.
        figures: where the joints of the figure are in every clip (B, V, T, 9, 2), as shares of its pictures, and how it
            moves (B, V, T, 11); of drawn videos, where an objective asks for it.
    """

    clips: Tensor
    labels: Tensor
    ids: Tensor
    luma: Tensor
    views: Tensor
    figures: Track | None = None

    def to(self, device: torch.device) -> "Batch":
        """Does not wait for the copy when the batch is pinned."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        clips, labels, ids, luma, views, figures = self
        changed = Batch(change(clips), change(labels), change(ids), change(luma), change(views))
        return changed if figures is None else changed._replace(figures=Track(*map(change, figures)))


class Skipped(NamedTuple):
    """A video that could not be read: travels from a worker as a value, since a raised error would arrive as a long
    text."""

    id: int
    reason: str
    where: str = ""  # its row: "train.csv:12"

    @property
    def message(self) -> str:
        """Error message of the video: ``"video 'x.mp4' cannot be read: why (train.csv:12)"``"""
        return f"{self.reason} ({self.where})" if self.where else self.reason


class ViewTransform(Protocol):
    """Frames of a video -> one of its views."""

    def prepare(self, frames: Tensor, /) -> Tensor:
        """Does once what all views share: (T, H, W, C) uint8 -> (T, H', W', C)"""

    def __call__(self, frames: Tensor, where: Any, rng: random.Random, /) -> Tensor:
        """Makes one view: (T, H', W', C) -> (T, S, S, C); ``where``: see View."""


class VideoClips(NamedTuple):
    """The clips of one video.

    Attributes:
        clips: (clips, T, H, W, C), those that differ.
        views: which of the clips each view is.
        label: the video's class; or (K,) bool, which classes it shows; or (K,) float32, its target.
        id: the video's place in the list.
        luma: mean brightness 0..1, NaN = not measured.
        skipped: the unreadable videos that this one replaces.
        figure: of the clips, each (clips, T, ...), where the video has a track.
    """

    clips: Tensor
    views: tuple[int, ...]
    label: int | Tensor
    id: int
    luma: float = math.nan
    skipped: tuple[Skipped, ...] = ()
    figure: Track | None = None


class VideoFrames(NamedTuple):
    """One video as it was read: all that its clips are made of.

    Attributes:
        frames: (T, H, W, C) uint8, those that its views need, each once.
        numbers: (T,) their numbers in the video, ascending.
        views: which of them each clip shows, and from where.
        seed: what everything random about the clips follows from.
        label, id, luma, skipped: see VideoClips.
        figure: of the frames.
    """

    frames: Tensor
    numbers: list[int]
    views: list[View]
    seed: str
    label: int | Tensor
    id: int
    luma: float = math.nan
    skipped: tuple[Skipped, ...] = ()
    figure: Track | None = None

    def clip_of_view(self) -> list[int]:
        """Which of its clips each view shows: placed views of a short video are often the same."""
        keys = [at if view.where is None else view for at, view in enumerate(self.views)]
        clip_of = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        return [clip_of[key] for key in keys]

    def clips(self, transform: ViewTransform) -> VideoClips:
        """The clips of its views, made on the device that the frames are on."""
        place = {number: at for at, number in enumerate(self.numbers)}
        pixels = transform.prepare(self.frames)
        clip_of, shown = self.clip_of_view(), []
        for at in map(clip_of.index, range(1 + max(clip_of))):
            view = self.views[at]
            frames = transform(pixels, view.where, random.Random(f"{self.seed}-{at}"))
            shown += [frames[place[number]] for number in view.frames]
        # copied once, out of the frames: the crops of a clip overlap
        clips = torch.stack(shown).unflatten(0, (1 + max(clip_of), -1))
        figure = None if self.figure is None else self._figures(self.figure, clip_of, place, transform)
        return VideoClips(clips, tuple(clip_of), self.label, self.id, self.luma, self.skipped, figure)

    def _figures(self, track: Track, clip_of: list[int], place: dict[int, int], transform: ViewTransform) -> Track:
        """The figure in each of the clips: from the draws that the clips are made with."""
        assert isinstance(transform, TrainTransform)
        found = []
        for at in map(clip_of.index, range(1 + max(clip_of))):
            rows = track.at([place[number] for number in self.views[at].frames])
            size = self.frames.shape[1], self.frames.shape[2]
            joints, mirrored = transform.traced(size, rows.joints, random.Random(f"{self.seed}-{at}"))
            rows = rows._replace(joints=joints)
            found.append(rows.mirrored() if mirrored else rows)
        return Track(*(torch.stack(parts) for parts in zip(*found, strict=True)))


class Unreadable(NamedTuple):
    """An item without clips: neither the video nor, where another may take its place, any of those that were tried can
    be read."""

    skipped: tuple[Skipped, ...]

    @property
    def message(self) -> str:
        """Why the video itself cannot be read."""
        return self.skipped[0].message

    @property
    def reason(self) -> str:
        """Why the video cannot be read, without its place in the list: for videos that come from no list file."""
        return self.skipped[0].reason


class Loaded(NamedTuple):
    """A worker's result: a batch (None = not one video of it can be read), and the videos that were skipped."""

    batch: "Batch | FrameBatch | None"
    skipped: list[Skipped]
    incomplete: bool  # a video is missing in the batch

    def pin(self) -> "Loaded":
        """Copied into page-locked memory, from which a GPU takes it without the host waiting."""
        if self.batch is None:
            return self
        return self._replace(batch=self.batch.pin_memory())


def mean_luma(frames: Tensor) -> float:
    """Mean brightness 0..1 of frames (T, H, W, 3) uint8 RGB by the weights of BT.601; exact sums, about 0.4 ms for 16
    frames of 320 x 240."""
    rows = frames.numpy().reshape(-1, frames.shape[2] * 3)
    # 257 values of 255 are the most that 16 bits hold; whole rows in 16 bits take a thirtieth of the time of torch's
    # sum.
    columns = sum(rows[at : at + 257].sum(0, dtype=np.uint16).astype(np.uint64) for at in range(0, len(rows), 257))
    red, green, blue = columns.reshape(-1, 3).sum(0).tolist()
    of_red, of_green, of_blue = LUMA_WEIGHTS
    return (of_red * red + of_green * green + of_blue * blue) / (255 * (frames.numel() // 3))


class ClipDataset(Dataset):
    """``dataset[(epoch, id)]`` -> VideoClips, VideoFrames or Unreadable.

    What is random about a clip depends on (seed, epoch, id, view) alone, not on the number of workers or ranks.

    Args:
        records: the videos; compact in memory when they come from ``read_list``.
        plan: which views of a video.
        transform: has ``prepare(frames)`` for what all views share and ``(frames, where, rng) -> frames`` for one, both
            on all frames
            (T, H, W, C) that any view needs, each once.
        open_frames: path -> the frames of a video: ``frames.open_frames`` or something that behaves alike.
        measure_luma: measure the brightness of every video, for a test.
        replace: another video of the same class takes the place of one that cannot be read, for training.
        several_of: number of classes of which a video may have several; None = it has one.
        soft_of: number of classes of which every video has a target, 1 for the class of one that has a label alone;
            None = class numbers.
        unlabelled: labels do not matter: every video has -1, and any other may take its place.
        tracked: every video has the track of a figure beside it, which comes with its clips.
        hand_over: bytes of frames per clip up to which a video is handed over as frames, for its clips to be made
            elsewhere; 0 = never.
        open_pair: (path, path of its partner) -> the frames of both, see ``PairedFrames``; None = each video by itself.
    """

    def __init__(
        self,
        records: Sequence[VideoRecord],
        plan: ViewPlan,
        transform: ViewTransform,
        *,
        seed: int,
        open_frames: OpenFrames = open_frames,
        measure_luma: bool = False,
        replace: bool = False,
        several_of: int | None = None,
        soft_of: int | None = None,
        unlabelled: bool = False,
        tracked: bool = False,
        hand_over: float = 0.0,
        open_pair: Callable[[str, str], Frames] | None = None,
    ):
        self.records = records if isinstance(records, RecordList) else RecordList(records)
        self.plan = plan
        self.transform = transform
        self.seed = seed
        self.open_frames = open_frames
        self.measure_luma = measure_luma
        self.replace = replace
        self.several_of = several_of
        self.soft_of = soft_of
        self.unlabelled = unlabelled
        self.tracked = tracked
        self.hand_over = hand_over
        self.open_pair = open_pair

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: tuple[int, int]) -> VideoClips | VideoFrames | Unreadable:
        epoch, video_id = key
        seed = f"{self.seed}-{epoch}-{video_id}"
        skipped: list[Skipped] = []
        for candidate in itertools.chain([video_id], self._others(video_id, seed)):
            try:
                video = self._frames(candidate, seed)._replace(skipped=tuple(skipped))
                hands_over = video.frames.nbytes <= self.hand_over * (1 + max(video.clip_of_view()))
                return video if hands_over else video.clips(self.transform)
            except VideoError as error:
                skipped.append(Skipped(candidate, str(error), self.records.where(candidate)))
        return Unreadable(tuple(skipped))

    def clips_of(self, key: tuple[int, int]) -> VideoClips | Unreadable:
        """``self[key]`` for those who have no device to hand frames over to."""
        video = self[key]
        return video.clips(self.transform) if isinstance(video, VideoFrames) else video

    def _others(self, video_id: int, seed: str) -> Iterator[int]:
        """Yields some videos of the same class in random order to replace an unreadable one; none where that is not
        allowed."""
        if self.replace:
            labels = self.records.labels
            same = np.flatnonzero((labels == labels[video_id]) | self.unlabelled)
            yield from random.Random(f"{seed}-other").sample(same[same != video_id].tolist(), min(TRIES, len(same) - 1))

    def _frames(self, video_id: int, seed: str) -> VideoFrames:
        record = self.records[video_id]
        views, numbers, pixels = self._read(video_id, random.Random(seed))
        luma = mean_luma(pixels[..., :3]) if self.measure_luma else math.nan
        track = read_track(record.path, numbers) if self.tracked else None
        return VideoFrames(pixels, numbers, views, seed, self._label(video_id), video_id, luma, figure=track)

    def _label(self, video_id: int) -> int | Tensor:
        record = self.records[video_id]
        if self.unlabelled:
            return -1
        if self.soft_of is not None:
            if (target := self.records.target(video_id)) is not None:
                return torch.tensor(target)
            return F.one_hot(torch.tensor(record.label), self.soft_of).float()
        if self.several_of is None:
            return cast(int, record.label)
        shown = torch.zeros(self.several_of, dtype=torch.bool)
        shown[[label for label in each_label(record.label) if label >= 0]] = True
        return shown

    def _opened(self, video_id: int) -> Frames:
        path, partner = self.records[video_id].path, self.records.partner(video_id)
        return self.open_frames(path) if self.open_pair is None or partner is None else self.open_pair(path, partner)

    def _read(self, video_id: int, rng: random.Random) -> tuple[list[View], list[int], Tensor]:
        """The views, the frame numbers that they need (ascending) and those frames."""
        with self._opened(video_id) as frames:
            views = self.plan(len(frames), rng, fps=frames.fps)
            numbers = sorted({number for view in views for number in view.frames})
            return views, numbers, frames.read(numbers)


def make_batch(items: list[VideoClips]) -> Batch:
    """Videos with equally many views -> one batch."""
    most = max(len(item.clips) for item in items)
    filled = [
        item.clips if len(item.clips) == most else item.clips[[i % len(item.clips) for i in range(most)]]
        for item in items
    ]
    clips = torch.stack(filled) if len(items) > 1 else filled[0].unsqueeze(0)  # (B, clips, T, H, W, C)
    views, ids, luma = (torch.tensor([getattr(item, name) for item in items]) for name in ("views", "id", "luma"))
    labels = torch.stack([torch.as_tensor(item.label) for item in items])  # (B,) or (B, K)
    tracks = [item.figure for item in items if item.figure is not None]
    figures = Track(*(torch.stack(parts) for parts in zip(*tracks, strict=True))) if tracks else None
    return Batch(clips.permute(0, 1, 5, 2, 3, 4), labels, ids, luma, views, figures)


@dataclass(frozen=True)
class FrameBatch:
    """Videos whose clips are made on the device: ``.to(device)`` is a Batch, as of a Batch.

    Attributes:
        videos: some may be clips already.
        ids: (B,) place of each video in its list.
        transform: makes the clips; set behind the workers, which need not send it with every batch.
    """

    videos: list[VideoFrames | VideoClips]
    ids: Tensor
    transform: ViewTransform | None = None

    def to(self, device: torch.device) -> Batch:
        """Does not wait for the copy when the batch is pinned."""
        assert self.transform is not None
        clips = []
        for video in self.videos:
            if isinstance(video, VideoFrames):
                frames = video.frames.to(device, non_blocking=True)
                clips.append(video._replace(frames=frames).clips(self.transform))
            else:
                clips.append(video._replace(clips=video.clips.to(device, non_blocking=True)))
        return make_batch(clips).to(device)

    def pin_memory(self) -> "FrameBatch":
        """With the pixels in page-locked memory, for a GPU."""
        pinned: list[VideoFrames | VideoClips] = []
        for video in self.videos:
            if isinstance(video, VideoFrames):
                pinned.append(video._replace(frames=video.frames.pin_memory()))
            else:
                pinned.append(video._replace(clips=video.clips.pin_memory()))
        return replace(self, videos=pinned)


def collate(items: list[VideoClips | VideoFrames | Unreadable]) -> Loaded:
    """Videos -> one batch of those that could be read."""
    skipped = [skipped for item in items for skipped in item.skipped]
    readable = [item for item in items if not isinstance(item, Unreadable)]
    return Loaded(_batch(readable) if readable else None, skipped, incomplete=len(readable) < len(items))


def _batch(videos: list[VideoClips | VideoFrames]) -> Batch | FrameBatch:
    clips = [video for video in videos if isinstance(video, VideoClips)]
    if len(clips) == len(videos):
        return make_batch(clips)
    return FrameBatch(videos, torch.tensor([video.id for video in videos]))
