"""The last frames of a stream, and the clip that a network sees of them: frames that two windows share are prepared
once."""

import random
from collections import deque

import torch
from torch import Tensor

from fragrant.data.build import ClipSource
from fragrant.data.clips import VideoClips, mean_luma
from fragrant.data.transforms.frame_by_frame import FrameByFrame
from fragrant.data.transforms.view_transforms import resize
from fragrant.data.video.pixels import ToRGB
from fragrant.data.video.row_of_frames import CannotRead, Limits, reduced_size
from fragrant.errors import UserError
from fragrant.live.messages import LiveFrame


class _Kept:
    """A frame in the ring, prepared when it is needed for the first time."""

    def __init__(self, frame: LiveFrame):
        self.frame: LiveFrame | None = frame
        self.number, self.time, self.arrived, self.clock = frame.number, frame.time, frame.arrived, frame.clock
        self.pixels: Tensor | None = None  # what FrameByFrame keeps of it
        self.luma = 0.0


class Ring:
    """The newest frames of one connection, at most a window of them.

    Args:
        source: how clips are made.
        short_side: as DATA.DECODE_SHORT_SIDE.
    """

    def __init__(self, source: ClipSource, *, short_side: int = 0, limits: Limits):
        self.source, self.short_side, self.limits = source, short_side, limits
        self._steps = FrameByFrame(source.transform)
        self._to_rgb = ToRGB(short_side)
        self._frames: deque[_Kept] = deque()
        self._length = 0
        self.fps: float | None = None
        self._size = (0, 0)

    def start(self, length: int, fps: float | None) -> None:
        """Empties it, for windows of ``length`` frames at a rate."""
        self._frames.clear()
        self._length, self.fps = length, fps

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def full(self) -> bool:
        return 0 < self._length == len(self._frames)

    @property
    def first(self) -> _Kept:
        return self._frames[0]

    @property
    def last(self) -> _Kept:
        return self._frames[-1]

    def push(self, frame: LiveFrame, *, prepare: bool = False) -> bool:
        """Adds a frame, and drops the oldest of a full ring; False where it is of another size than those before, which
        are forgotten then.

        Args:
            prepare: there is time to prepare it now.

        Raises:
            UserError: a ring of frames of this size takes more memory than is allowed.
        """
        size = (frame.image.height, frame.image.width)
        same = size == self._size or not self._frames
        if size != self._size:
            try:
                self.limits.check(self._length, *reduced_size(*size, self.short_side))
            except CannotRead as error:
                raise UserError(f"the source cannot be looked at: {error}") from error
            self._frames.clear()
            self._size = size
        self._frames.append(_Kept(frame))
        if len(self._frames) > self._length:
            self._frames.popleft()
        if prepare:
            self._prepared(self._frames[-1])
        return same

    def clip(self) -> VideoClips:
        """The clip of the frames that are there, as of a video that holds nothing else."""
        (view,) = self.source.window(len(self._frames), random.Random(0), fps=self.fps)
        numbers = sorted(set(view.frames))
        kept = [self._frames[number] for number in numbers]
        pixels = self._steps.finish([self._prepared(one) for one in kept])
        frames = self.source.transform(pixels, 0.5 if view.where is None else view.where, random.Random(0))
        place = {number: at for at, number in enumerate(numbers)}
        clip = frames[[place[number] for number in view.frames]]
        luma = sum(one.luma for one in kept) / len(kept)
        return VideoClips(clip.unsqueeze(0), (0,), -1, 0, luma)

    def _prepared(self, kept: _Kept) -> Tensor:
        if kept.pixels is None:
            assert kept.frame is not None
            picture = torch.from_numpy(self._to_rgb(kept.frame.image).copy())
            height, width = reduced_size(picture.shape[0], picture.shape[1], self.short_side)
            picture = resize(picture.unsqueeze(0), height, width)
            kept.luma, kept.pixels = mean_luma(picture), self._steps.start(picture[0])
            kept.frame = None  # the decoder's memory
        return kept.pixels
