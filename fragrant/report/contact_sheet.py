"""Contact sheets: strips of many videos in rows, several sets side by side, brightened so that dark ones can be
compared."""

import random
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from fragrant.data.lists.records import read_list
from fragrant.data.video.frames import open_frames
from fragrant.report.strips import PictureError, evenly, lift, save_picture, scaled, strip

SUFFIXES = {".mp4", ".avi", ".mkv", ".mov", ".webm", ".mpg"}
COLUMN_GAP, ROW_GAP = 12, 4  # pixels
BACKGROUND = (20, 20, 20)


def videos_of(source: str) -> list[str]:
    """The videos of a list file (paths relative to it), of a folder and the folders in it, or one video.

    Raises:
        PictureError: there is none.
    """
    path = Path(source)
    if path.is_dir():
        found = sorted(str(file) for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
    elif path.suffix.lower() in SUFFIXES or not path.exists():
        found = [source] if path.exists() else []
    else:
        found = [record.path for record in read_list(source, prefix=str(path.parent), bare=True)]
    if not found:
        raise PictureError(f"'{source}': no videos there; a list file, a folder of videos, or a video is expected")
    return found


def picked(videos: Sequence[str], count: int, seed: int | None) -> list[str]:
    """``count`` of the videos, evenly from the whole list, or by chance with a ``seed``."""
    if seed is None:
        return [videos[at] for at in evenly(len(videos), count)]
    return random.Random(seed).sample(list(videos), min(count, len(videos)))


def row_of(video: str, frames: int, *, brighten: bool) -> Tensor:
    """Evenly spaced frames (T, H, W, 3) uint8 of a video.

    Raises:
        VideoError: it cannot be read.
    """
    opened = open_frames(video)
    numbers = evenly(len(opened), frames)
    clip = torch.as_tensor(opened.read(numbers))
    return lift(clip)[0] if brighten else clip


def contact_sheet(
    sources: Sequence[str],
    *,
    rows: int = 12,
    frames: int = 8,
    height: int = 90,
    brighten: bool = True,
    seed: int | None = None,
) -> Image.Image:
    """One column for each source, one row for each of its videos that was picked.

    Args:
        sources: see ``videos_of``.
        frames: of each video.
        height: of one frame, in pixels.
        brighten: each video to a mean of the same brightness; else as it is.
        seed: pick by chance; None = evenly.

    Raises:
        PictureError: a source has no videos, or a number is out of range.
        VideoError: a video cannot be read.
    """
    for name, value, most in (("rows", rows, 200), ("frames", frames, 64), ("height", height, 1080)):
        if not 1 <= value <= most:
            raise PictureError(f"--{name} must be from 1 to {most}, got {value}")
    columns = []
    for source in sources:
        videos = picked(videos_of(source), rows, seed)
        columns.append([scaled(strip(row_of(video, frames, brighten=brighten)), height) for video in videos])
    width = [max(picture.width for picture in column) for column in columns]
    tall = max(len(column) for column in columns)
    sheet = Image.new(
        "RGB", (sum(width) + COLUMN_GAP * (len(width) - 1), tall * (height + ROW_GAP) - ROW_GAP), BACKGROUND
    )
    for at, column in enumerate(columns):
        left = sum(width[:at]) + at * COLUMN_GAP
        for row, picture in enumerate(column):
            sheet.paste(picture, (left, row * (height + ROW_GAP)))
    return sheet


def write_contact_sheet(sources: Sequence[str], to: str, **how) -> None:
    """Writes ``contact_sheet(sources, **how)`` as .png or .jpg; errors as there, and PictureError where it cannot be
    written."""
    if not to.lower().endswith((".png", ".jpg", ".jpeg")):
        raise PictureError(f"--to '{to}': the name of a sheet ends in .png or .jpg")
    save_picture(to, contact_sheet(sources, **how))
