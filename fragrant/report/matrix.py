"""The confusion matrix, and what a class is taken for, as pictures for TensorBoard; the HTML report draws its own."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

RIGHT, WRONG, WHITE = (47, 111, 171), (194, 80, 46), (255, 255, 255)
INK, SOFT, LINE = (31, 41, 51), (95, 108, 123), (217, 223, 230)
NAMED = 40  # classes that still get their names
LONGEST = 22  # letters of a name
SIDE = 640  # pixels of the matrix, about


def bars_picture(counts: Sequence[int], names: Sequence[str], title: str, size: tuple[int, int]) -> Image.Image:
    """Draws numbers of videos as bars with their names beside them, from top to bottom; blue: the class of the title,
    red: another.

    Args:
        size: width and height in pixels, of which the names take what they need.
    """
    width, height = size
    font = ImageFont.load_default(15)
    shown = [name if len(name) <= LONGEST else name[: LONGEST - 1] + "…" for name in names]
    margin = 12 + round(max((font.getlength(name) for name in shown), default=0))
    picture = Image.new("RGB", (max(width, margin + 80), height), WHITE)
    draw = ImageDraw.Draw(picture)
    draw.text((picture.width / 2, 8), f"{title} is taken for", fill=SOFT, font=font, anchor="ma")
    step = (height - 40) / max(len(names), 1)
    for at, (count, name, text) in enumerate(zip(counts, names, shown, strict=True)):
        top, length = 32 + at * step, (picture.width - margin - 50) * count / max(*counts, 1)
        draw.text((margin - 6, top + step / 2), text, fill=INK, font=font, anchor="rm")
        draw.rectangle((margin, top + 2, margin + length, top + step - 2), fill=RIGHT if name == title else WRONG)
        draw.text((margin + length + 6, top + step / 2), str(count), fill=INK, font=font, anchor="lm")
    return picture


def matrix_picture(counts: Tensor, names: Sequence[str], side: int = SIDE) -> Image.Image:
    """Draws a confusion matrix: numbers of videos (K, K), row = true class, column = predicted class; blue: right, red:
    wrong, darker: more of the row.

    Args:
        side: pixels of the matrix, about.
    """
    classes = len(names)
    size, named = max(2, side // classes), classes <= NAMED
    font, small = ImageFont.load_default(15), ImageFont.load_default(max(8, min(17, size * 0.42)))
    names = [name if len(name) <= LONGEST else name[: LONGEST - 1] + "…" for name in names]
    margin = 44 + (round(max(font.getlength(name) for name in names)) if named else 0)
    side = size * classes
    picture = Image.new("RGB", (margin + side + 12, margin + side + 12), WHITE)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((margin, margin, margin + side, margin + side), outline=LINE)
    draw.text((margin + side / 2, 8), "the model says", fill=SOFT, font=font, anchor="ma")
    _upright(picture, "true class", (6, margin + side // 2), font, SOFT, middle=True)
    for at, name in enumerate(names if named else ()):
        middle = margin + at * size + size // 2
        draw.text((margin - 8, middle), name, fill=INK, font=font, anchor="rm")
        _upright(picture, name, (middle - 9, margin - 8), font, INK)
    shares = counts.double() / counts.sum(1, keepdim=True).clamp(min=1)
    for row, column in counts.nonzero().tolist():
        share = float(shares[row, column])
        x, y = margin + column * size, margin + row * size
        color = _shade(RIGHT if row == column else WRONG, share, least=0.16 if named else 0.45)
        draw.rectangle(
            (x + 1, y + 1, x + size - 1, y + size - 1) if named else (x, y, x + size - 1, y + size - 1), fill=color
        )
        if size >= 16:
            text = str(int(counts[row, column]))
            draw.text((x + size / 2, y + size / 2), text, fill=WHITE if share > 0.45 else INK, font=small, anchor="mm")
    return picture


def _shade(color: tuple[int, int, int], share: float, *, least: float) -> tuple[int, int, int]:
    """Shade of a colour for a share of its row; never quite white, so that one video of hundreds still shows."""
    part = least + (1 - least) * share
    red, green, blue = (round(255 + (channel - 255) * part) for channel in color)
    return red, green, blue


def _upright(
    picture: Image.Image, text: str, bottom_left: tuple[int, int], font, color, *, middle: bool = False
) -> None:
    """Draws text that reads from bottom to top."""
    box = Image.new("RGB", (round(font.getlength(text)) + 2, 20), WHITE)
    ImageDraw.Draw(box).text((0, 1), text, fill=color, font=font)
    box = box.rotate(90, expand=True)
    x, y = bottom_left
    picture.paste(box, (x, y - (box.height // 2 if middle else box.height)))
