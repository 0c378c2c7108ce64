"""A picture file that nobody vouches for becomes RGB of 8 bits, upright: opened by content, by the readers of plain
pictures alone; what it says about its values is honored, or refused."""

import io
import os
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TgaImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from fragrant.data.video.gray_range import GrayRange, scaled_gray
from fragrant.data.video.pixels import SCALED_GRAY, TURNED
from fragrant.data.video.places import Place
from fragrant.data.video.row_of_frames import CannotRead, Limits

# Left to itself Pillow looks at the content and takes any of 40 formats: for one (EPS) it runs a program, Ghostscript,
# on what the file says.
FORMATS = tuple(
    plugin.format
    for plugin in (
        BmpImagePlugin.BmpImageFile,
        GifImagePlugin.GifImageFile,
        Jpeg2KImagePlugin.Jpeg2KImageFile,
        JpegImagePlugin.JpegImageFile,
        PngImagePlugin.PngImageFile,
        PpmImagePlugin.PpmImageFile,
        TgaImagePlugin.TgaImageFile,
        TiffImagePlugin.TiffImageFile,
        WebPImagePlugin.WebPImageFile,
    )
)


@contextmanager
def opened_picture(where: str | Place, limits: Limits) -> Iterator[Image.Image]:
    """A file, or a member of a shard; nothing is decoded yet.

    Raises:
        CannotRead: it is no file, no picture, or torn, also where that shows itself inside the context; or too large.
    """
    if isinstance(where, Place):
        name, content = "a picture of the shard", where.read()
        file: str | io.BytesIO = io.BytesIO(content)
        if len(content) < where.size:
            raise CannotRead("the shard is damaged, it ends before")
    else:
        name, file = os.path.basename(where), where
        if not os.path.isfile(where):  # a named pipe would be waited for
            raise CannotRead(f"'{name}' is not a file")
        if not os.path.getsize(where):  # nor is a file of /proc read, which has no size and may never end
            raise CannotRead(f"'{name}' is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limits say more
            picture = Image.open(file, formats=FORMATS)
        with picture:
            limits.check(1, picture.height, picture.width)
            yield picture
    except (CannotRead, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise CannotRead(f"'{name}' is too large: {error}") from error
    except Exception as error:  # Pillow's readers raise nearly every type for torn files
        raise CannotRead(f"'{name}' is no picture, or torn") from error


BITS_PER_SAMPLE, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0  # of TIFF 6.0
ORIENTATION = 0x0112  # of EXIF
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# what Pillow raises for torn EXIF data
ODD = (AttributeError, TypeError, LookupError, struct.error, ArithmeticError, AssertionError)
SCALED = ("PNG", "PPM")  # Pillow gives gray of 16 bits of these as integers of 32 bits, 65535 for white


def as_rgb(picture: Image.Image, notes: set[str], gray_range: GrayRange | None = None) -> np.ndarray:
    """(H, W, 3) uint8 RGB, of gray and palette pictures as well, turned and mirrored as its EXIF orientation says.

    Gray of 16 bits is divided by 257, so that white stays white; an alpha channel is left out.

    Args:
        notes: gets what of this it was, see ``Frames``.
        gray_range: values of gray of 16 and 32 bits that become 0 and 255, see ``scaled_gray``.

    Raises:
        CannotRead: nothing says which of its values is white.
        OSError, ValueError, SyntaxError: what Pillow raises for torn files.
    """
    shown = _upright(picture, notes)
    if gray_range is not None and (picture.mode in ("I", "F") or picture.mode.startswith("I;16")):
        notes.add(SCALED_GRAY)
        return scaled_gray(np.asarray(shown), gray_range)
    if picture.mode.startswith("I;16") or picture.mode == "I" and picture.format in SCALED:
        notes.add("gray of 16 bits")
        return _gray_of_many_bits(np.asarray(shown), cast(Any, getattr(picture, "tag_v2", {})))
    if picture.mode in ("I", "F"):
        kind = "integers" if picture.mode == "I" else "floating-point numbers"
        raise CannotRead(f"is a picture of {kind} of 32 bits, and nothing says which is white; save it with 8 or 16")
    if picture.mode == "LAB":
        raise CannotRead("is a picture in CIELAB; save it as RGB")
    return np.asarray(shown.convert("RGB"))


def _upright(picture: Image.Image, notes: set[str]) -> Image.Image:
    """Turned and mirrored as its EXIF orientation says; a TIFF has that done already when it is loaded."""
    if _turn(picture) is not None:
        notes.add(TURNED)
    try:
        picture.load()
    except ODD as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    turn = _turn(picture)
    return picture if turn is None else picture.transpose(turn)


def _turn(picture: Image.Image) -> Image.Transpose | None:
    try:
        return TURNS.get(picture.getexif().get(ORIENTATION, 1))
    except (*ODD, OSError, ValueError, SyntaxError):  # a torn tag is as good as none
        return None


def _gray_of_many_bits(values: np.ndarray, tags: Any) -> np.ndarray:
    """``tags``: those of a TIFF."""
    values = values.astype(np.int64)
    white = 2 ** tags.get(BITS_PER_SAMPLE, (16,))[0] - 1
    gray = np.clip((values * 255 + white // 2) // white, 0, 255).astype(np.uint8)
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        gray = 255 - gray
    return np.repeat(gray[..., None], 3, axis=2)
