"""Colour operations and moves of pixels against Pillow, whose numbers the published augmentation has."""

import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from fragrant.data.transforms import colors as colors
from fragrant.data.transforms import warp

PILLOW = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def clip_of(kind, height=50, width=70, num_frames=3):
    """(T, H, W, 3): noise, a smooth picture, a dark one with few values, one value alone"""
    rng = np.random.RandomState(len(kind))
    if kind == "noise":
        return rng.randint(0, 256, (num_frames, height, width, 3)).astype(np.uint8)
    small = [Image.fromarray(rng.randint(0, 256, (12, 16, 3)).astype(np.uint8)) for _ in range(num_frames)]
    smooth = np.stack([np.asarray(image.resize((width, height), Image.Resampling.BICUBIC)) for image in small])
    return {"smooth": smooth, "dark": smooth // 20, "flat": np.full_like(smooth, 7)}[kind]


def ours(operation, frames, *arguments, **options):
    together = torch.from_numpy(frames.transpose(1, 2, 0, 3).copy())  # (H, W, T, C)
    return operation(together, *arguments, **options).numpy().transpose(2, 0, 1, 3)


def pillow(operation, frames):
    return np.stack([np.asarray(operation(Image.fromarray(frame))) for frame in frames])


def pillow_solarize_add(image, amount):
    return image.point([min(255, value + amount) if value < 128 else value for value in range(256)] * 3)


SAME = [
    (colors.autocontrast, (), ImageOps.autocontrast),
    (colors.equalize, (), ImageOps.equalize),
    (colors.invert, (), ImageOps.invert),
    *[(colors.posterize, (bits,), lambda image, bits=bits: ImageOps.posterize(image, bits)) for bits in (1, 2, 3, 4)],
    *[(colors.solarize, (at,), lambda image, at=at: ImageOps.solarize(image, at)) for at in (0, 77, 128, 256)],
    *[(colors.solarize_add, (by,), lambda image, by=by: pillow_solarize_add(image, by)) for by in (0, 77, 110)],
]
for ours_, theirs in (
    (colors.adjust_brightness, ImageEnhance.Brightness),
    (colors.adjust_contrast, ImageEnhance.Contrast),
    (colors.adjust_saturation, ImageEnhance.Color),
    (colors.adjust_sharpness, ImageEnhance.Sharpness),
):
    SAME += [
        (ours_, (by,), lambda image, by=by, theirs=theirs: theirs(image).enhance(by))
        for by in (0.1, 0.37, 1.0, 1.63, 1.9)
    ]


@pytest.mark.parametrize("operation, arguments, theirs", SAME, ids=lambda value: getattr(value, "__name__", str(value)))
def test_the_numbers_of_pillow(operation, arguments, theirs):
    for kind in ("noise", "smooth", "dark", "flat"):
        frames = clip_of(kind)
        assert np.array_equal(ours(operation, frames, *arguments), pillow(theirs, frames)), kind


def test_an_image_without_inner_pixels_is_not_smoothed():
    frames = clip_of("noise", height=2, width=5)
    assert np.array_equal(ours(colors.adjust_sharpness, frames, 1.9), frames)


def transformed(affine, interpolation):
    return lambda image: image.transform(
        image.size, Image.Transform.AFFINE, affine, resample=PILLOW[interpolation], fillcolor=(128,) * 3
    )


MOVES = {
    "right": warp.translate(-0.317 * 70, 0),
    "up": warp.translate(0, 0.2571 * 50),
    "pixels": warp.translate(5, -3),
    "shear_x": warp.shear_x(0.21),
    "shear_y": warp.shear_y(-0.27),
}


@pytest.mark.parametrize("interpolation", PILLOW)
@pytest.mark.parametrize("name", [*MOVES, "rotate"])
def test_moves_are_those_of_pillow_but_for_the_last_digit(name, interpolation):
    """Pillow cuts sums of float64 off, ours are float32: a few values in a thousand come out one higher."""
    for kind in ("noise", "smooth", "dark"):
        frames = clip_of(kind)
        if name == "rotate":
            affine = warp.rotate(-21.3, 50, 70)
            expected = pillow(
                lambda image: image.rotate(-21.3, resample=PILLOW[interpolation], fillcolor=(128,) * 3), frames
            )
        else:
            affine = MOVES[name]
            expected = pillow(transformed(affine, interpolation), frames)
        difference = ours(warp.warp, frames, affine, interpolation=interpolation).astype(int) - expected
        assert set(np.unique(difference)) <= {0, 1} and difference.mean() < 0.003, kind


def test_no_move_changes_nothing():
    frames = clip_of("noise")
    for affine in (warp.translate(0, 0), warp.shear_x(0), warp.rotate(0, 50, 70)):
        assert np.array_equal(ours(warp.warp, frames, affine), frames)


def test_what_comes_from_outside_is_gray():
    moved = ours(warp.warp, clip_of("flat"), warp.translate(10, 0))
    assert (moved[:, :, -10:] == 128).all() and (moved[:, :, :-10] == 7).all()


def test_rotation_is_counter_clockwise():
    frames = np.zeros((1, 21, 21, 3), np.uint8)
    frames[:, 10, 16] = 255  # right of the centre
    assert ours(warp.warp, frames, warp.rotate(90, 21, 21))[0, 4, 10, 0] == 255  # above it
    assert warp.rotate(30, 21, 21).a == pytest.approx(math.cos(math.radians(30)))
