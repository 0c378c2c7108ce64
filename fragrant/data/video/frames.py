"""A video as an indexable row of frames: exact frame numbers, at the cost of the frames that are asked for.

Decoding is nearly all of that cost. ``readers.Seeker`` decodes as little as possible and compares what it gets with
what the packets of the file promise; where the two differ, or nothing can be promised, ``readers.Counter`` decodes from
the start."""

import os

import av
import numpy as np
import torch
from torch import Tensor

from fragrant.data.video.frame_folder import FrameFolder
from fragrant.data.video.gray_range import GrayRange
from fragrant.data.video.other_decoders import DECODERS
from fragrant.data.video.packets import Doubtful
from fragrant.data.video.pixels import ToRGB, require_pyav
from fragrant.data.video.places import Place, place_of
from fragrant.data.video.readers import Counter, Seeker, Source
from fragrant.data.video.row_of_frames import (
    LIMITS,
    CannotRead,
    Frames,
    Limits,
    OpenFrames,
    VideoError,
    damaged,
    errors_named,
    reduced_size,
)
from fragrant.data.video.tensor_file import SUFFIXES, TensorFile

__all__ = ["Frames", "Limits", "OpenFrames", "VideoError", "VideoFile", "open_frames"]


VARIABLE_RATE = "a variable frame rate"
CUT = "cut out of a longer file: some frames at the beginning cannot be decoded"


class VideoFile(Frames):
    """The frames of one video file, turned and mirrored as the file says. See ``open_frames``."""

    def __init__(
        self,
        path: str,
        *,
        backend: str = "pyav",
        multi_thread: bool = False,
        short_side: int = 0,
        limits: Limits = LIMITS,
        place: Place | None = None,
        gray_range: GrayRange | None = None,
    ):
        super().__init__(path, short_side=short_side, limits=limits)
        self._multi_thread = multi_thread
        self._to_rgb = ToRGB(short_side, gray_range)
        self.notes = self._to_rgb.notes
        # the others cannot reduce frames as PyAV does, and make RGB of every gray
        seeker = Seeker if short_side or gray_range else DECODERS.get(backend, Seeker)
        with errors_named(path):
            found = place or place_of(path)
            if not isinstance(found, Place):
                raise CannotRead("it is not a file")
            if not found.size:  # in FFmpeg's words; some files of /proc have no size and never end
                raise CannotRead("Invalid data found when processing input")
            self.place = found
            try:
                self._reader: Seeker | Counter = seeker(self._open_source)
            except Doubtful:
                self._reader = Counter(self._open_source)
        self._promised = len(self)
        self.fps, self.times = self._reader.timing
        if self.times is not None:
            self.notes.add(VARIABLE_RATE)
        if self._reader.is_cut:
            self.notes.add(CUT)

    def __len__(self) -> int:
        return len(self._reader)

    def close(self) -> None:
        self._reader.close()

    def _open_source(self, *, quick: bool) -> Source:
        assert self.place is not None
        return Source(self.place, quick=quick, multi_thread=self._multi_thread, limits=self.limits)

    def _load(self, numbers: list[int]) -> Tensor:
        try:
            return self._fill(numbers)
        except Doubtful:
            return self._count_and_fill(numbers)

    def _count_and_fill(self, numbers: list[int]) -> Tensor:
        promised = len(self)
        self._reader.close()
        self._reader = Counter(self._open_source)
        if self.times is not None and len(self.times) != len(self):
            self.fps, self.times = self._reader.timing
        if numbers[-1] >= len(self):
            raise CannotRead(damaged(numbers[-1], len(self), promised))
        return self._fill(numbers)

    def _fill(self, numbers: list[int]) -> Tensor:
        """(len(numbers), H, W, 3) for ascending frame numbers"""
        self._check_room(len(numbers), *self._reader.size)  # as the header says, before anything is decoded
        place = {number: at for at, number in enumerate(numbers)}
        pixels: Tensor | None = None
        size: tuple[int, int] | None = None
        for number, frame in self._reader.frames(numbers):
            picture, coded = self._upright(frame)
            if pixels is None:
                self._check_room(len(numbers), *coded)
                size, pixels = coded, torch.empty(len(numbers), *picture.shape, dtype=torch.uint8)
            assert size is not None
            if coded != size:
                raise CannotRead(f"its frames differ in size, {size[1]}x{size[0]} and {coded[1]}x{coded[0]}")
            pixels.numpy()[place[number]] = picture
        assert pixels is not None  # a number is asked for
        return pixels

    def _check_room(self, count: int, height: int, width: int) -> None:
        """``count`` frames of this size as coded."""
        self.limits.check(count, *reduced_size(height, width, self.short_side))

    def _upright(self, frame: av.VideoFrame | np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
        """(H, W, 3) of what a reader hands out, valid until the next call; the size as coded"""
        if isinstance(frame, np.ndarray):
            return frame, frame.shape[:2]
        return self._to_rgb(frame), (frame.height, frame.width)


def open_frames(
    path: str | os.PathLike,
    *,
    backend: str = "pyav",
    multi_thread: bool = False,
    short_side: int = 0,
    template: str = "{:05d}.jpg",
    base: int | None = None,
    limits: Limits = LIMITS,
    remote: str = "",
    gray_range: GrayRange | None = None,
) -> Frames:
    """Opens a video file, a folder of pictures or a tensor, also as members of a shard (``000.tar::a.mp4``):
    ``len(frames)``, ``frames.read([0, 8, 16])``, ``frames.fps``.

    Args:
        backend: what decodes the frames of a video file, "pyav", "torchcodec" or "decord"; PyAV says which frame is
            which, and reads what the others would read in another way.
        multi_thread: let PyAV's decoder use threads. It then cannot leave frames out: more workers are faster than
            threads.
        short_side: larger frames are reduced to it while their colours are converted: faster, but other pixels than
            those of a
            later resize; 0 = no.
        template, base: file names and first number in a folder, see ``FrameFolder``.
        limits: a video that takes more memory cannot be read.
        remote: an address, what lies below it is fetched; no other address is opened.
        gray_range: values of gray of more than 8 bits that become 0 and 255, see ``scaled_gray``; other frames stay as
            they are; None = all values that fit in the bits.

    Raises:
        VideoError: there is no such file, or nothing in it decodes.
    """
    path = os.fspath(path)
    require_pyav()
    with errors_named(path):
        place = place_of(path, remote=remote)
    if not isinstance(place, Place):
        numbered = {"template": template, "base": base, "gray_range": gray_range}
        return FrameFolder(path, **numbered, short_side=short_side, limits=limits, place=place)  # type: ignore[arg-type]
    if path.endswith(SUFFIXES):
        return TensorFile(path, short_side=short_side, limits=limits, place=place)
    more = {"multi_thread": multi_thread, "gray_range": gray_range}
    return VideoFile(path, backend=backend, **more, short_side=short_side, limits=limits, place=place)  # type: ignore[arg-type]
