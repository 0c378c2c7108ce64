"""Writes an annotated stream into an MP4 that is readable however the run ends."""

import contextlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from fragrant.files import made_whole

UNIT = Fraction(1, 90000)
# Written piece by piece, each of which can be played after a crash; at the end it becomes an ordinary MP4.
FLAGS = "hybrid_fragmented"
AT_ONCE = {"flush_packets": "1"}  # to the disk, not to a buffer
KEY_SECONDS = 2


class Recorder:
    """An MP4 (H.264) of frames at any times.

    Raises:
        OSError: it cannot be written; FFmpeg's errors are among them.
    """

    def __init__(self, path: str | Path, *, height: int, width: int, fps: float):
        self._stack = contextlib.ExitStack()
        unfinished = self._stack.enter_context(made_whole(path))
        self._container = av.open(
            str(unfinished), "w", format="mp4", options={"movflags": FLAGS}, container_options=AT_ONCE
        )
        # without B-frames, whose delay would shift the whole recording
        options = {"preset": "veryfast", "crf": "21", "threads": "1", "bf": "0"}
        self._stream = self._container.add_stream(
            "libx264", rate=Fraction(fps).limit_denominator(1000), options=options
        )
        self._stream.height, self._stream.width, self._stream.pix_fmt = height, width, "yuv420p"
        self._stream.codec_context.time_base = UNIT
        self._stream.codec_context.gop_size = max(1, round(KEY_SECONDS * fps))
        self._last = -1

    def add(self, pixels: np.ndarray, time: float) -> None:
        """A frame (H, W, 3) uint8 that is shown from ``time`` on, in seconds."""
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts, frame.time_base = max(round(time / UNIT), self._last + 1), UNIT
        self._last = frame.pts
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Finishes the file, which gets its name; what a full disk has left of it as well."""
        with self._stack:  # also after an error: what was written can be read
            try:
                self._container.mux(self._stream.encode())
            finally:
                self._container.close()
