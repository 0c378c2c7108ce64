"""Retinex and dehazing beside plain forms of NumPy and SciPy."""

import numpy as np
import pytest
import scipy.ndimage
import torch

from fragrant.data.transforms.enhance import enhancement_of
from fragrant.data.transforms.retinex import SCALES, dehaze, retinex


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    """(T, H, W, 3): a dark scene with a bright place."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 12, (3, 37, 50, 3), generator=generator)
    light = 60 * torch.exp(-((torch.arange(50) - 30) ** 2) / 80)
    return (noise + light.view(1, 1, -1, 1) * torch.tensor([1.0, 0.8, 0.5])).to(torch.uint8)


def blurred(plane: np.ndarray, deviation: float) -> np.ndarray:
    def blur(values):
        return scipy.ndimage.gaussian_filter(values, deviation, mode="constant", truncate=60 / min(deviation, 15))

    return blur(plane) / blur(np.ones_like(plane))


def test_retinex_is_that_of_the_formula(frames):
    x = frames.numpy().astype(float)
    reflectance = np.zeros_like(x)
    for t in range(len(x)):
        for c in range(3):
            light = [np.log1p(blurred(x[t, :, :, c], deviation)) for deviation in SCALES]
            reflectance[t, :, :, c] = np.log1p(x[t, :, :, c]) - np.mean(light, 0)
    low, high = reflectance.min(), reflectance.max()
    wanted = np.round(255 * (reflectance - low) / (high - low))
    difference = np.abs(retinex(frames).numpy() - wanted)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


def test_dehazing_is_that_of_the_formula(frames):
    hazy = 1 - frames.numpy().astype(np.float64) / 255
    least = hazy.min(-1)
    dark = np.stack([scipy.ndimage.minimum_filter(frame, 7, mode="constant", cval=np.inf) for frame in least])
    threshold = np.sort(dark.ravel())[-int(np.ceil(dark.size / 1000))]
    light = hazy.reshape(-1, 3)[(dark >= threshold).ravel()].mean(0)
    wanted = 255 * (1 - ((hazy - light) / np.maximum(1 - 0.98 * dark, 0.15)[..., None] + light))
    got = dehaze(frames).numpy()
    assert np.abs(got - wanted.clip(0, 255)).max() <= 0.51
    assert got.mean() > frames.float().mean()


@pytest.mark.parametrize("name", ["retinex", "dehaze"])
@pytest.mark.parametrize("size", [(1, 1), (3, 20), (9, 17)])
def test_frames_of_any_size_and_kind(name, size):
    for value in (0, 40, 255):
        frames = torch.full((2, *size, 3), value, dtype=torch.uint8)
        assert enhancement_of(name)(frames).shape == frames.shape
    noise = torch.randint(0, 256, (2, *size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    assert enhancement_of(name)(noise).dtype == torch.uint8


def test_retinex_takes_uneven_light_away(frames):
    before, after = (clip.float().mean((0, 1, 3)) for clip in (frames, retinex(frames)))
    assert after[28:33].mean() / after[:10].mean() < 0.5 * before[28:33].mean() / before[:10].mean()
