"""When the frames of a video are shown: time stamps that keep a constant rate, and those that do not."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from torch import Tensor

from fragrant.data.video.row_of_frames import CannotRead, Frames, OpenFrames, errors_named

SLACK = 1.5  # frames by which a time stamp may miss a constant rate: rounding, a frame dropped here and there
HIGHEST_RATE = 1000.0
MOST_EVEN = 1_000_000  # frames of a video made even, and a hundred for each that it has: 11 hours of 25 per second


class Timing(NamedTuple):
    """
    Attributes:
        fps: frames per second, the mean where the rate is not constant; None where nothing says.
        times: seconds after the first frame at which each frame is shown (T,); None where the rate is constant.
    """

    fps: float | None
    times: np.ndarray | None = None


def timing_of(stamps: Sequence[int | None] | np.ndarray, unit: float, fps: float | None) -> Timing:
    """Frame rate and, where it varies, the time of every frame.

    Args:
        stamps: the time stamp of each frame, in units of ``unit`` seconds; None where a frame has none.
        fps: what the file says.
    """
    if len(stamps) < 3 or any(stamp is None for stamp in stamps):
        return Timing(fps)
    times = (np.asarray(stamps, dtype=np.float64) - float(stamps[0] or 0)) * unit
    if (np.diff(times) <= 0).any():
        return Timing(fps)
    numbers, mean = np.arange(len(times)), times[-1] / (len(times) - 1)
    if fps and np.abs(times * fps - numbers).max() <= SLACK:
        return Timing(fps)
    if np.abs(times / mean - numbers).max() <= SLACK:  # a constant rate, but another
        return Timing(float(1 / mean))
    return Timing(len(times) / end_of(times), times)


def end_of(times: np.ndarray) -> float:
    """Seconds until the last frame ends: as long as frames usually last."""
    return float(times[-1] + np.median(np.diff(times)))


class EvenFrames(Frames):
    """A video of a variable rate as one of a constant rate: frame i is that which is shown in the middle of the i-th
    interval. Some frames come twice; those shown for less than nearly all others may not come at all.

    Raises:
        VideoError: some of its frames are shown for so long that the others would take forever.
    """

    def __init__(self, frames: Frames):
        assert frames.times is not None
        # rounded: 25.00000000000009 would make clips a frame too long
        rate = round(min(1 / float(np.percentile(np.diff(frames.times), 5)), HIGHEST_RATE), 6)
        super().__init__(frames.path, fps=rate)
        with errors_named(frames.path):
            if (even := end_of(frames.times) * rate) > MOST_EVEN + 100 * len(frames):
                raise CannotRead(
                    f"its {len(frames)} frames are {even:.3g} at {rate:g} per second: its time stamps have a gap or "
                    "are wrong; set DATA.FPS_CONVERT False, or write it again"
                )
        middles = (np.arange(max(1, round(end_of(frames.times) * rate))) + 0.5) / rate
        self._frames = frames
        self._shown = np.maximum(np.searchsorted(frames.times, middles, side="right") - 1, 0)

    def __len__(self) -> int:
        return len(self._shown)

    def _load(self, numbers: list[int]) -> Tensor:
        return self._frames.read(self._shown[numbers].tolist())

    def close(self) -> None:
        self._frames.close()


def _open_evenly(path: str, *, open_frames: OpenFrames) -> Frames:
    frames = open_frames(path)
    return frames if frames.times is None else EvenFrames(frames)


def evenly(open_frames: OpenFrames) -> OpenFrames:
    """``open_frames`` with videos of a variable rate made even."""
    return partial(_open_evenly, open_frames=open_frames)
