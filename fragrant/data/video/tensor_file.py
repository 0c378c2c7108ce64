"""A tensor on disk as a video: frames that are decoded already, of which only those asked for are read."""

import os
import pickle

import numpy as np
import torch
from torch import Tensor

from fragrant.data.video.row_of_frames import CannotRead, Frames, errors_named

SUFFIXES = (".pt", ".pth", ".npy")


class TensorFile(Frames):
    """A tensor file as a video. ``.npy``: an array; ``.pt``, ``.pth``: a tensor, or {"frames": tensor, "fps": number};
    (T, H, W, 3) or (T, 3, H, W) uint8 RGB.

    Raises:
        VideoError: it is something else.
    """

    def __init__(self, path: str, *, short_side: int = 0):
        super().__init__(path, short_side=short_side)
        with errors_named(path):
            if not os.path.isfile(path):
                raise CannotRead("it is not a file" if os.path.exists(path) else "no such file")
            frames = self._open()
            if not isinstance(frames, Tensor) or frames.dtype != torch.uint8 or frames.ndim != 4 or not len(frames):
                got = f"{tuple(frames.shape)} {frames.dtype}" if isinstance(frames, Tensor) else type(frames).__name__
                raise CannotRead(f"expected uint8 frames (T, H, W, 3) or (T, 3, H, W), got {got}")
            if frames.shape[3] != 3:
                frames = frames.permute(0, 2, 3, 1)
            if frames.shape[3] != 3:
                raise CannotRead(f"expected frames of 3 channels, got the shape {tuple(frames.shape)}")
            self._frames = frames

    def __len__(self) -> int:
        return len(self._frames)

    def _load(self, numbers: list[int]) -> Tensor:
        return self._frames[numbers].contiguous()

    def close(self) -> None:
        self._frames = self._frames[:0].clone()  # gives back the mapped file

    def _open(self) -> object:
        if self.path.endswith(".npy"):
            # "c": torch wants memory that could be written to
            array = np.load(self.path, mmap_mode="c", allow_pickle=False)
            return torch.from_numpy(array) if array.dtype == np.uint8 else torch.tensor([])
        try:
            content = torch.load(self.path, mmap=True, weights_only=True)
        except (pickle.UnpicklingError, EOFError) as error:
            raise CannotRead("it holds something other than tensors") from error
        if not isinstance(content, dict):
            return content
        self.fps = content.get("fps")
        return content.get("frames")
