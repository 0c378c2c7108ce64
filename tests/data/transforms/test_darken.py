"""Darkening of lit clips: the physics by numbers, draws by seed."""

import random

import numpy as np
import pytest
import scipy.fft
import torch

from fragrant.data.transforms.darken import BLOCK, GAMMA, Darken, blocked, cosines
from fragrant.data.transforms.view_transforms import TrainTransform

PLAIN = {"shot": (0.0, 0.0), "color": 0.0, "blocking": (0.0, 0.0)}


def gray(value: int, size: int = 96, frames: int = 6) -> torch.Tensor:
    return torch.full((frames, size, size, 3), value, dtype=torch.uint8)


def test_without_noise_it_is_the_exposure_in_linear_light():
    values = torch.arange(256, dtype=torch.uint8).view(1, 1, 256, 1).expand(2, 4, 256, 3)
    dark = Darken((0.05, 0.05), **PLAIN)(values, random.Random(0))
    wanted = np.round(255 * (0.05 * (np.arange(256) / 255) ** GAMMA) ** (1 / GAMMA))
    np.testing.assert_allclose(dark[1, 2, :, 1].numpy(), wanted, atol=1)  # float32 against float64 at a half
    assert (np.abs(dark[1, 2, :, 1].numpy() - wanted) > 0).mean() < 0.02


@pytest.mark.parametrize("shot", [1e-4, 1e-3])
def test_noise_has_the_variance_of_the_model(shot):
    exposure, value = 0.5, 200
    frames = Darken((exposure, exposure), shot=(shot, shot), color=0.0, blocking=(0, 0))(gray(value), random.Random(3))
    linear = (frames[..., 0].double() / 255) ** GAMMA
    signal = exposure * (value / 255) ** GAMMA
    assert abs(linear.mean() - signal) < 0.01 * signal
    # the draws of this seed, taken in the order that the code documents
    rng = random.Random(3)
    for _ in range(5):
        rng.random()
    share = rng.uniform(0.2, 0.5)
    read = np.exp(2.18 * np.log(shot) + 1.20 + 0.26 * rng.gauss(0, 1))
    wanted = shot * signal + read * (1 + share**2)
    assert abs(linear.var() / wanted - 1) < 0.1


def test_noise_of_rows_and_frames():
    frames = Darken((0.3, 0.3), shot=(1e-2, 1e-2), color=0.0, blocking=(0, 0))(gray(128, 200), random.Random(1)).float()
    rows = frames[..., 0].mean(2)
    assert rows.std() > 1.5 * frames[..., 0].std() / 200**0.5  # rows differ by more than their pixels make them
    assert (frames[0] != frames[1]).float().mean() > 0.5


def test_draws_follow_from_the_seed_alone():
    dark, clip = Darken((0.01, 0.2)), gray(180)
    assert torch.equal(dark(clip, random.Random(5)), dark(clip, random.Random(5)))
    assert not torch.equal(dark(clip, random.Random(5)), dark(clip, random.Random(6)))
    means = [dark(clip, random.Random(n)).float().mean().item() for n in range(40)]
    assert min(means) < 0.6 * max(means)
    assert max(means) < 180


def test_a_share_of_the_clips_stays_lit():
    dark, clip = Darken((0.01, 0.01), share=0.25), gray(180, 16)
    lit = sum(torch.equal(dark(clip, random.Random(n)), clip) for n in range(200))
    assert 130 <= lit <= 170


def test_the_colour_of_the_light():
    dark = Darken((0.5, 0.5), **{**PLAIN, "color": 0.3})
    tints = [dark(gray(150, 8), random.Random(n)).float().mean((0, 1, 2)) for n in range(20)]
    assert all((red - green) * (green - blue) >= 0 for red, green, blue in tints)  # redder or bluer, green between
    assert len({bool(red > blue) for red, _, blue in tints}) == 2


def test_blocks_are_those_of_a_rounded_cosine_transform():
    rng = np.random.default_rng(0)
    frames = rng.uniform(0, 255, (1, 16, 24, 3)).astype(np.float32)
    got = blocked(torch.from_numpy(frames), 20.0).numpy()
    for row, column, c in ((0, 0, 0), (8, 16, 2)):
        block = scipy.fft.dctn(frames[0, row : row + 8, column : column + 8, c].astype(float), norm="ortho")
        rounded = np.round(block / 20) * 20
        rounded[0, 0] = block[0, 0]
        np.testing.assert_allclose(
            got[0, row : row + 8, column : column + 8, c], scipy.fft.idctn(rounded, norm="ortho"), atol=1e-2
        )
    matrix = cosines(torch.device("cpu"))
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(BLOCK), atol=1e-6, rtol=0)


def test_blocks_of_any_size_keep_a_flat_picture():
    frames = torch.full((2, 13, 19, 3), 40.0)
    torch.testing.assert_close(blocked(frames, 30.0), frames, atol=1e-3, rtol=0)


def test_it_comes_before_enhancement_and_leaves_the_other_draws():
    seen = []

    def enhance(frames):
        seen.append(frames.float().mean().item())
        return frames

    how = {"crop_size": 16, "jitter_scales": (20, 30), "gamma": (1.0, 3.0)}
    clip = torch.randint(0, 256, (4, 40, 52, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    ones = [TrainTransform(darken=dark, enhance=enhance, **how) for dark in (Darken((1.0, 1.0), **PLAIN), None)]
    (darkened, _), (plain, _) = (
        (t(t.prepare(clip), None, random.Random(n)), t) for n, t in zip((4, 4), ones, strict=True)
    )
    assert darkened.shape == plain.shape == (4, 16, 16, 3)
    dark = TrainTransform(darken=Darken((0.01, 0.01), **PLAIN), enhance=enhance, **how)
    dark(dark.prepare(clip), None, random.Random(4))
    assert seen[-1] < 0.3 * seen[0]
