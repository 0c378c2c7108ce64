"""The interface of every kind of video: frames by number, each read once, and errors that name the path."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import av
import numpy as np
import torch
from torch import Tensor

from fragrant.data.transforms.view_transforms import resize, short_side_size
from fragrant.distributed.signals import Interrupted
from fragrant.errors import RunStopped, UserError

if TYPE_CHECKING:  # which imports this file
    from fragrant.data.video.places import Place


class VideoError(UserError):
    """A video that cannot be read; the message names its path."""


class CannotRead(Exception):
    """Why a video cannot be read; ``errors_named`` adds the path."""


@contextmanager
def errors_named(path: str) -> Iterator[None]:
    """Turns everything that a bad file makes a library raise into a VideoError."""
    try:
        yield
    except VideoError:  # of frames that are read by way of others
        raise
    except CannotRead as error:
        raise VideoError(f"video '{path}' cannot be read: {error}") from error
    except (av.FFmpegError, OSError) as error:
        raise VideoError(f"video '{path}' cannot be read: {error.strerror or type(error).__name__}") from error
    except (UserError, RunStopped, Interrupted):  # not of the file
        raise
    except Exception as error:  # hostile files bring about nearly every type
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise VideoError(f"video '{path}' cannot be read: {reason}") from error


def damaged(wanted: int, come: int, promised: int) -> str:
    return f"it is damaged, only {come} of its {promised} frames decode and frame {wanted} does not"


class Limits(NamedTuple):
    """What one video may take: a file of some kilobytes can ask for all of the memory.

    Attributes:
        megapixels: of one frame, DATA.MAX_FRAME_MEGAPIXELS; 8K has 33.
        gigabytes: of the decoded frames that are read at once, DATA.MAX_DECODED_GB; 10^9 bytes.
    """

    megapixels: float = 36.0
    gigabytes: float = 2.0

    @property
    def pixels(self) -> int:
        return int(self.megapixels * 1e6)

    def check(self, count: int, height: int, width: int) -> None:
        """Checks what frames take of the memory.

        Raises:
            CannotRead: ``count`` frames of this size are too much.
        """
        if height * width > self.pixels:
            raise CannotRead(
                f"its frames are {width}x{height}, {height * width / 1e6:.1f} megapixels; DATA.MAX_FRAME_MEGAPIXELS "
                f"allows {self.megapixels:g}"
            )
        needed = count * height * width * 3 / 1e9
        if needed > self.gigabytes:
            raise CannotRead(
                f"{count} frames of {width}x{height} take {needed:.1f} GB of memory; DATA.MAX_DECODED_GB allows "
                f"{self.gigabytes:g}"
            )


LIMITS = Limits()


def reduced_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """(height, width) with the short side at ``short_side`` at most; 0 = as it is."""
    return short_side_size(height, width, short_side) if 0 < short_side < min(height, width) else (height, width)


class Frames(ABC):
    """The frames of one video; use it as a context manager or call ``close``. See ``frames.open_frames``.

    Attributes:
        path: the file or folder.
        fps: frames per second, None where nothing says; the mean where the rate varies.
        times: (T,) seconds after the first frame at which each is shown, where the rate varies; else None.
        short_side: larger frames come reduced to it; 0 = as they are.
        limits: what takes more cannot be read.
        notes: what is unusual about the file and was taken into account, as far as it has been read: "mirrored".
        place: where its bytes are, of what is one file.
    """

    place: "Place | None" = None

    def __init__(self, path: str, *, fps: float | None = None, short_side: int = 0, limits: Limits = LIMITS):
        self.path = path
        self.fps = fps
        self.times: np.ndarray | None = None
        self.short_side = short_side
        self.limits = limits
        self.notes: set[str] = set()
        self._promised = 0  # frames, before a read showed damage

    @abstractmethod
    def __len__(self) -> int:
        """Frames that can be read; of a damaged file those before the damage, which may show itself at the first read
        only."""

    @abstractmethod
    def _load(self, numbers: list[int]) -> Tensor:
        """(len(numbers), H, W, 3) uint8 RGB for ascending frame numbers, which are in 0 .. len - 1."""

    def read(self, indices: Sequence[int]) -> Tensor:
        """(T, H, W, 3) uint8 RGB, in the order asked; a number may come several times, its frame is decoded once.

        Raises:
            VideoError: a frame does not decode.
            IndexError: a number is not in 0 .. len - 1, nor was when the video was opened.
        """
        if not len(indices):
            raise IndexError("no frame numbers given")
        numbers, places = np.unique(np.asarray(indices), return_inverse=True)
        if numbers[0] < 0 or numbers[-1] >= len(self):
            if 0 <= numbers[0] and numbers[-1] < self._promised:  # who asks planned before an earlier read found out
                raise VideoError(
                    f"video '{self.path}' cannot be read: {damaged(numbers[-1], len(self), self._promised)}"
                )
            raise IndexError(
                f"frame numbers {numbers[0]}..{numbers[-1]} are not all in 0..{len(self) - 1} of '{self.path}'"
            )
        with errors_named(self.path):
            pixels = self._load(numbers.tolist())
            height, width = reduced_size(pixels.shape[1], pixels.shape[2], self.short_side)
            pixels = resize(pixels, height, width)
        as_asked = np.array_equal(places, np.arange(len(numbers)))
        return pixels if as_asked else pixels[torch.from_numpy(places)]

    def close(self) -> None:  # noqa: B027
        """Gives back the file."""

    def __enter__(self) -> "Frames":
        return self

    def __exit__(self, *exception) -> None:
        self.close()


OpenFrames = Callable[[str], Frames]
