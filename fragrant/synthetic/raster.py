"""Paints round shapes, with smooth edges and simple shading, onto a picture of linear light.

A canvas is float32 (H, W, 3); each shape touches only the pixels around it. ``open_at`` (H, W) holds how far the scene
behind is: what lies behind it is not painted."""

import numpy as np

Point = tuple[float, float]
Window = tuple[slice, slice, np.ndarray, np.ndarray]


def _window(shape: tuple[int, ...], low_x: float, low_y: float, high_x: float, high_y: float) -> Window | None:
    """The pixels between two points: rows, columns, and their numbers (h, 1), (1, w); None outside of the canvas."""
    left, top = max(int(np.floor(low_x)), 0), max(int(np.floor(low_y)), 0)
    right, bottom = min(int(np.ceil(high_x)) + 1, shape[1]), min(int(np.ceil(high_y)) + 1, shape[0])
    if left >= right or top >= bottom:
        return None
    y, x = np.arange(top, bottom, dtype=np.float32)[:, None], np.arange(left, right, dtype=np.float32)[None]
    return slice(top, bottom), slice(left, right), y, x


def _blend(canvas: np.ndarray, where: Window, cover: np.ndarray, color: np.ndarray, depth: float, open_at) -> None:
    if open_at is not None:
        hides = open_at[where[:2]] <= depth
        if hides.any():
            cover[hides] = 0
    part = canvas[where[:2]]
    part += cover[..., None] * (color - part)


def paint_limb(
    canvas: np.ndarray,
    ends: tuple[Point, Point],
    radii: tuple[float, float],
    color: np.ndarray,
    light: np.ndarray,
    depth: float = 0.0,
    open_at: np.ndarray | None = None,
) -> None:
    """Paints a round stick between ``ends`` (column, row).

    Args:
        radii: at both ends, in pixels.
        color: (3,).
        light: (4,): what falls on it from everywhere, and from the right, from below and from the front.
        depth: how far it is.
        open_at: (H, W).
    """
    (x0, y0), (x1, y1) = ((float(e[0]), float(e[1])) for e in ends)
    reach = max(radii) + 1
    where = _window(canvas.shape, min(x0, x1) - reach, min(y0, y1) - reach, max(x0, x1) + reach, max(y0, y1) + reach)
    if where is None:
        return
    dx, dy = x1 - x0, y1 - y0
    square = dx * dx + dy * dy + 1e-6
    x, y = where[3] - np.float32(x0), where[2] - np.float32(y0)
    along = np.clip((x * np.float32(dx / square) + y * np.float32(dy / square)), 0, 1)
    radius = np.float32(radii[0]) + np.float32(radii[1] - radii[0]) * along
    ox, oy = x - along * np.float32(dx), y - along * np.float32(dy)
    away = np.sqrt(ox * ox + oy * oy)
    cover = np.clip(radius - away + np.float32(0.5), 0, 1)
    unit = np.minimum(away / radius, 1)
    front = np.sqrt(1 - unit * unit * np.float32(0.98))
    shade = light[0] + (ox * light[1] + oy * light[2]) / radius + light[3] * front
    _blend(canvas, where, cover, np.maximum(shade, 0.05 * light[0])[..., None] * color, depth, open_at)


def prepared(axes: np.ndarray, light: np.ndarray) -> np.ndarray:
    """What painting ellipsoids needs, over time: (T, 3, 3) half axes in pixels, as ``paint_ellipsoid`` says, and light
    (T, 4) -> (T, 14) float32."""
    flat = axes[:, :2]
    cov = flat @ flat.transpose(0, 2, 1) + 0.04 * np.eye(2)
    back = flat.transpose(0, 2, 1) @ np.linalg.inv(cov)  # (T, 3, 2) picture -> unit sphere
    facing = np.cross(flat[:, 0], flat[:, 1])
    facing /= np.maximum(np.linalg.norm(facing, axis=1, keepdims=True), 1e-9)
    facing *= np.where(np.einsum("ti,ti->t", facing, axes[:, 2]) < 0, -1, 1)[:, None]
    lit = np.einsum("tji,tj->ti", axes, light[:, 1:]) / np.maximum((axes**2).sum(1), 1e-9)  # axes / length squared
    size = np.linalg.norm(light[:, 1:], axis=1) / np.maximum(np.linalg.norm(lit, axis=1), 1e-9)
    wide, high = np.sqrt(cov[:, 0, 0]), np.sqrt(cov[:, 1, 1])
    rows = [back.reshape(-1, 6), facing, lit * size[:, None], wide[:, None], high[:, None]]
    return np.concatenate(rows, 1).astype(np.float32)


def paint_ellipsoid(
    canvas: np.ndarray,
    centre: tuple[float, float],
    shape: np.ndarray,
    paint,
    around: float,
    depth: float = 0.0,
    open_at: np.ndarray | None = None,
) -> None:
    """Paints an ellipsoid whose surface may have several colours.

    Args:
        centre: (column, row).
        shape: a row of ``prepared``, which was given its half axes (3, 3) (columns: forward, up, left) as (right, down,
            front) in pixels.
        paint: a colour (3,), or a function of the place on the surface (forward, up, left), each (h, w) from -1 to 1,
            that returns colours (h, w, 3).
        around: the light that falls on it from everywhere.
    """
    fx, fy, ux, uy, sx, sy, ff, fu, fs, lf, lu, ls, wide, high = shape
    x0, y0 = centre
    where = _window(canvas.shape, x0 - wide - 1, y0 - high - 1, x0 + wide + 1, y0 + high + 1)
    if where is None:
        return
    x, y = where[3] - np.float32(x0), where[2] - np.float32(y0)
    f, u, s = fx * x + fy * y, ux * x + uy * y, sx * x + sy * y
    size = f * f
    size += u * u
    size += s * s
    front = np.sqrt(np.maximum(1 - size, 0))
    cover = np.clip((1 - np.sqrt(size)) * min(wide, high) + np.float32(0.5), 0, 1)
    if callable(paint):
        f += front * ff
        u += front * fu
        s += front * fs
        shade = f * lf + u * lu + s * ls + np.float32(around)
        color = paint(f, u, s)
    else:
        shade = (fx * lf + ux * lu + sx * ls) * x + (fy * lf + uy * lu + sy * ls) * y
        shade = shade + front * (ff * lf + fu * lu + fs * ls) + np.float32(around)
        color = paint
    _blend(canvas, where, cover, np.maximum(shade, np.float32(0.05 * around))[..., None] * color, depth, open_at)


def darken_blob(canvas: np.ndarray, centre: Point, radii: tuple[float, float], amount: float, only) -> None:
    """Takes light away around ``centre`` (column, row), where ``only`` (H, W) is true: a soft shadow."""
    x0, y0 = float(centre[0]), float(centre[1])
    rx, ry = max(radii[0], 0.7), max(radii[1], 0.7)
    where = _window(canvas.shape, x0 - 2.5 * rx, y0 - 2.5 * ry, x0 + 2.5 * rx, y0 + 2.5 * ry)
    if where is None:
        return
    away = ((where[3] - x0) / rx) ** 2 + ((where[2] - y0) / ry) ** 2
    cover = np.float32(amount) * np.exp(-0.5 * away) * only[where[:2]]
    canvas[where[:2]] *= (1 - cover)[..., None]
