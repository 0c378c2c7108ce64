"""Random erasing (Zhong et al. 2020) of clips on the device: a box of every frame is replaced by noise."""

import math
import random
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

AREAS = (0.02, 1 / 3)  # share of the frame, of all boxes together
ASPECTS = (0.3, 1 / 0.3)  # height / width


class Box(NamedTuple):
    top: int
    left: int
    height: int
    width: int


class RandomErasing:
    """Random erasing: replaces one box or several by noise, the same boxes in all frames of a clip.

    Args:
        prob: probability that a clip is erased at all.
        mode: "pixel" = normal noise for every pixel | "rand" = one normal colour per frame and box | "const" = 0, the
            mean colour.
        max_count: largest number of boxes of a clip; as many as that or fewer are drawn.
    """

    def __init__(self, prob: float, *, mode: str = "pixel", max_count: int = 1):
        assert mode in ("pixel", "rand", "const"), mode
        self.prob = prob
        self.mode = mode
        self.max_count = max_count

    def draw(self, height: int, width: int, rng: random.Random) -> list[Box]:
        """Draws the boxes of one clip."""
        if rng.random() > self.prob:
            return []
        count = rng.randint(1, self.max_count) if self.max_count > 1 else 1
        boxes = (_draw_box(height, width, count, rng) for _ in range(count))
        return [box for box in boxes if box]

    def __call__(self, clips: Tensor, keys: Sequence[str]) -> Tensor:
        """Erases boxes of normalised clips (N, C, T, H, W), in place.

        Args:
            keys: one per clip; what is erased and with which noise follows from it alone (the noise of a GPU is not
                that of a CPU).
        """
        height, width = clips.shape[3:]
        for clip, key in zip(clips, keys, strict=True):
            for box, seed in self.plan(height, width, key):
                part = clip[..., box.top : box.top + box.height, box.left : box.left + box.width]  # (C, T, h, w)
                part.copy_(self._fill(part, seed))
        return clips

    def plan(self, height: int, width: int, key: str) -> list[tuple[Box, int]]:
        """The boxes of the clip with this key, each with the seed of its noise."""
        rng = random.Random(key)
        return [(box, rng.getrandbits(63)) for box in self.draw(height, width, rng)]

    def table(self, height: int, width: int, keys: Sequence[str]) -> Tensor:
        """The plans of N clips: (N, max_count, 5) int64: top, left, height, width, seed of a box; zeros where a clip
        has fewer."""
        table = torch.zeros(len(keys), self.max_count, 5, dtype=torch.int64)
        for row, key in zip(table, keys, strict=True):
            for place, (box, seed) in zip(row, self.plan(height, width, key), strict=False):
                place.copy_(torch.tensor([*box, seed]))
        return table

    def _fill(self, part: Tensor, seed: int) -> Tensor:
        if self.mode == "const":
            return part.new_zeros(())
        shape = part.shape if self.mode == "pixel" else (*part.shape[:2], 1, 1)
        generator = torch.Generator(part.device).manual_seed(seed)
        return torch.randn(shape, generator=generator, device=part.device)


def _draw_box(height: int, width: int, count: int, rng: random.Random) -> Box | None:
    """Draws a box smaller than the frame; None when a hundred tries bring none."""
    for _ in range(100):
        pixels = rng.uniform(*AREAS) * height * width / count
        aspect = math.exp(rng.uniform(math.log(ASPECTS[0]), math.log(ASPECTS[1])))
        box_height, box_width = round(math.sqrt(pixels * aspect)), round(math.sqrt(pixels / aspect))
        if 0 < box_height < height and 0 < box_width < width:
            return Box(rng.randint(0, height - box_height), rng.randint(0, width - box_width), box_height, box_width)
    return None
