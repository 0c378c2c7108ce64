"""An opened picture file becomes RGB of 8 bits, upright: what it says about its values is honored, or refused."""

import struct
from typing import Any, cast

import numpy as np
from PIL import Image

from fragrant.data.video.pixels import TURNED
from fragrant.data.video.row_of_frames import CannotRead

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


def as_rgb(picture: Image.Image, notes: set[str]) -> np.ndarray:
    """(H, W, 3) uint8 RGB, of gray and palette pictures as well, turned and mirrored as its EXIF orientation says.

    Gray of 16 bits is divided by 257, so that white stays white; an alpha channel is left out.

    Args:
        notes: gets what of this it was, see ``Frames``.

    Raises:
        CannotRead: nothing says which of its values is white.
        OSError, ValueError, SyntaxError: what Pillow raises for torn files.
    """
    shown = _upright(picture, notes)
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
