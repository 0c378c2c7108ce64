"""Where clips play: rooms, yards before a wall, paths between walls, streets; with what stands about, and lamps."""

from typing import NamedTuple

import numpy as np

from fragrant.synthetic.axes import Axes, pick
from fragrant.synthetic.furniture import bush, post, seat, table
from fragrant.synthetic.light import Lamp, Lights
from fragrant.synthetic.panorama import Panorama
from fragrant.synthetic.people import tint
from fragrant.synthetic.textures import noise, texture

KINDS = ("room", "yard", "path", "street")
SEATS = ("office", "chair", "stool", "bench", "block")


class Ground(NamedTuple):
    """Where the figure is and what has to stay free."""

    middle: np.ndarray  # (x, z)
    way: np.ndarray  # unit vector (x, z) that the figure looks along at first
    free: float  # half width of the way that is kept free
    eye: float  # height of the camera
    axes: Axes

    def is_free(self, x: float, z: float, radius: float, high: float = 0.5) -> bool:
        """Whether something of that radius and height is out of the way, not right before the camera, and hides no
        more of the figure than its legs."""
        if np.hypot(x, z) < 0.5 + radius:
            return False
        far = self.middle[1]
        beside = abs(np.arctan2(x, z)) > np.arctan(radius / np.hypot(x, z)) + np.arctan(0.3 / far)
        if z < far and not beside and (high - self.eye) / z > (0.4 - self.eye) / far:
            return False
        at = np.array([x, z]) - self.middle
        along, across = at @ self.way, abs(at[1] * self.way[0] - at[0] * self.way[1])
        return across > self.free + radius or abs(along) > 4


def surface(rng: np.random.Generator, ground: Ground, kinds: str, low: float, high: float, hue: float = 0.08):
    """A painter of a textured surface in one colour; ``kinds`` names textures."""
    kind, color, seed = str(rng.choice(kinds.split())), tint(rng, rng.uniform(low, high), hue), int(rng.integers(2**31))
    contrast = ground.axes.texture

    def paint(u, v, pixel):
        pattern = texture(np.random.default_rng(seed), kind, u, v, pixel)
        if contrast != (1, 1):
            strength = pick(np.random.default_rng([seed, 1]), contrast)
            pattern = np.maximum(1 + strength * (pattern - 1), 0.02)
        return pattern[..., None].astype(np.float32) * color

    return paint


def facade(rng: np.random.Generator, ground: Ground, floors: float):
    """A painter of a building with rows of windows, dark, bluish, or lit; what is bright shines."""
    wall, pitch, high = surface(rng, ground, "plain blotches panels", 0.1, 0.5), rng.uniform(0.5, 1.2), floors
    glass = tint(rng, rng.uniform(0.01, 0.08), 0.5) * np.array([0.7, 0.9, 1.5], np.float32)
    lit, seed = rng.choice([0.0, 0.05, 0.25], p=[0.5, 0.3, 0.2]), int(rng.integers(2**31))
    bright = rng.uniform(1, 6) * np.array([1, 0.9, 0.7], np.float32)
    wide, tall, sill = rng.uniform(0.3, 0.75), rng.uniform(0.35, 0.6), rng.uniform(0.2, 0.4)

    def paint(u, v, pixel):
        fu, fv = u / pitch % 1, v / high % 1
        window = (fu < wide) & (fv > sill) & (fv < sill + tall)
        bar = (np.abs(fu / wide - 0.5) < 0.06) & (pixel < 0.05 * pitch)
        cell = (np.floor(u / pitch) * 7919 + np.floor(v / high) * 104729 + seed) % 997 / 997
        color = np.where((cell < lit)[..., None], bright, glass)
        return np.where((window & ~bar)[..., None], color, wall(u, v, pixel))

    return paint


def _window_row(view: Panorama, rng: np.random.Generator, ground: Ground, start, way, length: float) -> None:
    """Windows, doors, posters on a wall from ``start`` along ``way``: dark, or bright from behind."""
    normal = np.array([-way[1], way[0]])
    toward = -np.sign(normal @ (start + 0.5 * length * way)) * 0.015
    few, many = (round(end) for end in ground.axes.windows)
    for _ in range(rng.integers(few, many + 1)):
        at, wide = rng.uniform(0, length), rng.uniform(0.15, 1.2)
        low, high = sorted(rng.uniform(0, 1.7, 2)) if rng.random() < 0.6 else (0, rng.uniform(1.1, 1.3))
        if high - low < 0.08:
            continue
        bright = rng.random() < ground.axes.lit_windows
        color = tint(rng, rng.uniform(0.3, 1) if bright else rng.uniform(0.02, 0.5), 0.3)
        bars, frame = rng.uniform(0.1, 0.6), rng.uniform(0.02, 0.05)

        def paint(u, v, pixel, color=color, bars=bars, frame=frame, bright=bright):
            line = ((u % bars) < frame) | ((v % (0.8 * bars)) < frame)
            return np.where((line & bright)[..., None], np.float32(0.05), 1) * color

        a, b = start + at * way + toward * normal, start + (at + wide) * way + toward * normal
        view.upright(a, b, low, high, paint, shines=rng.uniform(0.3, 5) if bright else 0)


def _clutter(view: Panorama, rng: np.random.Generator, ground: Ground, wide: float, near: float, far: float) -> None:
    """Chairs, tables, boxes, posts where they are not in the way; some of them before the figure."""
    for _ in range(round(pick(rng, ground.axes.clutter))):
        x, z, angle = rng.uniform(-wide, wide), rng.uniform(near, far), rng.uniform(0, 6.3)
        if not ground.is_free(x, z, 0.35, rng.choice([0.45, 0.9])):
            continue
        axis = np.array([np.cos(angle), np.sin(angle)]) if rng.random() < 0.5 else np.array([0.0, -1.0])
        color, metal = tint(rng, rng.uniform(0.02, 0.4), 0.2), tint(rng, rng.uniform(0.02, 0.3), 0.1)
        kind = rng.choice(["seat", "table", "box", "post"], p=[0.4, 0.25, 0.28, 0.07])
        if kind == "seat":
            seat(view, rng, str(rng.choice(SEATS[:4])), (x, z), axis, rng.uniform(0.2, 0.3), color, metal)
        elif kind == "table":
            table(view, rng, (x, z), axis, color, metal)
        elif kind == "box":
            view.box(
                (x, 0, z),
                axis,
                tuple(rng.uniform(0.15, 0.7, 3)),
                surface(rng, ground, "plain planks panels", 0.02, 0.4),
            )
        else:
            post(view, (x, z), rng.uniform(0.03, 0.08), 2.5, color)


def _room(view: Panorama, rng: np.random.Generator, ground: Ground) -> list[Lamp]:
    back = ground.middle[1] + (rng.uniform(0.35, 3.5) if rng.random() < 0.7 else rng.uniform(3, 8))
    left, right, top = -rng.uniform(1.5, 6), rng.uniform(1.5, 6), rng.uniform(1.45, 2.2)
    tilt = rng.normal(0, 0.2)
    turned = np.array([np.cos(tilt), np.sin(tilt)])
    middle = np.array([0, back])
    ends = middle + left * turned, middle + right * turned
    view.flat(0, surface(rng, ground, "plain tiles planks blotches", 0.04, 0.3), ground=True)
    view.flat(top, surface(rng, ground, "plain tiles", 0.2, 0.6))
    view.upright(*ends, 0, top, surface(rng, ground, "plain ribs bricks blotches panels planks", 0.05, 0.8, 0.13))
    normal = np.array([turned[1], -turned[0]])
    side = surface(rng, ground, "plain blotches panels bricks", 0.08, 0.6, 0.13)
    for end in ends:
        view.upright(end, end + 14 * normal, 0, top, side, shade=0.8)
        _window_row(view, rng, ground, end, normal, 6)
    _window_row(view, rng, ground, ends[0], turned, right - left)
    for _ in range(rng.integers(0, 3)):  # a long bench or cupboard along the wall
        at, long = rng.uniform(left, right), rng.uniform(0.8, 4)
        deep, x = rng.uniform(0.2, 0.45), middle + at * turned + 0.25 * normal
        if ground.is_free(x[0], x[1], 0.3):
            size = (long, rng.uniform(0.3, 0.5), deep)
            view.box((x[0], 0, x[1]), turned, size, surface(rng, ground, "plain panels", 0.03, 0.5, 0.15))
    _clutter(view, rng, ground, 3.0, 0.7, back - 0.2)
    lamps = []
    for _ in range(rng.integers(1, 4)):
        place = np.array([rng.uniform(left, right), top - 0.05, rng.uniform(-1, back)])
        lamps.append(
            Lamp(place, rng.uniform(0.3, 2.5), warm(rng), rng.choice([0.0, rng.uniform(0.03, 0.1)], p=[0.7, 0.3]))
        )
    return lamps


def _yard(view: Panorama, rng: np.random.Generator, ground: Ground) -> list[Lamp]:
    """Before a long wall, outside or in a car park: ribs, pillars, a dark floor."""
    back = ground.middle[1] + rng.uniform(0.4, 3.0)
    tilt = rng.normal(0, 0.3)
    turned = np.array([np.cos(tilt), np.sin(tilt)])
    start = np.array([0, back]) - 14 * turned
    view.flat(0, surface(rng, ground, "plain blotches tiles", 0.04, 0.25), ground=True)
    top = rng.choice([rng.uniform(1.2, 1.8), 5.0])
    view.upright(
        start, start + 28 * turned, 0, top, surface(rng, ground, "ribs ribs ribs bricks planks panels", 0.05, 0.7)
    )
    curb = surface(rng, ground, "plain", 0.05, 0.5)
    if rng.random() < 0.5:
        view.upright(start - [0, 0.1], start + 28 * turned - [0, 0.1], 0, rng.uniform(0.04, 0.15), curb)
    for _ in range(rng.integers(0, 3)):
        x, z = rng.uniform(-3, 3), rng.uniform(0.9, back)
        if ground.is_free(x, z, 0.3, 5):
            view.box(
                (x, 0, z),
                turned,
                (rng.uniform(0.15, 0.5), 5, rng.uniform(0.15, 0.5)),
                surface(rng, ground, "plain", 0.1, 0.5),
            )
    if rng.random() < 0.25:  # open to the light beyond
        gap = start + rng.uniform(9, 19) * turned - [0, 0.02]
        shine = surface(rng, ground, "plain blotches", 0.5, 1)
        view.upright(gap, gap + rng.uniform(0.3, 1.5) * turned, 0, 1.4, shine, shines=rng.uniform(0.3, 3))
    _clutter(view, rng, ground, 3.0, 0.8, back - 0.1)
    place = np.array([rng.uniform(-4, 4), rng.uniform(1, 2.5), rng.uniform(-2, back - 0.2)])
    return [Lamp(place, rng.uniform(0.5, 4), warm(rng), 0.0)]


def _path(view: Panorama, rng: np.random.Generator, ground: Ground, axis: np.ndarray) -> list[Lamp]:
    """A way between two walls that run to the horizon; buildings, trees, lamps beyond."""
    across = np.array([-axis[1], axis[0]])
    half = [rng.uniform(0.45, 1.4), rng.uniform(0.45, 1.4)]
    view.flat(0, surface(rng, ground, "plain blotches tiles", 0.03, 0.25), ground=True)
    lamps = []
    for sign, wide in zip((-1, 1), half, strict=True):
        foot = ground.middle + sign * wide * across
        near, far = foot - 30 * axis, foot + 60 * axis
        high = rng.choice([rng.uniform(0.35, 0.75), 2.5], p=[0.75, 0.25])
        view.upright(
            near,
            far,
            0,
            high,
            surface(rng, ground, "plain plain blotches ribs panels", 0.1, 0.7),
            shade=rng.uniform(0.4, 1),
        )
        thick = sign * 0.12 * across
        view.flat(high, surface(rng, ground, "plain", 0.2, 0.7), rect=(tuple(foot + thick), tuple(axis), 60, 0.12))
        beyond = foot + sign * rng.uniform(0.5, 6) * across
        if rng.random() < 0.6:
            view.upright(
                beyond - 20 * axis, beyond + rng.uniform(5, 40) * axis, 0, rng.uniform(2, 8), facade(rng, ground, 1.8)
            )
        for _ in range(rng.integers(0, 4)):
            at = beyond + rng.uniform(1, 20) * axis + sign * rng.uniform(0, 3) * across
            tall = rng.uniform(0.8, 4)
            bush(view, rng, at, tall, tall, 0, leaves(rng))
        for step in range(rng.integers(0, 5)):
            at = foot + (2 + 5 * step + rng.uniform(0, 2)) * axis + sign * rng.uniform(0, 1.5) * across
            place = np.array([at[0], rng.uniform(1.5, 3), at[1]])
            lamps.append(Lamp(place, rng.uniform(0.1, 2.5), warm(rng), rng.uniform(0.03, 0.12)))
    end = ground.middle + rng.uniform(12, 50) * axis
    view.upright(end - 15 * across, end + 15 * across, 0, rng.uniform(0.5, 5), facade(rng, ground, 1.8))
    return lamps + [
        Lamp(np.array([rng.uniform(-3, 3), 2.2, rng.uniform(-2, 2)]), rng.uniform(0.1, 1.5), warm(rng), 0.0)
    ]


def _street(view: Panorama, rng: np.random.Generator, ground: Ground) -> list[Lamp]:
    """Open ground with kerbs and lines, hedges, far buildings and lights."""
    base, seed = surface(rng, ground, "plain blotches grass tiles", 0.03, 0.2), int(rng.integers(2**31))
    angle, offset, bright = rng.uniform(0, 3.2), rng.uniform(-1, 1), rng.uniform(0.2, 0.6)
    c, s = np.cos(angle), np.sin(angle)

    def floor(u, v, pixel):
        across = (u - ground.middle[0]) * c + (v - ground.middle[1]) * s - offset
        line = (np.abs(across) < 0.035) | (np.abs(across - 0.13) < 0.035)
        worn = 0.6 + 0.4 * noise(np.random.default_rng(seed), u, v, 0.3)
        return np.where(line[..., None], (bright * worn)[..., None], base(u, v, pixel))

    view.flat(0, floor, ground=True)
    back = ground.middle[1] + rng.uniform(1, 12)
    for _ in range(rng.integers(1, 4)):
        x, wide, z = rng.uniform(-8, 8), rng.uniform(2, 16), back + rng.uniform(0, 15)
        tall = rng.uniform(1, 7)
        view.upright(
            (x - wide / 2, z), (x + wide / 2, z + rng.uniform(-1, 1)), 0, tall, facade(rng, ground, rng.uniform(1.2, 2))
        )
    for _ in range(rng.integers(0, 5)):
        x, z, tall = rng.uniform(-6, 6), rng.uniform(ground.middle[1] + 0.5, back + 3), rng.uniform(0.4, 3)
        if ground.is_free(x, z, 0.5, tall):
            low = 0.8 if tall > 1.5 and rng.random() < 0.5 else 0.0
            leaf = leaves(rng)
            bush(view, rng, (x, z), rng.uniform(0.8, 4), low + tall, low, leaf)
            if low:
                post(view, (x, z), 0.08, 1.0, leaf)
    if rng.random() < 0.5:
        z = ground.middle[1] + rng.uniform(0.6, 3)
        view.box(
            (rng.uniform(-2, 2), 0, z),
            (1, 0),
            (rng.uniform(2, 12), rng.uniform(0.08, 0.5), 0.2),
            surface(rng, ground, "plain bricks", 0.1, 0.6),
        )
    _clutter(view, rng, ground, 4.0, 0.8, back)
    lamps = []
    for _ in range(rng.integers(1, 6)):
        place = np.array([rng.uniform(-8, 8), rng.uniform(1.2, 3), rng.uniform(-1, back + 8)])
        lamps.append(Lamp(place, rng.uniform(0.2, 4), warm(rng), rng.choice([0.0, rng.uniform(0.02, 0.1)])))
    return lamps


def leaves(rng: np.random.Generator) -> np.ndarray:
    return tint(rng, rng.uniform(0.01, 0.09), 0.1) * np.array([0.95, 1.15, 0.75], np.float32)


def warm(rng: np.random.Generator) -> np.ndarray:
    """The colour of a lamp, from sodium yellow to bluish white."""
    color = np.interp(rng.uniform(0, 1), [0, 0.3, 0.7, 1], [0, 0.5, 0.8, 1.0])
    return np.array([1.0, 0.62 + 0.36 * color, 0.3 + 0.75 * color])


def draw_place(view: Panorama, rng: np.random.Generator, kind: str, ground: Ground, axis: np.ndarray) -> Lights:
    """Builds the place of ``kind`` into ``view`` and returns its light."""
    lamps = (
        _path(view, rng, ground, axis)
        if kind == "path"
        else {"room": _room, "yard": _yard, "street": _street}[kind](view, rng, ground)
    )
    sky = tint(rng, rng.uniform(0.0, 0.05) if rng.random() < 0.8 else rng.uniform(0.05, 0.3), 0.2)
    empty = view.rho >= 399
    view.shines[empty] = sky
    ambient, strength = pick(rng, ground.axes.ambient, log=True), pick(rng, ground.axes.lamps)
    lamps = [lamp._replace(power=lamp.power * strength) for lamp in lamps]
    wet = rng.uniform(0.1, 0.6) if rng.random() < ground.axes.wet else 0.0
    return Lights(lamps, tint(rng, ambient, 0.2), wet)


def seat_for(view: Panorama, rng: np.random.Generator, middle, axis, height: float) -> None:
    """What a figure sits on; its kind follows from the height."""
    kinds = SEATS if height > 0.17 else ("block", "stool")
    color, metal = tint(rng, rng.uniform(0.02, 0.4), 0.2), tint(rng, rng.uniform(0.02, 0.3), 0.1)
    seat(view, rng, str(rng.choice(kinds)), middle, axis, height, color, metal)
