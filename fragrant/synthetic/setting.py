"""Draws what a scene is made of, whatever is done in it: person, place, light, camera."""

from typing import NamedTuple

import numpy as np

from fragrant.synthetic.axes import Axes, pick
from fragrant.synthetic.camera import Aim, Camera
from fragrant.synthetic.motions import Style, draw_style
from fragrant.synthetic.people import Person, draw_person
from fragrant.synthetic.places import KINDS


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
    crf: int  # quality of the encoding
    passing: bool  # somebody else is there
    shadow: float
    axes: Axes


def _shares(sideways: float) -> tuple[float, float, float]:
    """Chances of a heading along the place, across the picture, and anywhere (a fifth, where there is room)."""
    return max(1 - sideways - 0.2, 0.0), sideways, min(0.2, 1 - sideways)


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
    across = np.pi * rng.integers(2) + rng.normal(0, axes.yaw)
    anywhere = rng.uniform(0, 2 * np.pi)
    likely = (0.85, 0.08, 0.07) if place == "path" else _shares(axes.sideways)
    heading = float(rng.choice([along, across, anywhere], p=likely))
    still = rng.random() < axes.still_camera
    follow = (0.0, 0.0) if still else (rng.uniform(0.4, 1.05), rng.uniform(0, 1))
    drift = tuple(rng.normal(0, axes.drift, 2) * (rng.random() < 0.5))
    whole = figure < 0.85
    aim = Aim(
        *follow,
        pick(rng, axes.lag),
        float(np.clip(rng.normal(0, axes.off_centre), -0.35, 0.35)),
        float(rng.normal(0.01, 0.08 if whole else 0.03)),
        pick(rng, axes.shake, log=True),
        drift,
    )
    return Setting(
        style=draw_style(rng, axes),
        person=draw_person(rng, axes),
        camera=Camera(focal, pick(rng, axes.camera_height)),
        aim=aim,
        height=rng.uniform(0.4, 0.55) if whole else 1.02 - (0.5 - rng.uniform(-0.1, 0.3)) / figure,
        moment=float(rng.uniform()),
        distance=far,
        place=place,
        axis=axis,
        heading=heading,
        blur=2 if rng.random() < axes.motion_blur else 1,
        crf=int(round(pick(rng, axes.crf))),
        passing=bool(rng.random() < axes.passers_by),
        shadow=pick(rng, axes.shadow),
        axes=axes,
    )
