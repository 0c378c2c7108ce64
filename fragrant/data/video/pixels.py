"""A decoded frame becomes RGB, upright: what it says about its colors and its orientation is honored, or refused."""

import re
from typing import Any, cast

import av
import numpy as np
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from fragrant.data.video.gray_range import GrayRange, scaled_gray
from fragrant.data.video.row_of_frames import CannotRead, reduced_size
from fragrant.errors import UserError

PYAV = tuple(int(part) for part in av.__version__.split(".")[:2])
NEEDED = 17  # earlier ones convert every frame as if it were BT.601 of limited range
ALLOWED = "17.1"  # as in requirements.txt: 17.0 takes the colors of a ProRes file from another place
# Colors are converted by one thread: PyAV's default, one per core, takes longer to start than to convert.
THREADS = 1
UNSPECIFIED = 2  # of transfer curves, primaries and matrices (ISO/IEC 23091-2, which FFmpeg's numbers follow)
# matrices that FFmpeg cannot convert from
MATRICES = {
    8: "YCgCo",
    10: "BT.2020 constant luminance",
    11: "SMPTE 2085",
    12: "of its primaries",
    13: "of its primaries, constant luminance",
    14: "ICtCp",
    15: "IPT",
    16: "YCgCo-Re",
    17: "YCgCo-Ro",
}
# How colors of fewer pixels than the picture's are spread over it: as the ffmpeg command does, bit for bit, but from
# where the file says that they lie. 4:2:0 of 8 bits, even height, has a way of its own: each color for all its pixels.
CHROMA = Interpolation.BICUBIC
REDUCED = Interpolation.BILINEAR
LIMITED, FULL = ColorRange.MPEG.value, ColorRange.JPEG.value
# What FFmpeg's gray of more than 8 bits lacks: from 16..235 to 0..255.
EXPANDED = np.clip(np.rint((np.arange(256) - 16) * 255 / 219), 0, 255).astype(np.uint8)
UPRIGHT = ((1, 0, 0, 1), (65536, 0, 0, 65536))  # the display matrix of nearly all files
TURNED = "shown turned or mirrored"
MANY_BITS = re.compile(r"gray(?:9|10|12|14|16)(le|be)")
SCALED_GRAY = "gray of many bits, scaled by DATA.THERMAL_RANGE"
WHOLE_DEGREE = np.tan(np.radians(1))


def require_pyav() -> None:
    """Checks the version of PyAV.

    Raises:
        UserError: the PyAV that is installed ignores what a video says about its colors.
    """
    if PYAV[0] < NEEDED:
        raise UserError(
            f"PyAV {av.__version__} is installed, which ignores what videos say about their colors; "
            f"allowed: {ALLOWED} or later (pip install 'av>={ALLOWED}')"
        )


class ToRGB:
    """Frame of a decoder -> (H, W, 3) uint8 RGB, upright, valid until the next call.

    Matrix (BT.601, BT.709, BT.2020 ...) and range are those that the frame says; unspecified is BT.601, limited, as for
    FFmpeg. Transfer curves and primaries are left as they are, as FFmpeg leaves them.

    Args:
        short_side: larger frames are reduced to it; 0 = no.
        gray_range: values of gray of more than 8 bits that become 0 and 255; such frames are not reduced here. None =
            all values of the format.
    """

    def __init__(self, short_side: int, gray_range: GrayRange | None = None):
        self.short_side, self.gray_range = short_side, gray_range
        self.notes: set[str] = set()  # see ``Frames``
        self._reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        """Converts a decoded frame to RGB.

        Raises:
            CannotRead: its colors or its orientation are of a kind that is not supported.
        """
        if self.gray_range is not None and (stored := MANY_BITS.fullmatch(frame.format.name)):
            picture = self._scaled(frame, ">u2" if stored[1] == "be" else "<u2")
        else:
            picture = self._rgb(frame)
        matrix = display_matrix(frame)
        if matrix in UPRIGHT:
            return picture
        self.notes.add(TURNED)
        return upright(picture, matrix)

    def _scaled(self, frame: av.VideoFrame, dtype: str) -> np.ndarray:
        """(H, W, 3) of gray of more than 8 bits."""
        assert self.gray_range is not None
        self.notes.add(SCALED_GRAY)
        plane = frame.planes[0]
        rows = np.frombuffer(cast(Any, plane), dtype).reshape(frame.height, -1)
        return scaled_gray(rows[:, : frame.width], self.gray_range)

    def _rgb(self, frame: av.VideoFrame) -> np.ndarray:
        """(H, W, 3), maybe reduced"""
        height, width = reduced_size(frame.height, frame.width, self.short_side)
        plane = self._converted(frame, height, width).planes[0]
        rows = np.frombuffer(cast(Any, plane), np.uint8).reshape(height, plane.line_size)
        picture = rows[:, : 3 * width].reshape(height, width, 3)
        if frame.format.name.startswith("gray1") and frame.color_range == LIMITED:
            return EXPANDED[picture]
        return picture

    def _converted(self, frame: av.VideoFrame, height: int, width: int) -> av.VideoFrame:
        matrix = frame.colorspace
        if PYAV[0] == NEEDED:  # it would convert these, too, or refuse the reserved ones
            frame.color_trc = frame.color_primaries = cast(Any, UNSPECIFIED)
        scaling = CHROMA if (width, height) == (frame.width, frame.height) else REDUCED
        try:
            return self._reformatter.reformat(
                frame, width, height, format="rgb24", interpolation=scaling, threads=THREADS
            )
        except av.FFmpegError as error:
            if matrix in MATRICES:
                raise CannotRead(
                    f"its colors are stored by a matrix ({MATRICES[matrix]}) that cannot be read"
                ) from error
            raise


def display_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """(a, b, c, d): the pixel at (x, y) is to be shown at (a x + c y, b x + d y), but for a factor and a shift.

    PyAV's ``rotation`` tells turns alone, not whether the picture is mirrored."""
    try:
        data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # beside one of a kind that PyAV does not know: then there is the turn
        return ((1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0))[round(frame.rotation / 90) % 4]
    if data is None or len(memoryview(cast(Any, data))) < 36:
        return 1, 0, 0, 1
    a, b, _, c, d, *_ = np.frombuffer(cast(Any, data), np.int32).tolist()
    return a, b, c, d


def upright(picture: np.ndarray, matrix: tuple[int, int, int, int]) -> np.ndarray:
    """(H, W, 3) turned and mirrored as ``display_matrix`` says: (H, W, 3) or (W, H, 3); sizes are left as they are.

    Raises:
        CannotRead: it is turned by other than right angles.
    """
    a, b, c, d = matrix
    if a * d == b * c:  # it would leave no picture: players ignore it
        return picture
    straight, across = min(abs(a), abs(d)), min(abs(b), abs(c))
    if max(abs(b), abs(c)) <= WHOLE_DEGREE * straight:
        down, right = d, a
    elif max(abs(a), abs(d)) <= WHOLE_DEGREE * across:
        picture, down, right = picture.swapaxes(0, 1), b, c
    else:
        angle = np.degrees(np.arctan2(b, a))
        raise CannotRead(f"it is to be shown turned by {angle:.0f} degrees; allowed: multiples of 90")
    return picture[:: 1 if down > 0 else -1, :: 1 if right > 0 else -1]
