"""A long video read part by part, from its beginning to its end, each frame once."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fragrant.data.video.row_of_frames import Frames


class Sweep(Frames):
    """What is read of ``frames`` in several requests, known beforehand and made in this order, is decoded in a single
    pass: files in which frames can only be counted are not started again for each of them.

    Frames that later requests need as well are kept until then. The video stays open: ``close`` does nothing.
    """

    def __init__(self, frames: Frames, requests: Sequence[Sequence[int]]):
        super().__init__(frames.path, fps=frames.fps)
        self.times, self._promised = frames.times, len(frames)
        self._frames = frames
        self._last_use = {number: at for at, numbers in enumerate(requests) for number in numbers}
        self._to_come = sorted(self._last_use, reverse=True)
        self._kept: dict[int, Tensor] = {}
        self._at = 0

    def __len__(self) -> int:
        return len(self._frames)

    def _load(self, numbers: list[int]) -> Tensor:
        reached: list[int] = []
        while self._to_come and self._to_come[-1] <= numbers[-1]:
            reached.append(self._to_come.pop())
        if reached:
            self._kept.update(zip(reached, self._frames.read(reached).unbind(), strict=True))
        pixels = torch.stack([self._kept[number] for number in numbers])
        self._at += 1
        # copied: a frame that is kept would keep all those that were read together with it
        self._kept = {
            number: frame if number not in reached else frame.clone()
            for number, frame in self._kept.items()
            if self._last_use[number] >= self._at
        }
        return pixels
