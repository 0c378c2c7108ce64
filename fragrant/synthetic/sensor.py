"""What a small camera makes of a dark scene: exposure, noise, smoothing, tone; light in, 8 bits out."""

import numpy as np

from fragrant.config.pixel_statistics import LUMA_WEIGHTS
from fragrant.synthetic.axes import Axes, pick

LUMA = np.array(LUMA_WEIGHTS, dtype=np.float32)


def blurred(clip: np.ndarray, sigma: float) -> np.ndarray:
    """A clip (T, H, W, C) smoothed, in place, along rows and columns, by three taps."""
    if sigma < 0.15:
        return clip
    side = np.float32(min(0.5 * np.exp(-0.5 / sigma**2) / (0.5 + np.exp(-0.5 / sigma**2)), 1 / 3))
    for axis in (1, 2):
        first, last = [slice(None)] * 4, [slice(None)] * 4
        first[axis], last[axis] = slice(0, -1), slice(1, None)
        near, far = tuple(first), tuple(last)
        step = clip[far] - clip[near]
        step *= side
        clip[near] += step
        clip[far] -= step
    return clip


def exposure(rng: np.random.Generator, clip: np.ndarray, luma: float, gamma: float, follow: bool, fps: float):
    """Gains (T,) that bring the mean of the tone-mapped picture to ``luma``; when they ``follow``, with a lag."""
    small = np.maximum(clip[:, ::4, ::4] @ LUMA, 0)
    level = float((small[0] if follow else small).mean()) + 1e-9

    def gain_for(light: np.ndarray, gain: float) -> float:
        for _ in range(6):
            mean = float((np.minimum(light * gain, 1) ** (1 / gamma)).mean()) + 1e-6
            gain *= (luma / mean) ** gamma
        return gain

    first = gain_for(small[: max(1, len(small) // 4)] if follow else small, luma**gamma / level)
    gains = np.full(len(clip), first)
    if follow:
        lag, amount = np.exp(-1 / (rng.uniform(0.1, 1.0) * fps)), rng.uniform(0.2, 0.9)
        for i in range(1, len(clip)):
            wanted = gain_for(small[i], gains[i - 1])
            gains[i] = gains[i - 1] * (np.clip(wanted / gains[i - 1], 0.2, 5)) ** ((1 - lag) * amount)
    return gains.astype(np.float32)


def _noise(rng: np.random.Generator, frames: int, height: int, width: int) -> np.ndarray:
    """Normal noise (T, H, W, 3): a few fields, moved about from frame to frame."""
    bank = rng.standard_normal((6, height + 16, width + 16, 3), dtype=np.float32)
    out = np.empty((frames, height, width, 3), np.float32)
    for i in range(frames):
        row, column = rng.integers(0, 17, 2)
        out[i] = bank[i % 6, row : row + height, column : column + width]
    return out


def _settle(clip: np.ndarray, strength: float) -> None:
    """Noise reduction over time, in place: small changes come late, large ones at once."""
    for i in range(1, len(clip)):
        change = clip[i] - clip[i - 1]
        size = change[..., 1] / np.float32(0.035)
        change *= (np.float32(strength) * np.exp(-size * size))[..., None]
        clip[i] -= change


def record(rng: np.random.Generator, clip: np.ndarray, axes: Axes, fps: float) -> np.ndarray:
    """A clip of linear light (T, H, W, 3), which is overwritten, as 8 bits."""
    frames, height, width, _ = clip.shape
    gamma, luma = pick(rng, axes.gamma), pick(rng, axes.luma, log=True)
    black, cast = pick(rng, axes.black), np.exp(rng.normal(0, axes.cast, 3)).astype(np.float32)
    clip = blurred(clip, pick(rng, axes.defocus))
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    clip *= (1 - pick(rng, axes.vignette) * 0.5 * (x * x + y * y))[..., None].astype(np.float32)
    keep = np.float32(pick(rng, axes.saturation))
    grey = (clip @ LUMA) * (1 - keep)
    clip *= keep
    clip += grey[..., None]
    clip *= cast
    gains = exposure(rng, clip, max(luma - black, 0.01), gamma, rng.random() < axes.rolling_gain, fps)
    clip *= gains[:, None, None, None]
    clip -= np.float32(pick(rng, axes.crush) * float(np.median(clip[::8, ::4, ::4])))
    np.clip(clip, 0, 1, out=clip)
    # noise of photons and of reading, smoothed by the camera; its size in light, which grows with the light
    photons, read = pick(rng, axes.photon_noise, log=True), pick(rng, axes.read_noise, log=True)
    light = luma**gamma
    noise = _noise(rng, frames, height, width)
    soft = pick(rng, axes.denoise)
    noise = blurred(noise, soft) if soft > 0.4 else noise
    noise *= np.sqrt(clip * np.float32(photons * light * 4) + np.float32((read * light * 25) ** 2))
    clip += noise
    if rng.random() < axes.banding:
        bands = rng.standard_normal((frames, height, 1, 1), dtype=np.float32)
        clip += bands * np.float32(read * light * rng.uniform(5, 20))
    np.clip(clip, 0, 1, out=clip)
    clip **= np.float32(1 / gamma)
    if rng.random() < axes.hot_pixels:
        for _ in range(rng.integers(1, 12)):
            clip[:, rng.integers(height), rng.integers(width), rng.integers(3)] += rng.uniform(0.02, 0.3)
    if rng.random() < axes.noise_reduction:
        _settle(clip, rng.uniform(0.3, 0.9))
    shadow = np.exp(rng.normal(0, 0.1, 3)).astype(np.float32) * np.float32(black)  # the cast of black itself
    sharpen = pick(rng, axes.sharpen)
    if sharpen > 0.2:
        clip += np.float32(sharpen) * (clip - blurred(clip.copy(), 1.5))
    clip *= 1 - shadow
    clip += shadow
    return (np.clip(clip, 0, 1) * 255 + rng.uniform(0.3, 0.7)).astype(np.uint8)
