"""Draws what a network says below the picture: bars of the best classes, the actions that go on, the time."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fragrant.inference.predictor import Ranked

GROUND, INK, SOFT, TRACK = (24, 30, 37), (236, 240, 244), (150, 162, 175), (52, 62, 73)
BAR, ACTIVE = (90, 150, 205), (240, 170, 70)  # of a class, of one that goes on: told apart without red and green
ROWS = 3


class Caption(NamedTuple):
    """What stands below a picture: the best classes, the numbers of those that go on, and a line of text."""

    top: Sequence[Ranked] = ()
    active: frozenset[int] = frozenset()
    text: str = ""


def band_height(height: int, width: int) -> int:
    """Height of the band below a picture; with it the whole is even, as H.264 wants it."""
    row = max(14, round(min(height, width) * 0.075))
    total = height + (ROWS + 1) * row + 8
    return total + total % 2 - height


def draw_band(caption: Caption, height: int, width: int) -> np.ndarray:
    """The band (height, width, 3) uint8 of a caption."""
    sheet = Image.new("RGB", (width, height), GROUND)
    draw = ImageDraw.Draw(sheet)
    row = (height - 8) // (ROWS + 1)
    font = ImageFont.load_default(max(9, round(row * 0.72)))
    number = draw.textlength("100 %", font=font)
    left, right = round(width * 0.42), width - 6 - round(number) - 6
    for at, ranked in enumerate(caption.top[:ROWS]):
        top, goes_on = 4 + at * row, ranked.number in caption.active
        color = ACTIVE if goes_on else INK
        draw.text((6, top), fitted(draw, ranked.name, font, left - 12), font=font, fill=color)
        box = (left, top + row // 4, max(right, left + 1), top + 3 * row // 4)
        draw.rectangle(box, fill=TRACK)
        if (end := left + (right - left) * ranked.prob) >= left + 1:
            draw.rectangle((left, box[1], end, box[3]), fill=ACTIVE if goes_on else BAR)
        text = f"{100 * ranked.prob:.0f} %"
        draw.text((width - 6 - draw.textlength(text, font=font), top), text, font=font, fill=color)
    draw.text((6, 4 + ROWS * row), fitted(draw, caption.text, font, width - 12), font=font, fill=SOFT)
    return np.asarray(sheet)


def fitted(draw: ImageDraw.ImageDraw, text: str, font, width: float) -> str:
    """The text, cut off with an ellipsis where it is wider."""
    if draw.textlength(text, font=font) <= width:
        return text
    while text and draw.textlength(f"{text}…", font=font) > width:
        text = text[:-1]
    return f"{text}…"


class Annotator:
    """Puts the band of the latest caption below pictures of one size; it is drawn once per caption."""

    def __init__(self, height: int, width: int):
        self.height, self.width = height, width + width % 2
        self.band = band_height(height, self.width)
        self._caption: Caption | None = None
        self._pixels = np.empty((height + self.band, self.width, 3), np.uint8)

    def __call__(self, picture: np.ndarray, caption: Caption) -> np.ndarray:
        """(H, W, 3) uint8 of any size -> (height + band, width, 3), valid until the next call"""
        if picture.shape[:2] != (self.height, self.width):
            picture = np.asarray(Image.fromarray(picture).resize((self.width, self.height), Image.Resampling.BILINEAR))
        if caption != self._caption:
            self._pixels[self.height :] = draw_band(caption, self.band, self.width)
            self._caption = caption
        self._pixels[: self.height] = picture
        return self._pixels
