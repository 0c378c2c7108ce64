"""A folder of pictures as a video: one file per frame, numbered by a template."""

import os
import re

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fragrant.data.video.row_of_frames import CannotRead, Frames, errors_named

FIELD = re.compile(r"\{(?::0?(\d*)d)?\}|%0?(\d*)d")


def name_pattern(template: str) -> re.Pattern:
    """Pattern of file names from a template, ``"img_{:05d}.jpg"`` or ``"img_%05d.jpg"``; its group is the number.

    Raises:
        ValueError: the template has not exactly one place for a number.
    """
    fields = list(FIELD.finditer(template))
    if len(fields) != 1:
        raise ValueError(f"'{template}' must hold one number, as 'img_{{:05d}}.jpg' does")
    field = fields[0]
    digits = rf"\d{{{field[1] or field[2] or 1},}}"  # more digits than asked for are no error: frame 100000
    return re.compile(f"{re.escape(template[: field.start()])}({digits}){re.escape(template[field.end() :])}")


class FrameFolder(Frames):
    """The frames of a folder of pictures: frame i is the picture with number ``base + i``.

    Args:
        template: file name with a place for the number.
        base: number of the first frame; None = the smallest there is.

    Raises:
        VideoError: no file fits the template, or a number in between is missing.
    """

    def __init__(self, path: str, *, template: str, base: int | None = None, short_side: int = 0):
        super().__init__(path, short_side=short_side)
        with errors_named(path):
            pattern = name_pattern(template)
            files = os.listdir(path)
            numbered = {int(match[1]): match[0] for match in map(pattern.fullmatch, files) if match}
            if not numbered:
                there = f"it holds '{min(files)}' and {len(files) - 1} more" if files else "it is empty"
                raise CannotRead(f"no file in this folder fits DATA.IMAGE_TEMPLATE '{template}'; {there}")
            first = min(numbered) if base is None else base
            wanted = range(first, max(numbered) + 1)
            missing = next((number for number in wanted if number not in numbered), None)
            if missing is not None or not wanted:
                raise CannotRead(f"frame '{template}' number {first if missing is None else missing} is missing")
            self._files = [numbered[number] for number in wanted]

    def __len__(self) -> int:
        return len(self._files)

    def _load(self, numbers: list[int]) -> Tensor:
        pictures = [self._picture(self._files[number]) for number in numbers]
        sizes = {picture.shape[:2] for picture in pictures}
        if len(sizes) > 1:
            (a, b), (c, d) = sorted(sizes)[:2]
            raise CannotRead(f"its frames differ in size, {b}x{a} and {d}x{c}")
        return torch.from_numpy(np.stack(pictures))

    def _picture(self, name: str) -> np.ndarray:
        """Reads a picture as (H, W, 3) RGB, gray and palette pictures as well."""
        try:
            with Image.open(os.path.join(self.path, name)) as picture:
                return np.asarray(picture.convert("RGB"))
        except (OSError, ValueError, SyntaxError) as error:  # what Pillow raises for torn files
            raise CannotRead(f"'{name}' is no picture, or torn") from error
