"""Things that stand about: chairs, tables, boxes, pillars, plants."""

import numpy as np

from fragrant.synthetic.panorama import Panorama
from fragrant.synthetic.textures import noise


def plain(color: np.ndarray):
    return lambda u, v, pixel: np.broadcast_to(color, (*u.shape, 3))


def _around(middle, axis, along: float, across: float) -> tuple[float, float]:
    return middle[0] + along * axis[0] - across * axis[1], middle[1] + along * axis[1] + across * axis[0]


def seat(view: Panorama, rng: np.random.Generator, kind: str, middle, axis, height: float, color, metal) -> None:
    """Something to sit on at ``middle`` (x, z); who sits there looks along ``axis`` (x, z).

    Args:
        kind: office (a chair on one foot), chair, stool, bench or block.
        height: of its top.
    """
    wide = {"bench": 1.4, "block": rng.uniform(0.5, 4)}.get(kind, 0.25)
    deep = {"bench": 0.24, "block": rng.uniform(0.25, 0.5)}.get(kind, 0.25)
    x, z = middle
    if kind == "block":
        view.box((x, 0, z), axis, (deep, height, wide), plain(color))
        return
    view.box((x, height - 0.035, z), axis, (deep, 0.035, wide), plain(color))
    if kind == "office":
        view.box((x, 0.03, z), axis, (0.03, height - 0.05, 0.03), plain(metal))
        for along, across in ((0.28, 0.03), (0.03, 0.28)):
            view.box((x, 0.02, z), axis, (along, 0.02, across), plain(metal))
    else:
        for along in (-0.45, 0.45):
            for across in (-0.45, 0.45):
                px, pz = _around(middle, axis, along * deep, across * wide)
                view.box((px, 0, pz), axis, (0.025, height - 0.03, 0.025), plain(metal))
    if kind in ("office", "chair") or (kind == "bench" and rng.random() < 0.5):
        px, pz = _around(middle, axis, -0.5 * deep - 0.01, 0)
        view.box((px, height + 0.06, pz), axis, (0.03, rng.uniform(0.16, 0.3), 0.9 * wide), plain(color))


def table(view: Panorama, rng: np.random.Generator, middle, axis, color, metal) -> None:
    """A table, with things on it now and then."""
    long, high, wide = rng.uniform(0.5, 1.2), rng.uniform(0.38, 0.46), rng.uniform(0.3, 0.5)
    view.box((middle[0], high - 0.025, middle[1]), axis, (wide, 0.025, long), plain(color))
    if rng.random() < 0.3:
        view.box((middle[0], 0, middle[1]), axis, (0.8 * wide, high - 0.03, 0.95 * long), plain(0.6 * color))
    else:
        for along in (-0.45, 0.45):
            for across in (-0.45, 0.45):
                px, pz = _around(middle, axis, along * wide, across * long)
                view.box((px, 0, pz), axis, (0.03, high - 0.03, 0.03), plain(metal))
    for _ in range(rng.integers(0, 5)):
        px, pz = _around(middle, axis, rng.uniform(-0.4, 0.4) * wide, rng.uniform(-0.45, 0.45) * long)
        size = rng.uniform(0.04, 0.25, 3)
        thing = rng.uniform(0.02, 0.6) * rng.uniform(0.6, 1.4, 3)
        view.box((px, high, pz), axis, (0.4 * size[0], size[1], size[2]), plain(thing.astype(np.float32)))


def bush(view: Panorama, rng: np.random.Generator, middle, wide: float, high: float, low: float, color) -> None:
    """Leaves with a ragged outline, as seen from the camera: a bush, or the crown of a tree when ``low`` is high."""
    x, z = middle
    away = np.hypot(x, z)
    side = np.array([z, -x]) / away * wide / 2
    seed = int(rng.integers(2**31))

    def paint(u, v, pixel):
        leaves = noise(np.random.default_rng(seed), u, v, 0.06)
        edge = noise(np.random.default_rng(seed + 1), u, v, 0.15)
        round_top = np.abs(2 * u / wide - 1) ** 3 + np.maximum(2 * v / (high - low) - 1, -0.2 * (low == 0)) ** 2
        return np.clip(1 + 0.8 * leaves + 0.5 * edge, 0.1, 2.5)[..., None] * color, round_top < 0.8 + 0.6 * edge

    view.upright((x - side[0], z - side[1]), (x + side[0], z + side[1]), low, high, paint)


def post(view: Panorama, middle, wide: float, high: float, color) -> None:
    view.box((middle[0], 0, middle[1]), (0.8, 0.6), (wide, high, wide), plain(color))
