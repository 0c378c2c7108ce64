"""Renders a clip in linear light: the place as the camera pans over it, people in it, their shadows."""

from typing import NamedTuple

import numpy as np

from fragrant.synthetic.camera import Camera
from fragrant.synthetic.light import Lights, paint_glow
from fragrant.synthetic.motions import Motion, draw_style, standing, walk
from fragrant.synthetic.panorama import Panorama
from fragrant.synthetic.people import Part, Person, draw_person, held_thing, paint_person, parts_of
from fragrant.synthetic.raster import darken_blob
from fragrant.synthetic.setting import Setting
from fragrant.synthetic.skeleton import Skeleton, placed


class Actor(NamedTuple):
    body: Skeleton
    parts: list[Part]
    light: np.ndarray  # (T, 4)


def actor(person: Person, body: Skeleton, camera: Camera, lights: Lights, holds="nothing", left_handed=False) -> Actor:
    light = lights.on_person(body.at["pelvis"] * [1, 0, 1])
    parts = parts_of(person, body, camera, light)
    if holds != "nothing":
        parts.append(held_thing(person, body, camera, holds, "left" if left_handed else "right"))
    return Actor(body, parts, light)


def passer_by(
    rng: np.random.Generator, setting: Setting, time: np.ndarray, lights: Lights, behind: float = 1.0
) -> Actor:
    """Somebody else, who stands or walks further away, by ``behind`` body heights or more."""
    person, style = draw_person(rng, setting.axes), draw_style(rng, setting.axes)
    motion = walk(time, style, rng) if rng.random() < 0.6 else Motion(standing(time, style))
    body = motion.body(person.bones)
    where = np.array([rng.uniform(-1.5, 1.5) * setting.distance * 0.4, 0, setting.distance + rng.uniform(behind, 4)])
    return actor(person, placed(body, where, rng.uniform(0, 6.3), person.scale), setting.camera, lights)


def cropped(picture: np.ndarray, column: float, row: float, size: tuple[int, int]) -> np.ndarray:
    """A part of a picture whose corner is at a fraction of a pixel."""
    c, r = int(np.floor(column)), int(np.floor(row))
    fc, fr = np.float32(column - c), np.float32(row - r)
    rows = picture[r : r + size[1]] * (1 - fr) + picture[r + 1 : r + 1 + size[1]] * fr
    return rows[:, c : c + size[0]] * (1 - fc) + rows[:, c + 1 : c + 1 + size[0]] * fc


def shadow_below(canvas: np.ndarray, someone: Actor, i: int, setting: Setting, offset: np.ndarray, ground) -> None:
    at, camera = someone.body.at, setting.camera
    for joint, size in (("pelvis", 0.14), ("left ankle", 0.08), ("right ankle", 0.08)):
        place = at[joint][i] * [1, 0, 1]
        column, row, away = camera.project(place)
        scale = camera.focal / away
        flat = np.clip(camera.height / away, 0.08, 1)
        high = max(float(at[joint][i, 1]), 0.05)
        amount = setting.shadow / (1 + (2 * high) ** 2)
        middle = (column - offset[0], row - offset[1])
        darken_blob(canvas, middle, (size * scale, size * scale * flat), amount, ground)


def render(setting: Setting, view: Panorama, lights: Lights, people: list[Actor], corner, size) -> np.ndarray:
    """All pictures in linear light: (T, H, W, 3) float32."""
    picture = lights.on_panorama(view)
    for lamp in lights.lamps:
        paint_glow(picture, view, setting.camera, lamp, 3.0)
        if lights.wet:
            mirrored = lamp._replace(place=lamp.place * [1, -1, 1], size=max(1.5 * lamp.size, 0.05))
            paint_glow(picture, view, setting.camera, mirrored, 3.0 * lights.wet, only=view.level)
    frames = len(corner)
    clip = np.empty((frames, size[1], size[0], 3), np.float32)
    for i in range(frames):
        column, row = corner[i] - (view.left, view.top)
        canvas = clip[i]
        canvas[:] = cropped(picture, column, row, size)
        r, c = int(round(row)), int(round(column))
        open_at = view.rho[r : r + size[1], c : c + size[0]]
        ground = view.level[r : r + size[1], c : c + size[0]]
        for someone in people:
            shadow_below(canvas, someone, i, setting, corner[i], ground)
        for someone in sorted(people, key=lambda a: -a.parts[0].start[i, 2]):
            light = someone.light[i]
            paint_person(canvas, someone.parts, i, corner[i], setting.camera.focal, light, open_at)
    return clip
