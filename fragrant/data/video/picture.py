"""An opened picture file becomes RGB of 8 bits, upright: what it says about its values is honored, or refused."""

from typing import Any, cast

import numpy as np
from PIL import Image, ImageOps

from fragrant.data.video.pixels import TURNED
from fragrant.data.video.row_of_frames import CannotRead

BITS_PER_SAMPLE, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0  # of TIFF 6.0
ORIENTATION = 0x0112  # of EXIF
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
    if picture.getexif().get(ORIENTATION, 1) in range(2, 9):
        notes.add(TURNED)
    picture.load()
    ImageOps.exif_transpose(picture, in_place=True)
    if picture.mode.startswith("I;16") or picture.mode == "I" and picture.format in SCALED:
        notes.add("gray of 16 bits")
        return _gray_of_many_bits(picture)
    if picture.mode in ("I", "F"):
        kind = "integers" if picture.mode == "I" else "floating-point numbers"
        raise CannotRead(f"is a picture of {kind} of 32 bits, and nothing says which is white; save it with 8 or 16")
    if picture.mode == "LAB":
        raise CannotRead("is a picture in CIELAB; save it as RGB")
    return np.asarray(picture.convert("RGB"))


def _gray_of_many_bits(picture: Image.Image) -> np.ndarray:
    values, tags = np.asarray(picture).astype(np.int64), cast(Any, getattr(picture, "tag_v2", {}))
    white = 2 ** tags.get(BITS_PER_SAMPLE, (16,))[0] - 1
    gray = np.clip((values * 255 + white // 2) // white, 0, 255).astype(np.uint8)
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        gray = 255 - gray
    return np.repeat(gray[..., None], 3, axis=2)
