"""What a recipe may ask for beside what a place has by itself: lampposts, and things before the figure."""

import numpy as np

from fragrant.synthetic.axes import pick
from fragrant.synthetic.furniture import plain, post
from fragrant.synthetic.light import Lamp
from fragrant.synthetic.panorama import Panorama
from fragrant.synthetic.people import tint
from fragrant.synthetic.places import Ground, warm

ASIDE = 0.45  # radians from straight ahead, half of a usual picture


def add_lampposts(view: Panorama, rng: np.random.Generator, ground: Ground) -> list[Lamp]:
    """Street lamps out of the figure's way, before it and behind it; their light is returned."""
    lamps = []
    for _ in range(round(pick(rng, ground.axes.street_lamps))):
        angle, far = rng.uniform(-ASIDE, ASIDE), ground.middle[1] * rng.uniform(0.9, 3)
        x, z, high = far * np.sin(angle), far * np.cos(angle), rng.uniform(1.8, 3.2)
        color = tint(rng, rng.uniform(0.02, 0.2), 0.1)
        power, size = rng.uniform(0.5, 4), rng.uniform(0.03, 0.1)
        if ground.is_free(x, z, 0.1, high):
            post(view, (x, z), 0.06, high, color)
            lamps.append(Lamp(np.array([x, high, z]), power * pick(rng, ground.axes.lamps), warm(rng), size))
    return lamps


def add_occluders(view: Panorama, rng: np.random.Generator, ground: Ground) -> None:
    """Posts, each of which hides half of a body's width at most, and low walls, which hide legs, between camera and
    figure."""
    far = ground.middle[1]
    for _ in range(round(pick(rng, ground.axes.occluders))):
        angle, share = rng.uniform(-ASIDE, ASIDE), rng.uniform(0.4, 0.8)
        x, z = far * share * np.sin(angle), far * share * np.cos(angle)
        color, low = tint(rng, rng.uniform(0.02, 0.3), 0.2), rng.random() < 0.4
        wide, high = share * rng.uniform(0.04, 0.13), ground.eye + (rng.uniform(0.1, 0.4) - ground.eye) * share
        if np.hypot(x, z) < 0.45:
            continue
        if not low:
            post(view, (x, z), wide, 4.0, color)
        elif high > 0.05:  # of where the line from the eye to the legs passes
            view.box((x, 0, z), (1, 0), (rng.uniform(0.5, 3), high, 0.08), plain(color))
