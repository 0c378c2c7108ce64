"""A folder of pictures as a video: one file per frame, numbered by a template."""

import os
import re
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from fragrant.data.video.gray_range import GrayRange
from fragrant.data.video.picture import as_rgb, opened_picture
from fragrant.data.video.places import Place, place_of
from fragrant.data.video.row_of_frames import LIMITS, CannotRead, Frames, Limits, errors_named

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
        place: the folder on this machine, or its pictures in a shard by name; None = ``path`` says it.
        gray_range: see ``as_rgb``.

    Raises:
        VideoError: no file fits the template, or a number in between is missing.
    """

    def __init__(
        self,
        path: str,
        *,
        template: str,
        base: int | None = None,
        short_side: int = 0,
        limits: Limits = LIMITS,
        place: Mapping[str, Place] | str | None = None,
        gray_range: GrayRange | None = None,
    ):
        super().__init__(path, short_side=short_side, limits=limits)
        self._gray_range = gray_range
        with errors_named(path):
            pattern = name_pattern(template)
            found = place or place_of(path)
            if isinstance(found, Place):
                raise CannotRead("it is not a folder")
            self._folder = found
            files = os.listdir(found) if isinstance(found, str) else list(found)
            numbered = {int(match[1]): match[0] for match in map(pattern.fullmatch, files) if match}
            if not numbered:
                content = f"it holds '{min(files)}' and {len(files) - 1} more" if files else "it is empty"
                raise CannotRead(f"no file in this folder fits DATA.IMAGE_TEMPLATE '{template}'; {content}")
            first = min(numbered) if base is None else base
            there = [number for number in sorted(numbered) if number >= first]
            # not a list of all that should be there: one stray picture may be named by date and time
            missing = next((wanted for wanted, number in enumerate(there, first) if wanted != number), None)
            if missing is not None or not there:
                last = f", the last one there is {there[-1]}" if there else ""
                raise CannotRead(f"frame '{template}' number {first if missing is None else missing} is missing{last}")
            self._files = [numbered[number] for number in there]

    def __len__(self) -> int:
        return len(self._files)

    def _load(self, numbers: list[int]) -> Tensor:
        first = self._picture(self._files[numbers[0]])
        self.limits.check(len(numbers), *first.shape[:2])
        pixels = np.empty((len(numbers), *first.shape), np.uint8)
        for at, number in enumerate(numbers):
            picture = self._picture(self._files[number]) if at else first
            if picture.shape != first.shape:
                (a, b), (c, d) = sorted([first.shape[:2], picture.shape[:2]])
                raise CannotRead(f"its frames differ in size, {b}x{a} and {d}x{c}")
            pixels[at] = picture
        return torch.from_numpy(pixels)

    def _picture(self, name: str) -> np.ndarray:
        """(H, W, 3) RGB, see ``as_rgb``"""
        picture_of = os.path.join(self._folder, name) if isinstance(self._folder, str) else self._folder[name]
        with opened_picture(picture_of, self.limits) as picture:
            try:
                return as_rgb(picture, self.notes, self._gray_range)
            except CannotRead as error:
                raise CannotRead(f"'{name}' {error}") from error

    def damaged(self) -> str:
        """The first picture of a shard that is not as it was packed; "" where all are."""
        if isinstance(self._folder, str):
            return ""
        return next((name for name in self._files if not self._folder[name].is_intact()), "")
