"""A video file as an indexable row of frames: exact frame numbers, at the cost of the frames that are asked for.

Decoding is nearly all of that cost. ``readers.Seeker`` decodes as little as possible and compares what it gets with what the
packets of the file promise; where the two differ, or nothing can be promised, ``readers.Counter`` decodes from the start.

Frames are as they were coded: a rotation tag in the file is not applied.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import av
import numpy as np
import torch
from av.video.reformatter import VideoReformatter
from torch import Tensor

from fragrant.data.packets import Doubtful
from fragrant.data.readers import CannotRead, Counter, Seeker, Source
from fragrant.errors import UserError

# Colours are converted by one thread: PyAV's default from version 17 on, one per core, takes longer to start than to convert.
ONE_THREAD = {"threads": 1} if int(av.__version__.split(".")[0]) >= 17 else {}


class VideoError(UserError):
    """A video that cannot be read; the message names its path."""


class Frames:
    """The frames of one video file; use it as a context manager or call ``close``. See ``open_frames``.

    Attributes:
        path: the file.
        fps: frames per second, None where the file does not say.
    """

    def __init__(self, path: str, *, multi_thread: bool = False):
        self.path = path
        self._multi_thread = multi_thread
        self._to_rgb = VideoReformatter()
        with self._errors_named():
            if not os.path.isfile(path):  # FFmpeg would also take a folder, a pipe or an address for a video
                raise CannotRead("it is not a file" if os.path.exists(path) else "no such file")
            try:
                self._reader = Seeker(self._open_source)
            except Doubtful:
                self._reader = Counter(self._open_source)
        self.fps: float | None = self._reader.fps

    def __len__(self) -> int:
        """Frames that can be read; of a damaged file those before the damage, which may show itself at the first read only."""
        return len(self._reader)

    def read(self, indices: Sequence[int]) -> Tensor:
        """(T, H, W, 3) uint8 RGB, in the order asked; a number may come several times, its frame is decoded once.

        Raises:
            VideoError: a frame does not decode.
            IndexError: a number is not in 0 .. len - 1.
        """
        if not len(indices):
            raise IndexError("no frame numbers given")
        numbers, places = np.unique(np.asarray(indices), return_inverse=True)
        if numbers[0] < 0 or numbers[-1] >= len(self):
            raise IndexError(f"frame numbers {numbers[0]}..{numbers[-1]} are not all in 0..{len(self) - 1} of '{self.path}'")
        numbers = numbers.tolist()
        with self._errors_named():
            try:
                pixels = self._fill(numbers)
            except Doubtful:
                pixels = self._count_and_fill(numbers)
        as_asked = np.array_equal(places, np.arange(len(numbers)))
        return pixels if as_asked else pixels[torch.from_numpy(places)]

    def close(self) -> None:
        self._reader.close()

    def __enter__(self) -> "Frames":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def _open_source(self, *, quick: bool) -> Source:
        return Source(os.path.abspath(self.path), quick=quick, multi_thread=self._multi_thread)

    def _count_and_fill(self, numbers: list[int]) -> Tensor:
        promised = len(self)
        self._reader.close()
        self._reader = Counter(self._open_source)
        if numbers[-1] >= len(self):
            raise CannotRead(f"it is damaged, only {len(self)} of its {promised} frames decode and frame {numbers[-1]} does not")
        return self._fill(numbers)

    def _fill(self, numbers: list[int]) -> Tensor:
        """(len(numbers), H, W, 3) for ascending frame numbers"""
        place = {number: at for at, number in enumerate(numbers)}
        pixels = None
        for number, frame in self._reader.frames(numbers):
            height, width = frame.height, frame.width
            if pixels is None:
                pixels = torch.empty(len(numbers), height, width, 3, dtype=torch.uint8)
            if pixels.shape[1:3] != (height, width):
                raise CannotRead(f"its frames differ in size, {pixels.shape[2]}x{pixels.shape[1]} and {width}x{height}")
            plane = self._to_rgb.reformat(frame, format="rgb24", **ONE_THREAD).planes[0]
            rows = np.frombuffer(plane, np.uint8).reshape(height, plane.line_size)
            pixels[place[number]].numpy()[:] = rows[:, : 3 * width].reshape(height, width, 3)
        return pixels

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except CannotRead as error:
            raise VideoError(f"video '{self.path}' cannot be read: {error}") from error
        except (av.FFmpegError, OSError) as error:
            raise VideoError(f"video '{self.path}' cannot be read: {error.strerror or type(error).__name__}") from error


def open_frames(path: str | os.PathLike, *, multi_thread: bool = False) -> Frames:
    """Opens a video file: ``len(frames)``, ``frames.read([0, 8, 16])``, ``frames.fps``.

    Args:
        multi_thread: let the decoder use threads. It then cannot leave frames out: more workers are faster than threads.

    Raises:
        VideoError: there is no such file, or nothing in it decodes.
    """
    return Frames(os.fspath(path), multi_thread=multi_thread)
