"""A tensor on disk as a video: frames that are decoded already, of which only those asked for are read."""

import io
import math
import pickle
import warnings
import zipfile
from typing import Any, Literal, TypeGuard

import numpy as np
import torch
from torch import Tensor

from fragrant.data.video.places import Place, place_of
from fragrant.data.video.row_of_frames import LIMITS, CannotRead, Frames, Limits, errors_named

MOST_FPS = 10**6
SUFFIXES = (".pt", ".pth", ".npy")


class TensorFile(Frames):
    """A tensor file as a video. ``.npy``: an array; ``.pt``, ``.pth``: a tensor, or {"frames": tensor, "fps": number};
    (T, H, W, 3) or (T, 3, H, W) uint8 RGB.

    Raises:
        VideoError: it is something else.
    """

    def __init__(self, path: str, *, short_side: int = 0, limits: Limits = LIMITS, place: Place | None = None):
        super().__init__(path, short_side=short_side, limits=limits)
        with errors_named(path):
            found = place or place_of(path)
            if not isinstance(found, Place):
                raise CannotRead("it is not a file")
            if not found.size:
                raise CannotRead("the file is empty")
            self.place = found
            frames = self._open(found)
            if not holds_frames(frames):
                raise CannotRead(f"expected uint8 frames (T, H, W, 3) or (T, 3, H, W), got {described(frames)}")
            if frames.shape[3] != 3:
                frames = frames.permute(0, 2, 3, 1)
            if frames.shape[3] != 3:
                raise CannotRead(f"expected frames of 3 channels, got the shape {tuple(frames.shape)}")
            # without storage for its pixels (of one channel at least): a tensor of a few bytes, expanded to any size
            if frames.shape[:3].numel() > frames.untyped_storage().nbytes():
                raise CannotRead(f"its shape {tuple(frames.shape)} promises more pixels than the file holds")
            limits.check(1, *frames.shape[1:3])
            self._frames = frames

    def __len__(self) -> int:
        return len(self._frames)

    def _load(self, numbers: list[int]) -> Tensor:
        self.limits.check(len(numbers), *self._frames.shape[1:3])
        return self._frames[numbers].contiguous()

    def close(self) -> None:
        self._frames = self._frames[:0].clone()  # gives back the mapped file

    def _open(self, place: Place) -> object:
        if self.path.endswith(".npy"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of sizes that it refuses then
                array = mapped_array(place)
            return torch.from_numpy(array) if array.dtype == np.uint8 else array
        # torch maps whole files only: of a shard's member all is read
        if place.part is not None and place.size > self.limits.gigabytes * 1e9:
            raise CannotRead(f"it has {place.size / 1e9:.1f} GB; DATA.MAX_DECODED_GB allows {self.limits.gigabytes:g}")
        whole = place.part is None
        file = place.file if whole else io.BytesIO(place.read())
        need_stored_as_is(file, place.size)
        if isinstance(file, io.BytesIO):
            file.seek(0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of tensors that are refused below
                content = torch.load(file, mmap=whole or None, weights_only=True, map_location="cpu")
        except (pickle.UnpicklingError, EOFError) as error:
            raise CannotRead("it holds something other than tensors") from error
        if not isinstance(content, dict):
            return content
        frames = content.get("frames")
        self.fps = frame_rate(content.get("fps"))
        self.times = times_of(content.get("times"), len(frames) if isinstance(frames, Tensor) and frames.ndim else 0)
        return frames


def holds_frames(frames: object) -> TypeGuard[Tensor]:
    """Whether these are numbers in memory, four-dimensional and some: a tensor may also be sparse, without any memory
    (meta), or a promise to compute (negated, nested)."""
    return (
        type(frames) in (Tensor, torch.nn.Parameter)
        and isinstance(frames, Tensor)
        and frames.dtype == torch.uint8
        and frames.layout == torch.strided
        and frames.device.type == "cpu"
        and not (frames.is_nested or frames.is_neg() or frames.is_conj())
        and frames.ndim == 4
        and frames.numel() > 0
    )


def described(frames: object) -> str:
    """``"(9, 48, 64, 3) torch.float32"``"""
    if not isinstance(frames, Tensor | np.ndarray):
        return type(frames).__name__
    kind = ""
    if isinstance(frames, Tensor) and (frames.layout != torch.strided or frames.device.type != "cpu"):
        kind = f" {frames.device.type} {frames.layout}"
    return f"{tuple(frames.shape)} {frames.dtype}{kind}"


def frame_rate(value: object) -> float | None:
    """Reads a frame rate stored beside frames.

    Raises:
        CannotRead: it is no frame rate.
    """
    if value is None:
        return None
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= MOST_FPS:
        raise CannotRead(f"its frame rate must be a number above 0 and at most {MOST_FPS}, got {str(value)[:40]!r}")
    return float(value)


def times_of(value: Any, count: int) -> np.ndarray | None:
    """Reads the times stored beside frames.

    Raises:
        CannotRead: these are not the seconds at which each of ``count`` frames is shown.
    """
    if value is None:
        return None
    is_row = isinstance(value, Tensor) and value.dtype == torch.float64 and value.shape == (count,) and count > 1
    if not is_row or value.layout != torch.strided or value.device.type != "cpu" or value.requires_grad:
        raise CannotRead(f"its times must be a float64 number for each of {count} frames, got {described(value)}")
    times = value.numpy()
    if times[0] != 0 or not np.isfinite(times).all() or not (np.diff(times) > 0).all():
        raise CannotRead("its times must begin at 0 and ascend")
    return times


def mapped_array(place: Place) -> np.ndarray:
    """Maps the array of an ``.npy`` into memory: only what is used is read.

    Raises:
        CannotRead, ValueError: it is none, or promises more than there is.
    """
    if place.part is None:
        return np.lib.format.open_memmap(place.file, mode="c")  # "c": torch wants memory that could be written to
    with open(place.file, "rb") as file:
        file.seek(place.part.start)
        readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        version = np.lib.format.read_magic(file)
        if version not in readers:
            raise CannotRead(f"its version {version} of the form .npy is not one of plain numbers")
        shape, fortran, dtype = readers[version](file)
        at = file.tell()
    if dtype.hasobject:
        raise CannotRead("it holds Python objects")
    if at + dtype.itemsize * math.prod(shape) > place.part.start + place.size:
        raise CannotRead(f"its shape {shape} promises more bytes than the file has")
    order: Literal["F", "C"] = "F" if fortran else "C"
    return np.memmap(place.file, dtype=dtype, mode="c", offset=at, shape=shape, order=order)


def need_stored_as_is(file: str | io.BytesIO, size: int) -> None:
    """Refuses an archive with compressed parts: torch stores every part as it is, and a compressed one may grow a
    thousandfold.

    Raises:
        CannotRead: parts are compressed, or promise more bytes than the file has.
    """
    if not zipfile.is_zipfile(file):
        return  # torch.load refuses to map it
    with zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
    if any(part.compress_type != zipfile.ZIP_STORED or part.file_size != part.compress_size for part in parts):
        raise CannotRead("its parts are compressed, which torch.save does not do")
    if sum(part.file_size for part in parts) > size:
        raise CannotRead("its parts promise more bytes than the file has")
