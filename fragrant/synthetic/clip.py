"""Draws one clip: somebody does an action somewhere, filmed in the dark.

Everything but the motion (person, place, light, camera, sensor) is drawn before the action is looked at, so that
nothing but the motion tells the actions apart."""

from typing import NamedTuple

import numpy as np

from fragrant.synthetic.axes import Axes, pick
from fragrant.synthetic.camera import Aim, Camera, view_of
from fragrant.synthetic.light import Lights, paint_glow
from fragrant.synthetic.motions import PROGRAMS, Motion, Style, draw_style
from fragrant.synthetic.panorama import Panorama
from fragrant.synthetic.people import Part, Person, draw_person, paint_person, parts_of
from fragrant.synthetic.places import KINDS, Ground, draw_place, seat_for
from fragrant.synthetic.raster import darken_blob
from fragrant.synthetic.sensor import record
from fragrant.synthetic.skeleton import Skeleton, placed, skeleton

WIDEST = 3.0  # radians that a panorama may span


class Setting(NamedTuple):
    """What is drawn for a scene, whatever is done in it."""

    style: Style
    person: Person
    camera: Camera
    aim: Aim
    height: float  # of what the camera aims at, in body heights
    moment: float  # share of the clip at which a still camera has been aimed
    distance: float
    place: str
    axis: np.ndarray  # (x, z) unit vector along the place
    heading: float  # radians
    blur: int  # pictures that are averaged into one


class Actor(NamedTuple):
    body: Skeleton
    parts: list[Part]
    light: np.ndarray  # (T, 4)
    color: np.ndarray  # (T, 3)


def draw_setting(rng: np.random.Generator, axes: Axes, size: tuple[int, int]) -> Setting:
    width, height = size
    weights = np.array([axes.rooms, axes.yards, axes.paths, axes.streets])
    place = str(rng.choice(KINDS, p=weights / weights.sum()))
    low, high = axes.figure
    low = low if place == "path" else min(1.4 * low, high)  # the smallest are seen along a way
    edge = float(np.clip(0.85, low, high))
    figure = pick(rng, (edge, high) if rng.random() < axes.close_up else (low, edge), log=True)
    focal = width / np.radians(pick(rng, axes.lens))
    far = focal / (figure * height)
    turn = rng.normal(0, 0.35) if place != "path" else rng.uniform(-1, 1) * np.arcsin(min(0.8, 0.7 / far))
    axis = np.array([np.sin(turn), np.cos(turn)])
    along = np.arctan2(axis[1], axis[0]) + np.pi * rng.integers(2) + rng.normal(0, 0.08)
    across = np.pi * rng.integers(2) + rng.normal(0, 0.3)
    anywhere = rng.uniform(0, 2 * np.pi)
    likely = (0.85, 0.08, 0.07) if place == "path" else (1 - axes.sideways - 0.2, axes.sideways, 0.2)
    heading = float(rng.choice([along, across, anywhere], p=likely))
    still = rng.random() < axes.still_camera
    follow = (0.0, 0.0) if still else (rng.uniform(0.4, 1.05), rng.uniform(0, 1))
    drift = tuple(rng.normal(0, axes.drift, 2) * (rng.random() < 0.5))
    whole = figure < 0.85
    aim = Aim(
        *follow, pick(rng, axes.lag), float(np.clip(rng.normal(0, axes.off_centre), -0.35, 0.35)),
        float(rng.normal(0.01, 0.08 if whole else 0.03)), pick(rng, axes.shake, log=True), drift,
    )
    return Setting(
        style=draw_style(rng), person=draw_person(rng), camera=Camera(focal, pick(rng, axes.camera_height)), aim=aim,
        height=rng.uniform(0.4, 0.55) if whole else 1.02 - (0.5 - rng.uniform(-0.1, 0.3)) / figure, moment=float(rng.uniform()),
        distance=far, place=place, axis=axis, heading=heading,
        blur=2 if rng.random() < axes.motion_blur else 1,
    )


def body_in_place(setting: Setting, motion: Motion, frames: int) -> Skeleton:
    """The figure in the world, never too close to the camera."""
    body = skeleton(motion.pose, setting.person.bones, frames, anchored=motion.anchored)
    where = np.array([0.0, 0.0, setting.distance])
    body = placed(body, where, setting.heading, setting.person.scale)
    near = float(body.at["pelvis"][:, 2].min())
    if near < 0.75:  # it would walk into the camera: it starts further off, or comes by beside it
        aside = 0.4 if setting.aim.column >= 0 else -0.4
        shift = np.array([aside, 0, 0]) if setting.moment < 0.2 and near > -1.5 else np.array([0, 0, 0.75 - near])
        body = body._replace(at={name: place + shift for name, place in body.at.items()})
    return body


def target_of(setting: Setting, body: Skeleton) -> np.ndarray:
    """What the camera aims at (T, 3)."""
    hips, scale = body.at["pelvis"], setting.person.scale
    target = hips + np.array([0, (setting.height - 0.53) * scale, 0])
    moment = int(setting.moment * (len(hips) - 1))
    if setting.aim.pan < 0.05:
        target = np.repeat(target[moment : moment + 1], len(hips), 0)
    return target


def kept_in_view(setting: Setting, body: Skeleton, size: tuple[int, int], rng, fps: float) -> np.ndarray:
    """Where the camera looks (T, 2): as drawn, or after a figure that it would lose."""
    for aim in (setting.aim, setting.aim._replace(pan=0.9, tilt=0.8, lag=min(setting.aim.lag, 0.25))):
        held = setting._replace(aim=aim)
        looks = view_of(setting.camera, aim, target_of(held, body), size, rng, fps)
        away = np.abs(setting.camera.project(body.at["chest"])[:, :2] - looks) / size
        if np.mean((away < 0.46).all(1)) > 0.8:
            break
    return looks


def seen_share(view: Panorama, body: Skeleton) -> float:
    """How much of the figure nothing stands before; what is outside of the pictures does not count."""
    hidden, total = 0, 1e-6
    for joint in ("head", "chest", "pelvis", "left knee", "right knee"):
        column, row, away = view.camera.project(body.at[joint]).T
        c, r = (column - view.left).astype(int), (row - view.top).astype(int)
        inside = (c >= 0) & (r >= 0) & (c < view.rho.shape[1]) & (r < view.rho.shape[0])
        hidden += (view.rho[r[inside], c[inside]] < away[inside]).sum()
        total += inside.sum()
    return 1 - hidden / total


def build_view(setting: Setting, seeds, corner: np.ndarray, size: tuple[int, int], body: Skeleton) -> tuple:
    """The place as the camera's panorama, and its lights; drawn anew while most of the figure is hidden."""
    left, top = np.floor(corner.min(0)).astype(int) - 1
    right, bottom = np.ceil(corner.max(0)).astype(int) + np.array(size) + 2
    way = np.array([np.cos(setting.heading), np.sin(setting.heading)])
    ground = Ground(np.array([0.0, setting.distance]), way, 0.35, setting.camera.height)
    for attempt in range(4):
        view = Panorama(setting.camera, left, top, right - left, bottom - top)
        kind = setting.place if attempt < 2 else "room"
        lights = draw_place(view, np.random.default_rng([*seeds, 2, attempt]), kind, ground, setting.axis)
        if seen_share(view, body) > 0.75:
            break
    return view, lights


def put_seat(view: Panorama, rng, motion: Motion, body: Skeleton) -> None:
    """Puts a seat under a figure that sits; elsewhere the same draws are thrown away."""
    if motion.seat <= 0.08:
        return
    lowest = int(np.argmin(body.at["pelvis"][:, 1]))
    forward = body.turned["pelvis"][lowest][:, 0] * [1, 0, 1]
    forward /= max(float(np.linalg.norm(forward)), 1e-6)
    middle = body.at["pelvis"][lowest] - 0.02 * forward
    seat_for(view, rng, (middle[0], middle[2]), (forward[0], forward[2]), max(middle[1] - 0.075, 0.03))


def actor(person: Person, body: Skeleton, camera: Camera, lights: Lights) -> Actor:
    light, color = lights.on_person(body.at["pelvis"] * [1, 0, 1])
    return Actor(body, parts_of(person, body, camera, light), light, color)


def passer_by(rng: np.random.Generator, setting: Setting, time: np.ndarray, lights: Lights) -> Actor:
    """Somebody else, who stands or walks further away."""
    person, style = draw_person(rng), draw_style(rng)
    program = PROGRAMS["walk"] if rng.random() < 0.6 else _still
    motion = program(time, style, rng)
    body = skeleton(motion.pose, person.bones, len(time), anchored=motion.anchored)
    where = np.array([rng.uniform(-1.5, 1.5) * setting.distance * 0.4, 0, setting.distance + rng.uniform(1.0, 4)])
    return actor(person, placed(body, where, rng.uniform(0, 6.3), person.scale), setting.camera, lights)


def _still(time: np.ndarray, style: Style, rng: np.random.Generator) -> Motion:
    from fragrant.synthetic.motions import standing

    return Motion(standing(time, style))


def cropped(picture: np.ndarray, column: float, row: float, size: tuple[int, int]) -> np.ndarray:
    """A part of a picture whose corner is at a fraction of a pixel."""
    c, r = int(np.floor(column)), int(np.floor(row))
    fc, fr = np.float32(column - c), np.float32(row - r)
    rows = picture[r : r + size[1]] * (1 - fr) + picture[r + 1 : r + 1 + size[1]] * fr
    return rows[:, c : c + size[0]] * (1 - fc) + rows[:, c + 1 : c + 1 + size[0]] * fc


def shadow_below(canvas: np.ndarray, someone: Actor, i: int, camera: Camera, offset: np.ndarray, ground) -> None:
    at = someone.body.at
    for joint, size in (("pelvis", 0.14), ("left ankle", 0.08), ("right ankle", 0.08)):
        place = at[joint][i] * [1, 0, 1]
        column, row, away = camera.project(place)
        scale = camera.focal / away
        flat = np.clip(camera.height / away, 0.08, 1)
        high = max(float(at[joint][i, 1]), 0.05)
        amount = 0.55 / (1 + (2 * high) ** 2)
        middle = (column - offset[0], row - offset[1])
        darken_blob(canvas, middle, (size * scale, size * scale * flat), amount, ground)


def render(setting: Setting, view: Panorama, lights: Lights, people: list[Actor], corner, size) -> np.ndarray:
    """All pictures in linear light: (T, H, W, 3) float32."""
    picture = lights.on_panorama(view)
    for lamp in lights.lamps:
        paint_glow(picture, view, setting.camera, lamp, 3.0)
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
            shadow_below(canvas, someone, i, setting.camera, corner[i], ground)
        for someone in sorted(people, key=lambda a: -a.parts[0].start[i, 2]):
            light = someone.light[i]
            paint_person(canvas, someone.parts, i, corner[i], setting.camera.focal, light, open_at)
    return clip


def draw_clip(
    seeds: tuple, action: str, *, axes: Axes, frames: int, fps: float, size: tuple[int, int]
) -> tuple[np.ndarray, int]:
    """Draws a clip.

    Args:
        seeds: numbers that the scene is drawn from; the variant of the action is drawn from these and its name.
        action: a name of PROGRAMS.
        size: (width, height).

    Returns:
        (T, H, W, 3) uint8, and the quality to encode it with (crf of H.264).
    """
    rng = np.random.default_rng([*seeds, 1])
    setting = draw_setting(rng, axes, size)
    crf, passing = int(round(pick(rng, axes.crf))), rng.random() < axes.passers_by
    people_rng, sensor_rng, shake_rng = (np.random.default_rng([*seeds, k]) for k in (3, 4, 5))
    own = np.random.default_rng([*seeds, 6, *action.encode()])
    blur = setting.blur
    time = np.arange(frames * blur) / (fps * blur)
    motion = PROGRAMS[action](time, setting.style, own)
    body = body_in_place(setting, motion, len(time))
    looks = kept_in_view(setting, body, size, shake_rng, fps * blur)
    widest = WIDEST * setting.camera.focal / 2
    looks[:, 0] = np.clip(looks[:, 0], -widest, widest)
    looks[:, 1] = np.clip(looks[:, 1], -1.2 * size[1], 1.2 * size[1])
    corner = looks - np.array(size) / 2
    view, lights = build_view(setting, seeds, corner, size, body)
    put_seat(view, own, motion, body)
    people = [actor(setting.person, body, setting.camera, lights)]
    if passing:
        people.append(passer_by(people_rng, setting, time, lights))
    clip = render(setting, view, lights, people, corner, size)
    if blur > 1:
        clip = clip.reshape(frames, blur, *clip.shape[1:]).mean(1)
    return record(sensor_rng, clip, axes, fps), crf
