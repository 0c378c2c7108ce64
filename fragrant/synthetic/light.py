"""Lamps: what light falls on the background and on people, and their glow in the picture."""

from typing import NamedTuple

import numpy as np

from fragrant.synthetic.camera import Camera
from fragrant.synthetic.panorama import Panorama


class Lamp(NamedTuple):
    place: np.ndarray  # (3,) in the world
    power: float  # light at distance 1
    color: np.ndarray  # (3,)
    size: float  # radius of what is seen of it, 0 is nothing


class Lights(NamedTuple):
    lamps: list[Lamp]
    ambient: np.ndarray  # (3,)
    wet: float = 0.0  # how much the ground mirrors lamps

    def on_panorama(self, view: Panorama) -> np.ndarray:
        """The light that comes from every pixel (H, W, 3)."""
        x, y, z = view.places()
        light = np.broadcast_to(self.ambient.astype(np.float32), view.color.shape).copy()
        for lamp in self.lamps:
            lx, ly, lz = (np.float32(c) for c in lamp.place)
            falloff = np.float32(lamp.power) / (np.float32(0.25) + (x - lx) ** 2 + (y - ly) ** 2 + (z - lz) ** 2)
            light += falloff[..., None] * lamp.color.astype(np.float32)
        light[view.rho >= 399] = 1
        return view.color * light + view.shines

    def on_person(self, place: np.ndarray) -> np.ndarray:
        """The light at ``place`` (T, 3): from everywhere, right, below and front, (T, 4)."""
        shape = np.zeros((len(place), 4))
        shape[:, 0] = 0.75 * self.ambient.mean()
        angle = np.arctan2(place[:, 0], place[:, 2])
        zero = 0 * angle
        right = np.stack([np.cos(angle), zero, -np.sin(angle)], -1)
        front = np.stack([-np.sin(angle), zero, -np.cos(angle)], -1)
        shape[:, 2] -= 0.25 * self.ambient.mean()  # some more from above
        shape[:, 3] += 0.25 * self.ambient.mean()
        for lamp in self.lamps:
            way = lamp.place - place - np.array([0, 0.6, 0])
            square = (way**2).sum(-1)
            strength = lamp.power / (0.25 + square)
            unit = way / np.sqrt(square)[:, None]
            shape[:, 0] += 0.6 * strength
            shape[:, 1] += 0.5 * strength * (unit * right).sum(-1)
            shape[:, 2] -= 0.5 * strength * unit[:, 1]
            shape[:, 3] += 0.5 * strength * (unit * front).sum(-1)
        return shape.astype(np.float32)


def paint_glow(picture: np.ndarray, view: Panorama, camera: Camera, lamp: Lamp, strength: float, only=None) -> None:
    """Paints a lamp and its halo where nothing stands before it; ``only`` where that (H, W) is true."""
    if lamp.size <= 0:
        return
    column, row, away = camera.project(lamp.place)
    column, row = column - view.left, row - view.top
    radius = max(lamp.size * camera.focal / away, 0.6)
    reach = int(12 * radius + 6)
    height, width = picture.shape[:2]
    top, bottom = max(int(row) - reach, 0), min(int(row) + reach, height)
    left, right = max(int(column) - reach, 0), min(int(column) + reach, width)
    if top >= bottom or left >= right:
        return
    y, x = (
        np.arange(top, bottom, dtype=np.float32)[:, None] - row,
        np.arange(left, right, dtype=np.float32)[None] - column,
    )
    distance = np.sqrt(x * x + y * y)
    disk = np.clip(radius - distance + 0.5, 0, 1)
    halo = 0.12 * np.exp(-distance / (1.5 * radius)) + 0.02 * np.exp(-distance / (4 * radius))
    free = view.rho[top:bottom, left:right] > away - 0.3
    if only is not None:  # the mirror image is drawn out to the eye
        halo = halo + 0.3 * np.exp(-((x / (2 * radius)) ** 2) - np.abs(y) / (6 * radius))
        free, halo = free & False, halo * only[top:bottom, left:right]
    glow = (disk * free + halo).astype(np.float32) * np.float32(strength)
    picture[top:bottom, left:right] += glow[..., None] * lamp.color.astype(np.float32)
