"""A still background as a panorama: what surface each pixel shows, how far it is, and what light comes from there.

Surfaces are upright and level rectangles: along a column of a cylindrical picture an upright one has one distance,
along a row a level one has one, so that a panorama is made in milliseconds."""

import numpy as np

from fragrant.synthetic.camera import Camera

FAR = 400.0


class Panorama:
    """Surfaces by pixel; columns ``left`` .. and rows ``top`` .. are counted as ``Camera.project`` counts them."""

    def __init__(self, camera: Camera, left: int, top: int, width: int, height: int):
        self.camera, self.left, self.top = camera, left, top
        angle = (np.arange(left, left + width) + 0.0) / camera.focal
        self.dx, self.dz = np.sin(angle).astype(np.float32), np.cos(angle).astype(np.float32)  # (W,)
        self.slope = (-np.arange(top, top + height) / camera.focal).astype(np.float32)  # (H,), up is positive
        self.color = np.zeros((height, width, 3), np.float32)
        self.shines = np.zeros((height, width, 3), np.float32)
        self.rho = np.full((height, width), FAR, np.float32)
        self.level = np.zeros((height, width), bool)  # the ground, where shadows fall

    def upright(self, start, end, low: float, high: float, paint, *, shade: float = 1.0, shines: float = 0.0) -> None:
        """A rectangle between two points (x, z) on the ground, from ``low`` to ``high``.

        Args:
            paint: (u along, v up, size of a pixel), each (h, w) -> brightness or colours (h, w, 3), or a pair of them
                with a mask (h, w) of what is there.
            shade: of its side.
            shines: the light it gives by itself, as a multiple of its colour.
        """
        (px, pz), (ex, ez) = start, (end[0] - start[0], end[1] - start[1])
        square = ex * ex + ez * ez
        with np.errstate(divide="ignore", invalid="ignore"):
            rho = (px * ez - pz * ex) / (self.dx * ez - self.dz * ex)
            along = ((rho * self.dx - px) * ex + (rho * self.dz - pz) * ez) / square
        there = np.flatnonzero((rho > 0.05) & (rho < FAR) & (along >= 0) & (along <= 1))
        if len(there) == 0:
            return
        columns = slice(there[0], there[-1] + 1)
        rho, along = rho[columns].astype(np.float32), along[columns].astype(np.float32)
        eye, near = self.camera.height, np.clip(rho, 0.05, FAR)
        ends = np.concatenate([(high - eye) / near, (low - eye) / near]) * -self.camera.focal - self.top
        rows = slice(max(int(ends.min()) - 1, 0), min(int(np.ceil(ends.max())) + 2, len(self.slope)))
        if rows.start >= rows.stop:
            return
        v = eye + self.slope[rows, None] * rho
        seen = (v >= low) & (v <= high) & (rho > 0.05) & (along >= 0) & (along <= 1) & (rho < self.rho[rows, columns])
        u = np.broadcast_to(along * np.float32(np.sqrt(square)), v.shape)
        self._put((rows, columns), seen, rho, paint, (u, v - np.float32(low), rho), shade, shines)

    def flat(self, height: float, paint, *, rect=None, shade: float = 1.0, shines: float = 0.0, ground=False) -> None:
        """A level surface at ``height``; ``rect`` is its ((x, z) middle, (x, z) unit axis, half length, half width)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            rho = (height - self.camera.height) / self.slope
        there = np.flatnonzero((rho > 0.02) & (rho < FAR) & np.isfinite(rho))
        if len(there) == 0:
            return
        rows = slice(there[0], there[-1] + 1)
        rho = rho[rows, None].astype(np.float32)
        x, z = rho * self.dx, rho * self.dz
        seen = (rho > 0.02) & (rho < self.rho[rows])
        if rect is not None:
            (cx, cz), (ax, az), half, wide = rect
            x, z = (x - cx) * ax + (z - cz) * az, -(x - cx) * az + (z - cz) * ax
            seen &= (np.abs(x) <= half) & (np.abs(z) <= wide)
        self._put((rows, slice(None)), seen, rho, paint, (x, z, rho * (1 + rho)), shade, shines, ground)

    def _put(self, where, seen, rho, paint, place, shade, shines, ground=False) -> None:
        if not seen.any():
            return
        u, v, pixel = place
        if not ground and seen.mean() < 0.5:  # paint the window of what is seen only
            rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
            r, c = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
            start = where[1].start or 0
            where = (slice(where[0].start + r.start, where[0].start + r.stop), slice(start + c.start, start + c.stop))
            rho, pixel = (np.broadcast_to(a, seen.shape)[r, c] for a in (rho, pixel))
            seen, u, v = seen[r, c], u[r, c], v[r, c]
        color = paint(u, v, pixel / np.float32(self.camera.focal))
        if isinstance(color, tuple):
            color, mask = color
            seen = seen & mask
        color = np.broadcast_to(color, (*seen.shape, 3)) if np.ndim(color) == 3 else np.repeat(color[..., None], 3, -1)
        mask = seen[..., None]
        np.copyto(self.color[where], (color * np.float32(shade)).astype(np.float32), where=mask)
        np.copyto(self.shines[where], (color * np.float32(shines)).astype(np.float32), where=mask)
        np.copyto(self.rho[where], np.broadcast_to(rho, seen.shape), where=seen)
        self.level[where] = np.where(seen, ground, self.level[where])

    def box(self, middle, axis, size, paint) -> None:
        """A box that stands at ``middle`` (x, y of its foot, z); ``axis`` is a unit vector (x, z), ``size`` its (length
        along it, height, width)."""
        x, y, z = middle
        (ax, az), (length, high, wide) = axis, size
        a, b = np.array([ax, az]) * length / 2, np.array([-az, ax]) * wide / 2
        m = np.array([x, z])
        corners = [m + a + b, m - a + b, m - a - b, m + a - b]
        for i, side in enumerate((0.75, 0.95, 0.7, 0.85)):
            start, end = corners[i], corners[(i + 1) % 4]
            outward = 0.5 * (start + end) - m
            if outward @ (0.5 * (start + end)) < 0:  # turned to the camera, which is at 0
                self.upright(start, end, y, y + high, paint, shade=side)
        self.flat(y + high, paint, rect=((x, z), axis, length / 2, wide / 2), shade=1.1)

    def places(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where in space each pixel's surface is: x, y, z, each (H, W)."""
        return self.rho * self.dx, self.camera.height + self.slope[:, None] * self.rho, self.rho * self.dz
