"""Turns the frames of a view into the clip that a model sees: resize, crop, flip on (T, H, W, C) tensors of pixel
values 0..255.

Frames are uint8. So is a clip, rounded once at the end, or float32 and not rounded where the last digits of published
numbers matter.
All random draws come from the generator that is handed in."""

import math
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fragrant.data.transforms.colors import on_host, pixels_together, to_uint8
from fragrant.data.transforms.gamma import brighten


class Box(NamedTuple):
    """A rectangular part of a frame, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def of(self, frames: Tensor) -> Tensor:
        """Cuts the box out of frames: (T, H, W, C) -> (T, height, width, C), a view"""
        return frames[:, self.top : self.top + self.height, self.left : self.left + self.width]


def _interpolated(frames: Tensor, height: int, width: int, dtype: torch.dtype) -> Tensor:
    """Interpolates frames: (T, H, W, C) -> (T, height, width, C) float32, whole numbers for uint8"""
    pixels = frames.permute(0, 3, 1, 2).float()  # (T, C, H, W), channels last in memory as the frames are
    pixels = F.interpolate(pixels, size=(height, width), mode="bilinear", align_corners=False).permute(0, 2, 3, 1)
    return pixels.round_() if dtype == torch.uint8 else pixels


def resize(
    frames: Tensor, height: int, width: int, *, dtype: torch.dtype = torch.uint8, together: bool = False
) -> Tensor:
    """Resizes frames, (T, H, W, C) -> (T, height, width, C): bilinear between pixel centres, without antialiasing.

    Computed in float32 and rounded once: the uint8 kernels of torch round in between and miss one pixel in five by one.

    Args:
        together: let all frames of a pixel lie together in memory, (H, W, T, C), as ``colors`` and ``warp`` take them.
    """
    if frames.shape[1:3] == (height, width):
        return frames.to(dtype)
    if together:
        # (1, height, width, T * C)
        planes = _interpolated(pixels_together(frames).flatten(2).unsqueeze(0), height, width, dtype)
        planes = to_uint8(planes) if dtype == torch.uint8 else planes
        return planes.view(height, width, *frames.shape[::3]).permute(2, 0, 1, 3)  # (T, height, width, C)
    if not on_host(frames):
        return _interpolated(frames, height, width, dtype).to(dtype)
    resized = frames.new_empty(len(frames), height, width, frames.shape[3], dtype=dtype)
    for at in range(len(frames)):  # one by one, in a processor's cache: up to three times as fast as all at once
        resized.numpy()[at : at + 1] = _interpolated(frames[at : at + 1], height, width, dtype)
    return resized


def short_side_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Size (height, width) with the short side at ``short_side``; the long one follows, rounded down."""
    if height < width:
        return short_side, math.floor(width / height * short_side)
    return math.floor(height / width * short_side), short_side


def box_at(height: int, width: int, side: int, where: float) -> Box:
    """The square at ``where`` along the long side (0 = left or top, 1 = right or bottom), centred along the short
    one."""
    along_height, along_width = (where, 0.5) if height > width else (0.5, where)
    return Box(math.ceil((height - side) * along_height), math.ceil((width - side) * along_width), side, side)


class CropRounding(NamedTuple):
    """How the side that follows from a resize and the places of test crops become whole pixels.

    Attributes:
        resized: (height, width, short side) -> (height, width) of the resized frame.
        centre: (height, width, side) -> the box of a view with one crop.
        along: (height, width, side, where) -> the boxes of a view with three: ``where`` 0, 0.5 and 1.
    """

    resized: Callable[[int, int, int], tuple[int, int]]
    centre: Callable[[int, int, int], Box]
    along: Callable[[int, int, int, float], Box]


def _centre_up(height: int, width: int, side: int) -> Box:
    return box_at(height, width, side, 0.5)


UP = CropRounding(short_side_size, _centre_up, box_at)  # SlowFast and UniFormer; the last crop ends at the border


def random_box(height: int, width: int, side: int, rng: random.Random) -> Box:
    """Draws a square of the frame, all places equally likely (published code never draws the last one)."""
    return Box(rng.randint(0, height - side), rng.randint(0, width - side), side, side)


def draw_short_side(smallest: int, largest: int, u: float, *, inverse: bool = False) -> int:
    """Draws the short side by ``u`` in 0..1: even in the side, or (``inverse``) even in 1 / side, which draws small
    sides more often."""
    if inverse:
        low, high = 1 / largest, 1 / smallest
        return round(1 / (low + (high - low) * u))
    return round(smallest + (largest - smallest) * u)


def relative_size(height: int, width: int, area: float, aspect: float) -> tuple[int, int]:
    """Size (height, width) of a box with ``area`` of the frame (0..1) and ``aspect`` = width / height; it may be too
    large for the frame."""
    pixels = area * height * width
    return round(math.sqrt(pixels / aspect)), round(math.sqrt(pixels * aspect))


def widest_box(height: int, width: int, aspects: tuple[float, float]) -> Box:
    """The largest centred box whose width / height lies in ``aspects``."""
    box_height, box_width = height, width
    if width / height < aspects[0]:
        box_height = round(width / aspects[0])
    elif width / height > aspects[1]:
        box_width = round(height * aspects[1])
    return Box((height - box_height) // 2, (width - box_width) // 2, box_height, box_width)


def random_relative_box(
    height: int, width: int, areas: tuple[float, float], aspects: tuple[float, float], rng: random.Random
) -> Box:
    """The box of a RandomResizedCrop (Szegedy et al. 2015): ten tries to draw one that fits, then the widest."""
    for _ in range(10):
        area = rng.uniform(*areas)
        aspect = math.exp(rng.uniform(math.log(aspects[0]), math.log(aspects[1])))
        box_height, box_width = relative_size(height, width, area, aspect)
        if 0 < box_height <= height and 0 < box_width <= width:
            return Box(rng.randint(0, height - box_height), rng.randint(0, width - box_width), box_height, box_width)
    return widest_box(height, width, aspects)


def moving_boxes(first: Box, last: Box, count: int) -> list[Box]:
    """Boxes on the way from one to another, evenly in ``count`` frames, rounded down to whole pixels as published."""
    steps = [step / max(count - 1, 1) for step in range(count)]
    return [Box(*(int(one + (other - one) * step) for one, other in zip(first, last, strict=True))) for step in steps]


def multi_scale_sizes(height: int, width: int, crop_size: int, scales: Sequence[float]) -> list[tuple[int, int]]:
    """Sizes (height, width) of the boxes of a multi-scale crop (TSN): the short side times neighbouring ``scales``,
    evenly drawn.

    A side within two pixels of ``crop_size`` becomes it where the frame has room (published: also where it has not)."""
    short = min(height, width)
    sides = [int(short * scale) for scale in scales]
    sides = [min(crop_size, short) if abs(side - crop_size) < 3 else side for side in sides]
    return [(sides[i], sides[j]) for i in range(len(sides)) for j in range(len(sides)) if abs(i - j) <= 1]


# Places of a multi-scale crop in quarters of what is left, (down, across): corners and centre, middles of the sides,
# quarter points.
QUARTERS = ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2), (2, 0), (2, 4), (4, 2), (0, 2), (1, 1), (1, 3), (3, 1), (3, 3))


def multi_scale_boxes(height: int, width: int, box_height: int, box_width: int) -> list[Box]:
    """The thirteen places of a box in a multi-scale crop, equally likely; quarters are whole pixels, so that the last
    ones may miss the border by three."""
    down, across = (height - box_height) // 4, (width - box_width) // 4
    return [Box(down * y, across * x, box_height, box_width) for y, x in QUARTERS]


class EvaluationTransform:
    """Transform of validation and test views: resizes the short side to ``short_side``, then takes the square crop that
    the view names.

    Args:
        rounding: see ``CropRounding``.
        one_crop: the views of a clip are one crop, its centre.
        darken: (frames (T, H, W, C) uint8, rng) -> the same shape, before all else. What is drawn follows from the
            pixels of a clip, so that it is the same every time.
        enhance: (frames (T, H, W, C) uint8) -> the same shape, after ``darken``.
        gamma: gamma correction after ``enhance``, see ``gamma_table``; 1 = none.
    """

    def __init__(
        self,
        *,
        crop_size: int,
        short_side: int,
        rounding: CropRounding = UP,
        one_crop: bool = False,
        darken: Callable[[Tensor, random.Random], Tensor] | None = None,
        enhance: Callable[[Tensor], Tensor] | None = None,
        gamma: float = 1.0,
        dtype: torch.dtype = torch.uint8,
    ):
        self.crop_size = crop_size
        self.short_side = short_side
        self.rounding = rounding
        self.one_crop = one_crop
        self.darken = darken
        self.enhance = enhance
        self.gamma = gamma
        self.dtype = dtype

    def prepare(self, frames: Tensor) -> Tensor:
        """Does once what all views of a video share, enhancement, gamma and resizing: (T, H, W, C) -> (T, H', W', C)"""
        if self.darken:
            frames = self.darken(frames, random.Random(int(frames.sum())))
        frames = brighten(self.enhance(frames) if self.enhance else frames, self.gamma)
        height, width = frames.shape[1:3]
        if min(height, width) == self.short_side:
            return frames.to(self.dtype)
        return resize(frames, *self.rounding.resized(height, width, self.short_side), dtype=self.dtype)

    def __call__(self, frames: Tensor, where: float, rng: random.Random) -> Tensor:
        """Crops a view: (T, H', W', C) -> (T, S, S, C)"""
        height, width = frames.shape[1:3]
        if self.one_crop:
            return self.rounding.centre(height, width, self.crop_size).of(frames)
        return self.rounding.along(height, width, self.crop_size, where).of(frames)


class TrainTransform:
    """Transform of training clips: a random part of the frame at ``crop_size``, half of the clips mirrored; the same
    for all frames of a clip.

    Args:
        jitter_scales: range of the short side before a random crop.
        inverse_scales: draw 1 / short side evenly instead of the short side.
        areas: range of a box's share of the frame; with it a random resized crop takes the place of short side and
            crop.
        aspects: range of the box's width / height.
        moving: the box of ``areas`` moves from one drawn box in the first frame to another in the last.
        scales: sides of the box / short side; with them a multi-scale crop takes the place of short side and crop.
        flip: mirror half of the clips.
        short_side: resize the frames to it before a box of ``areas`` or ``scales`` is drawn, as mmaction2 does; 0 =
            not.
        rounding: of the resizes to a short side, see ``CropRounding``.
        darken: (frames (T, H, W, C) uint8, rng) -> the same shape, before all else: what a camera in the dark records.
        enhance: (frames (T, H, W, C) uint8) -> the same shape, before all else.
        gamma: range that the gamma of a clip is drawn from, see ``gamma_table``; applied after ``enhance``.
        augment: further transforms of colours and places of pixels, in this order: (frames (T, H, W, C) uint8, rng) ->
            the same shape
        augment_first: augment the frames and then crop, as published, instead of augmenting the crop, which is less
            work.
        then: the last transforms, in this order: (clip (C, T, S, S), rng) -> the same shape
    """

    def __init__(
        self,
        *,
        crop_size: int,
        jitter_scales: tuple[int, int],
        inverse_scales: bool = False,
        areas: tuple[float, float] | None = None,
        aspects: tuple[float, float] | None = None,
        moving: bool = False,
        scales: Sequence[float] = (),
        flip: bool = True,
        darken: Callable[[Tensor, random.Random], Tensor] | None = None,
        enhance: Callable[[Tensor], Tensor] | None = None,
        gamma: tuple[float, float] = (1.0, 1.0),
        short_side: int = 0,
        rounding: CropRounding = UP,
        augment: Sequence[Callable[[Tensor, random.Random], Tensor]] = (),
        augment_first: bool = False,
        then: Sequence[Callable[[Tensor, random.Random], Tensor]] = (),
        dtype: torch.dtype = torch.uint8,
    ):
        self.crop_size = crop_size
        self.jitter_scales = jitter_scales
        self.inverse_scales = inverse_scales
        self.areas = areas
        self.aspects = aspects
        self.moving = moving
        self.scales = scales
        self.flip = flip
        self.darken = darken
        self.enhance = enhance
        self.gamma = gamma
        self.short_side = short_side
        self.rounding = rounding
        self.augment = augment
        self.augment_first = augment_first
        self.then = then
        self.dtype = dtype

    def prepare(self, frames: Tensor) -> Tensor:
        """Does once what all views of a video share: (T, H, W, C) -> the same shape"""
        return frames if self.darken else self._brightened(frames)

    def _brightened(self, frames: Tensor) -> Tensor:
        frames = self.enhance(frames) if self.enhance else frames
        smallest, largest = self.gamma
        return brighten(frames, smallest) if smallest == largest else frames

    def lit(self, frames: Tensor, rng: random.Random) -> Tensor:
        """Whole frames in the light of the clip that ``self(self.prepare(frames), None, rng)`` is, darkened, enhanced
        and with its gamma, before it is cropped: (T, H, W, C) uint8 -> the same shape"""
        return self._lit(self.prepare(frames), rng)

    def __call__(self, frames: Tensor, where: None, rng: random.Random) -> Tensor:
        """Transforms a clip at random: (T, H, W, C) -> (T, S, S, C)"""
        frames = self._lit(frames, rng)
        if self.augment and not self.augment_first:
            clip = self._augmented(self._crop(frames, rng, dtype=torch.uint8, together=True), rng).to(self.dtype)
        else:
            clip = self._crop(self._augmented(frames, rng), rng, dtype=self.dtype)
        clip = clip.flip(2) if self.flip and rng.random() < 0.5 else clip
        return self._transformed(clip, rng) if self.then else clip

    def _lit(self, frames: Tensor, rng: random.Random) -> Tensor:
        """Darkens and brightens at random."""
        if self.darken:  # with an rng of its own: the other draws are those of a clip that is not darkened
            frames = self._brightened(self.darken(frames, random.Random(rng.getrandbits(64))))
        return brighten(frames, rng.uniform(*self.gamma)) if self.gamma[0] < self.gamma[1] else frames

    def traced(self, size: tuple[int, int], points: Tensor, rng: random.Random) -> tuple[Tensor, bool]:
        """Follows points of the frames into the clip that ``self(frames, None, rng)`` makes with an ``rng`` in the same
        state; not through ``augment`` and ``then``, which move pixels in their own ways.

        Args:
            size: (height, width) of the frames.
            points: (..., 2), columns and rows as shares of the frames.

        Returns:
            (..., 2) as shares of the clip before it is mirrored, and whether it is.
        """
        assert not self.augment and not self.then and not self.moving
        if self.darken:
            rng.getrandbits(64)
        if self.gamma[0] < self.gamma[1]:
            rng.uniform(*self.gamma)  # as brightening draws
        rows, columns = ((torch.arange(length) + 0.5) / length for length in size)
        places = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1).unsqueeze(0)  # (1, H, W, 2)
        seen = self._crop(places, rng, dtype=torch.float32)[0]  # (S, S, 2)
        first, last = self.crop_size // 4, self.crop_size - 1 - self.crop_size // 4  # away from the clamped border
        start, end = seen[first, first], seen[last, last]
        pixel = first + (points - start) * (last - first) / (end - start)
        return (pixel + 0.5) / self.crop_size, self.flip and rng.random() < 0.5

    def _transformed(self, clip: Tensor, rng: random.Random) -> Tensor:
        clip = clip.permute(3, 0, 1, 2)  # (C, T, S, S)
        for transform in self.then:
            clip = transform(clip, rng)
        return clip.permute(1, 2, 3, 0)

    def _augmented(self, frames: Tensor, rng: random.Random) -> Tensor:
        for operation in self.augment:
            frames = operation(frames, rng)
        return frames

    def _along(self, frames: Tensor, boxes: Sequence[Box], **how) -> Tensor:
        """A box of its own for each frame: (T, H, W, C) -> (T, S, S, C)"""
        size = self.crop_size
        return torch.cat([resize(box.of(frames[at : at + 1]), size, size, **how) for at, box in enumerate(boxes)])

    def _crop(self, frames: Tensor, rng: random.Random, **how) -> Tensor:
        height, width = frames.shape[1:3]
        if self.areas or self.scales:
            if self.short_side:
                frames = resize(frames, *self.rounding.resized(height, width, self.short_side), **how)
                height, width = frames.shape[1:3]
            if self.areas:
                assert self.aspects is not None  # they go together
                box = random_relative_box(height, width, self.areas, self.aspects, rng)
                if self.moving:
                    last = random_relative_box(height, width, self.areas, self.aspects, rng)
                    return self._along(frames, moving_boxes(box, last, len(frames)), **how)
            else:
                sizes = multi_scale_sizes(height, width, self.crop_size, self.scales)
                box_height, box_width = rng.choice(sizes)
                box = rng.choice(multi_scale_boxes(height, width, box_height, box_width))
            return resize(box.of(frames), self.crop_size, self.crop_size, **how)
        short_side = draw_short_side(*self.jitter_scales, rng.random(), inverse=self.inverse_scales)
        if min(height, width) != short_side:
            height, width = self.rounding.resized(height, width, short_side)
        box = random_box(height, width, self.crop_size, rng)
        return box.of(resize(frames, height, width, **how))
