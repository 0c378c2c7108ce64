"""Histogram equalisation of clips."""

import zlib

import numpy as np
import pytest
import torch

from fragrant.data.transforms.colors import luma
from fragrant.data.transforms.enhance import clahe, equalize, standardize

RNG = np.random.RandomState(0)
SQUARES = (
    np.kron(RNG.randint(0, 40, (16, 16)), np.ones((4, 4), int)).astype(np.uint8) + np.arange(64, dtype=np.uint8) // 8
)
DARK = torch.from_numpy(RNG.randint(0, 30, (4, 45, 70, 3)).astype(np.uint8))


def gray(picture, num_frames=1):
    return torch.from_numpy(picture)[None, :, :, None].expand(num_frames, -1, -1, 3)


def test_clahe_is_that_of_opencv():
    """cv2.createCLAHE(2.0, (8, 8)).apply(SQUARES), OpenCV 5.0.0."""
    ours = clahe(gray(SQUARES))[0, :, :, 0].numpy()
    assert ours[0, :16].tolist() == [8, 8, 8, 8, 12, 11, 10, 9, 14, 14, 13, 12, 60, 60, 60, 60]
    assert ours[31, 31:47].tolist() == [22, 9, 10, 10, 10, 30, 30, 30, 30, 52, 53, 53, 53, 10, 10, 10]
    assert (ours.sum(), zlib.crc32(ours.tobytes())) == (140247, 2957075112)


def test_equalized_values_are_the_share_of_pixels_that_are_no_brighter():
    ours = equalize(gray(np.array([[0, 0, 0, 5], [5, 9, 9, 200]], np.uint8)))[0, :, :, 0]
    assert ours.tolist() == [[96, 96, 96, 159], [159, 223, 223, 255]]


def test_standardized_clips_are_gray_and_alike_in_brightness_and_contrast():
    ours = standardize(DARK)
    assert ours.shape == DARK.shape and torch.equal(ours[..., 0], ours[..., 2])
    values = luma(DARK).double()
    expected = (128 + 48 * (values - values.mean()) / values.std(correction=0)).round().clamp(0, 255)
    assert (ours[..., 0].double() - expected).abs().max() <= 1  # float32 against double
    dim = gray(SQUARES)
    assert (standardize(dim).float() - standardize(dim * 4 + 20).float()).abs().max() <= 1
    assert standardize(torch.full_like(DARK, 7)).unique().tolist() == [128]


@pytest.mark.parametrize("enhance", [equalize, clahe, standardize])
def test_one_curve_for_all_frames(enhance):
    """Equal frames stay equal; a frame is looked at together with the others."""
    repeated = enhance(gray(SQUARES, num_frames=3))
    assert all(torch.equal(frame, repeated[0]) for frame in repeated)
    mixed = torch.cat([gray(SQUARES), gray(SQUARES + 100)])
    assert not torch.equal(enhance(mixed)[0], enhance(mixed[:1])[0])
    assert (enhance(mixed)[1].float() > enhance(mixed)[0].float()).float().mean() > 0.95


@pytest.mark.parametrize("enhance", [equalize, clahe])
def test_dark_clips_become_brighter_and_keep_their_colors(enhance):
    brighter = enhance(DARK)
    assert brighter.shape == DARK.shape and brighter.dtype == torch.uint8
    assert luma(brighter).mean() > 2 * luma(DARK).mean()
    inside = (brighter > 0) & (brighter < 255)
    shift = torch.where(inside, brighter.float() - DARK.float(), torch.nan)
    spread = shift.nan_to_num(-999).amax(-1) - shift.nan_to_num(999).amin(-1)
    assert (spread[inside.sum(-1) > 1] <= 1).all()  # all channels of a pixel rise by the same amount


@pytest.mark.parametrize("size", [(1, 1), (3, 20), (8, 8), (9, 17)])
def test_frames_of_any_size(size):
    for enhance in (equalize, clahe):
        assert enhance(DARK[:2, : size[0], : size[1]]).shape == (2, *size, 3)
