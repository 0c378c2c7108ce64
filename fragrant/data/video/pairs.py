"""Two videos of one scene as one video: frame i of both side by side, the channels of one behind those of the other."""

import torch
from torch import Tensor

from fragrant.data.transforms.view_transforms import resize
from fragrant.data.video.row_of_frames import Frames, OpenFrames, VideoError
from fragrant.data.video.timing import EvenFrames


class PairedFrames(Frames):
    """The frames of a pair, (T, H, W, 6): RGB of the first video, then of the second. Numbers, rate and times are those
    of the first. Where the second has another size, its frames are resized to that of the first, so that a box cuts the
    same part out of both: the two are taken to show the same view.

    Raises:
        VideoError: one has more frames than the other.
    """

    def __init__(self, first: Frames, second: Frames):
        super().__init__(first.path, fps=first.fps)
        self.times, self.limits = first.times, first.limits
        self._first, self._second = first, second
        if len(first) != len(second):
            raise VideoError(
                f"video '{first.path}' cannot be read: it has {len(first)} frames, its pair '{second.path}' "
                f"{len(second)}; allowed: as many"
            )

    def __len__(self) -> int:
        return len(self._first)

    def _load(self, numbers: list[int]) -> Tensor:
        pixels, others = self._first.read(numbers), self._second.read(numbers)
        return torch.cat([pixels, resize(others, *pixels.shape[1:3])], 3)

    def close(self) -> None:
        self._first.close()
        self._second.close()


def open_pair(
    first: str, second: str, *, open_first: OpenFrames, open_second: OpenFrames, even: bool = False
) -> Frames:
    """Opens a pair of videos, each in its own way.

    Args:
        even: make both even by the times of the first where its rate varies.

    Raises:
        VideoError: one of them cannot be read, or they are not equally long.
    """
    one = open_first(first)
    try:
        other = open_second(second)
    except BaseException:
        one.close()
        raise
    try:
        frames = PairedFrames(one, other)
        return EvenFrames(frames) if even and frames.times is not None else frames
    except VideoError:
        one.close()
        other.close()
        raise
