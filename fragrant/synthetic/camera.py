"""The camera: where points of space fall on the picture, and where it looks over time.

It stands at (0, height, 0) in a world of (x right, y up, z away), in body heights. Pictures are cylindrical: a column
is an angle, so that a pan is a shift of columns and a small tilt one of rows; the background is drawn once, as a
panorama."""

from typing import NamedTuple

import numpy as np


class Camera(NamedTuple):
    focal: float  # pixels of one radian
    height: float

    def project(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) -> (..., 3): column and row from straight ahead on the horizon, and the distance over ground."""
        away = np.maximum(np.hypot(points[..., 0], points[..., 2]), 0.12)
        column = self.focal * np.arctan2(points[..., 0], points[..., 2])
        return np.stack([column, self.focal * (self.height - points[..., 1]) / away, away], -1)


def smoothed(signal: np.ndarray, frames: float) -> np.ndarray:
    """A signal (T, D) as it is followed with a lag of so many frames."""
    if frames < 0.1:
        return signal
    keep, out = np.exp(-1 / frames), np.array(signal, dtype=float)
    for i in range(1, len(out)):
        out[i] = keep * out[i - 1] + (1 - keep) * signal[i]
    return out


def hand_shake(rng: np.random.Generator, time: np.ndarray, strength: float) -> np.ndarray:
    """Sway (T, 2) of a camera held by hand, in radians: slow drifts and a faster tremor."""
    rate = np.array([0.25, 0.6, 1.3, 2.6, 5.0])
    size = strength * np.array([1.6, 1.0, 0.5, 0.22, 0.1])
    waves = [size @ np.sin(2 * np.pi * np.outer(rate * rng.uniform(0.7, 1.3, 5), time) + rng.uniform(0, 6.3, (5, 1)))]
    waves.append(
        size @ np.sin(2 * np.pi * np.outer(rate * rng.uniform(0.7, 1.3, 5), time) + rng.uniform(0, 6.3, (5, 1)))
    )
    return np.stack(waves, -1)


class Aim(NamedTuple):
    """How the camera is held: the same draw serves every action."""

    pan: float  # share of the figure's movement that the camera follows, sideways
    tilt: float  # and up and down
    lag: float  # seconds
    column: float  # where the figure is to be in the picture, in picture widths from its middle
    row: float  # in picture heights
    shake: float  # radians
    drift: tuple[float, float]  # radians per second


def view_of(camera: Camera, aim: Aim, target: np.ndarray, size: tuple[int, int], rng, fps: float) -> np.ndarray:
    """Where the camera looks (T, 2): columns and rows of the picture's middle.

    Args:
        target: (T, 3) the point that is followed.
        size: (width, height) in pixels.
    """
    seen = camera.project(target)[:, :2]
    still = seen[len(seen) // 2] if aim.pan < 0.05 else seen[0]
    follow = still + (smoothed(seen, aim.lag * fps) - still) * np.array([aim.pan, aim.tilt])
    time = np.arange(len(seen)) / fps
    moved = hand_shake(rng, time, aim.shake) + (time - time.mean())[:, None] * np.array(aim.drift)
    return follow - np.array([aim.column * size[0], aim.row * size[1]]) + camera.focal * moved
