"""Draws one clip of the demo set: a figure in a room, filmed in the dark.

Colours are linear light, 0 black .. 1 white; a canvas is float32 (H, W, 3). Shapes are drawn by their distance to each
pixel, so that edges are smooth. The room is dim and the figure stands in what light there is: brighter than the wall
behind it."""

from typing import NamedTuple

import numpy as np

from fragrant.config.pixel_statistics import LUMA_WEIGHTS
from fragrant.synthetic.figure import SIDES, Body, Style, draw_body, draw_style, joints, pose

MARGIN = 6  # pixels of background around the picture, for the shaking camera
GAMMA = 2.2
SIDEWAYS = 0.75  # radians that a figure may be turned out of its side view
LUMA = np.array(LUMA_WEIGHTS, dtype=np.float32)
LAMP = (0.03, 0.065)  # rows of a strip light, of the height; the exposure hardly dims what shines itself

# (from, to, thickness at both ends, colour): the limbs of a figure
LIMBS = [
    ("pelvis", "neck", 0.075, 0.075, "shirt"),
    ("print", "print", 0.035, 0.035, "print"),
    ("neck", "head", 0.028, 0.028, "skin"),
    ("head", "head", 0.066, 0.066, "hair"),
    ("face", "face", 0.056, 0.056, "skin"),
    *(
        limb
        for side in SIDES
        for limb in (
            (f"{side} hip", f"{side} shoulder", 0.06, 0.055, "shirt"),
            (f"{side} hip", f"{side} knee", 0.062, 0.045, "trousers"),
            (f"{side} knee", f"{side} ankle", 0.045, 0.03, "trousers"),
            (f"{side} ankle", f"{side} toe", 0.03, 0.022, "shoes"),
            (f"{side} shoulder", f"{side} elbow", 0.042, 0.034, "shirt"),
            (f"{side} elbow", f"{side} hand", 0.03, 0.026, "skin"),
        )
    ),
]
SEAT = (0.3, 0.2, 0.36)  # depth, height, width


class Camera(NamedTuple):
    """A pinhole camera at ``height`` above the ground that looks along z; pixels = focal * length / z."""

    focal: float
    height: float
    column: float  # of the point straight ahead
    horizon: float  # row

    def project(self, points: np.ndarray) -> np.ndarray:
        """Projects points (x, y, z) onto the picture: (..., 3) -> (..., 3): column, row, pixels per length there."""
        scale = self.focal / np.maximum(points[..., 2], 0.5)
        return np.stack(
            [self.column + scale * points[..., 0], self.horizon - scale * (points[..., 1] - self.height), scale],
            axis=-1,
        )


class Scene(NamedTuple):
    """Everything in front of the camera that the action does not change."""

    style: Style
    body: Body
    camera: Camera
    place: np.ndarray  # (x, y, z) of the figure
    yaw: float  # the direction it looks at first
    aside: float  # how far someone who walks passes beside the seat
    colors: dict[str, np.ndarray]
    wall: float  # distance of the back wall
    shake: np.ndarray  # amplitudes and phases of the camera's sway


# ---- shapes


def paint(canvas: np.ndarray, top: int, left: int, cover: np.ndarray, color: np.ndarray) -> None:
    part = canvas[top : top + cover.shape[0], left : left + cover.shape[1]]
    part += cover[..., None] * (color - part)


def window(canvas: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[int, int, np.ndarray, np.ndarray] | None:
    """The pixels between the points ``low`` and ``high`` (column, row): first row, first column, rows (h, 1), columns
    (1, w); None outside of the canvas."""
    left, top = (int(x) for x in np.maximum(np.floor(low), 0))
    right, bottom = (int(x) for x in np.minimum(np.ceil(high) + 1, canvas.shape[1::-1]))
    if left >= right or top >= bottom:
        return None
    return top, left, np.arange(top, bottom, dtype=np.float32)[:, None], np.arange(left, right, dtype=np.float32)[None]


def paint_limb(
    canvas: np.ndarray, start: np.ndarray, end: np.ndarray, radii: tuple[float, float], color: np.ndarray
) -> None:
    """Paints a round stick from ``start`` to ``end`` (column, row), darker towards its edges."""
    reach = max(radii) + 1
    seen = window(canvas, np.minimum(start, end) - reach, np.maximum(start, end) + reach)
    if seen is None:
        return
    top, left, y, x = seen
    dx, dy = (float(d) for d in end - start)
    x, y = x - np.float32(start[0]), y - np.float32(start[1])
    along = np.clip((x * dx + y * dy) / (dx * dx + dy * dy + 1e-6), 0, 1)
    radius = radii[0] + (radii[1] - radii[0]) * along
    away = np.sqrt((x - along * dx) ** 2 + (y - along * dy) ** 2)
    shade = 1 - 0.5 * np.minimum(away / radius, 1) ** 2
    paint(canvas, top, left, np.clip(radius - away + 0.5, 0, 1), shade[..., None] * color)


def paint_face(canvas: np.ndarray, corners: np.ndarray, color: np.ndarray) -> None:
    """Paints a convex shape with ``corners`` (n, 2) (column, row) in either order."""
    seen = window(canvas, corners.min(0) - 1, corners.max(0) + 1)
    if seen is None:
        return
    top, left, y, x = seen
    edges = np.roll(corners, -1, axis=0) - corners
    area = np.sum(corners[:, 0] * np.roll(corners[:, 1], -1) - corners[:, 1] * np.roll(corners[:, 0], -1))
    cover = np.ones((y.size, x.size), dtype=np.float32)
    for (px, py), (dx, dy) in zip(corners, edges * np.sign(area), strict=True):
        inside = ((y - py) * dx - (x - px) * dy) / max(float(np.hypot(dx, dy)), 1e-6)
        cover = np.minimum(cover, np.clip(inside + 0.5, 0, 1).astype(np.float32))
    paint(canvas, top, left, cover, color)


def paint_box(
    canvas: np.ndarray,
    camera: Camera,
    centre: np.ndarray,
    yaw: float,
    size: tuple[float, float, float],
    color: np.ndarray,
) -> None:
    """Paints a box (depth, height, width) that stands on the ground: the faces turned to the camera, each with its own
    brightness."""
    forward, left = np.array([np.cos(yaw), 0, np.sin(yaw)]), np.array([-np.sin(yaw), 0, np.cos(yaw)])
    up = np.array([0, 1.0, 0])
    axes = [(forward, size[0] / 2, 0.75), (left, size[2] / 2, 0.55), (up, size[1] / 2, 1.0)]
    middle = centre + up * size[1] / 2
    eye = np.array([0, camera.height, 0])
    for i, (normal, half, bright) in enumerate(axes):
        (a, da, _), (b, db, _) = axes[i - 1], axes[i - 2]
        towards = normal if np.dot(eye - middle, normal) > 0 else -normal
        face = middle + towards * half
        if np.dot(eye - face, towards) <= 0:
            continue
        corners = np.stack([face + sa * a * da + sb * b * db for sa, sb in ((-1, -1), (-1, 1), (1, 1), (1, -1))])
        paint_face(canvas, camera.project(corners)[:, :2], bright * color)


# ---- the room


def draw_color(rng: np.random.Generator, low: float, high: float, hue: float = 0.12) -> np.ndarray:
    """Draws a colour of brightness low .. high; ``hue`` 0 is grey."""
    return (rng.uniform(low, high) * (1 + hue * rng.uniform(-1, 1, 3))).astype(np.float32)


def mottle(rng: np.random.Generator, shape: tuple[int, int], cells: int) -> np.ndarray:
    """Texture of smooth random blotches around 1."""
    grid = rng.uniform(0.85, 1.15, (cells, cells))
    rows, cols = (np.linspace(0, cells - 1, n) for n in shape)
    grid = np.stack([np.interp(cols, np.arange(cells), line) for line in grid])
    return np.stack([np.interp(rows, np.arange(cells), line) for line in grid.T], axis=1)


def pattern(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Brightness of a surface with coordinates (u, v): plain, ribs, planks, tiles or bricks."""
    kind, pitch, depth = rng.integers(5), rng.uniform(0.1, 0.35), rng.uniform(0.1, 0.3)

    def joint(x: np.ndarray) -> np.ndarray:
        """Dark lines every ``pitch``."""
        return np.abs(np.sin(np.pi * x / pitch)) ** 0.35

    if kind == 0:
        return np.ones_like(u)
    if kind == 1:
        return 1 - depth * (0.5 + 0.5 * np.sin(2 * np.pi * u / pitch))
    if kind == 2:
        return 1 - depth * (1 - joint(v))
    if kind == 3:
        return 1 - depth * (1 - np.minimum(joint(u), joint(v)))
    return 1 - depth * (1 - np.minimum(joint(v), joint(u / 2 + pitch / 2 * (np.floor(v / pitch) % 2))))


def draw_room(rng: np.random.Generator, scene: Scene, height: int, width: int) -> np.ndarray:
    """Draws the room, floor, back wall with windows and doors, boxes, lamps: (H + 2 margins, W + 2 margins, 3)."""
    camera = scene.camera
    rows = np.arange(-MARGIN, height + MARGIN)[:, None] + np.zeros((1, width + 2 * MARGIN))
    cols = np.arange(-MARGIN, width + MARGIN)[None] + 0 * rows
    x, y = (
        (cols - camera.column) * scene.wall / camera.focal,
        camera.height - (rows - camera.horizon) * scene.wall / camera.focal,
    )
    depth = camera.focal * camera.height / np.maximum(rows - camera.horizon, 1e-3)
    wall = pattern(rng, x, y)[..., None] * scene.colors["wall"]
    floor = pattern(rng, (cols - camera.column) * depth / camera.focal, depth)[..., None] * scene.colors["floor"]
    canvas = np.where((y > 0)[..., None], wall, floor) * mottle(rng, rows.shape, 6)[..., None]
    canvas = canvas.astype(np.float32)
    for _ in range(rng.integers(0, 4)):  # windows, doors, posters: dark or bright
        low = rng.choice([0.0, 0.5, 0.8])
        x0, w, h = rng.uniform(-2.2, 1.8), rng.uniform(0.2, 0.7), rng.uniform(0.3, 0.9)
        corners = [
            (x0, low, scene.wall),
            (x0 + w, low, scene.wall),
            (x0 + w, low + h, scene.wall),
            (x0, low + h, scene.wall),
        ]
        paint_face(canvas, camera.project(np.array(corners))[:, :2] + MARGIN, draw_color(rng, 0.02, 0.16))
    for _ in range(rng.integers(0, 3)):
        centre = np.array([rng.uniform(-1.8, 1.8), 0, scene.wall - rng.uniform(0.2, 0.5)])
        shifted = camera._replace(column=camera.column + MARGIN, horizon=camera.horizon + MARGIN)
        paint_box(
            canvas, shifted, centre, rng.uniform(0, np.pi), tuple(rng.uniform(0.2, 0.6, 3)), draw_color(rng, 0.03, 0.14)
        )
    return canvas


def draw_light(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    """Draws the light (H, W, 1) that falls on each pixel; now and then a lamp is in the picture, painted into
    ``canvas``."""
    rows, cols = np.mgrid[: canvas.shape[0], : canvas.shape[1]]
    height, width = canvas.shape[:2]
    row, col, wide = rng.uniform(-0.2, 0.8) * height, rng.uniform(0, 1) * width, rng.uniform(0.4, 1.0) * width
    distance = np.hypot(rows - row, cols - col)
    light = rng.uniform(0.25, 0.8) + np.exp(-0.5 * (distance / wide) ** 2)
    lamp = rng.uniform(1.5, 6) if rng.random() < 0.3 and row < 0.35 * height else 0.0
    radius = rng.uniform(1.5, 4)
    canvas += (lamp * np.clip(radius - distance + 0.5, 0, 1) + 0.1 * lamp * np.exp(-distance / (3 * radius)))[
        ..., None
    ].astype(np.float32)
    return light[..., None].astype(np.float32)


def draw_scene(rng: np.random.Generator, height: int, width: int) -> Scene:
    size, far = rng.uniform(0.58, 0.76) * height, rng.uniform(3.2, 5)  # of the figure in pixels; its distance
    camera_height = rng.uniform(0.6, 1.1)
    feet = rng.uniform(0.86, 0.95) * height
    camera = Camera(size * far, camera_height, width / 2, feet - size * camera_height)
    skin = rng.uniform(0.15, 0.5) * np.array([1.15, 0.95, 0.8], dtype=np.float32)
    colors = {
        "wall": draw_color(rng, 0.04, 0.12),
        "floor": draw_color(rng, 0.04, 0.14),
        "seat": draw_color(rng, 0.04, 0.15),
        "shirt": draw_color(rng, 0.3, 0.6, 0.4),
        "trousers": draw_color(rng, 0.2, 0.6, 0.4),
        "print": draw_color(rng, 0.02, 0.7, 0.5),
        "skin": skin,
        "hair": draw_color(rng, 0.01, 0.06),
        "shoes": draw_color(rng, 0.02, 0.5),
    }
    return Scene(
        style=draw_style(rng),
        body=draw_body(rng),
        camera=camera,
        place=np.array([rng.uniform(-0.3, 0.3), 0, far]),
        yaw=np.pi * rng.integers(2) + rng.uniform(-SIDEWAYS, SIDEWAYS),
        aside=rng.uniform(0.38, 0.5) * rng.choice([-1, 1]),
        colors=colors,
        wall=far + rng.uniform(1.2, 2.5),
        shake=np.stack([rng.uniform(0, 1.3, 4), rng.uniform(0.2, 1.0, 4), rng.uniform(0, 2 * np.pi, 4)]),
    )


# ---- the clip


def figure_in_space(scene: Scene, action: str, time: np.ndarray, seconds: float) -> dict[str, np.ndarray]:
    """The joints (T, 3) as (x, y, z) in front of the camera."""
    moving = pose(action, time, seconds, scene.style)
    yaw = scene.yaw + moving.yaw
    forward = np.stack([np.cos(yaw), 0 * yaw, np.sin(yaw)], axis=-1)
    left = np.stack([-np.sin(yaw), 0 * yaw, np.cos(yaw)], axis=-1)
    place = scene.place if moving.on_the_spot else scene.place + scene.aside * left
    up = np.array([0, 1.0, 0])
    # (T, 3) each
    return {
        name: place + at[:, :1] * forward + at[:, 1:2] * up + at[:, 2:] * left
        for name, at in joints(moving, scene.body).items()
    }


def sway(scene: Scene, time: np.ndarray) -> np.ndarray:
    """Sway of the camera in every frame (T, 2), in pixels: columns, rows; less than MARGIN."""
    amplitude, per_second, phase = scene.shake
    waves = amplitude * np.sin(2 * np.pi * per_second * time[:, None] + phase)  # (T, 4)
    return waves.reshape(len(time), 2, 2).sum(-1)


def shifted(picture: np.ndarray, offset: np.ndarray, height: int, width: int) -> np.ndarray:
    """The picture moved by ``offset`` (columns, rows), cut to its size without the margins."""
    col, row = MARGIN - offset
    c, r = int(np.floor(col)), int(np.floor(row))
    fc, fr = np.float32(col - c), np.float32(row - r)
    rows = picture[r : r + height] * (1 - fr) + picture[r + 1 : r + 1 + height] * fr
    return rows[:, c : c + width] * (1 - fc) + rows[:, c + 1 : c + 1 + width] * fc


def paint_shadow(canvas: np.ndarray, middle: np.ndarray) -> None:
    """Paints a soft shadow on the ground at ``middle`` (column, row, pixels per length)."""
    seen = window(canvas, middle[:2] - 0.5 * middle[2], middle[:2] + 0.5 * middle[2])
    if seen is not None:
        top, left, y, x = seen
        away = ((x - middle[0]) / (0.16 * middle[2])) ** 2 + ((y - middle[1]) / (0.06 * middle[2])) ** 2
        paint(canvas, top, left, 0.6 * np.exp(-0.5 * away), np.zeros(3, dtype=np.float32))


def paint_figure(canvas: np.ndarray, scene: Scene, camera: Camera, at: dict[str, np.ndarray]) -> None:
    """Paints the limbs of the figure, far ones first; ``at`` holds the joints (3,) of one frame."""
    for start, end, thick, thin, color in sorted(LIMBS, key=lambda limb: -(at[limb[0]][2] + at[limb[1]][2])):
        a, b = camera.project(at[start]), camera.project(at[end])
        radii = (thick * scene.body.girth * a[2], thin * scene.body.girth * b[2])
        paint_limb(canvas, a[:2], b[:2], radii, scene.colors[color])


def draw_frame(canvas: np.ndarray, scene: Scene, camera: Camera, at: dict[str, np.ndarray]) -> None:
    """Draws shadow, seat and figure on a canvas that holds the room."""
    under = np.mean([at["left ankle"], at["right ankle"], at["pelvis"]], axis=0) * [1, 0, 1]
    paint_shadow(canvas, camera.project(under))
    draw_seat_and_figure(canvas, scene, camera, at)


def draw_seat_and_figure(canvas: np.ndarray, scene: Scene, camera: Camera, at: dict[str, np.ndarray]) -> None:
    """Draws what stands in the room, the farther of both first."""
    # where someone who sits down arrives
    seat = scene.place - 0.27 * np.array([np.cos(scene.yaw), 0, np.sin(scene.yaw)])
    parts = [
        (seat[2], lambda: paint_box(canvas, camera, seat, scene.yaw, SEAT, scene.colors["seat"])),
        # knees are never in the seat
        (
            (at["left knee"] + at["right knee"])[2] / 2,
            lambda: paint_figure(canvas, scene, camera, at),
        ),
    ]
    for _, paint_part in sorted(parts, key=lambda part: -part[0]):
        paint_part()


def draw_clip(rng: np.random.Generator, action: str, *, frames: int, fps: int, height: int, width: int) -> np.ndarray:
    """Draws a clip in full light: float32 (T, H, W, 3)."""
    scene = draw_scene(rng, height, width)
    room = draw_room(rng, scene, height, width)
    light = draw_light(rng, room)
    time = np.arange(frames) / fps
    figure = figure_in_space(scene, action, time, time[-1])
    clip = np.empty((frames, height, width, 3), dtype=np.float32)
    for i, offset in enumerate(sway(scene, time)):
        clip[i] = shifted(room, offset, height, width)
        camera = scene.camera._replace(column=scene.camera.column + offset[0], horizon=scene.camera.horizon + offset[1])
        draw_frame(clip[i], scene, camera, {name: place[i] for name, place in figure.items()})
        clip[i] *= shifted(light, offset, height, width)
    return clip


def darken(rng: np.random.Generator, clip: np.ndarray, luma: float, *, lamp: bool = False) -> np.ndarray:
    """Darkens a clip to what a small sensor records at night: uint8 (T, H, W, 3) with mean luma near ``luma`` (0..1).

    Light is lowered by one gain per clip, then photons arrive by chance (Poisson), the read-out adds noise per pixel
    and per row
    (Gaussian), and 8 bits are kept after the usual 1 / 2.2 curve.

    Args:
        lamp: a strip light under the ceiling, white at every gain: however dark the room, the range of the picture
            stays wide.
    """
    bright = np.minimum(clip, 1) ** (1 / GAMMA) @ LUMA
    gain = (luma / float(bright.mean())) ** GAMMA
    photons = np.exp(rng.uniform(np.log(1e-4), np.log(1e-3)))  # light of one photon
    read = photons * rng.uniform(0.5, 1.5)
    if lamp:
        top, bottom = (round(share * clip.shape[1]) for share in LAMP)
        clip = clip.copy()
        clip[:, top:bottom] = 1 / gain
    dark = rng.poisson(clip * (gain / photons)).astype(np.float32) * np.float32(photons)
    dark += np.float32(read) * rng.standard_normal(dark.shape, dtype=np.float32)
    dark += np.float32(rng.uniform(0.2, 0.5) * read) * rng.standard_normal((*dark.shape[:2], 1, 1), dtype=np.float32)
    return (np.clip(dark, 0, 1) ** np.float32(1 / GAMMA) * 255 + 0.5).astype(np.uint8)
