"""Frames of a video as pictures: strips of frames side by side, brightened, with heat maps over them; as PNG, JPEG and
mp4."""

import base64
import io
import math
from fractions import Fraction
from pathlib import Path

import av
import torch
from PIL import Image
from torch import Tensor

from fragrant.config.pixel_statistics import LUMA_WEIGHTS
from fragrant.errors import UserError
from fragrant.files import made_whole

GAP = 3  # pixels between two frames
WHITE = 255
LUMA = torch.tensor(LUMA_WEIGHTS)
TARGET_LUMA = 0.4  # mean brightness that ``lift`` aims at
# From cold to hot, dark to bright: 16 points of "inferno" (S. van der Walt, N. Smith, public domain), whose lightness
# grows evenly, also for readers who do not tell red from green, and in print without colours.
HEAT = torch.tensor(
    [
        *([0, 0, 4], [12, 8, 38], [36, 12, 79], [66, 10, 104], [93, 18, 110], [120, 28, 109], [147, 38, 103]),
        *([174, 48, 92], [199, 62, 76], [221, 81, 58], [237, 105, 37], [248, 133, 15], [252, 165, 10]),
        *([250, 198, 45], [242, 230, 97], [252, 255, 164]),
    ],
    dtype=torch.float32,
)
STRENGTH = 0.65  # share of the colour where a map is 1; the frame has the rest


class PictureError(UserError):
    """A picture that cannot be drawn or written."""


# --------------------------------------------------------------------------------------------------------------- pixels
def lift(frames: Tensor, gamma: float | None = None) -> tuple[Tensor, float]:
    """Brightens (T, H, W, 3) uint8 by a power law; also returns the gamma that was used.

    Args:
        gamma: pixels / 255 are raised to 1 / gamma; None = what brings the mean to ``TARGET_LUMA``, at least 1 and at
            most 5.
    """
    if gamma is None:
        mean = float((frames.float() @ LUMA).mean()) / 255
        gamma = min(max(math.log(max(mean, 1e-3)) / math.log(TARGET_LUMA), 1.0), 5.0)
    table = (255 * torch.linspace(0, 1, 256) ** (1 / gamma)).round().to(torch.uint8)
    return table[frames.long()], gamma


def is_lifted(gamma: float) -> bool:
    """Whether ``lift`` has changed what a reader sees: a picture that says "gamma 1.0" says nothing."""
    return round(gamma, 1) != 1.0


def heat_colors(maps: Tensor) -> Tensor:
    """Colours of heat map values: (...) of 0..1 -> (..., 3) uint8."""
    at = maps.clamp(0, 1) * (len(HEAT) - 1)
    low = at.floor().long().clamp(max=len(HEAT) - 2)
    part = (at - low)[..., None]
    return (HEAT[low] * (1 - part) + HEAT[low + 1] * part).round().to(torch.uint8)


def overlay(frames: Tensor, maps: Tensor, *, strength: float = STRENGTH) -> Tensor:
    """Lays heat maps (T, H, W) of 0..1 over frames (T, H, W, 3) uint8: the hotter, the less of the frame shows
    through."""
    weight = strength * maps.clamp(0, 1)[..., None].sqrt()
    return (frames * (1 - weight) + heat_colors(maps) * weight).round().to(torch.uint8)


def evenly(count: int, most: int) -> list[int]:
    """Picks at most ``most`` of the numbers 0 .. count - 1, evenly spaced, the first and the last among them."""
    return (
        [round(at * (count - 1) / (most - 1)) for at in range(most)]
        if count > most > 1
        else list(range(min(count, most)))
    )


# --------------------------------------------------------------------------------------------------------------- strips
def strip(frames: Tensor) -> Image.Image:
    """Sets the frames of a clip (T, H, W, 3) uint8 side by side in one picture."""
    count, height, width = frames.shape[:3]
    row = torch.full((height, count * (width + GAP) - GAP, 3), WHITE, dtype=torch.uint8)
    for at, frame in enumerate(frames):
        row[:, at * (width + GAP) : at * (width + GAP) + width] = frame
    return Image.fromarray(row.numpy())


def scaled(picture: Image.Image, height: int) -> Image.Image:
    width = max(1, round(picture.width * height / picture.height))
    return picture.resize(
        (width, height), Image.Resampling.BICUBIC if height > picture.height else Image.Resampling.LANCZOS
    )


# ---------------------------------------------------------------------------------------------------------------- files
def jpeg_source(picture: Image.Image, *, quality: int = 88) -> str:
    """The picture as a JPEG data URL, for the ``src`` of an HTML image."""
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=quality, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode()


def save_picture(path: str | Path, picture: Image.Image) -> None:
    """Writes a picture in the format of the file's suffix.

    Raises:
        PictureError: the folder cannot be written.
    """
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    except OSError as error:
        raise PictureError(f"picture '{path}' cannot be written: {error.strerror or error}") from error


def save_video(path: str | Path, frames: Tensor, *, fps: float = 10.0, height: int = 320) -> None:
    """Writes a clip (T, H, W, 3) uint8 as an mp4 that browsers play.

    Raises:
        PictureError: the folder cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with made_whole(path) as unfinished, av.open(str(unfinished), "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000), options={"crf": "18"})
            pictures = [scaled(Image.fromarray(frame.numpy()), height) for frame in frames]
            # H.264 in its usual colour format takes even sizes only
            stream.width, stream.height, stream.pix_fmt = pictures[0].width // 2 * 2, height // 2 * 2, "yuv420p"
            for picture in pictures:
                container.mux(
                    stream.encode(av.VideoFrame.from_image(picture.crop((0, 0, stream.width, stream.height))))
                )
            container.mux(stream.encode())
    except OSError as error:  # FFmpeg's errors are among them
        raise PictureError(f"video '{path}' cannot be written: {error.strerror or error}") from error
